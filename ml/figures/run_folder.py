"""The folder of a run, of which any step may be missing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError
from ml.steps import read_table

Row = TypeVar("Row")
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class RunFolder:
    path: Path

    def has(self, *names: str) -> bool:
        return all((self.path / name).is_file() for name in names)

    def rows(self, name: str, kind: type[Row]) -> list[Row]:
        """No row where the step has not been run."""
        return read_table(self.path / name, kind) if self.has(name) else []

    def arrays(self, name: str) -> Arrays:
        if not self.has(name):
            return {}
        try:
            with np.load(self.path / name, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError) as error:
            raise _unreadable(self.path / name, error) from None

    def facts(self, name: str) -> dict[str, Any]:
        """Of a step's JSON file."""
        if not self.has(name):
            return {}
        try:
            facts = json.loads((self.path / name).read_text("utf-8"))
        except ValueError as error:
            raise _unreadable(self.path / name, error) from None
        return facts if isinstance(facts, dict) else {}


def _unreadable(path: Path, error: Exception) -> MlError:
    return MlError(f"{path} cannot be read ({error}); run its step again.")


def in_order(values: Sequence[Row]) -> list[Row]:
    """Each once, in the order in which it first appears."""
    return list(dict.fromkeys(values))
