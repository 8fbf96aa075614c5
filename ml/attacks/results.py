"""What an attack leaves in its folder, for people and for the batch."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from ml.errors import MlError
from ml.files import whole_file
from ml.steps import write_table

RECORD, TABLE, SHARDS = "attack.json", "results.csv", "shards"
UNREADABLE = (OSError, KeyError, ValueError, EOFError, BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """As in docs/batch-format.md."""

    id: str
    attack: str
    norm: str
    epsilon: str | None
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

    Success is told for the image in float, after rounding it, and as finished in 8 bits and
    decoded from PNG. Sizes are of the last, in grey levels: `l1` and `l2` as means over all values
    (`l1_mad`, `l2_rmsd`) and as totals. `seconds` of work, summed over all workers.
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
    mean_l0_fraction: float
    mean_l1_mad: float
    mean_l1_total: float
    mean_l2_rmsd: float
    mean_l2_total: float
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
    l1_total: int
    l2_total: float


@plain_dataclass(frozen=True)
class Shard:
    """Some of the attacked images: (n, height, width, 3) uint8, in the order of the rows."""

    rows: list[Row]
    originals: NDArray[np.uint8]
    perturbed: NDArray[np.uint8]


@plain_dataclass(frozen=True)
class AttackResults:
    """A finished attack, whose images stay on disk until asked for."""

    record: AttackRecord
    rows: list[Row]
    folder: Path
    shard_size: int

    def shards(self) -> Iterator[Shard]:
        """In order, one in memory at a time."""
        for number in range(math.ceil(len(self.rows) / self.shard_size)):
            yield self._shard(number)

    def images(self, indices: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The originals and the perturbed images of these rows."""
        found: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
        for number in sorted({i // self.shard_size for i in indices}):
            shard = self._shard(number)
            for i in indices:
                if i // self.shard_size == number:
                    place = i % self.shard_size
                    found[i] = shard.originals[place], shard.perturbed[place]
        pairs = [found[i] for i in indices]
        return np.stack([o for o, _ in pairs]), np.stack([p for _, p in pairs])

    def _shard(self, number: int) -> Shard:
        rows = self.rows[number * self.shard_size : (number + 1) * self.shard_size]
        path = images_path(self.folder, number)
        try:
            with path.open("rb") as stream, np.load(stream) as images:
                shard = Shard(rows, images["originals"], images["perturbed"])
        except UNREADABLE as error:
            raise _damaged(self.folder, error) from None
        if not len(rows) == len(shard.originals) == len(shard.perturbed):
            raise MlError(f"{self.folder} holds parts of different attacks; attack again.")
        return shard


def images_path(folder: Path, number: int) -> Path:
    return folder / SHARDS / f"{number:05}.npz"


def rows_path(folder: Path, number: int) -> Path:
    """Written last: a shard that has it is complete."""
    return folder / SHARDS / f"{number:05}.csv"


def write_shard(folder: Path, number: int, shard: Shard, seconds: float) -> None:
    with whole_file(images_path(folder, number)) as beside, beside.open("wb") as stream:
        np.savez(stream, originals=shard.originals, perturbed=shard.perturbed, seconds=seconds)
    write_table(rows_path(folder, number), Row, shard.rows)


def seconds_of_shard(folder: Path, number: int) -> float:
    try:
        with images_path(folder, number).open("rb") as stream, np.load(stream) as images:
            return float(images["seconds"])
    except UNREADABLE as error:
        raise _damaged(folder, error) from None


def forget_shards(folder: Path) -> None:
    """The rows first, so that no shard is taken for complete."""
    for pattern in ("[0-9]*.csv", "[0-9]*.npz"):
        for path in (folder / SHARDS).glob(pattern):
            path.unlink()
    tidy_shards(folder)


def tidy_shards(folder: Path) -> None:
    """Removes what killed workers left half-written."""
    for path in (folder / SHARDS).glob(".[0-9]*"):
        path.unlink(missing_ok=True)


def join_tables(folder: Path, shards: int) -> list[Row]:
    """Writes results.csv, the shards' rows in order."""
    rows = [row for number in range(shards) for row in _read_rows(rows_path(folder, number))]
    write_table(folder / TABLE, Row, rows)
    return rows


def _read_rows(table: Path) -> list[Row]:
    """A fold may have no name, so an empty field is a text here."""
    with table.open(newline="", encoding="utf-8") as lines:
        return TypeAdapter(list[Row]).validate_python(list(csv.DictReader(lines)))


def read_results(folder: Path) -> AttackResults:
    if not (folder / RECORD).is_file():
        raise MlError(f"There is no {RECORD} in {folder}; give the folder of a finished attack.")
    try:
        record = TypeAdapter(AttackRecord).validate_json((folder / RECORD).read_bytes())
        rows = _read_rows(folder / TABLE)
        shard_size = int(record.settings["shard_size"])
    except UNREADABLE as error:
        raise _damaged(folder, error) from None
    if len(rows) != record.figures.attacked:
        raise MlError(f"{folder} holds parts of different attacks; attack again.")
    return AttackResults(record, rows, folder, shard_size)


def _damaged(folder: Path, error: Exception) -> MlError:
    first_line = str(error).partition("\n")[0]
    return MlError(f"{folder} holds a damaged attack ({first_line}); attack again.")
