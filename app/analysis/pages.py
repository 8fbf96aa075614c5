"""What the results page and the report show."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from app.analysis.blocks import Block, blocks_of
from app.analysis.charts import Chart
from app.analysis.drawing import svg
from app.analysis.evidence import with_network
from app.analysis.figures import charts_of, confidence
from app.analysis.flipped import Flips
from app.analysis.grids import Grid
from app.analysis.marks import mark_of
from app.analysis.paragraph import Facts, paragraph
from app.analysis.sections.told import Json
from app.analysis.sentences import Verdict, primary
from app.analysis.wording import budget, percent, points
from app.storage.models import Study

CAPTIONS = {1: "True positives", 0: "False positives"}


@dataclass(frozen=True)
class CountView:
    """Such as 17 of 20, or a difference, and its interval."""

    count: str
    interval: str


@dataclass(frozen=True)
class LineView:
    """`counts`: of originals, then of every condition."""

    reader: str
    set_name: str
    counts: Sequence[CountView]


@dataclass(frozen=True)
class TableView:
    """The table of the paper: `columns` are original and the conditions, and `differences` are
    of the conditions over all readers and sets."""

    caption: str
    note: str
    columns: Sequence[str]
    lines: Sequence[LineView]
    differences: Sequence[CountView]


@dataclass(frozen=True)
class ChartView:
    """`drawing` is SVG; `table` has the same numbers."""

    name: str
    title: str
    description: str
    drawing: Markup
    table: Grid


@dataclass(frozen=True)
class BlockView:
    name: str
    title: str
    sentences: Sequence[str]
    charts: Sequence[ChartView]
    grids: Sequence[Grid]


@dataclass(frozen=True)
class ResultsPage:
    """Without answers there is nothing but the files."""

    title: str
    study_id: int
    study: str
    is_demo: bool
    mark: str
    is_final: bool
    has_answers: bool
    tables: Sequence[TableView]
    primary: Sequence[Verdict]
    blocks: Sequence[BlockView]
    flips: Flips
    paragraph: str


def count_view(share: Json) -> CountView:
    wilson = share["wilson"]
    if wilson["low"] is None:
        return CountView("no answers", "")
    low, high = (percent(wilson[end], 0) for end in ("low", "high"))
    return CountView(f"{share['tumour']} of {share['n']}", f"{low} to {high}")


def difference_view(found: Json, truth: int) -> CountView:
    """In percentage points, original minus perturbed, of what was called tumour: where there is
    none, that is the difference in right answers the other way round."""
    if found["estimate"] is None:
        return CountView("no pairs", "")
    ends = [found["estimate"], found["low"], found["high"]]
    if not truth:
        ends = [-ends[0], -ends[2], -ends[1]]
    estimate, low, high = (points(value, 1) for value in ends)
    return CountView(estimate, f"{low} to {high}")


def table_views(found: Json) -> list[TableView]:
    """True positives first, then false positives if any."""
    conditions = [each["condition"] for each in found["study"]["conditions"]]
    pooled = {
        (each["condition"], each["truth"]): each["pooled"]["interval_95"]
        for each in found["tp_difference"]
    }
    is_one = len(conditions) == 1
    named = "; ".join(budget(each) for each in found["study"]["conditions"])
    return [
        TableView(
            caption,
            f"{named}; with Wilson's {confidence(found)} intervals",
            ["Original", *(["Perturbed"] if is_one else conditions)],
            table_lines(found, truth, conditions),
            [difference_view(pooled[name, truth], truth) for name in conditions],
        )
        for truth, caption in CAPTIONS.items()
        if all((name, truth) in pooled for name in conditions)
    ]


def table_lines(found: Json, truth: int, conditions: Sequence[str]) -> list[LineView]:
    told: dict[tuple[str, int], dict[str, Json]] = {}
    for line in found["table"]["lines"]:
        if line["truth"] == truth:
            told.setdefault((line["reader"], line["set"]), {})[line["condition"]] = line
    return [
        LineView(
            reader,
            f"Set {number}",
            [
                count_view(lines[conditions[0]]["original"]),
                *(count_view(lines[name]["perturbed"]) for name in conditions),
            ],
        )
        for (reader, number), lines in told.items()
    ]


def chart_view(chart: Chart) -> ChartView:
    drawing = svg(chart.drawing, chart.name, chart.title, chart.description)
    rows = [[cell(value) for value in row] for row in chart.rows]
    header = [name.replace("_", " ") for name in chart.header]
    return ChartView(
        chart.name,
        chart.title,
        chart.description,
        Markup(drawing),  # noqa: S704 (made of escaped words)
        Grid(f"The numbers of: {chart.title}", header, rows),
    )


def cell(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)


def block_view(block: Block) -> BlockView:
    charts = [chart_view(chart) for chart in block.charts]
    return BlockView(block.name, block.title, block.sentences, charts, block.grids)


def facts_of(study: Study) -> Facts:
    return Facts(
        estimand=study.estimand,
        question=study.question,
        criterion=study.criterion,
        minimum_gap=study.minimum_gap,
        waves=study.waves,
        washout_days=study.washout_days,
        masking=study.masking,
        confidence=study.confidence,
        protocol_hash=study.protocol_hash,
        is_demo=study.is_demo,
    )


def results_page(study: Study, found: Json, flips: Flips) -> ResultsPage:
    missing = found["missing"]
    return ResultsPage(
        title=f"Results: {study.internal_title}",
        study_id=study.id,
        study=study.internal_title,
        is_demo=study.is_demo,
        mark=mark_of(study),
        is_final=study.unblinded_at is not None,
        has_answers=missing["not_answered"] < missing["presentations"],
        tables=table_views(found),
        primary=primary(found, study.estimand),
        blocks=[
            block_view(block)
            for block in with_network(
                blocks_of(found, charts_of(found)), study.batch.evidence, found
            )
        ],
        flips=flips,
        paragraph=f"{mark_of(study)} {paragraph(found, facts_of(study))}".strip(),
    )
