"""Record an answer: once, finally, and durably before anybody says "Saved"."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.readers.service import require_open
from app.reading.service import Window, unanswered, window
from app.responses.domain import GivenAnswer
from app.storage.models import Presentation, Reader, Response, Study


def record_response(session: Session, reader: Reader, given: GivenAnswer, now: datetime) -> Window:
    """What the reader looks at next.

    The same answer again is a success and changes nothing; another answer to an answered
    presentation is a Conflict; a presentation that is not due for this reader is NotFound.
    """
    presentation = session.scalar(
        select(Presentation).where(
            Presentation.reader_id == reader.id, Presentation.token == given.token
        )
    )
    if presentation is None:
        raise NotFound("This image is not part of your reading.")
    hold_open(session, reader)
    if not stands_already(session, presentation, given):
        require_due(session, reader, presentation)
        store(session, presentation, given, now)
    next_window = window(session, reader)
    if next_window.done == next_window.total and reader.finished_at is None:
        reader.finished_at = now
    return next_window


def hold_open(session: Session, reader: Reader) -> None:
    """Keep the study from being locked, and the reader's other answers back, until this one is
    committed: of two at the same time each would miss the other, and neither be the last."""
    held = select(Study).where(Study.id == reader.study_id).with_for_update(read=True)
    require_open(session.scalars(held.execution_options(populate_existing=True)).one())
    session.refresh(reader, with_for_update=True)


def stands_already(session: Session, presentation: Presentation, given: GivenAnswer) -> bool:
    stored = session.get(Response, presentation.id)
    if stored is None:
        return False
    if stored.answer is not given.answer:
        raise Conflict("This image is answered already, and an answer is final.")
    return True


def require_due(session: Session, reader: Reader, presentation: Presentation) -> None:
    due = {each.id for each in session.scalars(unanswered(reader))}
    if presentation.id not in due:
        raise NotFound("This image is not due yet.")


def store(session: Session, presentation: Presentation, given: GivenAnswer, now: datetime) -> None:
    """A double press is decided by the primary key: the first stands."""
    row = Response(
        presentation_id=presentation.id, answered_at=now, **given.model_dump(exclude={"token"})
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        stands_already(session, presentation, given)
