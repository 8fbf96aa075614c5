"""The statistics agree with R packages and published examples, and keep what they promise."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.analysis.statistics import (
    CannotSay,
    CaseCounts,
    Difference,
    PairedTable,
    clustered_difference,
    paired_difference,
    tango_score,
    wilson_interval,
)
from app.analysis.statistics.mrmc import arm_mean

# From stats_oracles.json, which R 4.2.2 wrote; the ids of the tests are its names.

WILSON = {
    "binom_ci_17_20": (17, 20, 0.639581135259243, 0.947631254103783),
    "binom_ci_18_20": (18, 20, 0.698966354771513, 0.972133518786232),
    "binom_ci_20_20": (20, 20, 0.838874841947181, 1.0),
    "binom_ci_0_20": (0, 20, 0.0, 0.161125158052819),
}
PAIRED: dict[str, tuple[PairedTable, dict[str, Any]]] = {
    "paired_1_1_7_12": (
        PairedTable(1, 1, 7, 12),
        {
            "tango_ci95": [-0.5172322764, -0.0260030325],
            "tango_ci90": [-0.4816224918, -0.0746307685],
            "tango_test": {-0.2: -0.712460710157058, 0.2: -3.31541763267201},
        },
    ),
    "paired_15_2_1_2": (
        PairedTable(15, 2, 1, 2),
        {
            "tango_ci95": [-0.1613935414, 0.2656305998],
            "tango_ci90": [-0.1184672124, 0.2246603418],
            "tango_test": {-0.2: 2.23101623352313, 0.2: -1.44890021730722},
        },
    ),
    "paired_18_0_0_2": (
        PairedTable(18, 0, 0, 2),
        {
            "tango_ci95": [-0.1611251581, 0.1611251581],
            "tango_ci90": [-0.1191578374, 0.1191578374],
            "tango_test": {-0.2: 2.23606797749979, 0.2: -2.23606797749979},
        },
    ),
    "paired_20_0_0_0": (
        PairedTable(20, 0, 0, 0),
        {
            "tango_ci95": [-0.1611251581, 0.1611251581],
            "tango_ci90": [-0.1191578374, 0.1191578374],
            "tango_test": {-0.1: 1.49071198499986, 0.1: -1.49071198499986},
        },
    ),
}
CLUSTERED = {
    "clustered_mcnemar_thyroids": (
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0],
        [3, 3, 3, 1, 3, 4, 3, 2, 2, 1, 3, 2, 3, 2, 2, 3, 3, 3, 2, 1, 2],
        -0.11764705882352941,
        0.06320603810297697,
    ),
    "demo_clustered_mcnemar": (
        [4, 0, 1, 0, 2, 0, 1, 0, 1, 2, 0, 0, 0, 0, 5, 0, 0, 2, 0, 0],
        [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
        [6] * 20,
        0.10833333333333334,
        0.06197882113275346,
    ),
}
GEE_SE = 0.0604094823314648  # demo_gee_label_identity_independence, from geepack


def standard_error(difference: Difference, cases: int) -> float:
    quantile = float(stats.t.ppf(0.975, cases - 1))
    return (difference.high - difference.low) / 2 / quantile


def per_case(b: list[int], c: list[int], n: list[int]) -> list[CaseCounts]:
    return [CaseCounts(*counts) for counts in zip(b, c, n, strict=True)]


@pytest.mark.parametrize("name", WILSON)
def test_wilson_agrees_with_r(name: str) -> None:
    successes, n, low, high = WILSON[name]

    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-8)


def test_of_no_trials_anything_is_possible() -> None:
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize("name", PAIRED)
def test_tango_agrees_with_r(name: str) -> None:
    table, expected = PAIRED[name]

    for key, confidence in (("tango_ci95", 0.95), ("tango_ci90", 0.90)):
        estimate, *limits = paired_difference(table, confidence)
        assert estimate == pytest.approx((table.b - table.c) / table.n)
        assert limits == pytest.approx(expected[key], abs=1e-6)
    for delta, score in expected["tango_test"].items():
        assert tango_score(table, delta) == pytest.approx(score, abs=1e-6)


def test_the_sign_is_original_minus_perturbed() -> None:
    assert paired_difference(PairedTable(10, 6, 1, 3)).estimate == pytest.approx(0.25)
    assert clustered_difference([CaseCounts(2, 0, 4), CaseCounts(1, 1, 4)]).estimate == 0.25


def test_cavo_2012_as_published() -> None:
    """statistics.md 2.2; the worked example of the R package contingencytables."""
    table = PairedTable(59, 6, 16, 80)

    assert paired_difference(table)[1:] == pytest.approx((-0.124023, -0.005433), abs=1e-6)


@pytest.mark.parametrize(("margin", "smallest"), [(0.05, 52), (0.1, 25), (0.15, 16), (0.2, 11)])
def test_so_many_pairs_without_a_flip_show_equivalence(margin: float, smallest: int) -> None:
    """The oracle zero_discordance_min_n."""
    enough = paired_difference(PairedTable(smallest, 0, 0, 0), confidence=0.90)
    too_few = paired_difference(PairedTable(smallest - 1, 0, 0, 0), confidence=0.90)

    assert enough.high < margin < too_few.high
    assert -too_few.high == pytest.approx(too_few.low)


@pytest.mark.parametrize("name", CLUSTERED)
def test_the_clustered_difference_agrees_with_r(name: str) -> None:
    b, c, n, estimate, error = CLUSTERED[name]

    difference = clustered_difference(per_case(b, c, n))

    assert difference.estimate == pytest.approx(estimate, abs=1e-8)
    assert standard_error(difference, len(n)) == pytest.approx(error, abs=1e-8)


def test_the_clustered_error_is_that_of_gee_for_few_clusters() -> None:
    b, c, n, _, _ = CLUSTERED["demo_clustered_mcnemar"]

    error = standard_error(clustered_difference(per_case(b, c, n)), len(n))

    assert error == pytest.approx(GEE_SE * math.sqrt(20 / 19), abs=1e-6)


def test_the_copied_numbers_are_those_of_the_oracle_file(oracles: Mapping[str, Any]) -> None:
    for name, (successes, n, low, high) in WILSON.items():
        entry = oracles[name]
        assert (successes, n) == (entry["inputs"]["x"], entry["inputs"]["n"])
        assert [low, high] == entry["expected"]["wilson"]
    for name, (table, expected) in PAIRED.items():
        entry = oracles[name]
        assert {key: entry["inputs"][key] for key in "abcd"} == vars(table)
        scores = {test["theta0"]: test["z"] for test in entry["expected"]["tango_test"]}
        found = {**entry["expected"], "tango_test": {k: scores[k] for k in expected["tango_test"]}}
        assert expected == {key: found[key] for key in expected}
    for name, (b, c, pairs, estimate, error) in CLUSTERED.items():
        entry = oracles[name]
        counted = [entry["inputs"][key] for key in ("ak", "bk", "ck", "dk")]
        assert (b, c, pairs) == (counted[1], counted[2], np.sum(counted, axis=0).tolist())
        assert (estimate, error) == (entry["expected"]["diff"], entry["expected"]["se_cluster"])
    gee = oracles["demo_gee_label_identity_independence"]
    assert gee["expected"]["se"][1] == GEE_SE


def test_every_paired_and_binomial_oracle_is_among_the_copied(oracles: Mapping[str, Any]) -> None:
    functions = {"binom_ci", "paired_binary", "clustered_mcnemar"}
    applicable = {name for name, entry in oracles.items() if entry["function"] in functions}

    assert applicable == WILSON.keys() | PAIRED.keys() | CLUSTERED.keys()


@pytest.mark.parametrize("margin", [0.1, 0.2])
def test_tost_and_the_90_percent_interval_say_the_same(
    oracles: Mapping[str, Any], margin: float
) -> None:
    entries = [entry for entry in oracles.values() if entry["function"] == "tost_paired_tango"]
    entries = [entry for entry in entries if entry["inputs"]["margin"] == margin]
    assert entries
    for entry in entries:
        table = PairedTable(*(entry["inputs"][key] for key in "abcd"))
        expected = entry["expected"]
        interval = paired_difference(table, confidence=0.90)
        assert interval[1:] == pytest.approx(expected["ci90"], abs=1e-8)
        assert (-margin < interval.low and interval.high < margin) == expected["equivalent"]
        lower, upper = tango_score(table, -margin), tango_score(table, margin)
        assert stats.norm.sf(lower) == pytest.approx(expected["p_lower"], abs=1e-9)
        assert stats.norm.cdf(upper) == pytest.approx(expected["p_upper"], abs=1e-9)


def test_of_no_pairs_nothing_is_said() -> None:
    with pytest.raises(CannotSay, match="No case has an answer to both images"):
        paired_difference(PairedTable(0, 0, 0, 0))
    for too_few in ([], [CaseCounts(0, 0, 0)] * 3, [CaseCounts(1, 0, 4)]):
        with pytest.raises(CannotSay, match="needs two cases"):
            clustered_difference(too_few)


def test_cases_that_all_agree_do_not_make_an_interval_of_length_nothing() -> None:
    cases = [CaseCounts(0, 0, 6)] * 20

    assert clustered_difference(cases) == paired_difference(PairedTable(20, 0, 0, 0))


def test_copies_of_each_answer_do_not_make_the_clustered_interval_narrower() -> None:
    once = [CaseCounts(1, 0, 1)] * 4 + [CaseCounts(0, 0, 1)] * 16
    six_times = [CaseCounts(*(6 * count for count in case)) for case in once]

    assert clustered_difference(six_times) == pytest.approx(clustered_difference(once))


# Properties.

counts = st.integers(0, 300)
tables = st.builds(PairedTable, counts, counts, counts, counts).filter(lambda table: table.n > 0)
confidences = st.floats(0.5, 0.999)


@st.composite
def clusters(draw: st.DrawFn) -> list[CaseCounts]:
    cases = []
    for _ in range(draw(st.integers(2, 30))):
        b, c, concordant = (draw(st.integers(0, 6)) for _ in range(3))
        cases.append(CaseCounts(b, c, b + c + concordant))
    return [*cases, CaseCounts(0, 0, 1), CaseCounts(0, 0, 1)]


def swapped(table: PairedTable) -> PairedTable:
    return PairedTable(table.a, table.c, table.b, table.d)


@settings(deadline=None)
@given(tables, confidences)
def test_a_paired_difference_is_inside_its_limits(table: PairedTable, confidence: float) -> None:
    estimate, low, high = paired_difference(table, confidence)

    assert -1 <= low <= estimate <= high <= 1
    assert low < high


@settings(deadline=None)
@given(tables, confidences)
def test_swapping_the_arms_negates_a_paired_difference(
    table: PairedTable, confidence: float
) -> None:
    estimate, low, high = paired_difference(table, confidence)

    assert paired_difference(swapped(table), confidence) == pytest.approx(
        (-estimate, -high, -low), abs=1e-9
    )


@settings(deadline=None)
@given(tables, confidences)
def test_at_its_limits_the_score_is_the_quantile(table: PairedTable, confidence: float) -> None:
    _, low, high = paired_difference(table, confidence)
    z = stats.norm.ppf((1 + confidence) / 2)

    assert low == -1 or tango_score(table, low + 1e-9) <= z <= tango_score(table, low - 1e-9)
    assert high == 1 or tango_score(table, high + 1e-9) <= -z <= tango_score(table, high - 1e-9)


@settings(deadline=None, max_examples=40)
@given(tables, clusters(), st.tuples(confidences, confidences).map(sorted))
def test_more_confidence_makes_every_interval_wider(
    table: PairedTable, cases: list[CaseCounts], levels: list[float]
) -> None:
    successes, n = table.a, table.n
    for narrow, wide in (
        [wilson_interval(successes, n, level) for level in levels],
        [paired_difference(table, level)[1:] for level in levels],
        [clustered_difference(cases, level)[1:] for level in levels],
    ):
        assert wide[0] <= narrow[0] + 1e-9
        assert narrow[1] <= wide[1] + 1e-9


@settings(deadline=None)
@given(clusters(), confidences)
def test_a_clustered_difference_is_inside_its_limits_and_negates(
    cases: list[CaseCounts], confidence: float
) -> None:
    estimate, low, high = clustered_difference(cases, confidence)
    other_way = [CaseCounts(case.c, case.b, case.n) for case in cases]

    assert -1 <= low <= estimate <= high <= 1
    assert clustered_difference(other_way, confidence) == pytest.approx((-estimate, -high, -low))


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(share: tuple[int, int]) -> None:
    successes, n = share
    low, high = wilson_interval(successes, n)

    assert 0 <= low <= successes / n <= high <= 1
    assert wilson_interval(n - successes, n) == pytest.approx((1 - high, 1 - low))


# Power, by enumeration, and coverage, by simulation.


def probabilities(n: int, p_10: float, p_01: float) -> list[tuple[PairedTable, float]]:
    """Every table of n pairs with its probability."""
    found = [PairedTable(n - b - c, b, c, 0) for b in range(n + 1) for c in range(n + 1 - b)]
    law = stats.multinomial(n, [p_10, p_01, 1 - p_10 - p_01])
    return [(table, float(law.pmf([table.b, table.c, table.a]))) for table in found]


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(0.1, 0.0), (0.15, 0.12157665459056904), (0.2, 0.5680039622135176)],
)
def test_the_power_to_show_equivalence_is_that_of_the_oracle(
    margin: float, expected: float
) -> None:
    """The oracle power_tost_exact at n = 20."""
    power = 0.0
    for table, weight in probabilities(20, 0.05, 0.05):
        _, low, high = paired_difference(table, confidence=0.90)
        power += weight * (-margin < low and high < margin)

    assert power == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("probability", [0.5, 0.85, 0.95])
def test_wilson_covers_the_truth_about_as_often_as_it_says(probability: float) -> None:
    n = 40
    draws = np.random.default_rng(1).binomial(n, probability, 20_000)
    intervals = [wilson_interval(successes, n) for successes in range(n + 1)]
    covered = [intervals[draw].low <= probability <= intervals[draw].high for draw in draws]

    assert 0.93 < np.mean(covered) < 0.98


@pytest.mark.parametrize(("p_10", "p_01"), [(0.05, 0.05), (0.15, 0.05), (0.2, 0.2)])
def test_tango_covers_the_truth_about_as_often_as_it_says(p_10: float, p_01: float) -> None:
    n = 60
    draws = np.random.default_rng(2).multinomial(n, [p_10, p_01, 1 - p_10 - p_01], 2_000)
    covered = 0
    for (b, c, rest), times in zip(*np.unique(draws, axis=0, return_counts=True), strict=True):
        _, low, high = paired_difference(PairedTable(int(rest), int(b), int(c), 0))
        covered += int(times) * (low <= p_10 - p_01 <= high)

    assert 0.93 < covered / len(draws) < 0.99


def test_two_readers_whose_errors_balance_out_have_a_mean_without_error() -> None:
    """Rounding may bring the variance of their mean a little below nothing."""
    variance = 1 / 9
    below = float(np.nextafter(variance, 1))
    block = np.array([[variance, -below], [-below, variance]])
    covariance = np.kron(np.eye(2), block)
    found = arm_mean(np.array([[0.75, 0.25], [1.0, 0.5]]), covariance, 0)
    assert (found.mean.estimate, found.error) == (0.5, 0)
