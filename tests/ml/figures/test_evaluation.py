from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ml.evaluation import CalibrationBin, wilson
from ml.figures.evaluation import draw_calibration, draw_roc, draw_table1a, mean_and_sd
from ml.figures.rows import FoldScore, RocPoint
from ml.figures.style import house_style


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with house_style():
        yield


def test_the_standard_deviation_is_that_of_a_sample() -> None:
    scores = mean_and_sd([0.9, 0.94, 0.98])
    assert scores.mean == pytest.approx(0.94)
    assert scores.sd == pytest.approx(0.04)
    assert mean_and_sd([0.9]).sd == 0


def test_every_fold_is_a_point_beside_the_mean_and_the_papers() -> None:
    rows = [FoldScore(fold, 1, 0.8 + fold / 100, 0.9 + fold / 100) for fold in (1, 2, 3)]
    accuracy, auc = draw_table1a(rows).axes
    means: list[Any] = list(auc.containers)
    points: list[Any] = [auc.get_lines()[0], *(bar.lines[0] for bar in means)]
    folds, ours, papers = (list(line.get_xdata()) for line in points)
    assert folds == [0.91, 0.92, 0.93]
    assert ours == pytest.approx([0.92])
    assert papers == [0.96]
    labels = [label.get_text() for label in accuracy.get_yticklabels()]
    assert labels[1:] == ["this run: 0.820 (SD 0.010)", "the paper: 0.890 (SD 0.014)"]


def test_the_mean_roc_curve_lies_between_those_of_the_folds() -> None:
    def fold(number: int, height: float) -> list[RocPoint]:
        curve = ((0.0, 0.0), (0.1, height), (1.0, 1.0))
        return [RocPoint(1, number, x, y) for x, y in curve]

    figure = draw_roc([*fold(1, 0.6), *fold(2, 0.8)], [])
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    mean = lines["mean"]
    x, y = np.asarray(mean.get_xdata()), np.asarray(mean.get_ydata())
    assert y[np.argmin(abs(x - 0.1))] == pytest.approx(0.7)
    np.testing.assert_array_equal(lines["2 folds"].get_xydata(), [(0, 0), (0.1, 0.6), (1, 1)])


def test_an_empty_bin_of_the_reliability_diagram_is_left_out() -> None:
    bins = [
        CalibrationBin(0, 0.0, 0.5, 20, 0.2, 0.25),
        CalibrationBin(1, 0.5, 0.6, 0, None, None),
        CalibrationBin(2, 0.6, 1.0, 10, 0.9, 0.8),
    ]
    axes, counts = draw_calibration(bins).axes
    line = axes.containers[0].lines[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(line.get_xydata(), [(0.2, 0.25), (0.9, 0.8)])
    (whiskers,) = axes.containers[0].lines[2]  # type: ignore[attr-defined]
    np.testing.assert_allclose(whiskers.get_segments()[0][:, 1], wilson(5, 20))
    assert [bar.get_height() for bar in counts.patches] == [20, 0, 10]  # type: ignore[attr-defined]
