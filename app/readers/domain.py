"""What a reader's browser says about its screen, and which readers may come in."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Invalid, NotAllowed
from app.studies.domain import drawn
from app.vocabulary import N_

Length = Annotated[int, Field(ge=0, le=100_000)]
Ratio = Annotated[float, Field(gt=0, le=100)]
Letters = Annotated[str, Field(max_length=10, pattern=r"^[^\x00]*$")]

LARGEST_COUNT = 200  # readers who are invited at once

NO_LINK = N_("This link is not valid. Please ask the person who invited you for a new one.")
REVOKED = N_("This link was withdrawn. Please ask the person who invited you for a new one.")
EXPIRED = N_(
    "This link has expired. Every answer that was shown as saved is kept. "
    "Please ask the person who invited you for a new one."
)
ELSEWHERE = N_(
    "You continued elsewhere. To go on here, open your personal link again. No answer is lost."
)
CLOSED = N_("This study is closed. Every answer that was shown as saved is kept. Thank you.")
CONSENT_CHANGED = N_("The consent text has changed; please read it again and begin.")


class DisplayRecord(BaseModel):
    """The screen as the browser sees it: lengths in CSS pixels, browser_zoom 1 for 100 %."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    is_silent: Literal[True]
    device_pixel_ratio: Ratio
    browser_zoom: Ratio
    screen_width: Length
    screen_height: Length
    viewport_width: Length
    viewport_height: Length


class CheckRecord(DisplayRecord):
    """What the screen check found out; it is recorded, and nobody fails it."""

    is_silent: Literal[False]  # type: ignore[assignment]
    code: Annotated[str, Field(pattern=r"^[0-9a-f]{8,40}$")]
    colour_depth: Annotated[int, Field(ge=1, le=128)]
    pointer: Literal["fine", "coarse", "none"]
    keys_tried: bool
    storage_works: bool
    letters_shown: Letters
    letters_read: Letters


def require_valid(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> None:
    if revoked_at is not None:
        raise NotAllowed(REVOKED)
    if expires_at is not None and now >= expires_at:
        raise NotAllowed(EXPIRED)


def end_of(day: date | None, now: datetime) -> datetime | None:
    """The end of that day in UTC, when a link expires. Invalid when it is over already."""
    if day is None:
        return None
    end = datetime.combine(day, time(), UTC) + timedelta(days=1)
    if end <= now:
        raise Invalid(f"{day:%Y-%m-%d} is over; choose a later last day for the link.")
    return end


def last_day(expires_at: datetime | None) -> date | None:
    """The day at whose end the link expires."""
    return (expires_at - timedelta(microseconds=1)).date() if expires_at else None


def require_sensible_count(count: int) -> None:
    if not 1 <= count <= LARGEST_COUNT:
        raise Invalid(f"Invite 1 to {LARGEST_COUNT} readers at once, not {count}.")


def keys_swapped(secret: str, number: int) -> bool:
    """Of every two readers in turn one has the answer keys the other way round, at random which."""
    first_of_two = int(drawn(secret, f"keys/{(number - 1) // 2}"), 16) % 2 == 1
    return first_of_two != (number % 2 == 0)
