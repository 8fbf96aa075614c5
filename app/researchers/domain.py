"""The rules of accounts: what one may do with a study, and how long a guesser waits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from ipaddress import IPv6Address, ip_address, ip_network


class Right(IntEnum):
    """What a researcher may do with a study; each includes those before it.

    VIEW: all of its pages and, when the key is open, its results and files. MANAGE: also edit,
    invite readers, withdraw links, start and lock. OWN: also unblind, delete, and say who works
    on it. The owner has it, and every administrator.
    """

    VIEW = 1
    MANAGE = 2
    OWN = 3


def right_of(*, is_owner: bool, is_administrator: bool, may_manage: bool | None) -> Right | None:
    """`may_manage` is None for who is no collaborator."""
    if is_owner or is_administrator:
        return Right.OWN
    if may_manage is None:
        return None
    return Right.MANAGE if may_manage else Right.VIEW


WINDOW = timedelta(minutes=15)
FREE_ATTEMPTS = 5
FIRST_WAIT = timedelta(seconds=30)


def wait_after(failures: Sequence[datetime], now: datetime) -> timedelta:
    """How long until the next attempt to sign in may be made; nothing for the first five.

    Then 30 seconds, twice as long after each further failure, and never more than the window.
    """
    recent = [at for at in failures if at > now - WINDOW]
    if len(recent) < FREE_ATTEMPTS:
        return timedelta()
    doublings = min(len(recent) - FREE_ATTEMPTS, 10)
    wait = min(FIRST_WAIT * (1 << doublings), WINDOW)
    return max(max(recent) + wait - now, timedelta())


def in_words(wait: timedelta) -> str:
    """Rounded up: who waits so long does not wait in vain."""
    seconds = -(-wait // timedelta(seconds=1))
    if seconds <= 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def network_of(address: str) -> str:
    """Whose attempts count together: one IPv4 address, or the 64 bits that one IPv6 line has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return str(parsed)
