import itertools

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test, wilcoxon

from ml.explain.paired import paired_test


def draw(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    before = chance.uniform(size=n)
    return before, before + chance.normal(shift, 0.1, n)


@pytest.mark.parametrize(("n", "shift"), [(8, 0.05), (30, -0.03), (80, 0.0)])
def test_the_wilcoxon_p_value_and_the_means_are_those_of_scipy_and_numpy(
    n: int, shift: float
) -> None:
    before, after = draw(n, shift)
    found = paired_test(before, after, seed=0)
    assert found is not None
    assert found.n == n
    assert found.wilcoxon_p == pytest.approx(wilcoxon(after, before).pvalue)
    assert found.mean_before == pytest.approx(np.mean(before))
    assert found.mean_after == pytest.approx(np.mean(after))
    assert found.mean_difference == pytest.approx(np.mean(after) - np.mean(before))


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_the_sign_flip_p_value_is_near_that_of_all_flips(shift: float) -> None:
    before, after = draw(10, shift)
    difference = after - before
    flips = np.array(list(itertools.product([-1, 1], repeat=10)))
    exact = np.mean(np.abs(flips @ difference) >= abs(difference.sum()) - 1e-12)
    found = paired_test(before, after, seed=0)
    assert found is not None
    assert found.permutation_p == pytest.approx(exact, abs=0.015)


def test_the_sign_flip_p_value_is_near_that_of_scipy() -> None:
    before, after = draw(40, 0.03)
    theirs = permutation_test(
        (after, before),
        lambda x, y: np.mean(x) - np.mean(y),
        permutation_type="samples",
        n_resamples=4000,
        rng=np.random.default_rng(1),
    )
    found = paired_test(before, after, seed=0)
    assert found is not None
    assert found.permutation_p == pytest.approx(theirs.pvalue, abs=0.03)


def test_the_interval_is_near_that_of_scipy() -> None:
    before, after = draw(40, 0.05)
    theirs = bootstrap(
        (after - before,), np.mean, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = paired_test(before, after, seed=0)
    assert found is not None
    assert found.low == pytest.approx(theirs.low, abs=0.003)
    assert found.high == pytest.approx(theirs.high, abs=0.003)


def test_where_nothing_differs_both_p_values_are_1() -> None:
    same = np.array([0.2, 0.5, 0.4])
    found = paired_test(same, same, seed=0)
    assert found is not None
    assert found.wilcoxon_p == found.permutation_p == 1
    assert found.low == found.high == found.mean_difference == 0


def test_the_p_value_of_one_flip_in_two_is_told_for_two_cases() -> None:
    found = paired_test(np.zeros(2), np.array([0.3, 0.3]), seed=0)
    assert found is not None
    assert found.permutation_p == pytest.approx(0.5, abs=0.02)


def test_the_same_seed_gives_the_same_test_and_another_seed_another() -> None:
    before, after = draw(20, 0.05)
    assert paired_test(before, after, seed=3) == paired_test(before, after, seed=3)
    assert paired_test(before, after, seed=3) != paired_test(before, after, seed=4)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_cases_are_no_test(n: int) -> None:
    assert paired_test(np.zeros(n), np.ones(n), seed=0) is None
