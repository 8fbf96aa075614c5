"""Record what a reader says: once, for good, and durably before anybody says "Saved"."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.readers.service import note_seen, require_may_read
from app.reading.domain import Place, Step, opening
from app.reading.service import (
    Undoable,
    Window,
    choices_for,
    due,
    place_of,
    room_of,
    unanswered,
    undoable,
    window,
)
from app.responses.domain import GivenAnswer, Reported, TakenBack, require_offered
from app.storage.models import (
    Presentation,
    ProblemReport,
    Reader,
    Response,
    Study,
    Undone,
)
from app.vocabulary import N_, Answer, Part

NOT_YOURS = N_("This image is not part of your reading.")
NOT_DUE = N_("This image is not due yet.")
ANSWERED = N_("This image is answered already, and this answer cannot be changed.")
CANNOT_UNDO = N_("This answer can no longer be taken back.")


def record_response(session: Session, reader: Reader, given: GivenAnswer, now: datetime) -> Window:
    """What the reader looks at next.

    The same answer again is a success and changes nothing; another answer to an answered
    presentation is a Conflict; a presentation that is not due for this reader is NotFound.
    """
    presentation = find_presentation(session, reader, given.token)
    hold_open(session, reader, now)
    stored = find_response(session, presentation, given.attempt)
    here = Place(Step.ROOM, presentation.part, presentation.sitting)
    if stored is None:
        store(session, reader, presentation, given, now)
    elif (stored.answer, stored.confidence) != (given.answer, given.confidence):
        raise Conflict(ANSWERED)
    return window(session, reader, here, feedback_for(reader.study, presentation))


def find_presentation(session: Session, reader: Reader, token: str) -> Presentation:
    found = session.scalar(
        select(Presentation).where(Presentation.reader_id == reader.id, Presentation.token == token)
    )
    if found is None:
        raise NotFound(NOT_YOURS)
    return found


def hold_open(session: Session, reader: Reader, now: datetime) -> None:
    """Keep the study from being locked, and the reader's other answers back, until this one is
    committed: of two at the same time each would miss the other, and neither be the last."""
    held = select(Study).where(Study.id == reader.study_id).with_for_update(read=True)
    session.scalars(held.execution_options(populate_existing=True)).one()
    session.refresh(reader, with_for_update=True)
    require_may_read(reader, now)
    note_seen(reader, now)


def find_response(session: Session, presentation: Presentation, attempt: int) -> Response | None:
    return session.scalar(
        select(Response).where(
            Response.presentation_id == presentation.id, Response.attempt == attempt
        )
    )


def store(
    session: Session,
    reader: Reader,
    presentation: Presentation,
    given: GivenAnswer,
    now: datetime,
) -> None:
    study = reader.study
    require_due(session, reader, presentation, given.attempt, now)
    require_offered(
        given,
        {choice.answer for choice in choices_for(reader, presentation.part)},
        with_confidence=study.confidence and presentation.part is not Part.PAIRS,
    )
    session.add(Response(presentation_id=presentation.id, answered_at=now, **given.values()))
    session.flush()
    finish(session, reader, presentation, now)


def require_due(
    session: Session, reader: Reader, presentation: Presentation, attempt: int, now: datetime
) -> None:
    """The reader is held, so nobody else answers between this look and the commit."""
    given_before = session.scalar(
        select(func.count()).where(Response.presentation_id == presentation.id)
    )
    here = room_of(session, reader, now)
    if presentation.id not in {each.id for each in session.scalars(due(reader, here))}:
        raise Conflict(ANSWERED) if given_before else NotFound(NOT_DUE)
    if attempt != given_before:
        raise Conflict(ANSWERED)


def finish(session: Session, reader: Reader, answered: Presentation, now: datetime) -> None:
    """After the last answer of a sitting the next one gets its date; after the last of all the
    reader has finished."""
    left = unanswered(reader).order_by(None).with_only_columns(func.count())
    of_part = left.where(Presentation.part == answered.part)
    if session.scalar(of_part.where(Presentation.sitting == answered.sitting)):
        return
    if answered.part is Part.READING:
        for sitting in reader.sittings:
            if sitting.number == answered.sitting:
                sitting.finished_at = now
            elif sitting.number == answered.sitting + 1:
                sitting.opens_at = opening(now, reader.study.washout_days)
    last_part = Part.PAIRS if reader.study.pair_task else Part.READING
    if answered.part is last_part and not session.scalar(of_part):
        reader.finished_at = now


def feedback_for(study: Study, presentation: Presentation) -> str | None:
    """The right answer, in practice only."""
    if presentation.part is not Part.PRACTICE or not study.feedback:
        return None
    is_tumour = presentation.stimulus.case.truth == 1
    return Answer.TUMOUR if is_tumour else Answer.NO_TUMOUR


def take_back(session: Session, reader: Reader, wanted: TakenBack, now: datetime) -> Window:
    """The answer stays in the record and counts no more; the image is due again.

    A second time changes nothing. Conflict when the study's rule does not allow it.
    """
    presentation = find_presentation(session, reader, wanted.token)
    hold_open(session, reader, now)
    here = Place(Step.ROOM, presentation.part, presentation.sitting)
    response = find_response(session, presentation, wanted.attempt)
    if response is None:
        raise NotFound(NOT_DUE)
    if session.get(Undone, response.id) is None:
        require_undoable(session, reader, presentation, wanted, now)
        session.add(Undone(response_id=response.id, undone_at=now))
        session.flush()
    return window(session, reader, here)


def require_undoable(
    session: Session,
    reader: Reader,
    presentation: Presentation,
    wanted: TakenBack,
    now: datetime,
) -> None:
    here = place_of(session, reader, now)
    is_here = (here.step, here.part, here.sitting) == (
        Step.ROOM,
        presentation.part,
        presentation.sitting,
    )
    allowed = undoable(session, reader, here) if is_here else None
    if allowed != Undoable(wanted.token, wanted.attempt):
        raise Conflict(CANNOT_UNDO)


def report_problem(session: Session, reader: Reader, found: Reported, now: datetime) -> Window:
    """The same report of the same image is kept once."""
    presentation = find_presentation(session, reader, found.token)
    hold_open(session, reader, now)
    known = select(ProblemReport.id).where(
        ProblemReport.presentation_id == presentation.id, ProblemReport.kind == found.kind
    )
    if session.scalar(known) is None:
        session.add(
            ProblemReport(presentation_id=presentation.id, kind=found.kind, reported_at=now)
        )
    return window(session, reader, Place(Step.ROOM, presentation.part, presentation.sitting))
