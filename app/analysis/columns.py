"""Every column of every table that is exported: the tables and their dictionary are made of it."""

from typing import NamedTuple


class Column(NamedTuple):
    name: str
    type: str
    unit: str
    meaning: str


SHARED = {
    column.name: column
    for column in (
        Column("schema_version", "str", "", "version of these tables"),
        Column("study_id", "int", "", "number of the study on its server"),
        Column("reader_id", "str", "", "pseudonym of the reader"),
        Column("presentation_id", "str", "", "the random token that the reader's browser knew"),
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


# First the canonical columns of the analysis in their order, then what we know besides.
PRESENTATIONS = (
    *shared("schema_version", "study_id"),
    Column("protocol_hash", "str", "", "SHA-256 of the frozen protocol; empty: none was frozen"),
    *shared("reader_id"),
    Column("sitting_id", "str", "", "number of the sitting, from 1"),
    Column("set", "int", "", "which showing of this very image to this reader this was"),
    Column("presentation_index", "int", "", "place in the reader's order, from 1"),
    Column("position_in_set", "int", "", "place among the presentations of the same set, from 1"),
    *shared("presentation_id"),
    Column("image_id", "str", "", "the case: the same for original, perturbed and all sets"),
    Column("stimulus_id", "int", "", "number of the image that was shown"),
    Column("stimulus_sha256", "str", "", "SHA-256 of the file that the batch delivered"),
    Column("condition", "enum", "original|perturbed", "the arm"),
    Column("copy", "int", "", "the same as set"),
    Column("truth", "int", "1|0", "tumour or not, by the data set"),
    Column("attack_id", "str", "", "condition id in the batch; empty for an original"),
    Column(
        "label",
        "int",
        "1|0",
        "tumour 1; non_tumour and few_cells 0; empty: not answered, or cannot_assess",
    ),
    Column(
        "response",
        "enum",
        "tumour|non_tumour|few_cells|cannot_assess",
        "the answer in words; empty: not answered",
    ),
    Column(
        "score",
        "int",
        "0-100",
        "50 plus 10 x confidence for label 1, 50 less 10 x confidence for 0; empty: not asked",
    ),
    Column("correct", "int", "1|0", "label equals truth; empty: no label"),
    *shared("shown_at", "answered_at", "rt_ms", "hidden_ms", "n_changes"),
    *shared("zoom_max", "display_w_px", "display_h_px", "device_pixel_ratio", "viewport"),
    Column("gap_same_image", "int", "", "presentations since the case was last shown"),
    Column("excluded", "int", "1|0", "always 0: no exclusion rule was set"),
    Column("exclusion_reason", "str", "", "empty"),
    *shared("pixel_exact", "confidence", "given_at", "idle_ms", "zoom", "orientation"),
    *shared("key_mapping", "problems"),
)

DETECTIONS = (
    *shared(*WHOSE),
    Column("trial_index", "int", "", "place among the reader's pairs, from 1"),
    *shared("presentation_id"),
    Column("task", "enum", "choice|same_different", "which was altered, or same or different"),
    Column("image_id", "str", "", "the case of both images"),
    Column("left_stimulus_id", "int", "", "number of the left image"),
    Column("right_stimulus_id", "int", "", "number of the right image"),
    Column("left_attack_id", "str", "", "condition id in the batch, or original"),
    Column("right_attack_id", "str", "", "condition id in the batch, or original"),
    Column("altered_side", "enum", "left|right|both|none", "where a perturbed image was"),
    Column("is_catch", "int", "1|0", "both are the same image"),
    Column(
        "response",
        "enum",
        "left|right|same|different|not_sure",
        "the answer; empty: not answered",
    ),
    Column("correct", "int", "1|0", "empty: not answered, or not_sure"),
    *shared(*TIMES, "n_changes", *DISPLAY, "pixel_exact", "orientation"),
    *shared("key_mapping", "problems"),
)

READERS = (
    *shared(*WHOSE),
    Column("language", "str", "", "language of the text that was agreed to"),
    Column("consent_version", "str", "", "version of that text"),
    Column("consent_sha256", "str", "", "SHA-256 of that very text, as HTML in UTF-8"),
    Column("invited_at", "datetime", "UTC", "when the personal link was made"),
    Column("began_at", "datetime", "UTC", "when the reader agreed and began"),
    Column("finished_at", "datetime", "UTC", "when the last answer was stored"),
    *shared("key_mapping"),
    Column("checked_at", "datetime", "UTC", "when the screen was last checked with the reader"),
    *shared("device_pixel_ratio"),
    Column("browser_zoom", "float", "", "zoom of the browser, 1 for 100 %"),
    Column("screen", "str", "CSS px", "width x height of the screen"),
    *shared("viewport"),
    Column("colour_depth", "int", "bit", "of the screen"),
    Column("pointer", "enum", "fine|coarse|none", "mouse or pen, finger, or neither"),
    Column("keys_tried", "int", "1|0", "both answer keys were pressed in the check"),
    Column("storage_works", "int", "1|0", "the browser can keep answers while there is no network"),
    Column("letters_shown", "str", "", "faint letters that were shown"),
    Column("letters_read", "str", "", "which of them the reader saw"),
    Column("screen_changes", "int", "", "how often the screen was another one later on"),
    Column("saw_repeats", "enum", "yes|no|unsure", "did any image seem to come up more than once"),
    Column("odd", "str", "", "what seemed odd, in the reader's words"),
    Column("receipt", "str", "", "the code that the reader was given at the end"),
)

UNDONE = (
    *shared(*WHOSE),
    Column("part", "enum", "reading|pairs", "where the answer was given"),
    Column(
        "presentation_index",
        "int",
        "",
        "as in presentations.csv; of pairs, trial_index in detections.csv",
    ),
    *shared("presentation_id"),
    Column("attempt", "int", "", "how often the answer had been taken back before"),
    Column(
        "response",
        "enum",
        "tumour|non_tumour|few_cells|cannot_assess|left|right|same|different|not_sure",
        "what had been answered",
    ),
    *shared("confidence", *TIMES),
    Column("undone_at", "datetime", "UTC", "when the server took it back"),
)

TABLES = {
    "presentations.csv": PRESENTATIONS,
    "detections.csv": DETECTIONS,
    "readers.csv": READERS,
    "undone.csv": UNDONE,
}
