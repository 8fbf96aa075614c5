"""The charts of a study, each made from the numbers of its analysis alone."""

import math
import re

import numpy as np

from app.analysis.charts import Axis, Bar, Chart, Margin, Series, intervals, plot
from app.analysis.drawing import Line
from app.analysis.sections.told import Json
from app.analysis.statistics.proportions import wilson_interval
from app.analysis.statistics.psychometric import Data, shares
from app.analysis.wording import decimals, percent

ARMS = ("original", "perturbed")


def charts_of(found: Json) -> list[Chart]:
    """In the order of the results page; what a study did not ask has no chart."""
    made = [difference(found), excess(found), floor(found), by_reader(found), course(found)]
    return [
        *(chart for chart in made if chart is not None),
        *(
            roc(line, number)
            for number, line in enumerate(found["roc"]["lines"], start=1)
            if line["curves"]["original"]
        ),
        *(
            psychometric(each, number)
            for number, each in enumerate(found["detection"].get("psychometric", ()), start=1)
        ),
    ]


def confidence(found: Json, tails: int = 1) -> str:
    return f"{100 * (1 - tails * found['options']['alpha']):g} %"


def difference(found: Json) -> Chart | None:
    """By the interval of 1 - alpha and, for equivalence, that of 1 - 2 alpha."""
    levels = ("interval_95", "95 %", False), ("interval_90", "90 %", True)
    lines = [each for each in found["tp_difference"] if each["pooled"]["n"]]
    if not lines:
        return None
    named = [(f"{each['condition']}, {each['measure']}", each) for each in lines]
    bars = [
        Bar(label if level == "95 %" else level, *ends(each["pooled"][key]), is_second)
        for label, each in named
        for key, level, is_second in levels
    ]
    margin = found["options"]["margin_tp"]
    return Chart(
        "difference",
        "Original minus perturbed, in right answers",
        f"Interval chart: for each condition the paired difference with its 95 % interval above "
        f"and its 90 % interval below it, clustered by case, before an equivalence margin of "
        f"{percent(margin, 0)} either way.",
        intervals(
            bars,
            margin=Margin(-margin, margin),
            axis_label="Percentage points; the shaded zone is the margin",
            signed=True,
        ),
        ("condition", "measure", "interval", "estimate", "low", "high", "margin"),
        [
            (each["condition"], each["measure"], level, *ends(each["pooled"][key]), margin)
            for _, each in named
            for key, level, _ in levels
        ],
    )


def ends(interval: Json) -> tuple[float | None, float | None, float | None]:
    return interval["estimate"], interval["low"], interval["high"]


def excess(found: Json) -> Chart | None:
    lines = [each for each in found["flips"] if each["excess"] is not None]
    if not lines:
        return None
    margin = found["options"]["margin_flips"]
    level = confidence(found)
    return Chart(
        "excess",
        "Excess flips, beyond what two showings of one image differ by",
        f"Interval chart: the excess flip rate of each condition with its one-sided {level} "
        f"limits, before a margin of {percent(margin, 0)}. Equivalent is what ends inside it.",
        intervals(
            [Bar(each["condition"], *ends(each["bound"])) for each in lines],
            margin=Margin(None, margin),
            axis_label="Percentage points; the shaded zone ends at the margin",
            signed=True,
        ),
        ("condition", "excess", "lower_limit", "upper_limit", "margin"),
        [(each["condition"], *ends(each["bound"]), margin) for each in lines],
    )


RATES = {
    "d_op": "original, perturbed",
    "d_oo": "original, original",
    "d_pp": "perturbed, perturbed",
}


def floor(found: Json) -> Chart | None:
    lines = [each for each in found["flips"] if each["d_op"] is not None]
    if not lines:
        return None
    many = len(lines) > 1
    return Chart(
        "noise-floor",
        "How often two answers to one case differ",
        "Dot chart: for each condition how often the answers to the original and to the "
        "perturbed image differ, and below it how often two answers to the very same image do: "
        "the noise floor.",
        intervals(
            [
                Bar(
                    f"{each['condition']}: {label}" if many and rate == "d_op" else label,
                    *(each[rate], None, None),
                    is_second=rate != "d_op",
                )
                for each in lines
                for rate, label in RATES.items()
            ],
            margin=None,
            axis_label="Share of pairs of answers that differ; squares are the noise floor",
            signed=False,
        ),
        ("condition", "compared", "share_that_differ", "units"),
        [
            (each["condition"], label, each[rate], each["units"])
            for each in lines
            for rate, label in RATES.items()
        ],
    )


def by_reader(found: Json) -> Chart | None:
    lines = [
        (each, of_reader)
        for each in found["tp_difference"]
        for of_reader in each["readers"]
        if of_reader["n"]
    ]
    if not lines:
        return None
    conditions = {each["condition"] for each, _ in lines}
    margin = found["options"]["margin_tp"]

    def label(each: Json, reader: str) -> str:
        words = [reader, each["measure"], *([each["condition"]] if len(conditions) > 1 else [])]
        return ", ".join(words)

    return Chart(
        "by-reader",
        "Original minus perturbed, reader by reader",
        "Interval chart: of each reader the paired difference in right answers over all sets, "
        "with its 95 % interval, clustered by case.",
        intervals(
            [
                Bar(label(each, of_reader["reader"]), *ends(of_reader["interval_95"]))
                for each, of_reader in lines
            ],
            margin=Margin(-margin, margin),
            axis_label="Percentage points; the shaded zone is the margin",
            signed=True,
        ),
        ("reader", "condition", "measure", "estimate", "low", "high"),
        [
            (
                of_reader["reader"],
                each["condition"],
                each["measure"],
                *ends(of_reader["interval_95"]),
            )
            for each, of_reader in lines
        ],
    )


SHARE = Axis("", 0, 1, written=lambda value: percent(value, 0))


def course(found: Json) -> Chart | None:
    lines = found["order"]["course"]
    if not found["missing"]["presentations"]:
        return None
    shown = {arm: [each for each in lines if each["arm"] == arm] for arm in ARMS}
    return Chart(
        "over-time",
        "Right answers over the course of the reading",
        "Line chart: the share of right answers in each tenth of the readers' orders, of "
        "original and of perturbed images.",
        plot(
            [
                Series(arm, [(x["part"], x["right"] / x["n"]) for x in shown[arm]], is_second)
                for arm, is_second in zip(ARMS, (False, True), strict=True)
                if shown[arm]
            ],
            Axis("Tenth of the order; shares of right answers", 1, 10, written=whole),
            SHARE,
        ),
        ("tenth", "arm", "answers", "right", "median_ms"),
        [
            (each["part"], each["arm"], each["n"], each["right"], each.get("median_ms", ""))
            for each in lines
        ],
    )


def slug(text: str) -> str:
    """What may be in an address and in the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def whole(value: float) -> str:
    return f"{value:g}"


def roc(line: Json, number: int) -> Chart:
    areas = line["areas"]
    said = ", ".join(f"{arm} {decimals((areas[arm] or {}).get('estimate'), 3)}" for arm in ARMS)
    place = f"{line['reader']}, set {line['set']}, {line['condition']}"
    return Chart(
        f"roc-{number}-{slug(line['reader'])}-set-{line['set']}",
        f"ROC curve: {place}",
        f"Line chart of sensitivity over one minus specificity. Area under the curve: {said}.",
        plot(
            [
                Series(arm, line["curves"][arm], is_second)
                for arm, is_second in zip(ARMS, (False, True), strict=True)
            ],
            Axis("False positives; true positives upwards", 0, 1, written=SHARE.written),
            SHARE,
            [Line([(0, 0), (1, 1)], "axis", 1, True)],
        ),
        ("arm", "false_positive_share", "true_positive_share"),
        [(arm, *point) for arm in ARMS for point in line["curves"][arm]],
    )


def psychometric(function: Json, number: int) -> Chart:
    """What readers told right at each epsilon, the fitted function, its threshold, and, where
    it is known, how often the network was fooled at the same epsilon."""
    levels = [each for each in function["levels"] if each["n"] and each["epsilon"] > 0]
    epsilons = [each["epsilon"] for each in levels]
    network = [(x["epsilon"], x["network_fooled"]) for x in levels if "network_fooled" in x]
    axis = Axis(
        f"Epsilon in grey levels ({function['norm']}); shares upwards",
        min(epsilons, default=1) / 2**0.5,
        max(epsilons, default=8) * 2**0.5,
        is_log=True,
        written=whole,
    )
    readers = Series(
        "readers",
        [(each["epsilon"], each["counted"] / each["n"]) for each in levels],
        is_joined=False,
        limits=[wilson_interval(each["counted"], each["n"]) for each in levels],
    )
    fitted = curve_of(function, axis)
    threshold = function["threshold"]["estimate"]
    lines = [Line(fitted, "line", 2)] if fitted else []
    if threshold is not None and axis.low < threshold < axis.high:
        lines.append(Line([(threshold, 0), (threshold, 1)], "limit", 1, True))
    said = (
        f"The threshold of the readers is {decimals(threshold, 2)} grey levels"
        if threshold is not None
        else "The readers have no threshold within the epsilons that were shown"
    )
    both = "; squares: how often the network was fooled" if network else ""
    return Chart(
        f"psychometric-{number}-{slug(function['attack'])}-{slug(function['norm'])}",
        f"What readers see: {function['attack']}, norm {function['norm']}",
        f"Line chart over epsilon, logarithmic: dots with 95 % intervals are what readers told, "
        f"the line is the fitted psychometric function, dashed its threshold{both}. {said}.",
        plot(
            [readers, *([Series("network fooled", network, is_second=True)] if network else [])],
            axis,
            SHARE,
            lines,
        ),
        ("who", "epsilon", "counted", "n", "share"),
        [
            ("readers", each["epsilon"], each["counted"], each["n"], each["counted"] / each["n"])
            for each in levels
        ]
        + [("network fooled", x, "", "", y) for x, y in network],
    )


def curve_of(function: Json, axis: Axis) -> list[tuple[float, float]]:
    """The fitted function over the whole axis; nothing where nothing could be fitted."""
    fit = function["fit"]
    if fit["threshold"] is None:
        return []
    epsilons = np.geomspace(axis.low, axis.high, 61)
    guess = min(max(fit["guess"], 1e-9), 1 - 1e-9)
    parameters = [
        math.log(fit["threshold"]),
        math.log(fit["slope"]),
        fit["lapse"],
        math.log(guess / (1 - guess)),
    ]
    none = np.zeros_like(epsilons)
    data = Data(epsilons, none, none, guess_is_half=function["task"] == "choice")
    [found] = shares(np.array([parameters]), data)
    return list(zip(epsilons.tolist(), found.tolist(), strict=True))
