"""Where a reader is, what they look at next, and its image."""

import io
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from PIL import Image
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.readers.service import Consent, last_check, note_consent, require_may_read
from app.reading.domain import (
    Choice,
    Facts,
    Place,
    Step,
    image_choices,
    pair_choices,
    place,
    undo_in,
)
from app.reading.orders import store_pairs, store_practice, store_sittings
from app.reading.orientation import oriented
from app.storage.images import EMPTY_CHUNK, ImageStore, encode, pad
from app.storage.models import (
    Debrief,
    Presentation,
    Reader,
    Response,
    Stimulus,
    Study,
    StudyStimulus,
    Undone,
)
from app.studies.service import hold, record
from app.vocabulary import N_, Impression, Part, StudyState, Undo

AHEAD = 12  # the image in view and those that are fetched before they are needed, or offline
NONCE = 32  # random bytes in every image, so that two copies never have equal bytes
NOTHING_TO_READ = N_("There is nothing to read at the moment.")
NO_SUCH_IMAGE = N_("There is no such image.")


@dataclass(frozen=True)
class Undoable:
    """The answer that may be taken back now."""

    token: str
    attempt: int


@dataclass(frozen=True)
class Window:
    """All that a reader's browser is told while reading.

    attempts: for each token, how often its answer was taken back. feedback: in practice the right
    answer to what was just answered, if the study tells it.
    """

    tokens: list[str]
    attempts: list[int]
    undoable: Undoable | None
    done: int
    total: int
    feedback: str | None = None


@dataclass(frozen=True)
class Arrival(Window):
    """The first window of a visit, with the visit's secret and the name of the reader's queue."""

    visit: str = ""
    queue: str = ""


def begin(session: Session, reader: Reader, consent: Consent, now: datetime) -> None:
    """Note the consent and store the reader's orders; a second time changes nothing."""
    study = reader.study
    hold(session, study)
    session.refresh(reader, with_for_update=True)
    require_may_read(reader, now)
    note_consent(reader, consent, now)
    if not reader.sittings:
        store_practice(session, reader)
        store_sittings(session, reader)
    if study.state is StudyState.READY:
        study.state = StudyState.READING
        record(session, study, reader.label, "reading began", now)


def begin_pairs(session: Session, reader: Reader, now: datetime) -> None:
    """A second time, or before it is time, this changes nothing."""
    hold(session, reader.study)
    session.refresh(reader, with_for_update=True)
    if place_of(session, reader, now).step is Step.PAIRS:
        store_pairs(session, reader)


def tell(
    session: Session, reader: Reader, repeats: Impression | None, odd: str, now: datetime
) -> None:
    """What the reader noticed; only once, and when everything is read."""
    session.refresh(reader, with_for_update=True)
    if place_of(session, reader, now).step is Step.QUESTIONS:
        session.add(Debrief(reader_id=reader.id, at=now, saw_repeats=repeats, odd=odd))


def place_of(session: Session, reader: Reader, now: datetime) -> Place:
    session.flush()
    left: dict[tuple[Part, int], int] = {}
    rows = session.execute(
        unanswered(reader)
        .with_only_columns(Presentation.part, Presentation.sitting, func.count())
        .order_by(None)
        .group_by(Presentation.part, Presentation.sitting)
    )
    for part, sitting, count in rows:
        left[part, sitting] = count
    pairs = select(Presentation.id).where(
        Presentation.reader_id == reader.id, Presentation.part == Part.PAIRS
    )
    facts = Facts(
        has_consented=reader.consent_version is not None,
        has_checked=last_check(session, reader, asked=True) is not None,
        left=left,
        opens_at={sitting.number: sitting.opens_at for sitting in reader.sittings},
        has_told=session.get(Debrief, reader.id) is not None,
        has_pairs=reader.study.pair_task is not None,
        has_begun_pairs=session.scalar(pairs.limit(1)) is not None,
    )
    return place(facts, now)


def room_of(session: Session, reader: Reader, now: datetime) -> Place:
    """Conflict when there is nothing to read now."""
    here = place_of(session, reader, now)
    if here.step is not Step.ROOM:
        raise Conflict(NOTHING_TO_READ)
    return here


def choices_for(reader: Reader, part: Part) -> list[Choice]:
    """What this reader is offered in this part, with their own keys."""
    study, swapped = reader.study, reader.keys_swapped
    if part is Part.PAIRS and study.pair_task:
        return pair_choices(study.pair_task, swapped=swapped, not_sure=study.not_sure)
    return image_choices(
        swapped=swapped, few_cells=study.few_cells, cannot_assess=study.cannot_assess
    )


def unanswered(reader: Reader) -> Select[Presentation]:
    """The presentations without an answer that stands, in the order of their part."""
    answered = (
        select(Response.presentation_id)
        .outerjoin(Undone)
        .where(Undone.response_id.is_(None), Response.presentation_id == Presentation.id)
    )
    return (
        select(Presentation)
        .where(Presentation.reader_id == reader.id, ~answered.exists())
        .order_by(Presentation.position)
    )


def due(reader: Reader, here: Place) -> Select[Presentation]:
    """What may be in the reader's browser now, the present one first."""
    return (
        unanswered(reader)
        .where(Presentation.part == here.part, Presentation.sitting == here.sitting)
        .limit(AHEAD)
    )


def window(session: Session, reader: Reader, here: Place, feedback: str | None = None) -> Window:
    """What comes next in this part and sitting; nothing when all of it is answered."""
    presentations = list(session.scalars(due(reader, here)))
    taken_back = attempts(session, [each.id for each in presentations])
    total = session.scalar(
        select(func.count(Presentation.id)).where(
            Presentation.reader_id == reader.id,
            Presentation.part == here.part,
            Presentation.sitting == here.sitting,
        )
    )
    left = session.scalar(
        select(func.count()).select_from(due(reader, here).limit(None).subquery())
    )
    return Window(
        tokens=[each.token for each in presentations],
        attempts=[taken_back.get(each.id, 0) for each in presentations],
        undoable=undoable(session, reader, here),
        done=(total or 0) - (left or 0),
        total=total or 0,
        feedback=feedback,
    )


def attempts(session: Session, presentations: list[int]) -> dict[int, int]:
    """How often each of them was answered before."""
    rows = session.execute(
        select(Response.presentation_id, func.count())
        .where(Response.presentation_id.in_(presentations))
        .group_by(Response.presentation_id)
    )
    return {row[0]: row[1] for row in rows}


def undoable(session: Session, reader: Reader, here: Place) -> Undoable | None:
    """The last answer of this sitting, where the study's rule allows to take it back."""
    rule = undo_in(here.part, reader.study.undo, reader.study.feedback)
    in_sitting = (
        select(Presentation.token, Response.attempt)
        .join(Response)
        .outerjoin(Undone)
        .where(
            Presentation.reader_id == reader.id,
            Presentation.part == here.part,
            Presentation.sitting == here.sitting,
        )
        .order_by(Presentation.position.desc())
        .limit(1)
    )
    last = session.execute(in_sitting.where(Undone.response_id.is_(None))).first()
    if rule is Undo.NONE or last is None:
        return None
    if rule is Undo.ONE:
        present = session.scalar(due(reader, here).limit(1))
        if present is not None and attempts(session, [present.id]):
            return None
    return Undoable(*last)


def image(
    session: Session, store: ImageStore, reader: Reader, token: str, *, right: bool, now: datetime
) -> bytes:
    """A PNG of the study's one length. NotFound for any image that is not due now."""
    here = room_of(session, reader, now)
    tokens = {each.token: each for each in session.scalars(due(reader, here))}
    shown = tokens.get(token)
    stimulus = (shown.beside if right else shown.stimulus) if shown else None
    if shown is None or stimulus is None:
        raise NotFound(NO_SUCH_IMAGE)
    png = store.read(stimulus.file, stimulus.sha256)
    if reader.study.masking:
        png = turned(png, shown.orientation)
    return pad(png, image_bytes(session, reader.study))


def turned(png: bytes, orientation: int) -> bytes:
    """The same work for every orientation, so that its duration tells nothing."""
    with Image.open(io.BytesIO(png)) as opened:
        return encode(oriented(np.asarray(opened), orientation))


def image_bytes(session: Session, study: Study) -> int:
    """The one length in bytes of every image that the study serves, in all its parts."""
    longest = session.scalar(
        select(func.max(Stimulus.stored_bytes))
        .join(StudyStimulus)
        .where(StudyStimulus.study_id == study.id)
    )
    return (longest or 0) + EMPTY_CHUNK + NONCE
