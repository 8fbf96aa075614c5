"""Invite readers, recognise them, and let them begin."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Invalid, NotAllowed
from app.storage.models import Reader, Study
from app.studies.domain import require_state
from app.studies.service import hold, record
from app.vocabulary import StudyState
from app.web.identity import digest, new_token

CONSENT_VERSION = "2026-11"
OPEN = (StudyState.READY, StudyState.READING)


@dataclass(frozen=True)
class Invitation:
    label: str
    token: str

    def url(self, public_url: str) -> str:
        return f"{public_url.rstrip('/')}/r/{self.token}"


def invite(session: Session, study: Study, actor: str, now: datetime) -> Invitation:
    """A personal link. It is shown once: only its digest is kept.

    The first invitation makes a draft ready: from then on its design is final.
    """
    hold(session, study)
    require_state(study.state, StudyState.DRAFT, *OPEN, to="invite readers")
    number = session.scalar(select(func.count()).where(Reader.study_id == study.id)) or 0
    token = new_token()
    reader = Reader(
        study_id=study.id, label=f"R{number + 1:02}", link_digest=digest(token), invited_at=now
    )
    session.add(reader)
    if study.state is StudyState.DRAFT:
        study.state = StudyState.READY
    record(session, study, actor, f"invited {reader.label}", now)
    return Invitation(reader.label, token)


def arrive(session: Session, link_token: str) -> str:
    """Exchange a personal link for the secret of a cookie; an earlier place is parked."""
    reader = session.scalar(select(Reader).where(Reader.link_digest == digest(link_token)))
    if reader is None:
        raise NotAllowed(
            "This link is not valid. Please ask the person who invited you for a new one."
        )
    place = new_token()
    reader.place_digest = digest(place)
    return place


def reader_at(session: Session, place_token: str) -> Reader:
    """The reader whose present place this is."""
    reader = session.scalar(select(Reader).where(Reader.place_digest == digest(place_token)))
    if reader is None:
        raise NotAllowed(
            "You continued elsewhere, or this visit has ended. "
            "To go on here, open your personal link again. No answer is lost."
        )
    return reader


def require_open(study: Study) -> None:
    if study.state not in OPEN:
        raise NotAllowed(
            "This study is closed. Every answer that was shown as saved is kept. Thank you."
        )


def seed_for(study: Study, reader: Reader) -> str:
    """The seed of this reader's order: a key nobody outside can guess, the same on every engine."""
    return hmac.new(
        bytes.fromhex(study.secret), f"order/{reader.label}".encode(), hashlib.sha256
    ).hexdigest()


def consent(reader: Reader, version: str, now: datetime) -> None:
    """Note the consent and its version; a second time changes nothing."""
    if version != CONSENT_VERSION:
        raise Invalid("The consent text has changed; please read it again and begin.")
    if reader.consent_version is None:
        reader.consent_version = version
        reader.began_at = now
