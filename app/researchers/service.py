"""Researchers' accounts: passwords are kept as argon2 hashes, sessions as digests."""

import re
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.storage.models import Researcher, ResearcherSession
from app.web.identity import digest, new_token

SHORTEST_PASSWORD = 12
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
hasher = PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return hasher.hash(new_token())


def add_researcher(session: Session, email: str, password: str, now: datetime) -> Researcher:
    """Invalid for an email or password that will not do, Conflict when the account exists."""
    email = email.strip().lower()
    if not EMAIL.fullmatch(email):
        raise Invalid(f"{email!r} is not an email address; write it as name@host.")
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(f"The password is too short; use at least {SHORTEST_PASSWORD} characters.")
    if session.scalar(select(Researcher.id).where(Researcher.email == email)):
        raise Conflict(f"There is already a researcher {email}.")
    researcher = Researcher(email=email, password_hash=hasher.hash(password), created_at=now)
    session.add(researcher)
    session.flush()
    return researcher


def find_researcher(session: Session, email: str | None) -> Researcher:
    """The researcher of that email, or the only one there is when no email is given."""
    query = select(Researcher)
    if email is not None:
        query = query.where(Researcher.email == email.strip().lower())
    match session.scalars(query).all():
        case [only]:
            return only
        case []:
            who = f"no researcher {email}" if email else "no researcher yet"
            raise NotFound(f"There is {who}; add one with: plainsight researcher add EMAIL")
        case _:
            raise Invalid("There are several researchers; say which one with --researcher EMAIL.")


def check_password(session: Session, email: str, password: str) -> Researcher | None:
    """Takes as long for an unknown email as for a wrong password."""
    researcher = session.scalar(select(Researcher).where(Researcher.email == email.strip().lower()))
    try:
        hasher.verify(researcher.password_hash if researcher else _nobodys_hash(), password)
    except VerifyMismatchError:
        return None
    return researcher


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


def sign_out(session: Session, token: str) -> None:
    session.execute(
        delete(ResearcherSession).where(ResearcherSession.token_digest == digest(token))
    )
