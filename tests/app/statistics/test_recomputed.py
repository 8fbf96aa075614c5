"""The same numbers by other means: enumeration, simulation, other programs, other algorithms."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats import contingency_tables, inter_rater

from app.analysis.exported import NetworkEpsilon, Pair
from app.analysis.sections.psychometric import psychometric
from app.analysis.sections.rows import Options, rows_of
from app.analysis.statistics import (
    CaseCounts,
    PairedTable,
    clustered_difference,
    paired_difference,
)
from app.analysis.statistics.agreement import cohen_kappa, fleiss_kappa
from app.analysis.statistics.clustered import clustered_tost
from app.analysis.statistics.detection import said_different, same_different, share_of, z
from app.analysis.statistics.flips import (
    Unit,
    exact_test,
    exact_test_within_sets,
    excess_bound,
    mean_rates,
)
from app.analysis.statistics.laplace import Modes
from app.analysis.statistics.mixed import mixed, prepared
from app.analysis.statistics.paired import mcnemar
from app.analysis.statistics.proportions import exact_interval, jeffreys_interval, wilson_interval
from app.analysis.statistics.psychometric import Level, fine_grid, fit, loss, prepare, threshold
from app.analysis.statistics.regression import Model
from app.analysis.statistics.roc import placements
from app.analysis.statistics.unconditional import (
    exact_difference,
    noninferiority_p,
    unconditional_p,
)
from tests.app.statistics.test_analyse import made

Array = NDArray[np.float64]

# Flips.


def some_units(rng: np.random.Generator, cases: int, readers: int = 2) -> list[Unit]:
    def labels() -> tuple[int, int]:
        first, second = rng.integers(0, 2, 2).tolist()
        return first, second

    return [
        Unit(f"c{c}", f"R{r}", labels(), labels()) for c in range(cases) for r in range(readers)
    ]


def disagreement(first: Sequence[int], second: Sequence[int]) -> Fraction:
    pairs = [a != b for a in first for b in second]
    return Fraction(sum(pairs), len(pairs))


def excess(units: Sequence[Unit]) -> Fraction:
    """Pair by pair, as it is defined."""
    of_units = [
        disagreement(u.original, u.perturbed)
        - Fraction(int(u.original[0] != u.original[1]) + int(u.perturbed[0] != u.perturbed[1]), 2)
        for u in units
    ]
    return sum(of_units, Fraction(0)) / len(units)


@pytest.mark.parametrize("seed", range(6))
def test_the_primary_test_is_that_of_every_order_of_the_labels(seed: int) -> None:
    units = some_units(np.random.default_rng(seed), cases=3, readers=1)
    orders = [
        [
            Unit(u.case, u.reader, (four[0], four[1]), (four[2], four[3]))
            for four in permutations((*u.original, *u.perturbed))
        ]
        for u in units
    ]
    observed = excess(units)
    by_excess = [[excess([each]) for each in of_unit] for of_unit in orders]
    as_large = sum(sum(each) / 3 >= observed for each in product(*by_excess))

    assert exact_test(units).p == pytest.approx(as_large / 24**3, abs=1e-12)
    assert mean_rates(units).excess == pytest.approx(float(observed), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_set_robust_test_is_that_of_every_exchange_within_a_set(seed: int) -> None:
    units = some_units(np.random.default_rng(seed), cases=3)

    def exchanged(unit: Unit, which: Sequence[int]) -> Unit:
        both = list(zip(unit.original, unit.perturbed, strict=True))
        turned = [pair[::-1] if turn else pair for pair, turn in zip(both, which, strict=True)]
        return Unit(unit.case, unit.reader, *zip(*turned, strict=True))

    observed = excess(units)
    by_excess = [
        [excess([exchanged(unit, which)]) for which in product((0, 1), repeat=2)] for unit in units
    ]
    as_large = sum(sum(each) / len(units) >= observed for each in product(*by_excess))

    assert exact_test_within_sets(units).p == pytest.approx(as_large / 4 ** len(units), abs=1e-12)


def test_the_upper_limit_is_that_of_a_t_test_of_the_cases() -> None:
    units = some_units(np.random.default_rng(8), cases=40, readers=3)
    of_cases = [float(excess([u for u in units if u.case == f"c{c}"])) for c in range(40)]
    limits = stats.ttest_1samp(of_cases, 0).confidence_interval(0.90)

    found = excess_bound(units)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-12)


# Pairs.


def score_by_likelihood(table: PairedTable, delta: float) -> float:
    """Tango's Z with the probabilities that a search finds most likely under delta."""

    def lack(p_01: float) -> float:
        shares = np.array([p_01 + delta, p_01, 1 - delta - 2 * p_01])
        counts = np.array([table.b, table.c, table.n - table.b - table.c])
        return -float(np.sum(counts * np.log(np.maximum(shares, 1e-300))))

    ends = max(0.0, -delta), (1 - delta) / 2
    p_01 = float(
        optimize.minimize_scalar(lack, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
    )
    spread = math.sqrt((2 * p_01 + delta - delta**2) / table.n)
    return ((table.b - table.c) / table.n - delta) / spread


@pytest.mark.parametrize("cells", [(3, 1, 0, 1), (0, 2, 1, 0), (9, 0, 3, 2), (20, 5, 5, 8)])
def test_tangos_limits_are_where_the_likelihood_says_of_few_pairs_too(
    cells: tuple[int, int, int, int],
) -> None:
    table = PairedTable(*cells)
    for confidence in (0.90, 0.95):
        _, low, high = paired_difference(table, confidence)
        limit = stats.norm.ppf((1 + confidence) / 2)
        assert score_by_likelihood(table, low) == pytest.approx(limit, abs=1e-3)
        assert score_by_likelihood(table, high) == pytest.approx(-limit, abs=1e-3)


def tables_of(n: int) -> list[PairedTable]:
    return [PairedTable(n - b - c, b, c, 0) for b in range(n + 1) for c in range(n + 1 - b)]


def mcnemar_statistic(table: PairedTable) -> float:
    m = table.b + table.c
    return abs(table.b - table.c) / math.sqrt(m) if m else 0.0


@pytest.mark.parametrize("cells", [(8, 3, 0, 0), (5, 1, 6, 0), (0, 5, 2, 3)])
def test_the_unconditional_test_is_the_worst_of_all_nuisances(
    cells: tuple[int, int, int, int],
) -> None:
    table = PairedTable(*cells)
    n, observed = table.n, mcnemar_statistic(table)
    extreme = [each for each in tables_of(n) if mcnemar_statistic(each) >= observed - 1e-9]
    counts = np.array([(each.b, each.c, n - each.b - each.c) for each in extreme])
    worst = max(
        float(stats.multinomial.pmf(counts, n, (p, p, 1 - 2 * p)).sum())
        for p in np.linspace(0, 0.5, 2001)
    )

    assert unconditional_p(table) == pytest.approx(worst, abs=1e-5)


def test_the_test_of_noninferiority_is_the_worst_of_all_nuisances() -> None:
    table, margin = PairedTable(9, 1, 2, 3), 0.2
    n, observed = table.n, score_by_likelihood(table, margin)
    extreme = [
        each for each in tables_of(n) if score_by_likelihood(each, margin) <= observed + 1e-6
    ]
    counts = np.array([(each.b, each.c, n - each.b - each.c) for each in extreme])
    worst = max(
        float(stats.multinomial.pmf(counts, n, (p + margin, p, 1 - margin - 2 * p)).sum())
        for p in np.linspace(0, 0.4, 2001)
    )

    assert noninferiority_p(table, margin) == pytest.approx(worst, abs=1e-5)


@pytest.mark.parametrize(
    ("b", "c", "n", "low", "high"),
    [
        (1, 7, 21, -0.5454987534267, 0.0204495187518),
        (2, 1, 20, -0.189452482447, 0.288410185054),
        (0, 5, 30, -0.3472116988341, 0.0074105240337),
        (3, 3, 40, -0.153557027999, 0.153557027999),
        (6, 16, 161, -0.126798695993, 0.000607540345659),
    ],
)
def test_the_melded_limits_are_rs_where_its_root_finder_goes_on(
    b: int, c: int, n: int, low: float, high: float
) -> None:
    """mcnemarExactDP of exact2x2 1.7.0 in R 4.2.2, its uniroot with tol = 1e-13 instead of 1.2e-4
    and its integrate over (0, 1) with rel.tol = 1e-12: the oracles' own are right to 3e-5."""
    assert exact_difference(PairedTable(n - b - c, b, c, 0))[1:] == pytest.approx(
        (low, high), abs=1e-10
    )


def test_mcnemar_and_intervals_of_shares_are_statsmodels_and_scipys() -> None:
    for table in (PairedTable(9, 3, 1, 4), PairedTable(2, 0, 7, 1), PairedTable(4, 5, 5, 0)):
        cells = [[table.a, table.b], [table.c, table.d]]
        exact = contingency_tables.mcnemar(cells, exact=True)
        asymptotic = contingency_tables.mcnemar(cells, exact=False, correction=False)
        found = mcnemar(table)
        assert found.exact == pytest.approx(exact.pvalue, abs=1e-12)
        assert found.asymptotic == pytest.approx(asymptotic.pvalue, abs=1e-12)
    for x, n in ((0, 20), (17, 20), (20, 20), (1, 3), (333, 4000)):
        test = stats.binomtest(x, n)
        for confidence in (0.9, 0.95):
            wilson, exact = (test.proportion_ci(confidence, name) for name in ("wilson", "exact"))
            assert wilson_interval(x, n, confidence) == pytest.approx(tuple(wilson), abs=1e-12)
            assert exact_interval(x, n, confidence) == pytest.approx(tuple(exact), abs=1e-10)
    law = stats.beta(3.5, 17.5)
    assert jeffreys_interval(3, 20) == pytest.approx(law.interval(0.95), abs=1e-12)


# Cases as clusters.


def test_the_clustered_interval_holds_about_as_often_as_it_says() -> None:
    """Three readers in two sets; cases differ in how hard they are and in what perturbing does."""
    rng = np.random.default_rng(12)
    cases, trials, covered, truth = 40, 800, 0, difference_of_all_cases()
    for _ in range(trials):
        hard, change = rng.normal(1.5, 1.5, cases), rng.normal(0.5, 1.0, cases)
        p, q = (1 / (1 + np.exp(-each)) for each in (hard, hard - change))
        one, other = (rng.random((6, cases)) < each for each in (p, q))
        b, c = (one & ~other).sum(axis=0), (other & ~one).sum(axis=0)
        counts = [CaseCounts(int(x), int(y), 6) for x, y in zip(b, c, strict=True)]
        _, low, high = clustered_difference(counts)
        covered += low <= truth <= high

    assert 0.92 < covered / trials < 0.98


def difference_of_all_cases() -> float:
    """Of a million of them."""
    rng = np.random.default_rng(0)
    hard, change = rng.normal(1.5, 1.5, 1_000_000), rng.normal(0.5, 1.0, 1_000_000)
    return float(np.mean(1 / (1 + np.exp(-hard)) - 1 / (1 + np.exp(-(hard - change)))))


@pytest.mark.parametrize("margin", [0.05, 0.10, 0.30])
def test_tests_and_interval_of_equivalence_by_case_say_the_same(margin: float) -> None:
    rng = np.random.default_rng(3)
    for agreed in (False, True):
        for _ in range(20):
            b, c = rng.multinomial(6, (0.1, 0.08, 0.82), 40)[:, :2].T * (not agreed)
            counts = [CaseCounts(int(x), int(y), 6) for x, y in zip(b, c, strict=True)]
            found = clustered_tost(counts, margin)
            assert (found.p < 0.05) == (-margin < found.low and found.high < margin)
            assert found[3:] == clustered_difference(counts, 0.90)[1:]


# Cases and readers at random in a logistic model.


def tumour_model(demo: list[dict[str, Any]]) -> tuple[Model, list[str]]:
    rows = [row for row in demo if row["truth"] == 1]
    model = Model(np.array([float(r["label"]) for r in rows]), [r["image_id"] for r in rows])
    model.add("perturbed", np.array([r["condition"] == "perturbed" for r in rows]))
    model.add_groups("set", [r["set"] for r in rows])
    return model, [r["reader_id"] for r in rows]


def test_the_mixed_model_is_lme4s_where_its_modes_go_on(demo: list[dict[str, Any]]) -> None:
    """lme4 1.1.31 in R 4.2.2 with tolPwrss = 1e-12: with the usual 1e-7, as in the oracles, the
    noise of the modes takes 1 % from an intercept's error."""
    model, readers = tumour_model(demo)
    found = mixed(model)

    assert found.estimates == pytest.approx((3.7290078, -1.3325571, -0.3084362), abs=3e-5)
    assert found.errors == pytest.approx((1.0545424, 0.4872333, 0.4553345), abs=3e-5)
    assert found.deviations[0] ** 2 == pytest.approx(9.4256198, abs=5e-4)
    assert found.log_likelihood == pytest.approx(-81.40794802, abs=1e-6)
    other = mixed(model, slope="perturbed", readers=readers)
    assert other.estimates == pytest.approx((5.0493020, -2.6113552, -0.3512917), abs=3e-5)
    assert other.errors == pytest.approx((1.8759694, 1.6775652, 0.4869104), abs=2e-4)
    assert other.log_likelihood == pytest.approx(-78.58659082, abs=1e-6)


@pytest.mark.parametrize("slope", [None, "perturbed"])
@pytest.mark.parametrize("with_readers", [False, True])
def test_the_derivatives_of_the_likelihood_are_its_differences(
    demo: list[dict[str, Any]], slope: str | None, with_readers: bool
) -> None:
    model, readers = tumour_model(demo)
    modes = Modes(prepared(model, slope, readers if with_readers else None))
    size = (3 if slope else 1) + with_readers + 3
    at = np.random.default_rng(1).normal(0, 0.7, size)
    differences = [
        (modes.deviance(at + step)[0] - modes.deviance(at - step)[0]) / 2e-5
        for step in np.eye(size) * 1e-5
    ]

    assert modes.deviance(at)[1] == pytest.approx(differences, abs=1e-5)


# Agreement and areas.


def test_kappas_are_statsmodels() -> None:
    kappa = inter_rater.cohens_kappa([[20, 5], [10, 15]])
    found = cohen_kappa(PairedTable(20, 5, 10, 15))
    assert found.estimate == pytest.approx(kappa.kappa)
    assert found.error == pytest.approx(kappa.std_kappa)
    ratings = np.random.default_rng(2).integers(0, 2, (30, 4)).astype(float)
    counted, _ = inter_rater.aggregate_raters(ratings.astype(int))
    assert fleiss_kappa(ratings).estimate == pytest.approx(inter_rater.fleiss_kappa(counted))


def test_an_area_is_the_u_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(6)
    truths = np.array([1] * 12 + [0] * 9)
    ratings = rng.integers(1, 6, (1, 21)).astype(float)
    u = stats.mannwhitneyu(ratings[0, :12], ratings[0, 12:]).statistic

    assert placements(ratings, truths.tolist()).areas[0] == pytest.approx(u / (12 * 9))


# Seeing.


def test_differencing_is_what_two_noisy_images_compared_do() -> None:
    rng = np.random.default_rng(9)
    n, d_prime, criterion = 1_000_000, 1.3, 1.7
    noise = rng.normal(size=n) - rng.normal(size=n)
    hits = np.mean(np.abs(noise + d_prime) > criterion)
    alarms = np.mean(np.abs(noise) > criterion)

    assert said_different(d_prime, criterion) == pytest.approx(hits, abs=2e-3)
    found = same_different(float(hits), float(alarms)).differencing
    assert found == pytest.approx(d_prime, abs=0.02)


def test_independent_observation_is_what_the_best_observer_without_bias_does() -> None:
    """Who judges both images by likelihood says "different" where one is above, and the other
    below, the middle of both kinds: of pairs of either kind so often rightly."""
    rng = np.random.default_rng(10)
    n, d_prime = 1_000_000, 1.3
    signal = rng.integers(0, 2, (2, n))
    seen = rng.normal(size=(2, n)) + d_prime * signal > d_prime / 2
    said = seen[0] != seen[1]
    differs = signal[0] != signal[1]
    hit, alarm = float(said[differs].mean()), float(said[~differs].mean())

    assert z(hit) == pytest.approx(-z(alarm), abs=0.01)
    found = same_different(hit, alarm).independent_observation
    assert found == pytest.approx(d_prime, abs=0.01)


@pytest.mark.parametrize("right", [(22, 25, 36, 40, 40), (19, 22, 27, 33, 38)])
def test_the_limits_of_a_threshold_are_those_of_a_profile_by_search(right: tuple[int, ...]) -> None:
    """Of the threshold fixed, the best slope and lapse are sought from several beginnings."""
    epsilons = (1.0, 2.0, 4.0, 8.0, 16.0)
    levels = [Level(e, k, 40) for e, k in zip(epsilons, right, strict=True)]
    data = prepare(levels, guess_is_half=True)
    _, low, high = threshold(data, fine_grid(data))

    def fallen(log_threshold: float) -> float:
        def lack(rest: Array) -> float:
            return loss(np.array([log_threshold, *rest]), data)

        bounds = [(math.log(0.2), math.log(10)), (0.0, 0.06)]
        found = [
            optimize.minimize(lack, start, method="L-BFGS-B", bounds=bounds).fun
            for start in product((-1.0, 0.5), (0.0, 0.05))
        ]
        return float(min(found))

    best = min(fallen(each) for each in np.linspace(math.log(low), math.log(high), 15))
    best = min(best, -fit(data, fine_grid(data)).log_likelihood)
    for limit in (low, high):
        lost = fallen(math.log(limit)) - best
        assert lost == pytest.approx(stats.chi2.ppf(0.95, 1) / 2, abs=0.005)


def test_the_perceptibility_margins_limits_hold_about_as_often_as_they_say() -> None:
    """Threshold 3, network's median 0.5: readers need 6 times what the network does."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(25):
        pairs = [
            Pair(f"R{reader}", case, f"t{case}", "choice", None, f"linf-{epsilon}", False, "", seen)
            for reader in range(3)
            for case in range(30)
            for epsilon in (1, 2, 4, 8)
            for seen in [bool(rng.random() < share_of((epsilon / 3) ** 1.5))]
        ]
        values = np.exp(rng.normal(math.log(0.5), 0.4, 30)).tolist()
        options = Options(network=(NetworkEpsilon("minimal.csv", values, "linf"),))
        [found] = psychometric(rows_of(made([], pairs)), options)
        margin = found["perceptibility_margin"]
        covered.append(margin["low"] <= 6 <= margin["high"])

    assert np.mean(covered) >= 0.88
