"""What a column of an exported table is, and the columns that several tables share."""

import re
from typing import NamedTuple

LEVELS = re.compile(r".*\|.*|\d+-\d+")


class Column(NamedTuple):
    """`unit` holds the levels where there are such: all of them, or the least and the largest."""

    name: str
    type: str
    unit: str
    meaning: str

    @property
    def has_levels(self) -> bool:
        return LEVELS.fullmatch(self.unit) is not None


SHARED = {
    column.name: column
    for column in (
        Column("schema_version", "str", "", "version of these tables"),
        Column("study_id", "int", "", "number of the study on its server"),
        Column("reader_id", "str", "", "pseudonym of the reader"),
        Column("presentation_id", "str", "", "the random token that the reader's browser knew"),
        Column("set", "int", "", "which showing of this very image to this reader this was"),
        Column("image_id", "str", "", "the case: the same for original, perturbed and all sets"),
        Column("confidence", "int", "1-5", "how sure the reader was; empty: not asked"),
        Column("key_mapping", "str", "", "what the two main keys meant to this reader"),
        Column("problems", "str", "", "kinds of problem that the reader reported, spaces between"),
        Column("n_changes", "int", "", "how often the answer was taken back; see undone.csv"),
        Column(
            "shown_at",
            "datetime",
            "UTC",
            "given_at, or answered_at where that makes no sense, less rt_ms, hidden_ms, idle_ms",
        ),
        Column("given_at", "datetime", "UTC", "when the answer was given, by the reader's clock"),
        Column("answered_at", "datetime", "UTC", "when the server had the answer"),
        Column(
            "rt_ms",
            "int",
            "ms",
            "from the frame that painted the image to the key, less hidden_ms and idle_ms",
        ),
        Column("hidden_ms", "int", "ms", "how long the image was hidden or paused in between"),
        Column(
            "idle_ms", "int", "ms", "how long nothing was moved or pressed, beyond 30 s at once"
        ),
        Column("zoom_max", "float", "CSS px", "largest width of one image pixel on the screen"),
        Column("zoom", "int", "1-4", "largest zoom that was used"),
        Column("display_w_px", "int", "device px", "width of the image on the screen at zoom 1"),
        Column("display_h_px", "int", "device px", "height of the image on the screen at zoom 1"),
        Column("device_pixel_ratio", "float", "", "device pixels per CSS pixel"),
        Column("viewport", "str", "CSS px", "width x height of the window"),
        Column("pixel_exact", "int", "1|0", "every image pixel was a whole block of device pixels"),
        Column(
            "orientation",
            "int",
            "0-7",
            "quarter turns to the left, plus 4 when mirrored after that; 0: as delivered",
        ),
    )
}
WHOSE = ("schema_version", "study_id", "reader_id")
TIMES = ("shown_at", "given_at", "answered_at", "rt_ms", "hidden_ms", "idle_ms")
DISPLAY = ("zoom_max", "zoom", "display_w_px", "display_h_px", "device_pixel_ratio", "viewport")


def shared(*names: str) -> list[Column]:
    return [SHARED[name] for name in names]
