"""The primary test and its limits: what they do not depend on, and how often they are right."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from app.analysis.statistics import CannotSay
from app.analysis.statistics.flips import (
    Unit,
    exact_test,
    exact_test_within_sets,
    excess_bound,
    mean_rates,
    rates,
    worst_case,
)

labels = st.integers(0, 1)


@st.composite
def studies(draw: st.DrawFn) -> list[Unit]:
    copies = draw(st.integers(2, 4))
    of_arm = st.tuples(*[labels] * copies)
    return [
        Unit(str(case), reader, draw(of_arm), draw(of_arm))
        for case in range(draw(st.integers(2, 8)))
        for reader in ("R1", "R2")
    ]


def exchanged(unit: Unit) -> Unit:
    return Unit(unit.case, unit.reader, unit.perturbed, unit.original)


def opposite(unit: Unit) -> Unit:
    original, perturbed = (
        tuple(1 - label for label in arm) for arm in (unit.original, unit.perturbed)
    )
    return Unit(unit.case, unit.reader, original, perturbed)


@settings(deadline=None)
@given(studies())
def test_which_arm_and_which_answer_is_called_what_changes_nothing(units: list[Unit]) -> None:
    found = mean_rates(units)
    for change in (exchanged, opposite):
        changed = [change(unit) for unit in units]
        assert mean_rates(changed).excess == pytest.approx(found.excess)
        assert mean_rates(changed).d_op == pytest.approx(found.d_op)
        assert exact_test(changed) == pytest.approx(exact_test(units))
        assert exact_test_within_sets(changed) == pytest.approx(exact_test_within_sets(units))
        assert excess_bound(changed) == pytest.approx(excess_bound(units))


@settings(deadline=None)
@given(studies())
def test_rates_are_shares_and_limits_enclose_the_excess(units: list[Unit]) -> None:
    found, bound = mean_rates(units), excess_bound(units)

    assert all(0 <= each <= 1 for each in found[:3])
    assert -0.5 <= found.excess <= 1
    assert bound.low <= bound.estimate <= bound.high
    for test in (exact_test(units), exact_test_within_sets(units)):
        assert 0 <= test.K <= test.M <= len(units)
        assert 0 < test.p <= 1


@settings(deadline=None)
@given(studies())
def test_of_two_copies_the_exact_test_is_a_binomial_test(units: list[Unit]) -> None:
    if units[0].copies != 2:
        return
    k, m, p = exact_test(units)

    assert m == sum(unit.x + unit.y == 2 for unit in units)
    expected = stats.binomtest(k, m, 1 / 3, alternative="greater").pvalue if m else 1.0
    assert p == pytest.approx(float(expected))


def test_of_three_copies_the_exact_test_is_that_of_all_orders() -> None:
    units = [
        Unit("a", "R", (1, 1, 1), (0, 0, 0)),
        Unit("b", "R", (1, 0, 1), (0, 1, 0)),
        Unit("c", "R", (1, 1, 0), (1, 1, 1)),
    ]
    observed = mean_rates(units).excess
    counts = [
        [sum(chosen) for chosen in product((0, 1), repeat=6) if sum(chosen) == unit.x + unit.y]
        and [
            sum(chosen[:3])
            for chosen in product((0, 1), repeat=6)
            if sum(chosen) == unit.x + unit.y
        ]
        for unit in units
    ]
    hits = [
        np.mean(
            [
                rates(made(x, unit.x + unit.y - x)).excess
                for x, unit in zip(chosen, units, strict=True)
            ]
        )
        >= observed - 1e-12
        for chosen in product(*counts)
    ]

    assert exact_test(units).p == pytest.approx(np.mean(hits))


def made(x: int, y: int) -> Unit:
    return Unit("", "", (1,) * x + (0,) * (3 - x), (1,) * y + (0,) * (3 - y))


def test_without_any_flip_the_limit_is_that_of_an_event_never_seen() -> None:
    units = [Unit(str(case), "R", (1, 1), (1, 1)) for case in range(20)]

    assert excess_bound(units).high == pytest.approx(1 - 0.05 ** (1 / 20))
    assert exact_test(units) == (0, 0, 1.0)


def test_one_showing_has_no_noise_to_compare_with() -> None:
    with pytest.raises(CannotSay, match="shown once"):
        mean_rates([Unit("a", "R", (1,), (0,))])
    with pytest.raises(CannotSay, match="No reader"):
        exact_test([])


def test_what_is_missing_is_filled_in_for_most_excess() -> None:
    assert worst_case([1, None], [None, None]) == ((1, 1), (0, 0))
    assert worst_case([0, None], [1, 1]) == ((0, 0), (1, 1))


# Simulations, with fixed seeds.


def study(p: NDArray[np.float64], q: NDArray[np.float64], rng: np.random.Generator) -> list[Unit]:
    """Two copies; p[case, reader] is the probability of tumour of the original, q of the other."""
    original = rng.random((*p.shape, 2)) < p[..., None]
    perturbed = rng.random((*q.shape, 2)) < q[..., None]
    return [
        Unit(str(case), str(reader), pair(original[case, reader]), pair(perturbed[case, reader]))
        for case in range(p.shape[0])
        for reader in range(p.shape[1])
    ]


def pair(said: Sequence[bool]) -> tuple[int, ...]:
    return tuple(int(each) for each in said)


def probabilities(cases: int, readers: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Some cases are plain, some are not."""
    logits = rng.normal(1, 2, (cases, 1)) + rng.normal(0, 0.5, (1, readers))
    found: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return found


def test_where_nothing_changes_the_exact_tests_reject_seldom_enough() -> None:
    rng = np.random.default_rng(5)
    p = probabilities(40, 3, rng)
    found = []
    for _ in range(600):
        units = study(p, p, rng)
        found.append((exact_test(units).p <= 0.05, exact_test_within_sets(units).p <= 0.05))

    assert (np.mean(found, axis=0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)).all()


def test_drift_between_sets_deceives_only_the_test_that_ignores_sets() -> None:
    """All learn: in set 2 they say tumour more often of both images."""
    rng = np.random.default_rng(6)
    rejected = []
    for _ in range(300):
        first = rng.random((60, 2)) < 0.2
        second = rng.random((60, 2)) < 0.9
        units = [
            Unit(str(case), "R", pair([a[0], b[0]]), pair([a[1], b[1]]))
            for case, (a, b) in enumerate(zip(first, second, strict=True))
        ]
        rejected.append(exact_test_within_sets(units).p <= 0.05)

    assert np.mean(rejected) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(("cases", "least"), [(20, 0.86), (60, 0.90)])
def test_the_upper_limit_holds_about_as_often_as_it_says(cases: int, least: float) -> None:
    rng = np.random.default_rng(7)
    p = probabilities(cases, 3, rng)
    q = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + rng.normal(0, 1, (cases, 1)))))
    true = float(np.mean((p - q) ** 2))
    covered = [excess_bound(study(p, q, rng)).high >= true for _ in range(400)]

    assert least < np.mean(covered)


def test_the_excess_is_without_bias_the_mean_squared_change_of_probability() -> None:
    rng = np.random.default_rng(8)
    p, q = probabilities(50, 2, rng), probabilities(50, 2, rng)
    found = [mean_rates(study(p, q, rng)).excess for _ in range(300)]
    error = float(np.std(found)) / np.sqrt(300)

    assert abs(np.mean(found) - np.mean((p - q) ** 2)) < 4 * error


def test_a_random_change_of_labels_is_found() -> None:
    rng = np.random.default_rng(9)
    p = probabilities(60, 3, rng)
    q = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + rng.normal(0, 2.5, (60, 1)))))
    rejected = [exact_test(study(p, q, rng)).p <= 0.05 for _ in range(100)]

    assert np.mean(rejected) > 0.7
