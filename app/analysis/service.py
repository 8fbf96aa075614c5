"""Load what was answered, once the key is open."""

from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.analysis.domain import Reading, Table, paper_tables
from app.errors import Conflict
from app.storage.models import (
    Case,
    Condition,
    Presentation,
    Reader,
    Response,
    Stimulus,
    Study,
    Undone,
)
from app.studies.domain import is_key_open
from app.studies.service import conditions_of
from app.vocabulary import Answer, Part


class Shown(NamedTuple):
    """One presentation and all that belongs to it; `condition` is None for an original."""

    reader: Reader
    presentation: Presentation
    stimulus: Stimulus
    case: Case
    condition: Condition | None
    response: Response | None


def require_open_key(study: Study) -> None:
    """Conflict while any answer by arm must stay sealed."""
    if not is_key_open(study.state, study.is_demo):
        raise Conflict(
            f"The study is {study.state}: its results stay sealed until it is unblinded."
        )


def presentations(session: Session, study: Study) -> list[Shown]:
    """Every presentation that counts, in each reader's order, with the answer that stands.

    Practice and pairs are never among them.
    """
    require_open_key(study)
    rows = session.execute(
        select(Reader, Presentation, Stimulus, Case, Condition, Response)
        .join(Presentation, Presentation.reader_id == Reader.id)
        .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
        .join(Case, Case.id == Stimulus.case_id)
        .outerjoin(Condition, Condition.id == Stimulus.condition_id)
        .outerjoin(
            Response,
            and_(
                Response.presentation_id == Presentation.id,
                Response.id.not_in(select(Undone.response_id)),
            ),
        )
        .where(Reader.study_id == study.id, Presentation.part == Part.READING)
        .order_by(Reader.id, Presentation.position)
    )
    return [Shown(*row) for row in rows]


def tables(session: Session, study: Study) -> list[Table]:
    readings = [
        Reading(
            reader.label,
            presentation.set_number or 0,
            case.name,
            condition.name if condition else None,
            case.truth,
            response.answer,
        )
        for reader, presentation, _, case, condition, response in presentations(session, study)
        if response is not None and response.answer is not Answer.CANNOT_ASSESS
    ]
    return paper_tables(readings, [condition.name for condition in conditions_of(session, study)])
