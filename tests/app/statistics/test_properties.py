"""What holds of every table: symmetries, bounds, and that two ways to a number meet."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from app.analysis.statistics import CannotSay, CaseCounts, Interval, PairedTable
from app.analysis.statistics.agreement import (
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    mean_agreement,
    pabak,
    percent_agreement,
    ratings_of,
    scott_pi,
)
from app.analysis.statistics.clustered import CLUSTERED_TESTS, cluster_error, columns
from app.analysis.statistics.equivalence import Verdict, tost, verdict
from app.analysis.statistics.mrmc import case_covariance, components, fixed_readers, random_readers
from app.analysis.statistics.paired import (
    bonett_price_difference,
    mcnemar,
    newcombe_difference,
)
from app.analysis.statistics.planning import (
    choice_power,
    mid_p_power,
    pairs_without_flip,
    similarity_power,
    tost_power,
    units_for_flips,
)
from app.analysis.statistics.proportions import (
    exact_interval,
    jeffreys_interval,
    mid_p_interval,
    wilson_interval,
)
from app.analysis.statistics.regression import Model, gee
from app.analysis.statistics.roc import (
    curve,
    delong_covariance,
    jackknife_covariance,
    paired_roc,
    placements,
)
from app.analysis.statistics.unconditional import (
    exact_difference,
    noninferiority_p,
    unconditional_p,
)
from app.analysis.statistics.ustatistic import mean_variance

Array = NDArray[np.float64]
counts = st.integers(0, 25)
tables = st.builds(PairedTable, counts, counts, counts, counts).filter(lambda table: table.n > 0)
shares = st.integers(1, 100).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def swapped(table: PairedTable) -> PairedTable:
    return PairedTable(table.a, table.c, table.b, table.d)


@settings(deadline=None)
@given(shares)
def test_every_interval_of_a_share_holds_it_and_mirrors(share: tuple[int, int]) -> None:
    x, n = share
    for method in (wilson_interval, exact_interval, mid_p_interval, jeffreys_interval):
        low, high = method(x, n)
        assert 0 <= low <= x / n <= high <= 1
        assert method(n - x, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    assert exact_interval(x, n)[0] <= mid_p_interval(x, n)[0] + 1e-9


@settings(deadline=None, max_examples=50)
@given(tables)
def test_swapping_the_arms_turns_every_paired_number_around(table: PairedTable) -> None:
    for method in (newcombe_difference, bonett_price_difference, exact_difference):
        estimate, low, high = method(table)
        assert -1 <= low <= high <= 1
        assert method(swapped(table)) == pytest.approx((-estimate, -high, -low), abs=1e-7)
    assert mcnemar(swapped(table)) == pytest.approx(mcnemar(table))
    assert unconditional_p(swapped(table)) == pytest.approx(unconditional_p(table), abs=1e-6)
    assert tost(swapped(table), 0.1).p == pytest.approx(tost(table, 0.1).p)


@settings(deadline=None, max_examples=50)
@given(tables)
def test_p_values_are_in_order(table: PairedTable) -> None:
    found = mcnemar(table)

    assert 0 <= found.mid_p <= found.exact <= 1
    assert found.asymptotic <= found.asymptotic_corrected + 1e-12
    assert 0 < unconditional_p(table) <= 1
    assert noninferiority_p(table, 0.3) <= noninferiority_p(table, 0.1) + 1e-3


@settings(deadline=None, max_examples=50)
@given(tables)
def test_the_exact_interval_and_the_exact_test_say_the_same(table: PairedTable) -> None:
    """Fay and Lumbard made the one for the other."""
    low, high = exact_difference(table)[1:]
    p = mcnemar(table).exact
    assume(abs(p - 0.05) > 1e-6)

    assert (low > 0 or high < 0) == (p < 0.05)


def test_more_pairs_than_can_be_enumerated_are_told_so() -> None:
    with pytest.raises(CannotSay, match="500 pairs"):
        unconditional_p(PairedTable(500, 1, 0, 0))


@pytest.mark.parametrize(
    ("difference", "equivalence", "expected"),
    [
        ((-0.05, 0.05), (-0.04, 0.04), Verdict.EQUIVALENT),
        ((0.01, 0.30), (0.02, 0.29), Verdict.DIFFERENT),
        ((0.01, 0.08), (0.02, 0.07), Verdict.BOTH),
        ((-0.01, 0.30), (0.01, 0.25), Verdict.INCONCLUSIVE),
        ((-0.11, 0.05), (-0.10, 0.04), Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts_are_read_off_intervals(
    difference: tuple[float, float], equivalence: tuple[float, float], expected: Verdict
) -> None:
    assert verdict(Interval(*difference), Interval(*equivalence), 0.10) is expected


# Clusters.


def test_one_pair_a_case_makes_clustered_tests_almost_mcnemars() -> None:
    tables = [PairedTable(0, 1, 0, 0)] * 9 + [PairedTable(0, 0, 1, 0)] * 3
    tables += [PairedTable(1, 0, 0, 0)] * 28
    pooled = CLUSTERED_TESTS["mcnemar_pooled"](tables).chi2

    assert CLUSTERED_TESTS["durkalski"](tables).chi2 == pytest.approx(pooled)
    assert CLUSTERED_TESTS["obuchowski"](tables).chi2 == pytest.approx(39 / 40 * pooled)


def test_no_discordant_pair_is_no_test() -> None:
    for test in CLUSTERED_TESTS.values():
        with pytest.raises(CannotSay):
            test([PairedTable(4, 0, 0, 0)] * 20)


@settings(deadline=None)
@given(st.lists(st.builds(CaseCounts, st.just(0), st.integers(0, 3), st.just(4)), min_size=3))
def test_the_error_over_cases_is_the_sandwich_of_gee(cases: list[CaseCounts]) -> None:
    tables = [PairedTable(4 - case.c, 0, case.c, 0) for case in cases]
    assume(len({case.c for case in cases}) > 1)
    right: list[float] = []
    model_cases: list[str] = []
    arms: list[float] = []
    for name, case in enumerate(cases):
        for pair in range(4):
            right += [float(pair >= case.c), 1.0]
            arms += [0.0, 1.0]
            model_cases += [str(name)] * 2
    model = Model(np.array(right), model_cases)
    model.add("perturbed", np.array(arms))
    error = gee(model, "gaussian", "independence").effect("perturbed").error

    k = len(cases)
    assert cluster_error(*columns(tables)) == pytest.approx(error * math.sqrt(k / (k - 1)))


# Readers and cases.

zero_or_one = arrays(np.float64, (2, 3, 8), elements=st.sampled_from([0.0, 1.0]))


@settings(deadline=None)
@given(zero_or_one)
def test_swapping_the_arms_negates_the_difference_of_readers(values: Array) -> None:
    def compare(values: Array, method: str) -> tuple[float, ...]:
        theta, covariance = values.mean(axis=2), case_covariance(values.reshape(6, -1))
        found = {"random": random_readers, "fixed": fixed_readers}[method](theta, covariance)
        return (*found.difference, found.error, found.p)

    for method in ("random", "fixed"):
        try:
            estimate, low, high, *rest = compare(values, method)
        except CannotSay:
            continue
        assert low <= estimate <= high
        assert compare(values[::-1], method) == pytest.approx(
            (-estimate, -high, -low, *rest), abs=1e-9
        )


@settings(deadline=None)
@given(zero_or_one)
def test_the_u_statistic_is_what_obuchowski_and_rockette_add_up_without_clamp(
    values: Array,
) -> None:
    """statistics.md 2.6: sqrt(.002982456) = .0546119; algebra, not luck."""
    theta, covariance = values.mean(axis=2), case_covariance(values.reshape(6, -1))
    parts = components(covariance, 3)
    residual = theta[0] - theta[1] - (theta[0] - theta[1]).mean()
    denominator = float(np.square(residual).sum()) / 4 + 3 * (
        parts.covariance_2 - parts.covariance_3
    )

    found = mean_variance(values[0] - values[1])
    assert found.unbiased == pytest.approx(2 * denominator / 3, abs=1e-12)
    assert found.biased >= 0


@settings(deadline=None)
@given(arrays(np.float64, (2, 9), elements=st.integers(1, 10).map(float)))
def test_areas_do_not_depend_on_the_scale_and_mirror_with_the_truth(ratings: Array) -> None:
    truths = [1, 1, 1, 1, 0, 0, 0, 0, 0]
    found = placements(ratings, truths)

    assert placements(np.exp(ratings), truths).areas == pytest.approx(found.areas)
    mirrored = placements(ratings, [1 - truth for truth in truths]).areas
    assert mirrored == pytest.approx(1 - found.areas)
    for covariance in (delong_covariance(found), jackknife_covariance(found)):
        assert np.linalg.eigvalsh(covariance).min() > -1e-12
    points = curve(ratings[0], truths)
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    heights = np.array(points)
    under = np.trapezoid(heights[:, 1], heights[:, 0])
    assert under == pytest.approx(found.areas[0])


def test_equal_ratings_have_no_error() -> None:
    ratings = np.array([[1.0, 2, 3, 4], [1, 2, 3, 4]])
    with pytest.raises(CannotSay, match="do not vary over cases"):
        paired_roc(ratings, [0, 1, 0, 1])


# Agreement.


@settings(deadline=None)
@given(tables)
def test_two_ways_to_agreement_of_two_readings_meet(table: PairedTable) -> None:
    assume(table.n > 1 and 0 < 2 * table.a + table.b + table.c < 2 * table.n)
    ratings = ratings_of(table)

    assert mean_agreement(ratings).estimate == pytest.approx(percent_agreement(table).estimate)
    assert fleiss_kappa(ratings).estimate == pytest.approx(scott_pi(table))
    pi, n = scott_pi(table), table.n
    assert krippendorff_alpha(ratings).estimate == pytest.approx(pi + (1 - pi) / (2 * n))
    assert pabak(table).estimate <= gwet_ac1(ratings, 2).estimate + 1e-9
    for coefficient in (cohen_kappa(table), fleiss_kappa(ratings), gwet_ac1(ratings, 2)):
        assert coefficient.low <= coefficient.estimate <= coefficient.high
    assert cohen_kappa(swapped(table)).estimate == pytest.approx(cohen_kappa(table).estimate)


def test_one_answer_only_is_no_kappa() -> None:
    table = PairedTable(20, 0, 0, 0)
    for coefficient in (cohen_kappa, scott_pi):
        with pytest.raises(CannotSay, match="one answer only"):
            coefficient(table)
    with pytest.raises(CannotSay, match="one answer only"):
        fleiss_kappa(ratings_of(table))
    assert gwet_ac1(ratings_of(table), 2).estimate == 1


# Planning.


def test_more_cases_show_more() -> None:
    assert tost_power(120, 0.02, 0.02, 0.1) > tost_power(60, 0.02, 0.02, 0.1)
    assert mid_p_power(100, 0.2, 0.05) > mid_p_power(50, 0.2, 0.05)
    assert choice_power(100, 0.5) > choice_power(40, 0.5)
    assert similarity_power(100, 1.0) > similarity_power(100, 0.5)
    assert pairs_without_flip(0.05) > pairs_without_flip(0.10)
    assert units_for_flips(0.137, 0.05) == pytest.approx(169.4, abs=0.1)  # statistics.md 2.8


def test_a_test_of_equivalence_has_its_size_at_the_margin() -> None:
    assert tost_power(100, 0.20, 0.10, 0.10) < 0.06


def test_a_logit_that_is_infinite_is_told_so() -> None:
    model = Model(np.array([1.0, 1, 1, 0, 1, 0]), list("aabbcc"))
    model.add("perturbed", np.array([0.0, 0, 0, 1, 0, 1]))
    with pytest.raises(CannotSay, match="one answer only"):
        gee(model, "binomial", "exchangeable")
