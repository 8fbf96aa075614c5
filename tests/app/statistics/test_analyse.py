"""The JSON of an analysis: strict, complete, the same each time, and true to the rows."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.analysis.analyse import SECTIONS, analyse, options_of
from app.analysis.exported import Attack, Impressions, NetworkEpsilon, Pair, Plan, Shown, Tidy
from app.analysis.sections.rows import Options
from app.analysis.summary import summary

Json = dict[str, Any]
CODE = {"name": "plainsight", "version": "0", "commit": ""}
ATTACKS = {
    f"linf-{epsilon}": Attack(f"linf-{epsilon}", "pgd", "linf", float(epsilon))
    for epsilon in (1, 2, 4, 8)
}


def made(shown: Sequence[Shown], pairs: Sequence[Pair] = (), **more: Any) -> Tidy:
    return replace(Tidy(shown, pairs, None, ATTACKS, Plan(), ()), **more)


def shown_of(
    reader: str, number: int, case: str, condition: str | None, label: int | None, **more: Any
) -> Shown:
    """A case whose name begins with t is tumour."""
    truth = int(case.startswith("t"))
    found = Shown(reader, number, 1, 1, case, condition, truth, label, "", None, 1000, None)
    return replace(found, **more)


def demo_tidy(demo: Sequence[Mapping[str, Any]]) -> Tidy:
    rows = [
        Shown(
            reader=row["reader_id"],
            set_number=row["set"],
            index=row["position"],
            position=row["position"],
            case=row["image_id"],
            condition="linf-2" if row["condition"] == "perturbed" else None,
            truth=row["truth"],
            label=row["label"],
            response="",
            rating=row["score"],
            reading_time_ms=row["rt_ms"],
            exclusion=None,
        )
        for row in demo
    ]
    return made(rows)


def complaints(value: Any, path: str = "") -> Iterator[str]:
    """Every null without a reason beside it."""
    match value:
        case dict():
            if None in value.values() and not value.get("reason"):
                yield path
            for key, inner in value.items():
                assert isinstance(key, str)
                yield from complaints(inner, f"{path}.{key}")
        case list():
            assert None not in value, path
            for place, inner in enumerate(value):
                yield from complaints(inner, f"{path}[{place}]")
        case _:
            assert value is None or isinstance(value, str | int | float | bool), path


def analysed(tidy: Tidy, options: Options | None = None) -> Json:
    """As JSON has it; null only with its reason, and nothing that JSON has not."""
    text = json.dumps(analyse(tidy, options or Options(), CODE), allow_nan=False)
    found: Json = json.loads(text)
    assert list(complaints(found)) == []
    return found


# Any study whatever.

names = st.sampled_from(["t1", "t2", "t3", "n1", "n2"])


@st.composite
def anything(draw: st.DrawFn) -> Tidy:
    sets = draw(st.integers(1, 3))
    readers = draw(st.sampled_from([["R1"], ["R1", "R2"], ["R1", "R2", "R3", "R4"]]))
    arms: list[str | None] = [None, *draw(st.sampled_from([[], ["linf-2"], ["linf-2", "x"]]))]
    cases = draw(st.lists(names, unique=True, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    answered, said = draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.floats(0, 1))
    has_ratings = draw(st.booleans())
    rows = []
    for index, (reader, number, case, arm) in enumerate(
        (reader, number, case, arm)
        for reader in readers
        for number in range(1, sets + 1)
        for case in cases
        for arm in arms
    ):
        label = int(rng.random() < said) if rng.random() <= answered else None
        rating = int(rng.integers(0, 101)) if label is not None and has_ratings else None
        row = shown_of(reader, number, case, arm, label, index=index + 1, rating=rating)
        rows.append(replace(row, reading_time_ms=int(rng.integers(0, 5000))))
    kept = [row for row in rows if rng.random() <= draw(st.sampled_from([0.8, 1.0]))]
    pairs = draw(st.lists(any_pair(), max_size=30))
    impressions = draw(
        st.none() | st.just([Impressions("R1", "yes", ""), Impressions("R2", "", "")])
    )
    return made(kept, pairs, impressions=impressions)


def any_pair() -> st.SearchStrategy[Pair]:
    sides = st.sampled_from([None, "linf-1", "linf-2", "linf-4", "unknown"])
    readers, tasks = st.sampled_from(["R1", "R2"]), st.sampled_from(["choice", "same_different"])
    said = st.sampled_from(["left", "right", "same", "different", "not_sure", ""])
    correct = st.none() | st.booleans()
    return st.builds(
        Pair, readers, st.just(1), names, tasks, sides, sides, st.just(False), said, correct
    )


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(anything())
def test_any_study_has_an_analysis_in_strict_json(tidy: Tidy) -> None:
    network = NetworkEpsilon("0.5", (0.5,), None)
    found = analysed(tidy, Options(network=(network,)))

    assert {*SECTIONS, "format", "format_version", "code", "options", "inputs", "study"} == {*found}
    assert all(isinstance(line, str) for line in summary(found))


def test_a_study_without_anything_is_told_so() -> None:
    found = analysed(made([]))

    assert summary(found)[0] == "There is no perturbed image in this study."
    assert found["detection"]["reason"]
    assert found["study"]["readers"] == []


def test_of_one_showing_there_is_no_primary_result_but_a_reason() -> None:
    rows = [shown_of("R1", 1, f"t{n}", arm, 1) for n in range(9) for arm in (None, "linf-2")]
    [flips] = analysed(made(rows))["flips"]

    assert (flips["excess"], flips["upper95"], flips["verdict"]) == (None, None, None)
    assert "shown once" in flips["reason"]


# The study of the oracles.


@pytest.fixture(scope="module")
def found(demo: list[dict[str, Any]]) -> Json:
    return analysed(demo_tidy(demo))


def test_the_table_is_the_papers(found: Json, oracles: Mapping[str, Any]) -> None:
    expected = oracles["demo_table1b"]["expected"]
    lines = {
        f"{line['reader']}/set{line['set']}": {
            "original": line["original"]["tumour"],
            "perturbed": line["perturbed"]["tumour"],
            "max": line["original"]["n"],
        }
        for line in found["table"]["lines"]
        if line["truth"] == 1
    }

    assert lines == expected


def test_the_flips_are_the_oracles(found: Json, oracles: Mapping[str, Any]) -> None:
    expected = oracles["demo_flip"]["expected"]
    [flips] = found["flips"]

    for key in ("d_op", "d_oo", "d_pp", "excess", "iei", "K", "M", "p_exact"):
        assert flips[key] == pytest.approx(expected[key], abs=1e-8)
    assert flips["upper95"] == pytest.approx(expected["upper95_one_sided_t_excess"], abs=1e-8)
    assert flips["set_robust"]["p"] == pytest.approx(expected["restricted"]["p"], abs=1e-8)
    assert flips["verdict"] == "inconclusive"
    assert "60 cases" in flips["caution"]


def test_the_pooled_difference_is_the_oracles(found: Json, oracles: Mapping[str, Any]) -> None:
    expected = oracles["demo_clustered_mcnemar"]["expected"]
    sensitivity = found["tp_difference"][0]
    pooled = sensitivity["pooled"]

    assert (sensitivity["measure"], pooled["verdict"]) == ("sensitivity", "inconclusive")
    assert pooled["difference"] == pytest.approx(expected["diff"], abs=1e-8)
    assert pooled["error"]["value"] == pytest.approx(expected["se_cluster"], abs=1e-8)
    for ours, theirs in (("mcnemar_pooled", "mcnemar"), ("yang", "yang"), ("durkalski",) * 2):
        assert pooled["tests"][ours] == pytest.approx(expected[theirs], abs=1e-8)
    gee = oracles["demo_gee_label_logit_exchangeable"]["expected"]
    assert pooled["log_odds"]["estimate"] == pytest.approx(gee["est"][1], abs=1e-3)
    assert pooled["log_odds"]["p"] == pytest.approx(gee["p"][1], abs=1e-3)
    mixed = oracles["demo_glmm_random_slope"]["expected"]
    assert pooled["mixed_model"]["effect"]["p"] == pytest.approx(mixed["p"][1], abs=0.05)


def test_readers_and_cases_are_the_oracles(found: Json, oracles: Mapping[str, Any]) -> None:
    of_first_set = {each["metric"]: each for each in found["mrmc"] if each["sets"] == [1]}
    for metric, name in (("sensitivity", "demo_or_sensitivity"), ("auc", "demo_or_auc_delong")):
        expected = oracles[name]["expected"]["diff"]
        random = of_first_set[metric]["random_readers"]
        assert random["difference"]["estimate"] == pytest.approx(expected["Estimate"], abs=1e-8)
        assert random["error"] == pytest.approx(expected["StdErr"], abs=1e-8)
        assert random["p"] == pytest.approx(expected["p-value"], abs=1e-8)
    auc = of_first_set["auc"]
    assert auc["random_readers"]["clamped"]
    assert "set to 0" in auc["said"]
    assert "no variance" in auc["said"]
    negative = auc["u_statistic"]["difference"]["unbiased"]
    assert negative == pytest.approx(-0.00121889619883031, abs=1e-8)
    assert {tuple(each["sets"]) for each in found["mrmc"]} == {(1, 2), (1,), (2,)}


def test_agreement_and_areas_are_the_oracles(found: Json, oracles: Mapping[str, Any]) -> None:
    expected = oracles["demo_intra_R1_perturbed"]["expected"]
    [intra] = [
        each
        for each in found["agreement"]["intra"]
        if (each["reader"], each["condition"]) == ("R1", "linf-2")
    ]
    for ours, theirs in (("kappa", "kappa"), ("ac1", "ac1"), ("positive", "positive_agreement")):
        assert intra[ours]["estimate"] == pytest.approx(expected[theirs], abs=1e-6)
    expected = oracles["demo_inter_original"]["expected"]
    inter = found["agreement"]["inter"][0]
    assert inter["fleiss"]["error"] == pytest.approx(expected["fleiss_kappa_se"], abs=1e-5)
    assert inter["positive"]["low"] < inter["positive"]["estimate"] < inter["positive"]["high"]
    expected = oracles["demo_delong_R2"]["expected"]
    [line] = [each for each in found["roc"]["lines"] if (each["reader"], each["set"]) == ("R2", 1)]
    assert line["areas"]["z"] == pytest.approx(expected["z"], abs=1e-8)


def test_times_are_geepacks(found: Json) -> None:
    [ratio] = found["time"]["ratios"]

    assert ratio["perturbed"]["estimate"] == pytest.approx(np.exp(0.02082655), abs=1e-6)
    assert ratio["perturbed"]["log_error"] == pytest.approx(0.05215714, abs=1e-6)


def test_the_order_of_rows_changes_nothing_and_another_run_neither(
    demo: list[dict[str, Any]], found: Json
) -> None:
    shuffled = [demo[place] for place in np.random.default_rng(3).permutation(len(demo))]

    assert analysed(demo_tidy(shuffled)) == found


# Verdicts, options, and what is missing.


def whole_study(cases: int, flips: int = 0) -> list[Shown]:
    """Two sets; the perturbed image of so many cases is always missed."""
    return [
        shown_of("R1", number, f"t{case}", arm, int(arm is None or case >= flips))
        for number in (1, 2)
        for case in range(cases)
        for arm in (None, "linf-2")
    ]


@pytest.mark.parametrize(
    ("cases", "flips", "of_flips", "of_sensitivity"),
    [
        (80, 0, "equivalent within margin", "equivalent within margin"),
        (20, 0, "inconclusive", "inconclusive"),
        (60, 30, "different", "different"),
        (400, 8, "different but within margin", "different but within margin"),
    ],
)
def test_verdicts(cases: int, flips: int, of_flips: str, of_sensitivity: str) -> None:
    found = analysed(made(whole_study(cases, flips)))

    assert found["flips"][0]["verdict"] == of_flips
    assert found["tp_difference"][0]["pooled"]["verdict"] == of_sensitivity
    assert found["tp_difference"][0]["lines"][0]["verdict"] == of_sensitivity


def test_zero_flips_in_twenty_claim_at_most_13_9_percent() -> None:
    found = analysed(made(whole_study(20)))

    assert found["flips"][0]["upper95"] == pytest.approx(0.139, abs=5e-4)
    assert found["planning"]["excess_excluded_by_no_flip"] == pytest.approx(0.139, abs=5e-4)


def test_a_wider_margin_changes_the_verdict_and_is_told() -> None:
    found = analysed(made(whole_study(20)), Options(margin_flips=0.15, margin_tp=0.2))

    assert found["flips"][0]["verdict"] == "equivalent within margin"
    assert found["options"]["margin_flips"] == found["flips"][0]["margin"] == 0.15


def test_the_plan_comes_before_the_usual_and_what_is_chosen_before_both() -> None:
    plan = Plan(margin_flips=0.07, alpha=0.01)
    options = options_of(plan, alpha=0.02, margin_tp=None, seed=None)

    assert (options.margin_flips, options.alpha, options.margin_tp) == (0.07, 0.02, 0.10)


def test_what_is_missing_or_excluded_is_counted_and_its_weight_is_shown() -> None:
    rows = whole_study(30)
    rows[0] = replace(rows[0], label=None, response="cannot_assess")
    rows[5] = replace(rows[5], exclusion="wrong reader")
    found = analysed(made(rows))
    [flips] = found["flips"]

    assert (found["missing"]["cannot_assess"], found["missing"]["labelled"]) == (1, 119)
    assert found["exclusions"] == {
        "presentations": 1,
        "reasons": [{"rule": "wrong reader", "presentations": 1}],
        "catch": [],
    }
    assert (flips["units"], flips["units_incomplete"]) == (28, 2)
    sensitivity = flips["sensitivity"]
    assert sensitivity["missing_as_worst"]["units"] == 30
    assert sensitivity["cannot_assess_as_no_tumour"]["units"] == 29
    assert sensitivity["nothing_excluded"]["units"] == 29


def test_a_reader_who_stopped_early_does_not_cost_the_others_their_cases() -> None:
    rows = [
        replace(each, reader=reader)
        for reader in ("R1", "R2", "R3", "R4")
        for place, each in enumerate(whole_study(20, flips=3))
        if reader != "R4" or place < 10
    ]
    found = analysed(made(rows))
    sensitivity = found["mrmc"][0]

    assert (sensitivity["readers_left_out"], sensitivity["cases"]) == (["R4"], 20)


def test_carry_over_is_the_difference_between_who_came_first() -> None:
    """Only where the original came first is the perturbed image missed."""
    rows = [
        shown_of(
            "R1", number, f"t{case}", arm, int(arm is None or case >= 8), index=10 * case + place
        )
        for number in (1, 2)
        for case in range(20)
        for place, arm in enumerate((None, "linf-2") if case < 10 else ("linf-2", None))
    ]
    [carried] = analysed(made(rows))["order"]["carry_over"]

    assert carried["original_first"]["estimate"] == pytest.approx(0.8)
    assert carried["perturbed_first"]["estimate"] == pytest.approx(0)
    assert carried["effect"]["low"] > 0


def test_the_blinding_check_counts_what_readers_said() -> None:
    said = [Impressions("R1", "yes", "Twice the same?"), Impressions("R2", "no", "")]
    check = analysed(made([], impressions=said))["blinding_check"]

    assert check["saw_repeats"] == {"yes": 1, "no": 1, "unsure": 0}
    assert check["odd"] == [{"reader": "R1", "said": "Twice the same?"}]


# Detection.


def choices(right_of: Mapping[int, int], cases: int = 40) -> list[Pair]:
    """Of each epsilon so many of the cases' pairs are told right."""
    return [
        Pair("R1", case, f"t{case}", "choice", None, f"linf-{epsilon}", False, side, case < right)
        for epsilon, right in right_of.items()
        for case in range(cases)
        for side in ["right" if case < right else "left"]
    ]


def test_the_perceptibility_margin_is_human_threshold_to_network_median() -> None:
    pairs = choices({1: 20, 2: 24, 4: 32, 8: 40})
    network = NetworkEpsilon("minimal.csv", (0.4, 0.5, 0.6), "linf")
    found = analysed(made([], pairs), Options(network=(network,)))["detection"]
    [function] = found["psychometric"]
    threshold, margin = function["threshold"], function["perceptibility_margin"]

    assert 2 < threshold["low"] < threshold["estimate"] < threshold["high"] < 8
    assert margin["estimate"] == pytest.approx(threshold["estimate"] / 0.5)
    assert margin["low"] < margin["estimate"] < margin["high"]
    assert function["network"]["median_epsilon"]["estimate"] == 0.5
    assert [level["network_fooled"] for level in function["levels"]] == [1, 1, 1, 1]
    by_condition = {each["condition"]: each for each in found["choice"]}
    assert by_condition["linf-4"]["share"]["estimate"] == pytest.approx(0.8)
    assert by_condition["linf-8"]["d_prime"]["estimate"] is None
    assert "infinite" in by_condition["linf-8"]["d_prime"]["reason"]
    assert found["said_left"]["share"]["estimate"] == pytest.approx(44 / 160)


def test_who_sees_nothing_leaves_a_lower_limit_of_the_margin() -> None:
    pairs = choices({1: 20, 2: 20, 4: 20, 8: 20})
    network = NetworkEpsilon("0.5", (0.5,), None)
    [function] = analysed(made([], pairs), Options(network=(network,)))["detection"]["psychometric"]

    assert function["threshold"]["high"] is None
    assert "beyond the epsilons" in function["threshold"]["reason"]
    assert function["perceptibility_margin"]["low"] > 1


def test_a_network_in_another_norm_is_not_compared() -> None:
    network = NetworkEpsilon("0.5", (0.5,), "l2")
    pairs = choices({1: 20, 2: 24, 4: 32})
    [function] = analysed(made([], pairs), Options(network=(network,)))["detection"]["psychometric"]

    assert function["perceptibility_margin"]["estimate"] is None
    assert "in this norm" in function["perceptibility_margin"]["reason"]


def test_same_different_is_held_against_its_false_alarms() -> None:
    """Half of the equal pairs are called different too, so 55 % hits are next to nothing."""
    different = [
        Pair("R1", n, f"t{n}", "same_different", None, "linf-2", False, "", n < 22)
        for n in range(40)
    ]
    same = [
        Pair("R1", n, f"t{n}", "same_different", None, None, True, "", n < 20) for n in range(40)
    ]
    [line] = analysed(made([], different + same))["detection"]["same_different"]

    assert (line["hits"], line["false_alarms"]) == (22, 20)
    assert line["differencing"]["estimate"] < 1
    assert line["differencing"]["low"] == 0
    assert line["p_chance"] > 0.3


# The document.


def test_every_key_is_documented(demo: list[dict[str, Any]]) -> None:
    same = [Pair("R1", n, f"t{n}", "same_different", None, None, True, "", n < 9) for n in range(9)]
    different = [
        replace(pair, right=f"linf-{epsilon}", is_catch=False)
        for pair in same
        for epsilon in (1, 2, 4)
    ]
    pairs = choices({1: 20, 2: 24, 4: 32}) + same + different
    network = NetworkEpsilon("0.5", (0.5, 0.6), None)
    said = [Impressions("R1", "yes", "Twice?")]
    tidy = replace(demo_tidy(demo), pairs=pairs, impressions=said)
    found = analysed(tidy, Options(network=(network,)))
    page = Path(__file__).parents[3] / "docs/results-format.md"
    pages = (page, page.with_name("statistics.md"))
    documented = {
        word
        for each in pages
        for quoted in re.findall(r"`([^`]+)`", each.read_text(encoding="utf-8"))
        for word in re.findall(r"\w+", quoted)
    }

    assert " ".join(sorted(keys_of(found) - documented)) == ""


def keys_of(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*(keys_of(inner) for inner in value))
    if isinstance(value, dict):
        return set(value).union(*(keys_of(inner) for inner in value.values()))
    return set()
