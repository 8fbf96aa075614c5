"""Invite readers, recognise them, and note what they agreed to and what they read on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Invalid, NotAllowed, NotFound
from app.readers.domain import (
    CLOSED,
    CONSENT_CHANGED,
    ELSEWHERE,
    NO_LINK,
    CheckRecord,
    DisplayRecord,
    keys_swapped,
    require_sensible_count,
    require_valid,
)
from app.storage.models import Reader, ScreenCheck, Study
from app.studies.domain import drawn, require_state
from app.studies.service import hold, record
from app.vocabulary import StudyState
from app.web.identity import digest, new_token

CONSENT_VERSION = "2026-12"
OPEN = (StudyState.READY, StudyState.READING)
SEEN_AGAIN_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class Invitation:
    label: str
    token: str
    expires_at: datetime | None

    def url(self, public_url: str) -> str:
        return f"{public_url.rstrip('/')}/r/{self.token}"


def invite(
    session: Session, study: Study, actor: str, now: datetime, expires_at: datetime | None = None
) -> Invitation:
    """A personal link. It is shown once: only its digest is kept."""
    hold(session, study)
    require_state(study.state, *OPEN, to="invite readers")
    number = (session.scalar(select(func.count()).where(Reader.study_id == study.id)) or 0) + 1
    token = new_token()
    reader = Reader(
        study_id=study.id,
        label=label_of(number),
        link_digest=digest(token),
        keys_swapped=keys_swapped(study.secret, number),
        invited_at=now,
        expires_at=expires_at,
    )
    session.add(reader)
    record(session, study, actor, f"invited {reader.label}", now)
    return Invitation(reader.label, token, expires_at)


def invite_several(
    session: Session,
    study: Study,
    actor: str,
    now: datetime,
    count: int,
    expires_at: datetime | None = None,
) -> list[Invitation]:
    """All of them or, with Invalid, none."""
    require_sensible_count(count)
    return [invite(session, study, actor, now, expires_at) for _ in range(count)]


def find_reader(session: Session, study: Study, label: str) -> Reader:
    found = session.scalar(
        select(Reader).where(Reader.study_id == study.id, Reader.label == label.upper())
    )
    if found is None:
        raise NotFound(f"The study has no reader {label!r}.")
    return found


def revoke(session: Session, reader: Reader, actor: str, now: datetime) -> None:
    """Nobody comes in by this reader's link any more; what is answered is kept."""
    if reader.revoked_at is None:
        reader.revoked_at = now
        reader.place_digest = None
        record(session, reader.study, actor, f"revoked {reader.label}", now)


def reissue(
    session: Session, reader: Reader, actor: str, now: datetime, expires_at: datetime | None = None
) -> Invitation:
    """Another link for the same reader, who goes on where they were; the old one is no more."""
    hold(session, reader.study)
    require_state(reader.study.state, *OPEN, to="make a new link")
    token = new_token()
    reader.link_digest = digest(token)
    reader.place_digest = reader.revoked_at = None
    reader.expires_at = expires_at
    record(session, reader.study, actor, f"reissued {reader.label}", now)
    return Invitation(reader.label, token, expires_at)


def reader_of_link(session: Session, link_token: str) -> Reader:
    """Also of a study that is closed: the thank you stays readable."""
    reader = session.scalar(select(Reader).where(Reader.link_digest == digest(link_token)))
    if reader is None:
        raise NotAllowed(NO_LINK)
    return reader


def require_may_read(reader: Reader, now: datetime) -> None:
    require_valid(reader.revoked_at, reader.expires_at, now)
    require_open(reader.study)


def require_open(study: Study) -> None:
    if study.state not in OPEN:
        raise NotAllowed(CLOSED)


def take_place(reader: Reader) -> str:
    """The secret of a new visit. Whoever read before, elsewhere or in another tab, is parked."""
    visit = new_token()
    reader.place_digest = digest(visit)
    return visit


def note_seen(reader: Reader, now: datetime) -> None:
    """At most once a minute, in the transaction that holds the reader already: it costs an answer
    no other lock and no other commit."""
    if reader.last_seen_at is None or now - reader.last_seen_at >= SEEN_AGAIN_AFTER:
        reader.last_seen_at = now


def require_place(reader: Reader, visit: str) -> None:
    if reader.place_digest != digest(visit):
        raise NotAllowed(ELSEWHERE)


class Labelled(Protocol):
    """A reader, also one who is not invited yet."""

    @property
    def label(self) -> str: ...


def label_of(number: int) -> str:
    return f"R{number:02}"


def seed_for(study: Study, reader: Labelled, purpose: str) -> str:
    """The seed of one of this reader's orders: nobody outside can guess it."""
    return drawn(study.secret, f"order/{reader.label}/{purpose}")


def queue_name(reader: Reader) -> str:
    """Under which a browser keeps this reader's unsent answers apart from other readers'."""
    return drawn(reader.study.secret, f"queue/{reader.label}")[:16]


@dataclass(frozen=True)
class Consent:
    """What the reader agreed to: the version, its language, and the digest of the very text."""

    version: str
    language: str
    sha256: str


def note_consent(reader: Reader, given: Consent, now: datetime) -> None:
    """A second time changes nothing."""
    if given.version != CONSENT_VERSION:
        raise Invalid(CONSENT_CHANGED)
    note_seen(reader, now)
    if reader.consent_version is None:
        reader.consent_version = given.version
        reader.consent_sha256 = given.sha256
        reader.language = given.language
        reader.began_at = now


def last_check(session: Session, reader: Reader, *, asked: bool = False) -> ScreenCheck | None:
    """The newest; with `asked` the newest that the reader took part in."""
    query = select(ScreenCheck).where(ScreenCheck.reader_id == reader.id)
    if asked:
        query = query.where(ScreenCheck.is_silent.is_(False))
    return session.scalar(query.order_by(ScreenCheck.id.desc()).limit(1))


def note_check(session: Session, reader: Reader, found: CheckRecord, now: datetime) -> None:
    session.add(ScreenCheck(reader_id=reader.id, at=now, **found.model_dump()))


SCREEN = ("device_pixel_ratio", "browser_zoom", "screen_width", "screen_height")


def note_display(session: Session, reader: Reader, found: DisplayRecord, now: datetime) -> None:
    """Kept when the screen is another one than before."""
    last = last_check(session, reader)
    if last is None or any(getattr(last, name) != getattr(found, name) for name in SCREEN):
        session.add(ScreenCheck(reader_id=reader.id, at=now, code="", **found.model_dump()))
