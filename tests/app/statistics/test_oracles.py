"""Every number that R packages, published examples and hand-worked tables gave is ours too."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from app.analysis.statistics import (
    CaseCounts,
    PairedTable,
    clustered_difference,
    paired_difference,
    tango_score,
)
from app.analysis.statistics.agreement import (
    brennan_prediger,
    cohen_kappa,
    conger_kappa,
    fleiss_kappa,
    gwet_ac1,
    gwet_ac1_of_table,
    krippendorff_alpha,
    mean_agreement,
    pabak,
    ratings_of,
    scott_pi,
    specific_agreement,
)
from app.analysis.statistics.clustered import CLUSTERED_TESTS, cluster_error, columns
from app.analysis.statistics.detection import (
    choice,
    fisher_p,
    log_linear,
    same_different,
    share_of,
    similarity_p,
    yes_no,
    yes_no_error,
)
from app.analysis.statistics.equivalence import tost
from app.analysis.statistics.flips import (
    Unit,
    exact_test,
    exact_test_within_sets,
    excess_bound,
    mean_rates,
    rates,
)
from app.analysis.statistics.mixed import mixed
from app.analysis.statistics.mrmc import (
    ArmMean,
    Comparison,
    arm_mean,
    case_covariance,
    components,
    fixed_readers,
    mean_squares,
    random_readers,
)
from app.analysis.statistics.paired import bonett_price_difference, mcnemar, newcombe_difference
from app.analysis.statistics.planning import (
    choice_power,
    mid_p_power,
    pairs_for_difference,
    pairs_without_flip,
    similarity_power,
    tost_power,
)
from app.analysis.statistics.proportions import (
    exact_interval,
    jeffreys_interval,
    mid_p_interval,
    wilson_interval,
)
from app.analysis.statistics.regression import Model, gee
from app.analysis.statistics.roc import (
    delong_covariance,
    jackknife_covariance,
    paired_roc,
    placements,
    wins,
)
from app.analysis.statistics.unconditional import (
    exact_difference,
    noninferiority_p,
    unconditional_p,
)
from app.analysis.statistics.ustatistic import mean_variance

Oracles = Mapping[str, Any]
Row = dict[str, Any]
Array = NDArray[np.float64]
DemoArray = Callable[..., Array]

BINOMIAL = ["binom_ci_17_20", "binom_ci_18_20", "binom_ci_20_20", "binom_ci_0_20"]
PAIRED = ["paired_1_1_7_12", "paired_15_2_1_2", "paired_18_0_0_2", "paired_20_0_0_0"]
TOST = ["tost_15_2_1_2_m0.2", "tost_18_0_0_2_m0.2", "tost_18_0_0_2_m0.1"]
CLUSTERED = ["clustered_mcnemar_thyroids", "demo_clustered_mcnemar"]
TWO_READINGS = [
    "agreement_table_0",
    "agreement_table_1",
    "demo_intra_R1_original",
    "demo_intra_R1_perturbed",
    "demo_intra_R2_original",
    "demo_intra_R2_perturbed",
]
SEVERAL_READINGS = ["agreement_raw4raters_missing", "demo_inter_original"]
AREAS = ["demo_or_auc_delong", "demo_or_auc_jackknife", "demo_or_auc_delong_fixed_readers"]
ROC = ["demo_delong_R1", "demo_delong_R2"]
SINGLE = [
    "exact_unconditional_ni_15_2_1_2",
    "power_tost_exact",
    "n_mcnemar_asymptotic",
    "zero_discordance_min_n",
    "afc_2_30_40",
    "afc_similarity_22_40",
    "yesno_10_20_3_20",
    "same_different_0.642_0.3",
    "afc_power",
    "demo_or_sensitivity",
    "demo_ustat_tp",
    "demo_imrmc_auc",
    "demo_flip",
    "flip_tiny_by_hand",
    "demo_gee_label_logit_exchangeable",
    "demo_gee_label_identity_independence",
    "demo_glmm_intercept_only",
    "demo_glmm_random_slope",
]
OF_THE_WHOLE = ["demo_table1b"]  # in test_analyse.py


def test_every_oracle_has_a_test(oracles: Oracles) -> None:
    several = {*BINOMIAL, *PAIRED, *TOST, *CLUSTERED, *TWO_READINGS, *SEVERAL_READINGS}
    assert oracles.keys() == {*several, *AREAS, *ROC, *SINGLE, *OF_THE_WHOLE}


def table_of(inputs: Row) -> PairedTable:
    return PairedTable(*(inputs[key] for key in "abcd"))


def close(expected: Any, tolerance: float) -> Any:
    return pytest.approx(expected, rel=0, abs=tolerance)


@pytest.mark.parametrize("name", BINOMIAL)
def test_proportions(oracles: Oracles, name: str) -> None:
    inputs, expected = oracles[name]["inputs"], oracles[name]["expected"]
    x, n = inputs["x"], inputs["n"]

    assert wilson_interval(x, n) == close(tuple(expected["wilson"]), 1e-8)
    assert exact_interval(x, n) == close(tuple(expected["clopper_pearson"]), 1e-8)
    assert jeffreys_interval(x, n) == close(tuple(expected["jeffreys"]), 1e-8)
    assert mid_p_interval(x, n) == close(tuple(expected["midp"]), 5e-5)  # of R's uniroot


@pytest.mark.parametrize("name", PAIRED)
def test_pairs(oracles: Oracles, name: str) -> None:
    table, expected = table_of(oracles[name]["inputs"]), oracles[name]["expected"]
    found = {
        "tango_ci95": paired_difference(table),
        "tango_ci90": paired_difference(table, 0.90),
        "newcombe10_ci95": newcombe_difference(table),
        "newcombe8_ci95": newcombe_difference(table, corrected=False),
        "bonett_price_ci95": bonett_price_difference(table),
    }
    for key, (estimate, *limits) in found.items():
        assert estimate == close(expected["diff"], 1e-12)
        assert limits == close(expected[key], 1e-6), key
    for score in expected["tango_test"]:
        z = tango_score(table, score["theta0"])
        assert z == close(score["z"], 1e-6)
        assert stats.norm.cdf(z) == close(score["p_left"], 1e-6)
        assert stats.norm.sf(z) == close(score["p_right"], 1e-6)


@pytest.mark.parametrize("name", PAIRED)
def test_pair_tests(oracles: Oracles, name: str) -> None:
    table, expected = table_of(oracles[name]["inputs"]), oracles[name]["expected"]
    found = mcnemar(table)

    assert (found.exact, found.mid_p) == close((expected["p_exact"], expected["p_midp"]), 1e-6)
    if table.b + table.c == 0:
        assert unconditional_p(table) == 1
        return
    assert found.chi2 == close(expected["chi2"], 1e-6)
    assert found.asymptotic == close(expected["p_asymptotic"], 1e-6)
    assert found.asymptotic_corrected == close(expected["p_asymptotic_cc"], 1e-6)
    assert unconditional_p(table) == close(expected["p_exact_unconditional"], 2e-6)
    limits = exact_difference(table)[1:]
    assert limits == close(tuple(expected["melded_exact_diff_ci95"]), 1.3e-4)  # of R's uniroot


def test_exact_unconditional_noninferiority(oracles: Oracles) -> None:
    entry = oracles["exact_unconditional_ni_15_2_1_2"]
    p = noninferiority_p(table_of(entry["inputs"]), entry["inputs"]["delta"])

    assert p == close(entry["expected"]["p"], 1e-5)


@pytest.mark.parametrize("name", TOST)
def test_two_one_sided_tests(oracles: Oracles, name: str) -> None:
    inputs, expected = oracles[name]["inputs"], oracles[name]["expected"]
    margin = inputs["margin"]

    found = tost(table_of(inputs), margin, inputs["alpha"])

    assert found[:3] == close((expected["p_lower"], expected["p_upper"], expected["p_tost"]), 1e-6)
    assert found[3:] == close(tuple(expected["ci90"]), 1e-6)
    assert (-margin < found.low and found.high < margin) == expected["equivalent"]


def test_power_of_equivalence(oracles: Oracles) -> None:
    entry = oracles["power_tost_exact"]
    found = [
        tost_power(case["n"], case["p10"], case["p01"], case["margin"], case["alpha"])
        for case in entry["inputs"]["cases"]
    ]

    assert found == close(entry["expected"]["power"], 1e-6)


def test_pairs_for_a_difference(oracles: Oracles) -> None:
    inputs = oracles["n_mcnemar_asymptotic"]["inputs"]
    expected = oracles["n_mcnemar_asymptotic"]["expected"]
    raw = pairs_for_difference(inputs["p10"], inputs["p01"], inputs["alpha"], inputs["power"])

    assert raw == close(expected["n_raw"], 1e-6)
    assert math.ceil(raw) == expected["n"]
    for n in (20, 88):
        power = mid_p_power(n, inputs["p10"], inputs["p01"])
        assert power == close(expected[f"exact_power_midp_n{n}"], 1e-6)


def test_pairs_without_a_flip(oracles: Oracles) -> None:
    entry = oracles["zero_discordance_min_n"]
    found = [pairs_without_flip(margin) for margin in entry["inputs"]["margins"]]

    assert found == entry["expected"]["min_n"]


@pytest.mark.parametrize("name", CLUSTERED)
def test_clustered_pairs(oracles: Oracles, name: str) -> None:
    inputs, expected = oracles[name]["inputs"], oracles[name]["expected"]
    counts = zip(*(inputs[key] for key in ("ak", "bk", "ck", "dk")), strict=True)
    tables = [PairedTable(*cells) for cells in counts]

    names = {"mcnemar": "mcnemar_pooled"}
    for key in ("mcnemar", "eliasziw", "obuchowski", "durkalski", "yang"):
        found = CLUSTERED_TESTS[names.get(key, key)](tables)
        assert found == close((expected[key]["chi2"], expected[key]["p"]), 1e-8), key
    assert cluster_error(*columns(tables)) == close(expected["se_cluster"], 1e-8)
    difference = clustered_difference([CaseCounts(t.b, t.c, t.n) for t in tables])
    assert difference.estimate == close(expected["diff"], 1e-8)
    for published, value in expected.get("published_rounded", {}).items():
        found = CLUSTERED_TESTS[names.get(published, published)](tables)
        assert round(found.chi2, 2) == value


@pytest.mark.parametrize("name", TWO_READINGS)
def test_agreement_of_two(oracles: Oracles, name: str) -> None:
    entry, expected = oracles[name], oracles[name]["expected"]
    (a, b), (c, d) = entry["inputs"]["table"]
    table = PairedTable(a, b, c, d)
    kappa, ac1, prevalence_adjusted = cohen_kappa(table), gwet_ac1_of_table(table), pabak(table)
    found = {
        "kappa": kappa.estimate,
        "kappa_se": kappa.error,
        "pabak": prevalence_adjusted.estimate,
        "pabak_se": prevalence_adjusted.error,
        "ac1": ac1[0],
        "ac1_se": ac1[1],
        "ac1_se_multirater": gwet_ac1(ratings_of(table), 2).error,
        "scott_pi": scott_pi(table),
        "positive_agreement": specific_agreement(a, b + c).estimate,
        "negative_agreement": specific_agreement(d, b + c).estimate,
    }
    limits = expected.pop("kappa_ci95_normal", None) if "kappa_ci95_normal" in expected else None

    assert {key: found[key] for key in expected} == close(expected, 1e-6)
    if limits:
        assert kappa[2:] == close(tuple(limits), 1e-6)
        expected["kappa_ci95_normal"] = limits


def test_the_demo_tables_of_two_showings_are_those_of_the_rows(
    oracles: Oracles, demo: list[Row]
) -> None:
    labels = {
        (row["reader_id"], row["condition"], row["image_id"], row["set"]): row["label"]
        for row in demo
    }
    cases = {row["image_id"] for row in demo}
    for name in TWO_READINGS[2:]:
        _, _, reader, condition = name.split("_")
        pairs = [tuple(labels[reader, condition, case, each] for each in (1, 2)) for case in cases]
        counted = [[pairs.count((1, 1)), pairs.count((1, 0))], [pairs.count((0, 1)), 0]]
        counted[1][1] = pairs.count((0, 0))
        assert counted == oracles[name]["inputs"]["table"]


@pytest.mark.parametrize("name", SEVERAL_READINGS)
def test_agreement_of_several(oracles: Oracles, name: str, demo_array: DemoArray) -> None:
    entry, expected = oracles[name], oracles[name]["expected"]
    if "ratings" in entry["inputs"]:
        ratings, categories = np.array(entry["inputs"]["ratings"], dtype=float), 5
    else:
        ratings, categories = demo_array("label")[0].T, 2
    ac1, fleiss = gwet_ac1(ratings, categories), fleiss_kappa(ratings)
    alpha = krippendorff_alpha(ratings)
    found = {
        "gwet_ac1": ac1.estimate,
        "gwet_ac1_se": ac1.error,
        "fleiss_kappa": fleiss.estimate,
        "fleiss_kappa_se": fleiss.error,
        "krippendorff_alpha": alpha.estimate,
        "krippendorff_alpha_se": alpha.error,
        "brennan_prediger": brennan_prediger(ratings, categories).estimate,
        "percent_agreement": mean_agreement(ratings).estimate,
        "conger_kappa": conger_kappa(ratings),
    }
    numbers = {key: value for key, value in expected.items() if key != "ac1_ci95_t"}
    assert {key: found[key] for key in numbers} == close(numbers, 1e-5)
    if "ac1_ci95_t" in expected:
        assert f"({ac1.low:.3f},{ac1.high:.0f})" == expected["ac1_ci95_t"]


def test_two_alternative_forced_choice(oracles: Oracles) -> None:
    entry, expected = oracles["afc_2_30_40"], oracles["afc_2_30_40"]["expected"]
    found = choice(entry["inputs"]["correct"], entry["inputs"]["n"])

    assert found.d_prime == close((expected["dprime"], *expected["ci95"]), 1e-6)
    assert found.d_prime.estimate == close(expected["dprime_unclamped"], 1e-6)
    assert found.error == close(expected["se"], 1e-6)
    assert found.share[1:] == close(tuple(expected["pc_ci95"]), 1e-6)
    assert found.p_chance == close(expected["p_one_sided_vs_chance"], 1e-6)


def test_similarity(oracles: Oracles) -> None:
    inputs = oracles["afc_similarity_22_40"]["inputs"]
    expected = oracles["afc_similarity_22_40"]["expected"]

    assert similarity_p(inputs["x"], inputs["n"], inputs["dprime0"]) == close(expected["p"], 1e-8)
    assert share_of(inputs["dprime0"]) == close(expected["pc0"], 1e-8)


def test_yes_or_no(oracles: Oracles) -> None:
    inputs, expected = (
        oracles["yesno_10_20_3_20"]["inputs"],
        oracles["yesno_10_20_3_20"]["expected"],
    )
    counts = (
        inputs["hits"],
        inputs["n_signal"],
        inputs["false_alarms"],
        inputs["n_noise"],
    )
    hit, false_alarm = counts[0] / counts[1], counts[2] / counts[3]
    log_linear_found = yes_no(log_linear(*counts[:2]), log_linear(*counts[2:]))

    assert yes_no(hit, false_alarm) == close((expected["dprime"], expected["criterion_c"]), 1e-6)
    assert log_linear_found == close(
        (expected["dprime_loglinear"], expected["criterion_c_loglinear"]), 1e-6
    )
    assert yes_no_error(hit, counts[1], false_alarm, counts[3]) == close(expected["se"], 1e-6)
    assert fisher_p(*counts) == close(expected["p_fisher_one_sided"], 1e-6)


def test_same_or_different(oracles: Oracles) -> None:
    entry = oracles["same_different_0.642_0.3"]
    found = same_different(entry["inputs"]["H"], entry["inputs"]["F"])

    assert found._asdict() == close(entry["expected"], 1e-4)


def test_power_of_forced_choice(oracles: Oracles) -> None:
    expected = oracles["afc_power"]["expected"]

    assert choice_power(40, 0.5) == close(expected["diff_n40_d0.5"], 1e-6)
    assert similarity_power(100, 0.5) == close(expected["sim_n100_d0_vs0.5"], 1e-6)
    enough = range(1, 200)
    assert next(n for n in enough if similarity_power(n, 0.5) >= 0.8) == expected["ss_sim"]
    assert next(n for n in enough if choice_power(n, 0.5) >= 0.8) == expected["ss_diff"]


def equality(theta: Array, covariance: Array) -> dict[str, float]:
    readers = theta.shape[1]
    parts = components(covariance, readers)
    of_arms, of_readers = mean_squares(theta)
    total = 2 * float(np.var(theta.mean(axis=0), ddof=1))
    return {
        "reader": (total - of_readers) / 2 - parts.covariance_1 + parts.covariance_3,
        "test:reader": of_readers
        - parts.variance
        + parts.covariance_1
        + parts.covariance_2
        - parts.covariance_3,
        "Error": parts.variance,
        "Cov1": parts.covariance_1,
        "Cov2": parts.covariance_2,
        "Cov3": parts.covariance_3,
        "MS(T)": of_arms,
        "MS(T:R)": of_readers,
    }


def check_comparison(found: Comparison, expected: Row) -> None:
    difference, test = expected["diff"], expected["equality"]
    assert found.difference.estimate == close(difference["Estimate"], 1e-8)
    assert found.error == close(difference["StdErr"], 1e-8)
    assert found.difference[1:] == close(tuple(difference["CI"][0]), 1e-8)
    assert found.p == close(test["p-value"], 1e-8)
    assert found.statistic == close(test["F"] if "F" in test else test["X2"], 1e-8)
    assert found.df == close(test["df2"] if "F" in test else test["df"], 1e-6)


def check_mean(found: ArmMean, expected: Row) -> None:
    assert found.mean.estimate == close(expected["Estimate"], 1e-8)
    assert found.error == close(expected["StdErr"], 1e-8)
    assert found.df == close(expected["df"], 1e-6)
    low, high = expected["CI"][0]
    assert found.mean[1:] == close((max(0.0, low), min(1.0, high)), 1e-8)


def check_parts(theta: Array, covariance: Array, expected: Row) -> None:
    found = equality(theta, covariance)
    wanted = {**expected["vcov"], **expected["equality"]}
    assert {key: found[key] for key in found if key in wanted} == close(
        {key: wanted[key] for key in found if key in wanted}, 1e-8
    )


@pytest.mark.parametrize("name", AREAS)
def test_readers_and_cases_of_areas(
    oracles: Oracles, name: str, demo_array: DemoArray, demo_truths: Sequence[int]
) -> None:
    expected = oracles[name]["expected"]
    ratings = demo_array("score").reshape(6, -1)
    places = placements(ratings, demo_truths)
    theta = places.areas.reshape(2, 3)
    method = jackknife_covariance if "jackknife" in name else delong_covariance
    covariance = method(places)

    check_parts(theta, covariance, expected)
    if "fixed" in name:
        check_comparison(fixed_readers(theta, covariance), expected)
        for arm in (0, 1):
            block = covariance.reshape(2, 3, 2, 3)[arm, :, arm, :]
            assert np.trace(block) / 3 == close(expected["means"][arm]["Var(Error)"], 1e-8)
        return
    found = random_readers(theta, covariance)
    check_comparison(found, expected)
    assert found.clamped == (expected["vcov"]["Cov2"] < expected["vcov"]["Cov3"])
    for arm in (0, 1):
        check_mean(arm_mean(theta, covariance, arm), expected["means"][arm])


def test_readers_and_cases_of_sensitivity(oracles: Oracles, demo_array: DemoArray) -> None:
    expected = oracles["demo_or_sensitivity"]["expected"]
    labels = demo_array("label", truth=1)
    theta, covariance = labels.mean(axis=2), case_covariance(labels.reshape(6, -1))

    check_parts(theta, covariance, expected)
    check_comparison(random_readers(theta, covariance), expected)
    for arm in (0, 1):
        check_mean(arm_mean(theta, covariance, arm), expected["means"][arm])


def test_u_statistics_of_true_positives(oracles: Oracles, demo_array: DemoArray) -> None:
    expected = oracles["demo_ustat_tp"]["expected"]
    labels = demo_array("label", truth=1)
    found = [mean_variance(each) for each in (*labels, labels[0] - labels[1])]

    assert [each.mean for each in found] == close(expected["mean"], 1e-10)
    assert [each.unbiased for each in found] == close(expected["var"], 1e-10)


def test_u_statistics_of_areas(
    oracles: Oracles, demo: list[Row], demo_array: DemoArray, demo_truths: Sequence[int]
) -> None:
    expected = oracles["demo_imrmc_auc"]["expected"]
    truths = np.array(demo_truths)
    kernels = np.array(
        [[wins(row[truths == 1], row[truths == 0]) for row in arm] for arm in demo_array("score")]
    )
    found = [mean_variance(each) for each in (*kernels, kernels[0] - kernels[1])]
    rows = len([row for row in demo if row["set"] == 1]) + len(truths)
    assert rows == expected["n_rows"]
    for each, unbiased, biased in zip(found, expected["Ustat"], expected["MLEstat"], strict=True):
        single = unbiased["modalityB"] == "NO_MOD"
        mean, variance = ("AUCA", "varAUCA") if single else ("AUCAminusAUCB", "varAUCAminusAUCB")
        assert each.mean == close(unbiased[mean], 1e-8)
        assert each.unbiased == close(unbiased[variance], 1e-8)
        assert each.biased == close(biased[variance], 1e-8)
        assert each.biased_df == close(biased["dfBDG"], 1e-6)
        if unbiased["dfBDG"] is None:
            assert each.unbiased < 0
            assert each.unbiased_df is None
        else:
            assert each.unbiased_df == close(unbiased["dfBDG"], 1e-6)
        chance = 0.5 if single else 0.0
        t = (each.mean - chance) / math.sqrt(each.biased)
        whole = math.floor(each.biased_df or 0)  # iMRMC takes whole degrees, and 50 for infinite
        law = stats.t(whole) if whole < 50 else stats.norm
        assert 2 * law.sf(abs(t)) == close(biased["pValueBDG"], 1e-8)


def units_of(rows: list[Row]) -> list[Unit]:
    labels = {
        (row["image_id"], row["reader_id"], row["condition"], row["set"]): row["label"]
        for row in rows
    }
    units = sorted({(row["image_id"], row["reader_id"]) for row in rows})
    return [
        Unit(
            *unit,
            tuple(labels[(*unit, "original", each)] for each in (1, 2)),
            tuple(labels[(*unit, "perturbed", each)] for each in (1, 2)),
        )
        for unit in units
    ]


def test_flips(oracles: Oracles, demo: list[Row]) -> None:
    expected = oracles["demo_flip"]["expected"]
    units = units_of(demo)
    found, test, robust = mean_rates(units), exact_test(units), exact_test_within_sets(units)
    bound = excess_bound(units)

    assert found._asdict() == close({key: expected[key] for key in found._fields}, 1e-8)
    assert test == close((expected["K"], expected["M"], expected["p_exact"]), 1e-8)
    assert robust == close(tuple(expected["restricted"][key] for key in ("K", "M", "p")), 1e-8)
    assert bound.error == close(expected["image_cluster_se_excess"], 1e-8)
    assert bound.high == close(expected["upper95_one_sided_t_excess"], 1e-8)
    of_units = np.array([rates(unit) for unit in units]).reshape(30, 3, 5)
    variances = expected["ustat_var"]
    keys = {"d_op": "dop", "d_oo": "doo", "d_pp": "dpp", "excess": "ex", "iei": "iei"}
    for index, key in enumerate(found._fields):
        variance = mean_variance(of_units[:, :, index]).unbiased
        assert variance == close(variances[keys[key]], 1e-8), key


def test_flips_by_hand(oracles: Oracles) -> None:
    entry, expected = oracles["flip_tiny_by_hand"], oracles["flip_tiny_by_hand"]["expected"]
    pairs = zip(entry["inputs"]["original"], entry["inputs"]["perturbed"], strict=True)
    units = [Unit(str(case), "R", tuple(o), tuple(p)) for case, (o, p) in enumerate(pairs)]
    found = mean_rates(units)

    assert [rates(unit).excess for unit in units] == close(expected["unit_excess"], 1e-12)
    for key in ("d_oo", "d_pp", "d_op", "excess"):
        assert getattr(found, key) == close(expected[key], 1e-12)
    assert exact_test(units) == close((expected["K"], expected["M"], expected["p_exact"]), 1e-12)
    robust = tuple(expected["restricted"][key] for key in ("K", "M", "p"))
    assert exact_test_within_sets(units) == close(robust, 1e-12)


def model_of(rows: list[Row], outcome: Callable[[Row], float]) -> Model:
    model = Model(
        np.array([float(outcome(row)) for row in rows]), [row["image_id"] for row in rows]
    )
    model.add("perturbed", np.array([row["condition"] == "perturbed" for row in rows]))
    return model


def test_odds_of_a_label(oracles: Oracles, demo: list[Row]) -> None:
    entry = oracles["demo_gee_label_logit_exchangeable"]["expected"]
    rows = [row for row in demo if row["truth"] == 1]
    model = model_of(rows, lambda row: row["label"])
    model.add_groups("reader", [row["reader_id"] for row in rows])
    model.add_groups("set", [row["set"] for row in rows])
    found = gee(model, "binomial", "exchangeable")

    assert found.names == ["intercept", "perturbed", "reader R2", "reader R3", "set 2"]
    effects = [found.effect(name) for name in found.names]
    assert [effect.estimate for effect in effects] == close(entry["est"], 1e-3)
    assert [effect.error for effect in effects] == close(entry["se"], 1e-3)
    assert [effect.p for effect in effects] == close(entry["p"], 1e-3)


def test_risk_difference_of_a_label(oracles: Oracles, demo: list[Row]) -> None:
    entry = oracles["demo_gee_label_identity_independence"]["expected"]
    rows = [row for row in demo if row["truth"] == 1]
    found = gee(model_of(rows, lambda row: row["label"]), "gaussian", "independence")

    effects = [found.effect(name) for name in found.names]
    assert [effect.estimate for effect in effects] == close(entry["est"], 1e-6)
    assert [effect.error for effect in effects] == close(entry["se"], 1e-6)
    assert [effect.p for effect in effects] == close(entry["p"], 1e-6)


def test_cases_at_random_in_a_logistic_model(oracles: Oracles, demo: list[Row]) -> None:
    """gpboost agrees to the last digit that design/statistics.md 2.5 has of it; lme4, whose modes
    stop at 1e-7, has 1 % less of the intercept's error."""
    expected = oracles["demo_glmm_intercept_only"]["expected"]
    rows = [row for row in demo if row["truth"] == 1]
    model = model_of(rows, lambda row: row["label"])
    model.add_groups("set", [row["set"] for row in rows])
    found = mixed(model)

    effects = [found.effect(name) for name in found.names]
    assert [effect.estimate for effect in effects] == close(expected["beta"], 5e-3)
    assert [effect.error for effect in effects[1:]] == close(expected["se"][1:], 5e-3)
    assert effects[0].error == pytest.approx(expected["se"][0], rel=0.011)
    assert [effect.p for effect in effects] == close(expected["p"], 5e-3)
    assert found.log_likelihood == close(expected["logLik"], 5e-3)
    assert found.deviations[0] ** 2 == pytest.approx(expected["var_image"], rel=5e-3)
    assert (round(effects[1].estimate, 4), round(found.deviations[0] ** 2, 3)) == (-1.3326, 9.426)


def test_cases_readers_and_effects_at_random(oracles: Oracles, demo: list[Row]) -> None:
    expected = oracles["demo_glmm_random_slope"]["expected"]
    rows = [row for row in demo if row["truth"] == 1]
    model = model_of(rows, lambda row: row["label"])
    model.add_groups("set", [row["set"] for row in rows])
    found = mixed(model, slope="perturbed", readers=[row["reader_id"] for row in rows])

    effects = [found.effect(name) for name in found.names]
    assert [effect.estimate for effect in effects] == close(expected["beta"], 0.05)
    assert [effect.error for effect in effects] == close(expected["se"], 0.05)
    assert [effect.p for effect in effects] == close(expected["p"], 0.05)
    assert found.log_likelihood == close(expected["logLik"], 0.05)


def test_time_of_the_demo_as_geepack_has_it(demo: list[Row]) -> None:
    """design/statistics.md 2.11."""
    model = model_of(demo, lambda row: math.log(row["rt_ms"]))
    model.add_groups("reader", [row["reader_id"] for row in demo])
    model.add_groups("set", [row["set"] for row in demo])
    found = gee(model, "gaussian", "independence")

    assert found.effect("perturbed")[:2] == close((0.02082655, 0.05215714), 1e-6)
    assert found.effect("set 2")[:2] == close((-0.11893938, 0.05612023), 1e-6)


@pytest.mark.parametrize("name", ROC)
def test_areas_of_one_reader(
    oracles: Oracles, name: str, demo_array: DemoArray, demo_truths: Sequence[int]
) -> None:
    expected = oracles[name]["expected"]
    reader = int(name[-1]) - 1
    found = paired_roc(demo_array("score")[:, reader, :], demo_truths)

    low, middle, high = expected["ci_original"]
    assert found.original == close((middle, low, high), 1e-8)
    assert found.original.estimate == close(expected["auc_original"], 1e-8)
    assert found.perturbed.estimate == close(expected["auc_perturbed"], 1e-8)
    assert (found.z, found.p) == close((expected["z"], expected["p"]), 1e-8)
    assert found.difference[1:] == close(tuple(expected["ci_diff"]), 1e-8)
