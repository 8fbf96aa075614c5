"""What a reader looks at next, and its image."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.readers.service import consent, require_open, seed_for
from app.reading.order import order
from app.storage.images import EMPTY_CHUNK, ImageStore, pad
from app.storage.models import Presentation, Reader, Response, Stimulus, Study, StudyStimulus
from app.studies.service import hold, record
from app.vocabulary import StudyState
from app.web.identity import new_token

AHEAD = 3  # the image in view and the two that are fetched before they are needed
NONCE = 32  # random bytes in every image, so that two copies never have equal bytes


@dataclass(frozen=True)
class Window:
    """All that a reader's browser is told while reading."""

    tokens: list[str]
    done: int
    total: int


def begin(session: Session, reader: Reader, consent_version: str, now: datetime) -> None:
    """Note the consent and store the reader's order; a second time changes nothing."""
    study = reader.study
    hold(session, study)
    session.refresh(reader, with_for_update=True)
    require_open(study)
    consent(reader, consent_version, now)
    if reader.seed is None:
        store_order(session, study, reader)
    if study.state is StudyState.READY:
        study.state = StudyState.READING
        record(session, study, reader.label, "reading began", now)


def store_order(session: Session, study: Study, reader: Reader) -> None:
    reader.seed = seed_for(study, reader)
    versions: dict[int, list[int]] = defaultdict(list)
    for stimulus in sorted(study.stimuli, key=lambda s: (s.condition_id or 0, s.id)):
        versions[stimulus.case_id].append(stimulus.id)
    session.add_all(
        Presentation(
            reader_id=reader.id,
            stimulus_id=placed.stimulus,
            position=placed.position,
            set_number=placed.set_number,
            token=new_token(),
        )
        for placed in order(
            versions, sets=study.sets, minimum_gap=study.minimum_gap, seed=reader.seed
        )
    )


def unanswered(reader: Reader) -> Select[Presentation]:
    """The presentations that may be in the reader's browser now, the present one first."""
    return (
        select(Presentation)
        .outerjoin(Response)
        .where(Presentation.reader_id == reader.id, Response.presentation_id.is_(None))
        .order_by(Presentation.position)
        .limit(AHEAD)
    )


def window(session: Session, reader: Reader) -> Window:
    mine = select(func.count(Presentation.id)).where(Presentation.reader_id == reader.id)
    return Window(
        tokens=[presentation.token for presentation in session.scalars(unanswered(reader))],
        done=session.scalar(mine.join(Response)) or 0,
        total=session.scalar(mine) or 0,
    )


def image(session: Session, store: ImageStore, reader: Reader, token: str) -> bytes:
    """A PNG of the study's one length. NotFound for any image that is not due now."""
    due = {presentation.token: presentation for presentation in session.scalars(unanswered(reader))}
    if token not in due:
        raise NotFound("There is no such image.")
    stimulus = due[token].stimulus
    return pad(store.read(stimulus.file, stimulus.sha256), image_bytes(session, reader.study))


def image_bytes(session: Session, study: Study) -> int:
    """The one length in bytes of every image that the study serves."""
    longest = session.scalar(
        select(func.max(Stimulus.stored_bytes))
        .join(StudyStimulus)
        .where(StudyStimulus.study_id == study.id)
    )
    return (longest or 0) + EMPTY_CHUNK + NONCE
