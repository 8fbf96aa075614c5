"""What administrators do with accounts. There is always an administrator who can sign in."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, true
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.researchers.service import hash_of
from app.storage.models import AccountEvent, Researcher, ResearcherSession
from app.web.listing import Columns, Listing, listed

LAST = "{} is the only administrator who can sign in; make somebody else one first."


COLUMNS: Columns = {
    "email": Researcher.email,
    "role": Researcher.is_administrator,
    "account": Researcher.deactivated_at.is_(None),
    "added": Researcher.created_at,
    "number": Researcher.id,
}


def list_accounts(
    session: Session, page: int = 1, sort: str = ""
) -> tuple[Sequence[Researcher], Listing]:
    return listed(session, select(Researcher), COLUMNS, "/accounts", page, sort)


def is_first(session: Session) -> bool:
    """Nobody has an account yet."""
    return session.scalar(select(Researcher.id).limit(1)) is None


RECORD: Columns = {
    "when": AccountEvent.id,
    "who": AccountEvent.actor,
    "what": AccountEvent.kind,
    "account": AccountEvent.email,
    "number": AccountEvent.id,
}


def note(session: Session, actor: str, kind: str, account: Researcher, now: datetime) -> None:
    session.add(AccountEvent(at=now, actor=actor, kind=kind, email=account.email))


def list_record(
    session: Session, page: int = 1, sort: str = ""
) -> tuple[Sequence[AccountEvent], Listing]:
    """The newest first, unless another sort is asked for."""
    return listed(session, select(AccountEvent), RECORD, "/accounts/record", page, sort or "-when")


def find_account(session: Session, researcher_id: int) -> Researcher:
    found = session.get(Researcher, researcher_id)
    if found is None:
        raise NotFound("There is no such account.")
    return found


def set_password(session: Session, account: Researcher, password: str, *, keep: str = "") -> None:
    """Who was signed in with the earlier one is so no more, but for the session `keep`."""
    account.password_hash = hash_of(password)
    end_sessions(session, account, keep)


def end_sessions(session: Session, account: Researcher, keep: str = "") -> None:
    session.execute(
        delete(ResearcherSession).where(
            ResearcherSession.researcher_id == account.id,
            ResearcherSession.token_digest != keep,
        )
    )


def deactivate(session: Session, account: Researcher, now: datetime) -> None:
    """Nobody is signed in with it any more, and its tokens are refused; its studies stay."""
    require_another_administrator(session, account)
    account.deactivated_at = account.deactivated_at or now
    end_sessions(session, account)


def reactivate(account: Researcher) -> None:
    account.deactivated_at = None


def make_administrator(account: Researcher) -> None:
    account.is_administrator = True


def unmake_administrator(session: Session, account: Researcher) -> None:
    require_another_administrator(session, account)
    account.is_administrator = False


def require_another_administrator(session: Session, account: Researcher) -> None:
    """Holds all of them: two administrators cannot take the right from each other at once."""
    able = session.scalars(
        select(Researcher)
        .where(Researcher.is_administrator == true(), Researcher.deactivated_at.is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    if [each.id for each in able] == [account.id]:
        raise Conflict(LAST.format(account.email))
