"""Personal tokens, with which a program acts for a researcher."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.storage.models import ApiToken, Researcher
from app.web.identity import digest, new_token

MOST = 50


def tokens_of(session: Session, researcher: Researcher) -> Sequence[ApiToken]:
    """Those that still work, the newest first."""
    return session.scalars(
        select(ApiToken)
        .where(ApiToken.researcher_id == researcher.id, ApiToken.revoked_at.is_(None))
        .order_by(ApiToken.created_at.desc(), ApiToken.name)
    ).all()


def make_token(session: Session, researcher: Researcher, name: str, now: datetime) -> str:
    """The token, which is shown once: only its digest is kept."""
    if not name.strip():
        raise Invalid("Name the token after the program that uses it.")
    working = select(func.count()).where(
        ApiToken.researcher_id == researcher.id, ApiToken.revoked_at.is_(None)
    )
    if (session.scalar(working) or 0) >= MOST:
        raise Conflict(f"You have {MOST} tokens; revoke one first.")
    token = new_token()
    session.add(
        ApiToken(
            token_digest=digest(token),
            researcher_id=researcher.id,
            name=name.strip(),
            created_at=now,
        )
    )
    return token


def revoke_token(
    session: Session, researcher: Researcher, token_digest: str, now: datetime
) -> None:
    found = session.get(ApiToken, token_digest)
    if found is None or found.researcher_id != researcher.id:
        raise NotFound("There is no such token.")
    found.revoked_at = found.revoked_at or now
