"""What the results page and the report show."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from app.analysis.blocks import Block, Grid, blocks_of
from app.analysis.charts import Chart
from app.analysis.drawing import svg
from app.analysis.evidence import with_network
from app.analysis.figures import charts_of, confidence
from app.analysis.flipped import Flips
from app.analysis.sections.told import Json
from app.analysis.sentences import Facts, Verdict, paragraph, primary, secondary
from app.analysis.wording import budget, percent, points
from app.storage.models import Study

CAPTIONS = {1: "True positives", 0: "False positives"}


@dataclass(frozen=True)
class LineView:
    reader: str
    set_name: str
    original: str
    original_interval: str
    perturbed: str
    perturbed_interval: str
    difference: str


@dataclass(frozen=True)
class TableView:
    caption: str
    budget: str
    confidence: str
    lines: Sequence[LineView]
    overall: str


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
    is_final: bool
    has_answers: bool
    tables: Sequence[TableView]
    primary: Sequence[Verdict]
    secondary: Sequence[Verdict]
    blocks: Sequence[BlockView]
    flips: Flips
    paragraph: str


def share_text(share: Json) -> str:
    return f"{share['tumour']} of {share['n']}"


def interval_text(share: Json) -> str:
    wilson = share["wilson"]
    if wilson["low"] is None:
        return "no answers yet"
    return f"{percent(wilson['low'], 0)} to {percent(wilson['high'], 0)}"


def difference_text(found: Json, truth: int) -> str:
    """In percentage points, original minus perturbed, of what was called tumour: where there is
    none, that is the difference in right answers the other way round."""
    if found["estimate"] is None:
        return "no pairs yet"
    ends = [found["estimate"], found["low"], found["high"]]
    if not truth:
        ends = [-ends[0], -ends[2], -ends[1]]
    estimate, low, high = (points(value, 0) for value in ends)
    return f"{estimate} ({low} to {high})"


def table_views(found: Json) -> list[TableView]:
    """One a condition and truth: true positives first, then false positives if any."""
    budgets = {each["condition"]: budget(each) for each in found["study"]["conditions"]}
    return [
        TableView(
            caption=CAPTIONS[each["truth"]],
            budget=budgets[each["condition"]],
            confidence=confidence(found),
            lines=table_lines(found, each),
            overall=difference_text(each["pooled"]["interval_95"], each["truth"]),
        )
        for each in found["tp_difference"]
    ]


def table_lines(found: Json, measured: Json) -> list[LineView]:
    differences = {(each["reader"], each["set"]): each["tango_95"] for each in measured["lines"]}
    return [
        LineView(
            line["reader"],
            f"Set {line['set']}",
            share_text(line["original"]),
            interval_text(line["original"]),
            share_text(line["perturbed"]),
            interval_text(line["perturbed"]),
            difference_text(differences[line["reader"], line["set"]], line["truth"]),
        )
        for line in found["table"]["lines"]
        if all(line[name] == measured[name] for name in ("condition", "truth"))
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
        is_final=study.unblinded_at is not None,
        has_answers=missing["not_answered"] < missing["presentations"],
        tables=table_views(found),
        primary=primary(found, study.estimand),
        secondary=secondary(found, study.estimand),
        blocks=[
            block_view(block)
            for block in with_network(blocks_of(found, charts_of(found)), study.batch.evidence)
        ],
        flips=flips,
        paragraph=paragraph(found, facts_of(study)),
    )
