"""`time`: how long readers looked, by arm."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.analysis.exported import Shown
from app.analysis.sections.rows import Options, Rows
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CannotSay
from app.analysis.statistics.common import Floats
from app.analysis.statistics.regression import Fitted, Model, gee

SHORTEST_MS, LONGEST_MS = 200, 600_000
"""What is shorter or longer is left out of the second analysis, which shows whether it matters."""


def time(rows: Rows, options: Options) -> Json:
    timed = [each for each in rows.shown if each.label is not None and each.reading_time_ms]
    times: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for each in timed:
        times[each.reader, each.condition].append(each.reading_time_ms or 0)
    within = [each for each in timed if SHORTEST_MS <= (each.reading_time_ms or 0) <= LONGEST_MS]
    return {
        "answers": len(timed),
        "outside_200_ms_to_10_min": len(timed) - len(within),
        "medians_ms": [
            {"reader": reader, "condition": arm or "original", "n": len(found)}
            | ({"median": float(np.median(found))} if found else {})
            for reader in rows.readers
            for arm in (None, *rows.conditions)
            for found in [times[reader, arm]]
        ],
        "ratios": [
            {
                "condition": condition,
                **ratios(of_arms(timed, condition), options),
                "without_extremes": ratios(of_arms(within, condition), options),
            }
            for condition in rows.conditions
        ],
    }


def of_arms(timed: Sequence[Shown], condition: str) -> list[Shown]:
    return [each for each in timed if each.condition in {None, condition}]


def ratios(timed: Sequence[Shown], options: Options) -> Json:
    """Of geometric means: perturbed to original, and each set to the first."""
    try:
        fitted = time_model(timed, 1 - options.alpha)
    except CannotSay as reason:
        return {"perturbed": None, "sets": [], "reason": str(reason)}
    sets = [name for name in fitted.names if name.startswith("set ")]
    return {
        "perturbed": ratio(fitted, "perturbed"),
        "sets": [{"set": int(name.removeprefix("set "))} | ratio(fitted, name) for name in sets],
    }


def time_model(timed: Sequence[Shown], confidence: float) -> Fitted:
    logs = np.array([math.log(each.reading_time_ms or 1) for each in timed])
    model = model_of(timed, logs)
    model.add("perturbed", np.array([each.condition is not None for each in timed]))
    model.add_groups("set", [each.set_number for each in timed])
    return gee(model, "gaussian", "independence", confidence)


def model_of(shown: Sequence[Shown], outcome: Floats) -> Model:
    """With a column for each reader but the first."""
    model = Model(outcome, [each.case for each in shown])
    model.add_groups("reader", [each.reader for each in shown])
    return model


class Ratio(NamedTuple):
    """exp of a difference of logarithms, with limits; the error is of the logarithm."""

    estimate: float
    low: float
    high: float
    log_error: float
    p: float


def ratio(fitted: Fitted, name: str) -> Json:
    def found() -> Ratio:
        effect = fitted.effect(name)
        estimate, low, high = np.exp([effect.estimate, effect.low, effect.high]).tolist()
        return Ratio(estimate, low, high, effect.error, effect.p)

    return told(Ratio, found)
