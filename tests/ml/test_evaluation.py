from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ml.evaluation import measure_predictions, p_positive, predicted_class, wilson


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
