"""The results in the order in which they are told: headings, sentences, charts and tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis import remarks
from app.analysis.charts import Chart
from app.analysis.grids import (
    Grid,
    by_set,
    carry_over,
    differences,
    discrimination,
    flips,
    readers,
    readers_and_cases,
)
from app.analysis.reading_grids import (
    agreement,
    areas,
    attention,
    missing,
    pairs,
    ratings,
    times,
)
from app.analysis.remarks import (
    blinding,
    cautions,
    exclusions,
    of_order,
    of_pairs,
    of_readers_and_cases,
)
from app.analysis.sections.told import Json


@dataclass(frozen=True)
class Block:
    """`name` is its place on the page; charts come before tables."""

    name: str
    title: str
    sentences: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()


def blocks_of(found: Json, charts: Sequence[Chart]) -> list[Block]:
    """What there is nothing to tell about is left out."""
    by_name = {chart.name: chart for chart in charts}

    def named(*names: str) -> list[Chart]:
        return [by_name[name] for name in names if name in by_name]

    def beginning(word: str) -> list[Chart]:
        return [chart for chart in charts if chart.name.startswith(word)]

    made = [
        Block(
            "difference",
            "Paired difference and noise floor",
            charts=named("difference", "excess", "noise-floor"),
            grids=[differences(found)],
        ),
        Block("conditions", "By condition", cautions(found), grids=[flips(found)]),
        Block(
            "readers",
            "By reader",
            charts=named("by-reader"),
            grids=[readers(found), by_set(found)],
        ),
        Block(
            "course",
            "Over time",
            of_order(found["order"]),
            named("over-time"),
            carry_over(found["order"]),
        ),
        Block("discrimination", "Telling tumour from none", grids=discrimination(found)),
        Block(
            "mrmc",
            "Other readers and other cases",
            of_readers_and_cases(found),
            grids=readers_and_cases(found),
        ),
        Block("agreement", "Agreement", (), named("agreement"), agreement(found["agreement"])),
        Block("time", "Reading time", grids=times(found["time"])),
        Block(
            "roc",
            "ROC curves",
            charts=beginning("roc-"),
            grids=[*areas(found["roc"]), *ratings(found["roc"])],
        ),
        Block(
            "pairs",
            "The block of pairs",
            of_pairs(found["detection"]),
            beginning("psychometric-"),
            pairs(found["detection"]),
        ),
        Block("missing", "What is missing", exclusions(found), grids=[missing(found)]),
        Block(
            "attention",
            "Attention: catch images",
            remarks.attention(found),
            grids=attention(found),
        ),
        Block("blinding", "Blinding check", blinding(found["blinding_check"])),
    ]
    return [each for each in made if each.sentences or each.charts or filled(each.grids)]


def filled(grids: Sequence[Grid]) -> bool:
    return any(grid.rows for grid in grids)
