"""The tables of a cross-validation: Table 1a, predictions, ROC, calibration, confusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import (
    CalibrationBin,
    Metrics,
    expected_calibration_error,
    measure_predictions,
    reliability,
    roc_points,
)
from ml.steps import read_table, write_table


@dataclass(frozen=True)
class FoldRow:
    fold: int
    run: int
    accuracy: float
    auc: float


@dataclass(frozen=True)
class PredictionRow:
    """`source_fold` and `index` say where in the data set the patch lies."""

    run: int
    fold: int
    data_set: str
    source_fold: str | None
    index: int
    truth: int
    p_positive: float


@dataclass(frozen=True)
class RocRow:
    run: int
    fold: int
    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class ConfusionRow:
    run: int
    fold: int
    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int


@dataclass(frozen=True)
class _TrainingRow:
    """As a training writes its predictions.csv."""

    data_set: str
    fold: str | None
    index: int
    truth: int
    p_positive: float


@dataclass(frozen=True)
class Judged:
    """What the network of a fold says of the patches that were held out."""

    run: int
    fold: int
    rows: tuple[PredictionRow, ...]

    @property
    def metrics(self) -> Metrics:
        return measure_predictions(labels_of(self.rows), probabilities_of(self.rows))


def labels_of(rows: Sequence[PredictionRow]) -> NDArray[np.int64]:
    return np.array([row.truth for row in rows], dtype=np.int64)


def probabilities_of(rows: Sequence[PredictionRow]) -> NDArray[np.float64]:
    return np.array([row.p_positive for row in rows], dtype=np.float64)


def read_judged(folder: Path, run: int, fold: int) -> Judged:
    """From the folder of a fold's training."""
    rows = tuple(
        PredictionRow(run, fold, row.data_set, row.fold, row.index, row.truth, row.p_positive)
        for row in read_table(folder / "predictions.csv", _TrainingRow)
    )
    return Judged(run, fold, rows)


def write_tables(out: Path, judged: Sequence[Judged]) -> dict[str, Any]:
    """Five tables; gives the means and standard deviations (over n - 1) of the folds."""
    metrics = [j.metrics for j in judged]
    both = list(zip(judged, metrics, strict=True))
    rows = [row for j in judged for row in j.rows]
    curve = [
        RocRow(j.run, j.fold, p.false_positive_rate, p.true_positive_rate)
        for j in judged
        for p in roc_points(labels_of(j.rows), probabilities_of(j.rows))
    ]
    cells = [
        ConfusionRow(
            j.run, j.fold, m.true_positive, m.false_negative, m.true_negative, m.false_positive
        )
        for j, m in both
    ]
    bins = reliability(labels_of(rows), probabilities_of(rows))
    write_table(out / "predictions.csv", PredictionRow, rows)
    write_table(out / "roc.csv", RocRow, curve)
    write_table(out / "confusion.csv", ConfusionRow, cells)
    write_table(out / "calibration.csv", CalibrationBin, bins)
    table = [FoldRow(j.fold, j.run, m.accuracy, m.auc) for j, m in both]
    write_table(out / "table1a.csv", FoldRow, table)
    return {
        "n_folds": len(judged),
        **_mean_and_sd("auc", [m.auc for m in metrics]),
        **_mean_and_sd("accuracy", [m.accuracy for m in metrics]),
        "ece": _calibration_error_of_runs(rows),
    }


def _mean_and_sd(name: str, values: Sequence[float]) -> dict[str, float]:
    return {f"{name}_mean": float(np.mean(values)), f"{name}_sd": float(np.std(values, ddof=1))}


def _calibration_error_of_runs(rows: Sequence[PredictionRow]) -> list[float]:
    runs = [[row for row in rows if row.run == run] for run in sorted({row.run for row in rows})]
    return [
        expected_calibration_error(reliability(labels_of(run), probabilities_of(run)))
        for run in runs
    ]
