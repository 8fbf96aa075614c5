"""The batch's own evidence beside the human result: charts and tables of its network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.analysis.blocks import Block
from app.analysis.charts import Axis, Chart
from app.analysis.grids import Grid
from app.analysis.plot_chart import Series, plot
from app.analysis.sections.told import Json
from app.analysis.wording import percent
from app.batches.evidence_view import NORMS, Table, evidence_view, in_8_bits

Evidence = Mapping[str, Any]
BEFORE = "missing"
PREFIX = "network-"


def with_network(blocks: Sequence[Block], evidence: Evidence | None, found: Json) -> list[Block]:
    """The blocks of a study with that of its network, if the batch brought any evidence; curves
    are those in the norms of the study's attacks."""
    if evidence is None:
        return list(blocks)
    at = next((n for n, each in enumerate(blocks) if each.name == BEFORE), len(blocks))
    norms = {each["norm"] for each in found["study"]["conditions"]}
    block = network_block(evidence)
    charts = [chart for chart in block.charts if chart.name.removeprefix(PREFIX) in norms]
    return [*blocks[:at], replace(block, charts=charts), *blocks[at:]]


def network_block(evidence: Evidence) -> Block:
    view = evidence_view(evidence)
    tables = (view.smallest, view.by_change)
    return Block(
        "network",
        "The network",
        view.sentences,
        evidence_charts(evidence),
        [grid(table) for table in tables if table.rows],
    )


def grid(table: Table) -> Grid:
    return Grid(table.caption, table.header, table.rows)


def evidence_charts(evidence: Evidence | None) -> list[Chart]:
    """One a norm, of those that have a success curve over at least two epsilons."""
    points = evidence.get("curves", ()) if evidence else ()
    norms = [norm for norm in NORMS if norm in {point["norm"] for point in points}]
    charts = [success(evidence or {}, norm) for norm in norms]
    return [chart for chart in charts if chart is not None]


def success(evidence: Evidence, norm: str) -> Chart | None:
    """In 8 bits, with 95 % intervals; in float beside it."""
    found = [each for each in in_8_bits(evidence) if each["norm"] == norm and each["epsilon"] > 0]
    beside = [
        each
        for each in evidence["curves"]
        if (each["norm"], each["method"], each["bits"]) == (norm, "minimal", "float")
        and each["epsilon"] > 0
    ]
    if len(found) < 2:
        return None
    found.sort(key=lambda each: float(each["epsilon"]))
    beside.sort(key=lambda each: float(each["epsilon"]))
    series = [
        Series(
            "8 bits",
            [(each["epsilon"], each["rate"]) for each in found],
            limits=[(each["low"], each["high"]) for each in found],
        )
    ]
    if beside:
        floats = [(each["epsilon"], each["rate"]) for each in beside]
        series.append(Series("in float", floats, is_second=True))
    unit = "share of pixels" if norm == "l0" else "grey levels"
    name = "L2 without a budget" if norm == "none" else NORMS[norm]
    return Chart(
        f"{PREFIX}{norm}",
        f"What fools the network: {name}",
        f"Line chart over epsilon, logarithmic: the share of {found[0]['n']} patches that a "
        "perturbation of this size, or smaller, turns into the other class, on 8-bit images with "
        "95 % intervals; squares, dashed: in float, before rounding to 8 bits.",
        plot(
            series,
            Axis(
                f"Epsilon, {unit}",
                found[0]["epsilon"],
                found[-1]["epsilon"],
                is_log=True,
                written=lambda value: f"{value:g}",
            ),
            Axis("Share of patches", 0, 1, written=lambda value: percent(value, 0)),
        ),
        ("norm", "bits", "epsilon", "n", "fooled", "share", "low", "high"),
        [(norm, each["bits"], *(each[column] for column in COLUMNS)) for each in (*found, *beside)],
    )


COLUMNS = ("epsilon", "n", "successes", "rate", "low", "high")
