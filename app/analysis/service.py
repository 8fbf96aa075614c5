"""Load what was answered, once the key is open."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, joinedload

from app.errors import Conflict
from app.readers.service import last_check
from app.storage.models import (
    Case,
    Condition,
    Debrief,
    Presentation,
    ProblemReport,
    Reader,
    Response,
    ScreenCheck,
    Stimulus,
    Study,
    StudyStimulus,
    Undone,
)
from app.studies.domain import is_key_open
from app.vocabulary import Part

# A study may have a million answers: only so many rows are in memory at once.
AT_ONCE = 1000
STREAMED = {"yield_per": AT_ONCE}


class Shown(NamedTuple):
    """One presentation and all that belongs to it; `condition` is None for an original."""

    reader: Reader
    presentation: Presentation
    stimulus: Stimulus
    case: Case
    condition: Condition | None
    response: Response | None


@dataclass(frozen=True)
class PairShown:
    """Two images beside each other; a catch is one image on both sides."""

    reader: Reader
    presentation: Presentation
    left: Stimulus
    right: Stimulus
    response: Response | None

    @property
    def is_catch(self) -> bool:
        return self.left.id == self.right.id


@dataclass(frozen=True)
class Notes:
    """What else is known of each presentation, by its number."""

    changes: Mapping[int, int]
    problems: Mapping[int, Sequence[str]]

    def of(self, presentation: Presentation) -> dict[str, object]:
        return {
            "n_changes": self.changes.get(presentation.id, 0),
            "problems": " ".join(self.problems.get(presentation.id, ())),
        }


class ReaderRecord(NamedTuple):
    """`check` is the last one that the reader took part in; `changes` counts the silent ones."""

    reader: Reader
    check: ScreenCheck | None
    changes: int
    debrief: Debrief | None


def require_open_key(study: Study) -> None:
    """Conflict while any answer by arm must stay sealed."""
    if not is_key_open(study.state, study.is_demo):
        raise Conflict(
            f"The study is {study.state}: its results stay sealed until it is unblinded."
        )


def chunks_of_presentations(session: Session, study: Study) -> Iterator[Sequence[Shown]]:
    """Every presentation that counts, and every catch image, in each reader's order, with the
    answer that stands, as many at a time as are in memory at once. Never practice or pairs."""
    require_open_key(study)
    readers = {each.id: each for each in study.readers}
    stimuli = {each.id: each for each in shown_in(session, study)}
    rows = session.execute(
        select(Presentation, Response)
        .join(Reader, Reader.id == Presentation.reader_id)
        .outerjoin(Response, answers_that_stand())
        .where(Reader.study_id == study.id, Presentation.part == Part.READING)
        .order_by(Reader.id, Presentation.position),
        execution_options=STREAMED,
    )
    for chunk in rows.partitions():
        yield [
            Shown(
                readers[presentation.reader_id],
                presentation,
                stimulus,
                stimulus.case,
                stimulus.condition,
                response,
            )
            for presentation, response in chunk
            for stimulus in [stimuli.get(presentation.stimulus_id) or presentation.stimulus]
        ]


def shown_in(session: Session, study: Study) -> Sequence[Stimulus]:
    """What the study shows, with cases and conditions: few, where presentations are many."""
    return session.scalars(
        select(Stimulus)
        .join(StudyStimulus, StudyStimulus.stimulus_id == Stimulus.id)
        .where(StudyStimulus.study_id == study.id, StudyStimulus.part == Part.READING)
        .options(joinedload(Stimulus.case), joinedload(Stimulus.condition))
    ).all()


def answers_that_stand() -> ColumnElement[bool]:
    return and_(
        Response.presentation_id == Presentation.id,
        Response.id.not_in(select(Undone.response_id)),
    )


def chunks_of_pairs(session: Session, study: Study) -> Iterator[Sequence[PairShown]]:
    """Every pair, in each reader's order, with the answer that stands."""
    require_open_key(study)
    sides = [
        joinedload(side).options(joinedload(Stimulus.case), joinedload(Stimulus.condition))
        for side in (Presentation.stimulus, Presentation.beside)
    ]
    rows = session.execute(
        select(Reader, Presentation, Response)
        .join(Presentation, Presentation.reader_id == Reader.id)
        .outerjoin(Response, answers_that_stand())
        .where(Reader.study_id == study.id, Presentation.part == Part.PAIRS)
        .order_by(Reader.id, Presentation.position)
        .options(*sides),
        execution_options=STREAMED,
    )
    for chunk in rows.partitions():
        yield [
            PairShown(reader, shown, shown.stimulus, shown.beside, response)
            for reader, shown, response in chunk
            if shown.beside is not None
        ]


def notes_of(session: Session, presentations: Collection[Presentation]) -> Notes:
    numbers = [presentation.id for presentation in presentations]
    changed = session.scalars(
        select(Response.presentation_id).join(Undone).where(Response.presentation_id.in_(numbers))
    )
    reported = session.execute(
        select(ProblemReport.presentation_id, ProblemReport.kind)
        .where(ProblemReport.presentation_id.in_(numbers))
        .order_by(ProblemReport.id)
    )
    problems: dict[int, list[str]] = defaultdict(list)
    for presentation, kind in reported:
        problems[presentation].append(kind.value)
    return Notes(Counter(changed), problems)


def reader_records(session: Session, study: Study) -> list[ReaderRecord]:
    require_open_key(study)
    of_reader = select(func.count()).where(ScreenCheck.reader_id == Reader.id)
    rows = session.execute(
        select(
            Reader,
            of_reader.where(ScreenCheck.is_silent.is_(True)).scalar_subquery(),
            Debrief,
        )
        .outerjoin(Debrief, Debrief.reader_id == Reader.id)
        .where(Reader.study_id == study.id)
        .order_by(Reader.id)
    )
    return [
        ReaderRecord(reader, last_check(session, reader, asked=True), changes, debrief)
        for reader, changes, debrief in rows
    ]


def undone_answers(session: Session, study: Study) -> Iterator[Any]:
    """(reader, presentation, response, undone) of what was taken back, never in practice."""
    require_open_key(study)
    yield from session.execute(
        select(Reader, Presentation, Response, Undone)
        .join(Presentation, Presentation.reader_id == Reader.id)
        .join(Response, Response.presentation_id == Presentation.id)
        .join(Undone, Undone.response_id == Response.id)
        .where(Reader.study_id == study.id, Presentation.part != Part.PRACTICE)
        .order_by(Reader.id, Presentation.part, Presentation.position, Response.attempt),
        execution_options=STREAMED,
    )
