"""What a reader's browser may say about one image, and which answers a study takes."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Invalid
from app.vocabulary import N_, Answer, Problem

Milliseconds = Annotated[int, Field(ge=0, le=7 * 24 * 3600 * 1000)]
Pixels = Annotated[int, Field(ge=0, le=100_000)]
Token = Annotated[str, Field(pattern=r"^[0-9a-zA-Z]{1,40}$")]
Attempt = Annotated[int, Field(ge=0, le=10_000)]
YEAR_2000_MS, YEAR_2200_MS = 946_684_800_000, 7_258_118_400_000

NOT_OFFERED = N_("This study does not take that answer.")
CONFIDENCE_MISSING = N_("Please also say how sure you are, from 1 to 5.")


class TakenBack(BaseModel):
    """An answer by its image and by how often that image's answer was taken back before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Token
    attempt: Attempt


class GivenAnswer(TakenBack):
    """One answer and how it was read.

    given_at: of the key, by the reader's clock, in milliseconds since 1970. reading_time_ms:
    from the frame that painted the image to the key, without hidden_ms and idle_ms.
    display_width, display_height: of the drawn image, in device pixels; scale: device pixels
    per image pixel at zoom 1; zoom: the largest used; pixel_exact: whether every image pixel
    was a whole block of device pixels.
    """

    answer: Answer
    confidence: Annotated[int, Field(ge=1, le=5)] | None
    given_at: Annotated[int, Field(ge=YEAR_2000_MS, le=YEAR_2200_MS)]
    reading_time_ms: Milliseconds
    hidden_ms: Milliseconds
    idle_ms: Milliseconds
    device_pixel_ratio: Annotated[float, Field(gt=0, le=100)]
    viewport_width: Pixels
    viewport_height: Pixels
    display_width: Pixels
    display_height: Pixels
    scale: Annotated[int, Field(ge=1, le=1000)]
    zoom: Annotated[int, Field(ge=1, le=4)]
    pixel_exact: bool

    def values(self) -> dict[str, object]:
        """As the columns of the table."""
        given_at = datetime.fromtimestamp(self.given_at / 1000, UTC)
        return {**self.model_dump(exclude={"token"}), "given_at": given_at}


class Reported(BaseModel):
    """A problem with an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Token
    kind: Problem


def require_offered(given: GivenAnswer, offered: set[str], *, with_confidence: bool) -> None:
    """Invalid when the page did not offer this answer, or asked for more than it says.

    Nobody is more or less sure of not being able to tell.
    """
    if given.answer not in offered:
        raise Invalid(NOT_OFFERED)
    asked = with_confidence and given.answer is not Answer.CANNOT_ASSESS
    if asked is not (given.confidence is not None):
        raise Invalid(CONFIDENCE_MISSING)
