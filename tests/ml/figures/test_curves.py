from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from ml.evaluation import wilson
from ml.figures.curves import draw_curves, draw_minimal
from ml.figures.rows import CurvePoint, MinimalEpsilon
from ml.figures.style import house_style


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with house_style():
        yield


def point(
    norm: str, epsilon: float, successes: int, *, method: str = "minimal", bits: str = "8"
) -> CurvePoint:
    low, high = wilson(successes, 20)
    return CurvePoint(20, successes, successes / 20, low, high, norm, epsilon, method, bits)


def lines_of(axes: Axes) -> dict[str, Any]:
    return {str(line.get_label()): line for line in axes.get_lines()}


def test_the_curve_of_each_norm_goes_through_the_rows_of_its_table() -> None:
    rows = [
        *(point("l2", epsilon, k) for epsilon, k in ((0.1, 2), (1.0, 11), (3.0, 20))),
        *(point("linf", epsilon, k, bits="float") for epsilon, k in ((0.25, 5), (0.5, 9))),
    ]
    l2, linf = draw_curves(rows).axes
    line = lines_of(l2)["8-bit images"]
    np.testing.assert_array_equal(line.get_xydata(), [(0.1, 0.1), (1.0, 0.55), (3.0, 1.0)])
    dashed = lines_of(linf)["in float, before rounding"]
    np.testing.assert_array_equal(dashed.get_xydata(), [(0.25, 0.25), (0.5, 0.45)])
    assert dashed.get_linestyle() == "--"


def test_the_band_is_the_interval_of_the_table() -> None:
    rows = [point("l2", epsilon, k) for epsilon, k in ((0.1, 2), (1.0, 11))]
    (axes,) = draw_curves(rows).axes
    vertices: Any = axes.collections[0].get_paths()[0].vertices
    corners = {tuple(corner) for corner in vertices}
    assert {(row.epsilon, bound) for row in rows for bound in (row.low, row.high)} <= corners


def test_rows_in_any_order_give_a_curve_from_left_to_right() -> None:
    rows = [point("l1", epsilon, k) for epsilon, k in ((1.0, 9), (0.1, 2), (0.5, 5))]
    (axes,) = draw_curves(rows).axes
    assert list(lines_of(axes)["8-bit images"].get_xdata()) == [0.1, 0.5, 1.0]


def test_the_check_by_pgd_is_points_without_a_line() -> None:
    rows = [point("l2", 0.5, 4), point("l2", 0.5, 6, method="pgd")]
    (axes,) = draw_curves(rows).axes
    checks = lines_of(axes)["PGD check, 8-bit"]
    np.testing.assert_array_equal(checks.get_xydata(), [(0.5, 0.3)])
    assert checks.get_linestyle() == "None"


@pytest.mark.parametrize(
    ("epsilons", "scale"), [((0.1, 0.3, 1.0), "log"), ((1.0, 2.0, 4.0), "linear")]
)
def test_the_axis_is_logarithmic_only_where_it_spans_a_decade(
    epsilons: tuple[float, ...], scale: str
) -> None:
    (axes,) = draw_curves([point("l2", epsilon, 3) for epsilon in epsilons]).axes
    assert axes.get_xscale() == scale


def test_where_8_bits_allow_no_change_is_marked_up_to_1_grey_level_of_linf_only() -> None:
    rows = [point(norm, epsilon, 3) for norm in ("l2", "linf") for epsilon in (0.5, 4.0)]
    l2, linf = draw_curves(rows).axes
    assert [patch.get_label() for patch in l2.patches] == []
    (marked,) = linf.patches
    assert marked.get_label() == "8 bits allow no change"
    assert marked.get_path().get_extents(marked.get_patch_transform()).x1 == 1


def test_without_budgets_below_1_nothing_is_marked() -> None:
    (axes,) = draw_curves([point("linf", epsilon, 3) for epsilon in (2.0, 4.0)]).axes
    assert not axes.patches


def test_the_histogram_counts_every_image_that_was_found_and_tells_of_the_others() -> None:
    found = [1.0, 1.0, 2.0, 3.0, 3.0, float("inf")]
    rows = [MinimalEpsilon(str(i), "linf", size / 2, size) for i, size in enumerate(found)]
    (axes,) = draw_minimal(rows).axes
    assert sum(bar.get_height() for bar in axes.patches if hasattr(bar, "get_height")) == 5
    (told,) = axes.texts
    assert told.get_text() == "median 2.5\n1 of 6 not found"


def test_where_no_perturbation_was_found_that_is_told() -> None:
    rows = [MinimalEpsilon(str(i), "l2", float("inf"), float("inf")) for i in range(3)]
    (axes,) = draw_minimal(rows).axes
    assert axes.texts[0].get_text() == "median not found\n3 of 3 not found"
