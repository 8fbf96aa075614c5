"""Who guesses passwords waits longer and longer.

Failures are counted in the database, so that every server process knows them and a restart
forgets none (docs/decisions/0012). Only digests are kept: people type passwords into the wrong
field, and mistyped emails of strangers are nobody's business.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from app.researchers.domain import WINDOW, network_of, wait_after
from app.researchers.service import normal
from app.storage.models import SignInFailure
from app.web.identity import digest


def keys_of(email: str, address: str) -> tuple[str, str]:
    return digest(f"email {normal(email)}"), digest(f"address {network_of(address)}")


def attempt(session: Session, email: str, address: str, now: datetime) -> timedelta:
    """How long to wait. When it is nothing, a failure is noted before the password is checked:
    of many guesses at once no more than the free ones are checked."""
    keys = keys_of(email, address)
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
        session.execute(text("LOCK TABLE sign_in_failure IN SHARE ROW EXCLUSIVE MODE"))
    session.execute(delete(SignInFailure).where(SignInFailure.at <= now - WINDOW))
    wait = max(wait_after(failures(session, key), now) for key in keys)
    if not wait:
        session.add_all(SignInFailure(key=key, at=now) for key in keys)
    return wait


def failures(session: Session, key: str) -> Sequence[datetime]:
    return session.scalars(select(SignInFailure.at).where(SignInFailure.key == key)).all()


def forgive(session: Session, email: str, address: str, at: datetime) -> None:
    """The password was right: nothing is held against the email, nor this attempt against the
    address, from where others may still be guessing."""
    of_email, of_address = keys_of(email, address)
    session.execute(delete(SignInFailure).where(SignInFailure.key == of_email))
    session.execute(
        delete(SignInFailure).where(SignInFailure.key == of_address, SignInFailure.at == at)
    )
