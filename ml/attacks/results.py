"""What an attack leaves in its folder, for people and for the batch."""

import csv
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ml.errors import MlError
from ml.files import whole_file

RECORD, TABLE, IMAGES = "attack.json", "results.csv", "images.npz"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """As in docs/batch-format.md."""

    id: str
    attack: str
    norm: str
    epsilon: str
    steps: int
    step_size: str
    confidence_target: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Success:
    """How many of the attacked images ended in the wrong class."""

    count: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """`correct` of `considered` patches were classified correctly, `attacked` of them attacked.

    Success is told for the image in float, after rounding it, and as finished in 8 bits.
    """

    considered: int
    correct: int
    attacked: int
    success_float: Success
    success_rounded: Success
    success_8bit: Success
    mean_steps: float
    mean_finish_steps: float
    linf_max: int
    mean_l2_rmsd: float
    seconds: float


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class AttackRecord:
    """attack.json. `data_sha256` is of all patches of the data, attacked or not."""

    created_at: str
    condition: Condition
    network: str
    network_sha256: str
    data_name: str
    data_sha256: str
    micrometres_per_pixel: float
    included_training: bool
    figures: Figures
    settings: dict[str, Any]
    provenance: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of results.csv: one attacked image."""

    data_set: str
    fold: str
    index: int
    truth: int
    p_original: float
    p_float: float
    p_rounded: float
    p_8bit: float
    steps: int
    finish_steps: int
    l0_fraction: float
    l1_mad: float
    l2_rmsd: float
    linf: int


@dataclass(frozen=True, kw_only=True, config=ConfigDict(arbitrary_types_allowed=True))
class AttackResults:
    """The images are (n, height, width, 3) uint8, in the order of the rows."""

    record: AttackRecord
    rows: list[Row]
    originals: NDArray[np.uint8]
    perturbed: NDArray[np.uint8]


def write_results(folder: Path, results: AttackResults) -> None:
    """The record comes last: a folder that has one is complete."""
    with whole_file(folder / IMAGES) as beside, beside.open("wb") as stream:
        np.savez(stream, originals=results.originals, perturbed=results.perturbed)
    with whole_file(folder / TABLE) as beside, beside.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, [f.name for f in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in results.rows)
    with whole_file(folder / RECORD) as beside:
        beside.write_text(json.dumps(asdict(results.record), indent=2) + "\n", "utf-8")


def read_results(folder: Path) -> AttackResults:
    if not (folder / RECORD).is_file():
        raise MlError(f"There is no {RECORD} in {folder}; give the folder of a finished attack.")
    try:
        record = TypeAdapter(AttackRecord).validate_json((folder / RECORD).read_bytes())
        with (folder / TABLE).open(newline="", encoding="utf-8") as lines:
            rows = TypeAdapter(list[Row]).validate_python(list(csv.DictReader(lines)))
        with np.load(folder / IMAGES) as images:
            originals, perturbed = images["originals"], images["perturbed"]
    except (ValidationError, OSError, KeyError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise MlError(f"{folder} holds a damaged attack ({first_line}); attack again.") from None
    if not len(rows) == len(originals) == len(perturbed):
        raise MlError(f"{folder} holds parts of different attacks; attack again.")
    return AttackResults(record=record, rows=rows, originals=originals, perturbed=perturbed)
