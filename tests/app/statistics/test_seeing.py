"""d' and psychometric functions: models hold together, and thresholds are found again."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.analysis.statistics import CannotSay
from app.analysis.statistics.detection import (
    choice,
    said_different,
    same_different,
    share_of,
    similarity_p,
)
from app.analysis.statistics.psychometric import (
    Data,
    Level,
    Threshold,
    fine_grid,
    fit,
    prepare,
    threshold,
    thresholds_of_resamples,
)

EPSILONS = (1.0, 2.0, 4.0, 8.0, 16.0)


@settings(deadline=None)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_d_prime_of_a_choice_goes_with_its_share(counted: tuple[int, int]) -> None:
    right, n = counted
    found, mirrored = choice(right, n), choice(n - right, n)

    assert found.share.low <= found.share.estimate <= found.share.high
    assert found.d_prime.low <= found.d_prime.estimate <= found.d_prime.high
    assert found.d_prime.estimate == pytest.approx(-mirrored.d_prime.estimate)
    assert 0 <= similarity_p(right, n, 1.0) <= similarity_p(right, n, 0.5) <= 1


@given(st.floats(0.05, 4), st.floats(0.3, 3))
def test_same_different_finds_the_d_prime_that_made_the_answers(
    d_prime: float, criterion: float
) -> None:
    hit, false_alarm = said_different(d_prime, criterion), said_different(0.0, criterion)

    assert same_different(hit, false_alarm).differencing == pytest.approx(d_prime, abs=1e-6)


def test_more_false_alarms_than_hits_is_no_sensitivity() -> None:
    assert same_different(0.2, 0.3) == (0.0, 0.0)


def threshold_of(levels: list[Level]) -> Threshold:
    data = prepare(levels, guess_is_half=True)
    return threshold(data, fine_grid(data))


def levels_of_choice(at: float, slope: float, n: int, rng: np.random.Generator) -> list[Level]:
    return [
        Level(each, int(rng.binomial(n, share_of((each / at) ** slope))), n) for each in EPSILONS
    ]


def test_the_threshold_of_exact_shares_is_found() -> None:
    levels = [Level(e, round(10_000 * share_of((e / 5) ** 1.5)), 10_000) for e in EPSILONS]
    data = prepare(levels, guess_is_half=True)
    over = fine_grid(data)
    found = fit(data, over)

    assert found.threshold == pytest.approx(5, rel=0.01)
    assert found.slope == pytest.approx(1.5, rel=0.02)
    assert found.guess == 0.5
    low, high = threshold(data, over)[1:]
    assert low < 5 < high
    assert high / low < 1.1


def test_the_threshold_of_same_different_is_found_with_its_guess_rate() -> None:
    criterion = 1.4
    levels = [Level(0.0, round(20_000 * said_different(0, criterion)), 20_000)] + [
        Level(e, round(20_000 * said_different((e / 5) ** 1.2, criterion)), 20_000)
        for e in EPSILONS
    ]
    data = prepare(levels, guess_is_half=False)
    found = fit(data, fine_grid(data))

    assert found.threshold == pytest.approx(5, rel=0.02)
    assert found.guess == pytest.approx(said_different(0, criterion), abs=0.01)


def test_limits_of_the_threshold_hold_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(30):
        low, high = threshold_of(levels_of_choice(5, 1.5, 60, rng))[1:]
        covered.append(low <= 5 <= high)

    assert np.mean(covered) > 0.8


def test_who_sees_nothing_has_only_a_lower_limit() -> None:
    found = threshold_of([Level(e, 30, 60) for e in EPSILONS])

    assert math.isinf(found.estimate)
    assert math.isinf(found.high)
    assert 1 < found.low < 160


def test_who_sees_everything_has_only_an_upper_limit() -> None:
    found = threshold_of([Level(e, 60, 60) for e in EPSILONS])

    assert (found.estimate, found.low) == (0.0, 0.0)
    assert 0 < found.high < 4


def test_resamples_of_the_same_counts_give_the_same_threshold() -> None:
    levels = levels_of_choice(5, 1.5, 400, np.random.default_rng(12))
    data = prepare(levels, guess_is_half=True)
    best = fit(data, fine_grid(data))
    three = np.array([3, 1, 2])[:, None]
    found = thresholds_of_resamples(data, three * data.counted, three * data.n)

    assert found == pytest.approx(best.threshold, rel=0.03)


@pytest.mark.parametrize(("share", "end"), [(0.5, math.inf), (1.0, 0.0)])
def test_chance_and_certainty_are_at_the_ends_for_resamples_too(share: float, end: float) -> None:
    data: Data = prepare([Level(e, int(60 * share), 60) for e in EPSILONS], guess_is_half=True)

    assert thresholds_of_resamples(data, data.counted[None], data.n[None]).tolist() == [end]


def test_two_epsilons_are_too_few_for_a_function() -> None:
    with pytest.raises(CannotSay, match="three epsilons"):
        prepare([Level(1, 5, 10), Level(2, 9, 10)], guess_is_half=True)
    with pytest.raises(CannotSay, match="guess rate"):
        prepare([Level(e, 5, 10) for e in EPSILONS], guess_is_half=False)
