"""Who signs in: passwords are kept as argon2 hashes, sessions and tokens as digests."""

import re
import secrets
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.storage.models import ApiToken, Researcher, ResearcherSession
from app.web.identity import digest, new_token, now

SHORTEST_PASSWORD = 12
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
hasher = PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return hasher.hash(new_token())


def normal(email: str) -> str:
    return email.strip().lower()


def new_password() -> str:
    """96 random bits, which are shown once."""
    return secrets.token_urlsafe(12)


def hash_of(password: str) -> str:
    """Invalid for a password that is too short. It takes a while."""
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(f"The password is too short; use at least {SHORTEST_PASSWORD} characters.")
    return hasher.hash(password)


def add_researcher(
    session: Session,
    email: str,
    password: str,
    now: datetime,
    *,
    is_administrator: bool = False,
) -> Researcher:
    """Invalid for an email or password that will not do, Conflict when the account exists."""
    email = normal(email)
    if not EMAIL.fullmatch(email):
        raise Invalid(f"{email!r} is not an email address; write it as name@host.")
    password_hash = hash_of(password)
    if researcher_with_email(session, email) is not None:
        raise Conflict(f"There is already a researcher {email}.")
    researcher = Researcher(
        email=email,
        password_hash=password_hash,
        is_administrator=is_administrator,
        created_at=now,
    )
    session.add(researcher)
    session.flush()
    return researcher


def researcher_with_email(session: Session, email: str) -> Researcher | None:
    return session.scalar(select(Researcher).where(Researcher.email == normal(email)))


def find_researcher(session: Session, email: str | None) -> Researcher:
    """The researcher of that email, or the only one there is when no email is given."""
    query = select(Researcher)
    if email is not None:
        query = query.where(Researcher.email == normal(email))
    match session.scalars(query).all():
        case [only]:
            return only
        case []:
            who = f"no researcher {email}" if email else "no researcher yet"
            raise NotFound(f"There is {who}; add one with: plainsight researcher add EMAIL")
        case _:
            raise Invalid("There are several researchers; say which one with --researcher EMAIL.")


def check_password(session: Session, email: str, password: str) -> Researcher | None:
    """Takes as long for an unknown email or a closed account as for a wrong password."""
    nobodys = _nobodys_hash()
    researcher = researcher_with_email(session, email)
    try:
        hasher.verify(researcher.password_hash if researcher else nobodys, password)
    except VerifyMismatchError:
        return None
    return researcher if researcher and researcher.deactivated_at is None else None


def sign_in(session: Session, researcher: Researcher, now: datetime, hours: int) -> str:
    """The secret for the researcher's cookie."""
    session.execute(delete(ResearcherSession).where(ResearcherSession.expires_at <= now))
    token = new_token()
    session.add(
        ResearcherSession(
            token_digest=digest(token),
            researcher_id=researcher.id,
            expires_at=now + timedelta(hours=hours),
        )
    )
    return token


def researcher_of_token(session: Session, token: str) -> Researcher | None:
    """Whose personal token this is; nobody's when it is unknown, revoked or of a closed account."""
    found = session.scalar(
        select(ApiToken)
        .join(Researcher)
        .where(
            ApiToken.token_digest == digest(token),
            ApiToken.revoked_at.is_(None),
            Researcher.deactivated_at.is_(None),
        )
    )
    if found is None:
        return None
    found.last_used_at = now()
    return found.researcher


def sign_out(session: Session, token: str) -> None:
    session.execute(
        delete(ResearcherSession).where(ResearcherSession.token_digest == digest(token))
    )
