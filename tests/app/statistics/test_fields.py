"""The JSON of a rich study has every field that a reader of it was promised, as a number."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.analysis.exported import Catch, Impressions, NetworkEpsilon, Pair
from app.analysis.sections.rows import Options
from app.analysis.statistics.equivalence import Verdict
from tests.app.statistics.test_analyse import analysed, choices, demo_tidy, made, shown_of

Json = dict[str, Any]
LIMITS = ("estimate", "low", "high")
CELLS = ("a", "b", "c", "d", "n", "difference")


def each(path: str, *names: str) -> list[str]:
    return [f"{path}.{name}" for name in names]


def limits(*paths: str) -> list[str]:
    return [place for path in paths for place in each(path, *LIMITS)]


ARMS = [f"table.lines[].{arm}" for arm in ("original", "perturbed")]
LINES, POOLED = "tp_difference[].lines[]", "tp_difference[].pooled"
OF_READER = "tp_difference[].readers[]"
INTRA, INTER = "agreement.intra[]", "agreement.inter[]"
CHOICE, COMPARE = "detection.choice[]", "detection.same_different[]"
CURVE = "detection.psychometric[]"
MRMC = "mrmc[]"

PROMISED = [
    *each("table.lines[]", "condition", "reader", "set", "truth", "counted"),
    *(f"{arm}.{name}" for arm in ARMS for name in ("tumour", "n")),
    *(f"{arm}.{of}.{end}" for arm in ARMS for of in ("wilson", "exact") for end in ("low", "high")),
    *each("flips[]", "d_op", "d_oo", "d_pp", "excess", "iei", "K", "M", "p_exact", "upper95"),
    *each("flips[].set_robust", "K", "M", "p"),
    *each("flips[]", "margin", "verdict", "units", "flipped_to_tumour", "flipped_to_no_tumour"),
    *(f"{path}.{name}" for path in (LINES, OF_READER, POOLED) for name in CELLS),
    *limits(*each(LINES, "tango_95", "tango_90", "newcombe_10")),
    *each(f"{LINES}.mcnemar", "exact", "mid_p", "asymptotic", "chi2"),
    f"{LINES}.unconditional.p",
    *(
        f"{path}.tost.{p}"
        for path in (LINES, OF_READER, POOLED)
        for p in ("p_lower", "p_upper", "p")
    ),
    *(f"{path}.verdict" for path in (LINES, OF_READER, POOLED)),
    *limits(f"{POOLED}.interval_95", f"{POOLED}.interval_90"),
    *(
        f"{POOLED}.tests.{test}.{name}"
        for test in ("obuchowski", "durkalski", "yang")
        for name in ("chi2", "p")
    ),
    *each(MRMC, "metric", "judged_by", "said", "cases"),
    *limits(f"{MRMC}.random_readers.difference", f"{MRMC}.fixed_readers.difference"),
    *each(f"{MRMC}.random_readers", "error", "df", "p", "clamped"),
    *each(f"{MRMC}.u_statistic.difference", "mean", "unbiased", "biased"),
    *(
        f"{INTRA}.{name}.{part}"
        for name in ("percent", "positive", "kappa", "pabak", "ac1")
        for part in LIMITS
    ),
    *(
        f"{INTER}.{name}.{part}"
        for name in ("percent", "positive", "negative", "ac1", "fleiss", "krippendorff")
        for part in LIMITS
    ),
    *limits("agreement.inter_pairs[].kappa"),
    *limits(*(f"roc.lines[].areas.{name}" for name in ("original", "perturbed", "difference"))),
    *each("roc.lines[].areas", "z", "p"),
    *each(CHOICE, "condition", "epsilon", "n", "right", "p_chance"),
    *limits(f"{CHOICE}.share", f"{CHOICE}.d_prime", f"{CHOICE}.over_cases"),
    *each(f"{CHOICE}.similarity[]", "d_prime", "p"),
    *each(COMPARE, "hits", "different", "false_alarms", "same", "p_chance"),
    *limits(f"{COMPARE}.differencing", f"{COMPARE}.independent_observation"),
    *each(f"{CURVE}.fit", "threshold", "slope", "lapse", "guess"),
    *limits(*each(CURVE, "threshold", "threshold_over_cases", "perceptibility_margin")),
    *limits(f"{CURVE}.network.median_epsilon"),
    *each(f"{CURVE}.levels[]", "epsilon", "counted", "n", "network_fooled"),
    *limits("time.ratios[].perturbed", "time.ratios[].sets[]"),
    "time.medians_ms[].median",
    *limits("order.position", "order.sets[]", "order.carry_over[].effect"),
    *each("order.course[]", "part", "arm", "n", "right", "median_ms"),
    *each("missing", "presentations", "labelled", "cannot_assess", "not_answered", "few_cells"),
    *each("missing.lines[]", "reader", "condition", "presentations", "labelled"),
    *each("blinding_check.saw_repeats", "yes", "no", "unsure"),
    *each("blinding_check.odd[]", "reader", "said"),
    *each("exclusions", "presentations"),
    *each("exclusions.reasons[]", "rule", "presentations"),
    *each("exclusions.catch[]", "reader", "shown", "n", "right", "is_below"),
    *each("exclusions.catch[].wilson", "low", "high"),
]


def at(value: Any, path: str) -> Iterator[Any]:
    """Every value at "a.b[].c"; KeyError where one of them is not there."""
    head, _, rest = path.partition(".")
    inner = value[head.removesuffix("[]")]
    for one in inner if head.endswith("[]") else [inner]:
        if rest:
            yield from at(one, rest)
        else:
            yield one


def compared(hits: Mapping[int, int], alarms: int, cases: int = 40) -> list[Pair]:
    """Of each epsilon so many different pairs were told, and of equal pairs so many called so."""
    different = [
        Pair("R1", n, f"t{n}", "same_different", None, f"linf-{epsilon}", False, "", n < right)
        for epsilon, right in hits.items()
        for n in range(cases)
    ]
    return different + [
        Pair("R1", n, f"t{n}", "same_different", None, None, True, "", n >= alarms)
        for n in range(cases)
    ]


@pytest.fixture(scope="module")
def rich(demo: list[dict[str, Any]]) -> Json:
    """The oracles' study, with an exclusion, catch images, both tasks of pairs, impressions and a
    network."""
    tidy = demo_tidy(demo)
    shown = [replace(tidy.shown[0], exclusion="too fast"), *tidy.shown[1:]]
    pairs = choices({1: 20, 2: 24, 4: 32, 8: 39}) + compared({1: 10, 2: 15, 4: 25, 8: 38}, 8)
    said = [Impressions("R1", "yes", "Twice?"), Impressions("R2", "no", "")]
    catch = [Catch("R1", number, 1, number % 2, "tumour") for number in range(4)]
    network = NetworkEpsilon("minimal.csv", (0.3, 0.5, 0.6, 0.9), "linf")
    return analysed(
        replace(tidy, shown=shown, pairs=pairs, impressions=said, catch=catch),
        Options(network=(network,), catch_least=0.8),
    )


@pytest.mark.parametrize("path", PROMISED)
def test_a_promised_field_is_there_and_has_a_value(rich: Json, path: str) -> None:
    found = list(at(rich, path))

    assert found
    assert None not in found


def test_every_verdict_is_one_of_four(rich: Json) -> None:
    verdicts = {
        value
        for path in ("flips[].verdict", *(f"{p}.verdict" for p in (LINES, OF_READER, POOLED)))
        for value in at(rich, path)
    }

    assert verdicts <= {verdict.value for verdict in Verdict}


def test_sensitivity_and_specificity_are_apart_and_so_are_the_metrics(rich: Json) -> None:
    assert list(at(rich, "tp_difference[].measure")) == ["sensitivity", "specificity"]
    assert set(at(rich, "mrmc[].metric")) == {"sensitivity", "specificity", "auc"}


# Studies in which something is absent.


def small(cases: int = 6, sets: int = 2, readers: tuple[str, ...] = ("R1",)) -> list[Any]:
    """Tumour cases only, all called tumour."""
    return [
        shown_of(reader, number, f"t{case}", arm, 1, index=1 + 2 * case + (arm is not None))
        for reader in readers
        for number in range(1, sets + 1)
        for case in range(cases)
        for arm in (None, "linf-2")
    ]


def test_without_negatives_nothing_is_said_of_them() -> None:
    found = analysed(made(small()))

    assert {line["truth"] for line in found["table"]["lines"]} == {1}
    assert [each["measure"] for each in found["tp_difference"]] == ["sensitivity"]
    [none] = {each["reason"] for each in found["mrmc"] if each["metric"] == "specificity"}
    assert none
    assert found["table"]["discrimination"][0]["original"]["d_prime"] is None
    assert found["roc"] == {"lines": [], "reason": found["roc"]["reason"]}


def test_of_one_image_there_are_counts_and_reasons() -> None:
    found = analysed(made(small(cases=1)))
    [flips] = found["flips"]

    assert (flips["units"], flips["excess"], flips["upper95"]) == (1, 0, None)
    assert found["tp_difference"][0]["pooled"]["interval_95"]["estimate"] is None
    assert found["tp_difference"][0]["lines"][0]["tango_95"]["low"] < 0


def test_a_reader_without_an_answer_changes_no_ones_numbers() -> None:
    silent = [replace(row, label=None) for row in small(readers=("R2",))]
    alone, beside = analysed(made(small())), analysed(made(small() + silent))

    assert beside["study"]["readers"] == ["R1", "R2"]
    for key in ("d_op", "excess", "upper95", "verdict", "units"):
        assert beside["flips"][0][key] == alone["flips"][0][key]
    pooled = [study["tp_difference"][0]["pooled"] for study in (alone, beside)]
    assert pooled[0] == pooled[1]
    assert beside["mrmc"][0]["readers_left_out"] == ["R2"]
    [line] = [each for each in beside["missing"]["lines"] if each["reader"] == "R2"][:1]
    assert (line["labelled"], line["not_answered"]) == (0, line["presentations"])


def test_where_every_label_flips_the_two_are_different() -> None:
    rows = [replace(row, label=int(row.condition is None)) for row in small(cases=60)]
    found = analysed(made(rows))
    [flips] = found["flips"]

    assert (flips["d_op"], flips["excess"], flips["verdict"]) == (1, 1, "different")
    assert flips["upper95"] == pytest.approx(1)
    assert found["tp_difference"][0]["pooled"]["difference"] == 1
    assert found["tp_difference"][0]["pooled"]["verdict"] == "different"
