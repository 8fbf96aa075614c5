"""The dictionary of an export: what every column of every table is, and when it is empty."""

from collections.abc import Iterator

from app.analysis.column import TIMES, WHOSE
from app.analysis.columns import MRMCAOV, NETWORK, TABLES

HEADER = ("file", "column", "type", "unit", "levels", "required", "derivation", "missing_code")

# What is never empty; everything else is empty where there is nothing, such as no answer.
NEVER_EMPTY = {
    "presentations.csv": (
        *WHOSE,
        *("sitting_id", "presentation_index", "presentation_id"),
        *("image_id", "stimulus_id", "stimulus_sha256", "condition", "truth"),
        *("n_changes", "excluded", "orientation", "key_mapping", "is_catch"),
    ),
    "detections.csv": (
        *WHOSE,
        *("trial_index", "presentation_id", "task", "image_id", "left_stimulus_id"),
        *("right_stimulus_id", "left_attack_id", "right_attack_id", "altered_side", "is_catch"),
        *("n_changes", "orientation", "key_mapping"),
    ),
    "readers.csv": (*WHOSE, "invited_at", "key_mapping", "screen_changes"),
    "undone.csv": (
        *WHOSE,
        *("part", "presentation_index", "presentation_id", "attempt", "response"),
        *TIMES,
        "undone_at",
    ),
    "images.csv": (
        *("schema_version", "study_id", "image_id", "case_number", "truth", "index_in_fold"),
        *("width_px", "height_px", "stimulus_id", "sha256"),
        *("pixels_sha256", "part"),
    ),
    "attacks.csv": (
        *("schema_version", "study_id", "stimulus_id", "image_id", "attack_id", "family"),
        *("norm", "steps", "linf", "l2_rmsd", "l1_mad", "l0_fraction", "quantised_to_uint8"),
        "sha256",
    ),
    "network.csv": tuple(column.name for column in NETWORK),
    "mrmcaov.csv": tuple(column.name for column in MRMCAOV),
}


def dictionary_rows() -> Iterator[dict[str, object]]:
    for file, columns in TABLES.items():
        for column in columns:
            yield {
                "file": file,
                "column": column.name,
                "type": column.type,
                "unit": None if column.has_levels else column.unit,
                "levels": column.unit if column.has_levels else None,
                "required": int(column.name in NEVER_EMPTY[file]),
                "derivation": column.meaning,
                "missing_code": None if column.name in NEVER_EMPTY[file] else "empty cell",
            }
