"""What a reader's browser may say about one answer."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.vocabulary import Answer

Milliseconds = Annotated[int, Field(ge=0, le=7 * 24 * 3600 * 1000)]
Pixels = Annotated[int, Field(ge=0, le=100_000)]


class GivenAnswer(BaseModel):
    """One answer and how it was read.

    reading_time_ms: from the frame that painted the image to the key, without hidden_ms.
    display_width, display_height: of the drawn image, in device pixels; scale: device pixels
    per image pixel; pixel_exact: whether every image pixel was a whole block of device pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Annotated[str, Field(pattern=r"^[0-9a-zA-Z]{1,40}$")]
    answer: Answer
    reading_time_ms: Milliseconds
    hidden_ms: Milliseconds
    device_pixel_ratio: Annotated[float, Field(gt=0, le=100)]
    viewport_width: Pixels
    viewport_height: Pixels
    display_width: Pixels
    display_height: Pixels
    scale: Annotated[int, Field(ge=1, le=1000)]
    pixel_exact: bool
