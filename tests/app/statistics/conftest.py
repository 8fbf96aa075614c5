"""The oracles of the statistics, if the file is there, and the study of made-up rows in it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Oracles = Mapping[str, Any]


@pytest.fixture(scope="session")
def oracle_file(shared: Path) -> Oracles:
    file = shared / "oracles/stats_oracles.json"
    if not file.is_file():
        pytest.skip(f"{file} is not here; set PLAINSIGHT_SHARED.")
    loaded: Oracles = json.loads(file.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def oracles(oracle_file: Oracles) -> Oracles:
    return {entry["name"]: entry for entry in oracle_file["oracles"]}


@pytest.fixture(scope="session")
def demo(oracle_file: Oracles) -> list[dict[str, Any]]:
    """The rows of the synthetic study in the oracle file."""
    columns = oracle_file["demo_study"]["columns"]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.fixture(scope="session")
def demo_array(demo: list[dict[str, Any]]) -> Callable[..., NDArray[np.float64]]:
    """`demo_array("label", sets=(1,), truth=1)` is [arm, reader, case], averaged over sets."""

    def build(
        column: str, *, sets: tuple[int, ...] = (1,), truth: int | None = None
    ) -> NDArray[np.float64]:
        rows = [row for row in demo if truth is None or row["truth"] == truth]
        values = {
            (row["condition"], row["reader_id"], row["image_id"], row["set"]): row[column]
            for row in rows
        }
        readers = sorted({row["reader_id"] for row in rows})
        cases = sorted({row["image_id"] for row in rows})
        return np.array(
            [
                [
                    [np.mean([values[arm, reader, case, each] for each in sets]) for case in cases]
                    for reader in readers
                ]
                for arm in ("original", "perturbed")
            ]
        )

    return build


@pytest.fixture(scope="session")
def demo_truths(demo: list[dict[str, Any]]) -> list[int]:
    """In the order of the cases of `demo_array`."""
    truths = {row["image_id"]: row["truth"] for row in demo}
    return [truths[case] for case in sorted(truths)]
