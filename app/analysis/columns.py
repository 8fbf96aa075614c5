"""Every column of every table that is exported: the tables and their dictionary are made of it."""

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


# First the canonical columns of the analysis in their order, then what we know besides.
PRESENTATIONS = (
    *shared("schema_version", "study_id"),
    Column("protocol_hash", "str", "", "SHA-256 of the protocol as it was frozen at the start"),
    *shared("reader_id"),
    Column("sitting_id", "str", "", "number of the sitting, from 1"),
    SHARED["set"],
    Column("presentation_index", "int", "", "place in the reader's order, from 1"),
    Column("position_in_set", "int", "", "place among the presentations of the same set, from 1"),
    *shared("presentation_id", "image_id"),
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
    Column("excluded", "int", "1|0", "left out by a rule of the plan"),
    Column("exclusion_reason", "str", "", "which rule; empty: not excluded"),
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

IMAGES = (
    *shared("schema_version", "study_id"),
    SHARED["image_id"],
    Column("case_number", "int", "", "its number in the iMRMC text, from 1"),
    Column("truth", "int", "1|0", "tumour or not, by the data set"),
    Column("dataset", "str", "", "name of the data set it comes from"),
    Column("fold", "str", "", "part of that data set"),
    Column("index_in_fold", "int", "", "its place there, from 0"),
    Column("mpp_um", "float", "um", "micrometres per pixel; empty: not known"),
    Column("width_px", "int", "px", "width"),
    Column("height_px", "int", "px", "height"),
    Column("stimulus_id", "int", "", "number of the original image"),
    Column("sha256", "str", "", "SHA-256 of the original's file as it was delivered"),
    Column("pixels_sha256", "str", "", "SHA-256 of the file that the server keeps and pads"),
    Column("p_tumour", "float", "0-1", "the network's probability; empty: not known"),
    Column("part", "enum", "reading|pairs", "where it is shown; reading when in both"),
)

ATTACKS = (
    *shared("schema_version", "study_id"),
    Column("stimulus_id", "int", "", "number of the perturbed image"),
    SHARED["image_id"],
    Column("attack_id", "str", "", "condition id in the batch"),
    Column("family", "str", "", "the attack, such as pgd"),
    Column("norm", "enum", "none|l0|l1|l2|linf", "the norm that its budget is of"),
    Column("epsilon", "float", "", "grey levels, for l0 a share of pixels; empty: no budget"),
    Column("steps", "int", "", "of the attack; 0: not known"),
    Column("step_size", "float", "grey levels", "of the attack; empty: not known"),
    Column("seed", "str", "", "of the attack; empty: not known"),
    Column("linf", "int", "grey levels", "largest difference, measured on the files"),
    Column("l2_rmsd", "float", "grey levels", "root mean squared difference, measured"),
    Column("l1_mad", "float", "grey levels", "mean absolute difference, measured"),
    Column("l0_fraction", "float", "0-1", "share of pixels that differ, measured"),
    Column("ssim", "float", "", "structural similarity; empty: not measured"),
    Column("psnr_db", "float", "dB", "20 log10(255 / l2_rmsd)"),
    Column("quantised_to_uint8", "int", "1|0", "always 1: all is measured on 8-bit files"),
    Column("model_id", "str", "", "architecture of the network"),
    Column("model_sha256", "str", "", "SHA-256 of the network's weights"),
    Column("p_tumour_before", "float", "0-1", "of the original; empty: not known"),
    Column("p_tumour_after", "float", "0-1", "of this image; empty: not known"),
    Column("label_before", "int", "1|0", "p_tumour_before is at least 0.5"),
    Column("label_after", "int", "1|0", "p_tumour_after is at least 0.5"),
    Column("success_after_quantisation", "int", "1|0", "the network is wrong; empty: not known"),
    Column("sha256", "str", "", "SHA-256 of the file as it was delivered"),
)

MRMCAOV = (
    Column("reader", "str", "", "reader_id"),
    Column("treatment", "str", "", "original or perturbed; of several conditions, the attack_id"),
    Column("case", "str", "", "image_id"),
    Column("truth", "int", "1|0", "tumour or not, by the data set"),
    Column("rating", "int", "", "score where the study asks for confidence, else label"),
    Column("label", "int", "1|0", "tumour or not, as answered"),
    SHARED["set"],
)

NETWORK = (
    *shared("schema_version", "study_id"),
    Column("patch", "str", "", "what the run that measured the network calls this patch"),
    Column("truth", "int", "1|0", "1 tumour, 0 no tumour"),
    Column("norm", "enum", "none|l0|l1|l2|linf", "the norm; none: by root mean square"),
    Column(
        "epsilon_float",
        "float",
        "",
        "smallest that fools the network, unrounded: grey levels, for l0 a share; inf: none found",
    ),
    Column("epsilon_8bit", "float", "", "the same on the 8-bit image, as readers see it"),
)

TABLES = {
    "presentations.csv": PRESENTATIONS,
    "detections.csv": DETECTIONS,
    "readers.csv": READERS,
    "undone.csv": UNDONE,
    "images.csv": IMAGES,
    "attacks.csv": ATTACKS,
    "network.csv": NETWORK,
    "mrmcaov.csv": MRMCAOV,
}
