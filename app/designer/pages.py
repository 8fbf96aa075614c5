"""What a design can show, as it is shown; and the form of an amendment."""

from dataclasses import dataclass

from app.designer.forms import AmendForm
from app.designer.panel import MOST_ENUMERATED, Row, percent, reckon
from app.designer.planned import Planned
from app.studies.design_pages import Fact, Needed, ReckoningView


@dataclass(frozen=True)
class AmendPage:
    """The plan and the texts as they are, or as they were typed."""

    study_id: int
    study: str
    form: AmendForm
    problem: str = ""
    title: str = "Amend the plan"


def reckoning_view(planned: Planned) -> ReckoningView:
    reckoned = reckon(planned)
    return ReckoningView(
        facts=[Fact(name, value) for name, value in reckoned.facts],
        rows=[needed(row) for row in reckoned.rows],
        warnings=reckoned.warnings,
        margin_flips=f"{planned.margin_flips:g}",
        margin_tp=f"{planned.margin_tp:g}",
        tumours=planned.tumours,
        readers=planned.readers,
    )


def needed(row: Row) -> Needed:
    return Needed(
        unsteady=percent(row.unsteady),
        cases=str(row.cases),
        power="not reckoned" if row.power is None else percent(row.power),
        tumours=f"more than {MOST_ENUMERATED}" if row.tumours is None else str(row.tumours),
    )
