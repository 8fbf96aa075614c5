from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ml.evaluation import (
    expected_calibration_error,
    measure_predictions,
    p_positive,
    predicted_class,
    reliability,
    roc_points,
    wilson,
)


def draw_predictions(n: int = 400, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, and probabilities that tell something of them, with ties."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, n)
    probabilities = 1 / (1 + np.exp(-chance.normal(2 * labels - 1, 1.5)))
    return labels, probabilities.round(2)


def test_a_probability_of_exactly_one_half_is_tumour() -> None:
    probabilities = np.array([0.0, 0.49999, 0.5, 1.0])
    assert predicted_class(probabilities).tolist() == [0, 0, 1, 1]


def test_metrics_agree_with_counting_by_hand() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    metrics = measure_predictions(labels, np.array([0.9, 0.6, 0.2, 0.4, 0.7]))
    pairs_in_order = {0.9: 2, 0.6: 1, 0.2: 0}
    assert metrics.auc == sum(pairs_in_order.values()) / 6
    assert metrics.accuracy == 3 / 5
    assert (metrics.true_positive, metrics.false_negative) == (2, 1)
    assert (metrics.true_negative, metrics.false_positive) == (1, 1)
    assert metrics.n == 5


def test_a_probability_is_the_sigmoid_of_a_linear_network_for_bytes_and_for_floats(
    make_linear_case: Callable[..., Any],
) -> None:
    case = make_linear_case(2.0)
    images = case.image.repeat(33, 1, 1, 1)
    logit = float((case.image.double() / 255 * case.network.weight.double()).sum())
    expected = 1 / (1 + np.exp(-(logit + case.network.bias)))
    for grey_levels in (images, images.float(), images.double()):
        probabilities = p_positive(case.network, grey_levels)
        assert probabilities.shape == (33,)
        assert probabilities == pytest.approx(expected, abs=1e-5)
    between = p_positive(case.network, images.float() + 0.4 * torch.sign(case.network.weight))
    assert (between > expected + 1e-3).all()


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 10), (10, 10), (250, 1000)])
def test_wilson_intervals_are_the_roots_of_their_quadratic(successes: int, n: int) -> None:
    """Wilson 1927: the proportions p with (share - p)^2 = z^2 p (1 - p) / n."""
    z, share = 1.959963984540054, successes / n
    roots = np.roots([1 + z**2 / n, -(2 * share + z**2 / n), share**2])
    assert wilson(successes, n) == pytest.approx(sorted(roots.tolist()), abs=1e-9)


def test_nothing_tried_tells_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_roc_points_are_the_rates_at_every_threshold_that_bends_the_curve() -> None:
    labels, probabilities = draw_predictions()
    thresholds = np.unique(probabilities)
    counted = {
        (
            float((probabilities[labels == 0] >= threshold).mean()),
            float((probabilities[labels == 1] >= threshold).mean()),
        )
        for threshold in thresholds
    }
    points = [
        (p.false_positive_rate, p.true_positive_rate) for p in roc_points(labels, probabilities)
    ]
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert set(points[1:]) <= counted
    assert points == sorted(points)


def test_the_area_below_the_roc_points_is_the_share_of_pairs_in_the_right_order() -> None:
    labels, probabilities = draw_predictions()
    positive, negative = probabilities[labels == 1, None], probabilities[None, labels == 0]
    share = ((positive > negative) + 0.5 * (positive == negative)).mean()
    points = roc_points(labels, probabilities)
    area = np.trapezoid(
        [p.true_positive_rate for p in points], [p.false_positive_rate for p in points]
    )
    assert area == pytest.approx(share, abs=1e-12)
    assert measure_predictions(labels, probabilities).auc == pytest.approx(share, abs=1e-12)


def test_calibration_bins_agree_with_counting_patch_by_patch() -> None:
    labels, probabilities = draw_predictions(seed=1)
    bins = reliability(labels, probabilities)
    assert [(b.bin, b.low, b.high) for b in bins] == [
        (i + 1, i / 10, (i + 1) / 10) for i in range(10)
    ]
    assert sum(b.n for b in bins) == len(labels)
    for b in bins:
        members = [
            (p, label)
            for p, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
            if b.low < p <= b.high or (p == 0 and b.bin == 1)
        ]
        assert b.n == len(members) > 0
        assert b.mean_p == pytest.approx(sum(p for p, _ in members) / b.n)
        assert b.share_positive == sum(label for _, label in members) / b.n


def test_the_ends_of_the_scale_have_bins_and_an_empty_bin_has_no_means() -> None:
    bins = reliability(np.array([0, 1, 1]), np.array([0.0, 0.1, 1.0]))
    assert [b.n for b in bins] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert bins[4].mean_p is None
    assert bins[4].share_positive is None


def test_the_calibration_error_agrees_with_a_calculation_by_hand() -> None:
    """Bin 1: 3 patches, mean 0.08, none a tumour; bin 9: 1 patch of 0.85, a tumour."""
    bins = reliability(np.array([0, 0, 0, 1]), np.array([0.06, 0.08, 0.10, 0.85]))
    assert expected_calibration_error(bins) == pytest.approx((3 * 0.08 + 1 * 0.15) / 4)


def test_probabilities_that_come_true_have_a_small_calibration_error() -> None:
    chance = np.random.default_rng(0)
    probabilities = chance.random(20_000)
    labels = (chance.random(20_000) < probabilities).astype(np.int64)
    assert expected_calibration_error(reliability(labels, probabilities)) < 0.02
    too_sure = np.clip(3 * probabilities - 1, 0, 1)
    assert expected_calibration_error(reliability(labels, too_sure)) > 0.1
