"""What the pages of accounts show; a secret is on the page that made it, and on no other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.storage.models import AccountEvent, ApiToken, Researcher
from app.web.listing import Listing


@dataclass(frozen=True)
class TokenRow:
    digest: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class AccountPage:
    """`token` was made just now."""

    email: str
    is_administrator: bool
    tokens: Sequence[TokenRow]
    token: str = ""
    problem: str = ""
    notice: str = ""
    title: str = "Your account"


def account_page(
    researcher: Researcher,
    tokens: Sequence[ApiToken],
    *,
    token: str = "",
    problem: str = "",
    notice: str = "",
) -> AccountPage:
    rows = [
        TokenRow(each.token_digest, each.name, each.created_at, each.last_used_at)
        for each in tokens
    ]
    return AccountPage(researcher.email, researcher.is_administrator, rows, token, problem, notice)


@dataclass(frozen=True)
class AccountRow:
    id: int
    email: str
    is_administrator: bool
    is_active: bool
    is_you: bool
    created_at: datetime


@dataclass(frozen=True)
class AccountsPage:
    accounts: Sequence[AccountRow]
    listing: Listing
    email: str = ""
    problem: str = ""
    title: str = "Accounts"


def accounts_page(
    accounts: Sequence[Researcher],
    listing: Listing,
    you: Researcher,
    *,
    email: str = "",
    problem: str = "",
) -> AccountsPage:
    rows = [
        AccountRow(
            each.id,
            each.email,
            each.is_administrator,
            each.deactivated_at is None,
            each.id == you.id,
            each.created_at,
        )
        for each in accounts
    ]
    return AccountsPage(rows, listing, email, problem)


@dataclass(frozen=True)
class RecordPage:
    events: Sequence[AccountEvent]
    listing: Listing
    title: str = "What was done to accounts"


@dataclass(frozen=True)
class PasswordPage:
    """The password is on this page only: the server keeps no more than its hash."""

    title: str
    email: str
    password: str
