"""The charts of a study that have two axes: over time, ROC curves, what readers see."""

import math
from collections.abc import Sequence

import numpy as np

from app.analysis.charts import Axis, Chart
from app.analysis.drawing import Line
from app.analysis.plot_chart import SQUARE, Series, plot
from app.analysis.sections.told import Json
from app.analysis.statistics.proportions import wilson_interval
from app.analysis.statistics.psychometric import Data, shares
from app.analysis.wording import decimals, percent, slug

ARMS = ("original", "perturbed")
FEW = 20
ROOM = 2**0.5
"""How far a logarithmic axis goes beyond what is on it."""


def share_axis(label: str) -> Axis:
    return Axis(label, 0, 1, written=lambda value: percent(value, 0))


def whole(value: float) -> str:
    return f"{value:g}"


def course(found: Json) -> Chart | None:
    lines = found["order"]["course"]
    if not lines:
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
            Axis("Tenth of the reader's order", 1, 10, written=whole),
            share_axis("Right answers"),
        ),
        ("tenth", "arm", "answers", "right", "median_ms"),
        [
            (each["part"], each["arm"], each["n"], each["right"], each.get("median_ms", ""))
            for each in lines
        ],
    )


def roc_curves(found: Json) -> list[Chart]:
    drawn = [line for line in found["roc"]["lines"] if line["curves"]["original"]]
    return [roc(line, number) for number, line in enumerate(drawn, start=1)]


def roc(line: Json, number: int) -> Chart:
    areas = line["areas"]
    said = (
        ", ".join(f"{arm} {decimals(areas[arm]['estimate'], 3)}" for arm in ARMS)
        if areas["original"]
        else areas["reason"].rstrip(".")
    )
    place = f"{line['reader']}, set {line['set']}, {line['condition']}"
    return Chart(
        f"roc-{number}-{slug(line['reader'])}-set-{line['set']}",
        f"ROC curve, {place}",
        f"Line chart of sensitivity over one minus specificity. Area under the curve: {said}.",
        plot(
            [
                Series(arm, line["curves"][arm], is_second)
                for arm, is_second in zip(ARMS, (False, True), strict=True)
            ],
            share_axis("False positives"),
            share_axis("True positives"),
            [Line([(0, 0), (1, 1)], "axis", 1, True)],
            layout=SQUARE,
        ),
        ("arm", "false_positive_share", "true_positive_share"),
        [(arm, *point) for arm in ARMS for point in line["curves"][arm]],
    )


def psychometric_charts(found: Json) -> list[Chart]:
    functions = found["detection"].get("psychometric", ())
    return [psychometric(each, number) for number, each in enumerate(functions, start=1)]


def psychometric(function: Json, number: int) -> Chart:
    """What readers told right at each epsilon, the fitted function, its threshold, and, where
    it is known, the network's own success curve and the epsilon that fools it."""
    levels = [each for each in function["levels"] if each["n"] and each["epsilon"] > 0]
    network = success_curve(function)
    marks = {
        "readers": function["threshold"]["estimate"],
        "network": function["network"]["median_epsilon"]["estimate"],
    }
    known = {name: value for name, value in marks.items() if value is not None}
    shown = [*(each["epsilon"] for each in levels), *(epsilon for epsilon, _ in network)]
    axis = Axis(
        f"Epsilon in grey levels, norm {function['norm']}",
        min([*shown, *known.values()], default=1) / ROOM,
        max([*shown, *known.values()], default=8) * ROOM,
        is_log=True,
        written=whole,
    )
    readers = Series(
        "readers",
        [(each["epsilon"], each["counted"] / each["n"]) for each in levels],
        is_joined=False,
        limits=[wilson_interval(each["counted"], each["n"]) for each in levels],
    )
    is_choice = function["task"] == "choice"
    fitted = curve_of(function, axis)
    lines = [
        *([Line([(axis.low, 0.5), (axis.high, 0.5)], "axis", 1, True)] if is_choice else []),
        *([Line(fitted, "line", 2)] if fitted else []),
        *(Line([(value, 0), (value, 1)], "limit", 1, True) for value in known.values()),
    ]
    notes = [
        ((value, 0.05 + 0.08 * row), f"{name} {decimals(value, 2)}")
        for row, (name, value) in enumerate(known.items())
    ]
    return Chart(
        f"psychometric-{number}-{slug(function['attack'])}-{slug(function['norm'])}",
        f"What readers see: {function['attack']}, norm {function['norm']}",
        described(function, known, has_network=bool(network)),
        plot(
            [readers, *([fooled(network)] if network else [])],
            axis,
            share_axis("Told right" if is_choice else "Called different"),
            lines,
            notes,
        ),
        ("who", "epsilon", "counted", "n", "share"),
        [
            ("readers", each["epsilon"], each["counted"], each["n"], each["counted"] / each["n"])
            for each in levels
        ]
        + [("network fooled", x, None, None, y) for x, y in network],
    )


def success_curve(function: Json) -> list[tuple[float, float]]:
    """The share of patches on which the network was fooled within each epsilon: where it rises,
    and where readers were asked."""
    points = [*function["network"]["curve"], *function["levels"]]
    return sorted(
        {
            each["epsilon"]: each["network_fooled"]
            for each in points
            if "network_fooled" in each and each["epsilon"] > 0
        }.items()
    )


def fooled(network: Sequence[tuple[float, float]]) -> Series:
    """With squares while they can be told apart."""
    return Series("network fooled", network, is_second=True, has_dots=len(network) <= FEW)


def described(function: Json, known: dict[str, float], *, has_network: bool) -> str:
    fit = function["fit"]
    said = ["Over epsilon, logarithmic: dots with 95 % intervals are what readers told."]
    if fit["threshold"] is None:
        said.append(f"No function is fitted: {fit['reason']}")
    else:
        said.append(
            f"The line is the fitted psychometric function, with a lapse rate of "
            f"{percent(fit['lapse'])} and a guess rate of {percent(fit['guess'])}."
        )
    if "readers" in known:
        said.append(f"Dashed: the readers' threshold, {decimals(known['readers'], 2)} grey levels.")
    if "network" in known:
        said.append(
            f"Dashed: the network's median smallest epsilon, {decimals(known['network'], 2)}."
        )
    if has_network:
        said.append("The other line, dashed: how often the network was fooled within an epsilon.")
    return " ".join(said)


def curve_of(function: Json, axis: Axis) -> Sequence[tuple[float, float]]:
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
