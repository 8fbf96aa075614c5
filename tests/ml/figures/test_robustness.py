from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from ml.evaluation import wilson
from ml.figures.robustness import draw_baselines, draw_defence, draw_natural, draw_transfer
from ml.figures.rows import BaselinePoint, DefencePoint, TransferPoint
from ml.figures.style import house_style
from ml.matched_energy import NaturalRow


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with house_style():
        yield


def of(successes: int) -> tuple[int, int, float, float, float]:
    return 20, successes, successes / 20, *wilson(successes, 20)


def natural(change: str, rmsd: float, successes: int) -> NaturalRow:
    n, count, rate, low, high = of(successes)
    return NaturalRow(
        change=change,
        level=1.0,
        n=n,
        successes=count,
        rate=rate,
        low=low,
        high=high,
        l1_mad=rmsd / 2,
        l2_rmsd=rmsd,
        linf=9.0,
        ssim=0.9,
    )


def defended(method: str, epsilon: float, successes: int, bits: str = "8") -> DefencePoint:
    robust = 0.8 * (1 - successes / 20)
    return DefencePoint(*of(successes), method, "linf", epsilon, bits, 0.8, 0.9, robust)


def data_of(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
        for line in axes.get_lines()
    }


def test_attacks_and_natural_changes_stand_on_one_axis_of_energy() -> None:
    rows = [
        natural("jpeg", 4.0, 5),
        natural("jpeg", 2.0, 1),
        natural("pgd_linf", 0.5, 20),
        natural("sensor_noise", 2.0, 2),
    ]
    (axes,) = draw_natural(rows).axes
    assert data_of(axes) == {
        "JPEG": [(2, 0.05), (4, 0.25)],
        "PGD L∞": [(0.5, 1)],
        "sensor noise": [(2, 0.1)],
    }
    attack, jpeg = axes.get_lines()[1], axes.get_lines()[0]
    assert attack.get_linewidth() > jpeg.get_linewidth()


def test_ten_natural_changes_are_told_apart() -> None:
    rows = [natural(f"change {i}", 1 + i, i) for i in range(10)]
    lines = draw_natural(rows).axes[0].get_lines()
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 10


def test_each_attack_has_a_dot_with_its_interval_in_the_panel_of_its_norm() -> None:
    rows = [
        BaselinePoint(*of(2), "random noise", "linf", 1.0),
        BaselinePoint(*of(15), "PGD", "linf", 1.0),
        BaselinePoint(*of(12), "PGD", "l2", 0.5),
    ]
    l2, linf = draw_baselines(rows).axes
    assert [label.get_text() for label in l2.get_yticklabels()] == ["random noise", "PGD"]
    dots = linf.containers[0]
    assert list(dots.lines[0].get_xdata()) == [0.1, 0.75]  # type: ignore[attr-defined]
    (whiskers,) = dots.lines[2]  # type: ignore[attr-defined]
    np.testing.assert_allclose(whiskers.get_segments()[1][:, 0], wilson(15, 20))
    assert list(l2.containers[0].lines[0].get_xdata()) == [0.6]  # type: ignore[attr-defined]


def test_a_network_that_was_trained_on_the_images_has_a_line_of_its_own() -> None:
    rows = [
        TransferPoint(*of(k), "linf", 2.0, "run-1-fold-2", seen)
        for k, seen in ((3, "no"), (9, "yes"))
    ]
    (axes,) = draw_transfer(rows).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["run-1-fold-2", "run-1-fold-2, trained on these"]


def test_the_defence_is_drawn_in_8_bits_with_clean_accuracy_at_0() -> None:
    rows = [
        defended("standard", 2.0, 20),
        defended("standard", 1.0, 10),
        defended("free", 1.0, 4),
        defended("standard", 0.5, 10, bits="float"),
    ]
    curves, accuracies, *rest = draw_defence(rows).axes
    drawn = data_of(curves)
    assert drawn["standard training"] == [(1, 0.5), (2, 1)]
    assert drawn["adversarial training for free"] == [(1, 0.2)]
    lines: list[Any] = list(accuracies.get_lines())
    standard, free = lines
    np.testing.assert_allclose(standard.get_xydata(), [(0.0, 0.8), (1.0, 0.4), (2.0, 0.0)])
    np.testing.assert_allclose(free.get_xydata(), [(0.0, 0.8), (1.0, 0.64)])
    assert not rest
