"""What the cells of several exported tables are made of."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.reading.domain import Choice
from app.storage.models import Reader, Response, Study
from app.vocabulary import Answer

SCHEMA_VERSION = "1.3"
CLOCK_MAY_BE_AHEAD = timedelta(minutes=1)
Values = dict[str, object]


def whose(study: Study, reader: Reader) -> Values:
    return {"schema_version": SCHEMA_VERSION, "study_id": study.id, "reader_id": reader.label}


def label_of(answer: Answer) -> int | None:
    """1 to 4 tumour cells are below the criterion: not tumour."""
    match answer:
        case Answer.TUMOUR:
            return 1
        case Answer.NO_TUMOUR | Answer.FEW_CELLS:
            return 0
        case _:
            return None


def score(label: int | None, confidence: int | None) -> int | None:
    """From 0, surely not tumour, to 100, surely tumour."""
    if label is None or confidence is None:
        return None
    return 50 + 10 * confidence * (1 if label else -1)


def times(response: Response, reader: Reader) -> Values:
    given = plausible(response, reader)
    on_screen = response.reading_time_ms + response.hidden_ms + response.idle_ms
    return {
        "shown_at": moment(given - timedelta(milliseconds=on_screen)),
        "given_at": moment(response.given_at),
        "answered_at": moment(response.answered_at),
        "rt_ms": response.reading_time_ms,
        "hidden_ms": response.hidden_ms,
        "idle_ms": response.idle_ms,
    }


def plausible(response: Response, reader: Reader) -> datetime:
    """When the answer was given: by the reader's clock, unless it is before the reader began or
    after the server had the answer. Answers that waited for the network arrive later."""
    began_at = reader.began_at or response.answered_at
    earliest, latest = began_at - CLOCK_MAY_BE_AHEAD, response.answered_at + CLOCK_MAY_BE_AHEAD
    return response.given_at if earliest <= response.given_at <= latest else response.answered_at


def display(response: Response) -> Values:
    on_screen = response.scale * response.zoom / response.device_pixel_ratio
    return {
        "zoom_max": round(on_screen, 4),
        "zoom": response.zoom,
        "display_w_px": response.display_width,
        "display_h_px": response.display_height,
        "device_pixel_ratio": response.device_pixel_ratio,
        "viewport": size(response.viewport_width, response.viewport_height),
        "pixel_exact": int(response.pixel_exact),
    }


def mapping(choices: Sequence[Choice]) -> str:
    """Of the two main keys, such as "f=non_tumour j=tumour"."""
    return " ".join(f"{choice.key}={choice.answer}" for choice in choices[:2])


def size(width: int, height: int) -> str:
    return f"{width}x{height}"


def flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
