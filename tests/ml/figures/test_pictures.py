from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.evaluation import wilson
from ml.figures.pictures import (
    Example,
    around_grey,
    draw_examples,
    draw_saliency,
    draw_universal,
    verdict,
)
from ml.figures.rows import UniversalPoint
from ml.figures.style import house_style

GREY: NDArray[np.uint8] = np.full((8, 8, 3), 100, dtype=np.uint8)


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with house_style():
        yield


def shown(axes: object) -> NDArray[np.uint8]:
    return np.asarray(axes.get_images()[0].get_array())  # type: ignore[attr-defined]


def point(split: str, epsilon: float, successes: int, network: str = "a") -> UniversalPoint:
    bounds = wilson(successes, 10)
    return UniversalPoint(10, successes, successes / 10, *bounds, epsilon, split, network)


def test_no_change_is_mid_grey_and_changes_are_ten_times_as_strong() -> None:
    difference = np.array([[[0, 1, -1], [13, -13, 0]]], dtype=np.int16)
    expected = [[[128, 138, 118], [255, 0, 128]]]
    np.testing.assert_array_equal(around_grey(difference), expected)


@pytest.mark.parametrize(
    ("p_positive", "told"),
    [(0.98, "tumour, 98.0 %"), (0.5, "tumour, 50.0 %"), (0.04, "no tumour, 96.0 %"), (None, "")],
)
def test_a_verdict_tells_the_class_and_its_own_probability(
    p_positive: float | None, told: str
) -> None:
    assert verdict(p_positive) == told


def test_each_pair_stands_side_by_side_with_the_networks_verdicts() -> None:
    perturbed = GREY.copy()
    perturbed[0, 0, 0] = 98
    pairs = [Example(GREY, perturbed, p_original=0.9, p_perturbed=0.2)]
    left, right, *rest = draw_examples(pairs).axes
    np.testing.assert_array_equal(shown(left), GREY)
    np.testing.assert_array_equal(shown(right), perturbed)
    assert left.get_xlabel() == "tumour, 90.0 %"
    assert right.get_xlabel() == "no tumour, 80.0 %"
    assert right.get_title(loc="center") == "perturbed, at most 2 grey levels"
    assert all(not axes.get_images() for axes in rest)


def test_a_row_of_saliency_shows_the_perturbation_around_grey_and_both_maps() -> None:
    perturbed = (GREY + 2).astype(np.uint8)
    heat = np.arange(64.0).reshape(8, 8)
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:5, 2:5] = True
    example = Example(GREY, perturbed, mask=mask, maps={"gradient": (heat, -heat.T)})
    panels = draw_saliency([example], "gradient").axes
    assert (shown(panels[2]) == 148).all()
    np.testing.assert_array_equal(shown(panels[3]), heat)
    np.testing.assert_array_equal(shown(panels[4]), heat.T)
    assert [len(axes.collections) for axes in panels] == [0, 0, 0, 1, 1]


def test_a_map_of_zeros_without_known_nuclei_can_be_shown() -> None:
    nothing = np.zeros((8, 8))
    example = Example(GREY, GREY, mask=nothing.astype(bool), maps={"grad_cam": (nothing, nothing)})
    figure = draw_saliency([example], "grad_cam")
    assert figure.axes[3].get_title(loc="center") == "Grad-CAM, before"
    assert not figure.axes[3].collections


def test_the_universal_perturbation_is_shown_on_an_image_as_a_reader_would_see_it() -> None:
    perturbation = np.full((8, 8, 3), 4, dtype=np.int16)
    bright: NDArray[np.uint8] = np.full((8, 8, 3), 253, dtype=np.uint8)
    rows = [point("train", 1, 3), point("train", 4, 8), point("test", 1, 2), point("test", 4, 7)]
    axes, *pictures = draw_universal(rows, perturbation, bright).axes
    assert [int(shown(picture).max()) for picture in pictures] == [253, 255, 168]
    lines = {str(line.get_label()): line.get_xydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(lines["train images"], [(1, 0.3), (4, 0.8)])
    np.testing.assert_array_equal(lines["test images"], [(1, 0.2), (4, 0.7)])


def test_other_networks_are_lines_of_their_own_under_one_name() -> None:
    rows = [
        *(point("test", epsilon, 5) for epsilon in (1, 2)),
        *(point("transfer", epsilon, k, f"fold {k}") for epsilon in (1, 2) for k in (1, 2)),
    ]
    (axes,) = draw_universal(rows, None, None).axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["test images", "2 other networks"]
    np.testing.assert_array_equal(axes.get_lines()[2].get_xydata(), [(1, 0.2), (2, 0.2)])
