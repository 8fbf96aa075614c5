"""What the results page shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.domain import Share, Table
from app.analysis.statistics import Difference
from app.storage.models import Condition, Study

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
    lines: Sequence[LineView]
    overall: str


@dataclass(frozen=True)
class ResultsPage:
    title: str
    study_id: int
    study: str
    is_demo: bool
    is_final: bool
    tables: Sequence[TableView]


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def share_text(share: Share) -> str:
    return f"{share.tumour} of {share.n}"


def interval_text(share: Share) -> str:
    if share.interval is None:
        return "no answers yet"
    return f"{percent(share.interval.low)} to {percent(share.interval.high)}"


def difference_text(difference: Difference | None) -> str:
    """In percentage points, original minus perturbed."""
    if difference is None:
        return "no pairs yet"
    estimate, low, high = (points(value) for value in difference)
    return f"{estimate} ({low} to {high})"


def points(share: float) -> str:
    """With its sign, the minus as long as the plus; no sign for nothing."""
    rounded = round(100 * share)
    return f"{rounded:+d}".replace("-", "\N{MINUS SIGN}") if rounded else "0"


def table_view(table: Table, condition: Condition) -> TableView:
    epsilon = f", epsilon {condition.epsilon}" if condition.epsilon else ""
    return TableView(
        caption=CAPTIONS[table.truth],
        budget=f"{condition.attack}, norm {condition.norm}{epsilon}",
        lines=[
            LineView(
                line.reader,
                f"Set {line.set_number}",
                share_text(line.original),
                interval_text(line.original),
                share_text(line.perturbed),
                interval_text(line.perturbed),
                difference_text(line.difference),
            )
            for line in table.lines
        ],
        overall=difference_text(table.overall),
    )


def results_page(
    study: Study, tables: Sequence[Table], conditions: Sequence[Condition]
) -> ResultsPage:
    by_name = {condition.name: condition for condition in conditions}
    return ResultsPage(
        title=f"Results: {study.internal_title}",
        study_id=study.id,
        study=study.internal_title,
        is_demo=study.is_demo,
        is_final=study.unblinded_at is not None,
        tables=[table_view(table, by_name[table.condition]) for table in tables],
    )
