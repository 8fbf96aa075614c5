from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ml.figures.explanations import (
    draw_embedding,
    draw_landscape,
    draw_shares,
    grid_of,
    mean_shares,
    neighbour_shares,
)
from ml.figures.rows import EmbeddingPoint, LandscapePoint, SaliencyShare, TrajectoryPoint
from ml.figures.style import house_style

GROUPS = ("true_positive", "true_negative", "adversarial_positive", "adversarial_negative")


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with house_style():
        yield


def embedded(group: str, x: float, y: float, step: int | None = None) -> EmbeddingPoint:
    return EmbeddingPoint("case", group, x, y, step, None if step is not None else 0.5)


def test_each_group_has_its_points_and_a_look_of_its_own() -> None:
    rows = [embedded(group, i, 2 * i) for i, group in enumerate(GROUPS)]
    lines: list[Any] = list(draw_embedding(rows).axes[0].get_lines())
    assert [tuple(line.get_xydata()[0]) for line in lines] == [(i, 2 * i) for i in range(4)]
    assert len({line.get_marker() for line in lines}) == 4


def test_the_track_goes_from_step_to_step_whatever_the_order_of_the_table() -> None:
    rows = [embedded("track", x, 0, step) for step, x in ((2, 9.0), (0, 1.0), (1, 4.0))]
    axes = draw_embedding(rows).axes[0]
    track: Any = axes.get_lines()[-1]
    assert list(track.get_xdata()) == [1, 4, 9]
    assert track.get_label() == "one image's track (2 steps)"
    assert [text.get_text() for text in axes.texts] == ["start", "end"]


def test_the_neighbour_share_of_a_group_is_the_mean_of_its_images() -> None:
    rows = [
        EmbeddingPoint("a", "true_positive", 0, 0, None, 0.5),
        EmbeddingPoint("b", "true_positive", 0, 0, None, 1.0),
        EmbeddingPoint("c", "track", 0, 0, 1, None),
    ]
    assert neighbour_shares(rows) == {"true_positive": 0.75}


def test_the_surface_is_the_table_whatever_its_order() -> None:
    rows = [LandscapePoint(x, y, 10 * x + y) for x in (2, 0, 1) for y in (5, 4)]
    x, y, loss = grid_of(rows)
    assert list(x) == [0, 1, 2]
    assert list(y) == [4, 5]
    np.testing.assert_array_equal(loss, [[4, 14, 24], [5, 15, 25]])


@pytest.mark.parametrize("steep", [0.01, 100.0])
def test_the_training_is_drawn_on_the_loss_surface(steep: float) -> None:
    rows = [
        LandscapePoint(x, y, 1 + steep * (x * x + y * y)) for x in (-1, 0, 1) for y in (-1, 0, 1)
    ]
    way = [TrajectoryPoint(x, x, 1, epoch) for epoch, x in ((1, 0.5), (0, 0.9), (2, 0.1))]
    axes = draw_landscape(rows, way).axes[0]
    trajectory: Any = axes.get_lines()[0]
    assert list(trajectory.get_xdata()) == [0.9, 0.5, 0.1]
    assert [text.get_text() for text in axes.texts] == ["epoch 0", "epoch 2"]


def test_a_surface_that_is_flat_or_partly_unknown_can_be_drawn() -> None:
    rows = [LandscapePoint(x, y, 2.0) for x in (0, 1, 2) for y in (0, 1, 2)]
    rows[0] = LandscapePoint(0, 0, float("nan"))
    assert len(draw_landscape(rows, []).axes) == 2


def test_shares_of_saliency_are_paired_and_their_mean_is_drawn() -> None:
    rows = [
        SaliencyShare("a", 1, "gradient", 0.6, 0.2, 0.3),
        SaliencyShare("b", 1, "gradient", 0.4, 0.2, 0.1),
        SaliencyShare("c", 1, "gradient", None, 0.9, 0.1),
    ]
    (axes,) = draw_shares(rows).axes
    lines: list[Any] = list(axes.get_lines())
    first, second, mean, chance = lines
    assert list(first.get_ydata()) == [0.6, 0.2]
    assert list(second.get_ydata()) == [0.4, 0.2]
    assert list(mean.get_ydata()) == [0.5, 0.2]
    assert list(chance.get_ydata()) == pytest.approx([0.5 / 3, 0.5 / 3])
    assert mean_shares(rows) == [("gradient", 0.5, 0.2)]
