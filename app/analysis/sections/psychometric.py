"""`detection.psychometric`: from which epsilon readers see it, against what fools the network."""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np

from app.analysis.exported import NetworkEpsilon, Pair
from app.analysis.sections.rows import Options, Rows
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CannotSay
from app.analysis.statistics.bootstrap import case_weights, percentiles
from app.analysis.statistics.common import Estimate, Floats
from app.analysis.statistics.psychometric import (
    Data,
    Fit,
    Grid,
    Level,
    Threshold,
    fine_grid,
    fit,
    prepare,
    threshold,
    thresholds_of_resamples,
)

TIMES = 300
CURVE_POINTS = 50
OPEN = "The answers set no limit here: it lies beyond the epsilons that were shown."
Key = tuple[str, str, str]


def psychometric(rows: Rows, options: Options) -> list[Json]:
    """One function a task, attack and norm, over the epsilons of its conditions."""
    groups: dict[Key, dict[str, list[Level]]] = defaultdict(dict)
    for pair in rows.pairs:
        for key, level in levels_of(rows, pair):
            groups[key].setdefault(pair.case, []).append(level)
    return [of_group(key, groups[key], options) for key in sorted(groups)]


def levels_of(rows: Rows, pair: Pair) -> list[tuple[Key, Level]]:
    """What one answer adds: a pair of equal images tells the guess rate of every attack."""
    if pair.is_correct is None:
        return []
    if pair.left == pair.right:
        said_different = int(not pair.is_correct)
        keys = {(each.attack, each.norm) for each in rows.attacks.values()}
        return [((pair.task, *key), Level(0.0, said_different, 1)) for key in sorted(keys)]
    attack = rows.attacks.get(pair.left or pair.right or "")
    if attack is None or attack.epsilon is None or None not in (pair.left, pair.right):
        return []
    key = (pair.task, attack.attack, attack.norm)
    return [(key, Level(attack.epsilon, int(pair.is_correct), 1))]


def of_group(key: Key, by_case: dict[str, list[Level]], options: Options) -> Json:
    task, attack, norm = key
    epsilons = sorted({level.epsilon for levels in by_case.values() for level in levels})
    counts = counts_of(by_case, epsilons)
    totals = counts.sum(axis=0)
    levels = [Level(e, int(k), int(n)) for e, (k, n) in zip(epsilons, totals, strict=True)]
    network = options.network_in(norm)

    @cache
    def prepared() -> Data:
        return prepare(levels, guess_is_half=task == "choice")

    @cache
    def over() -> Grid:
        return fine_grid(prepared(), 1 - options.alpha)

    @cache
    def best() -> Threshold:
        return threshold(prepared(), over(), 1 - options.alpha)

    @cache
    def drawn() -> Floats:
        return resampled(prepared(), counts, options.seed)

    def over_cases() -> Estimate:
        return Estimate(best().estimate, *percentiles(drawn(), 1 - options.alpha))

    def margin() -> Estimate:
        return perceptibility_margin(best().estimate, drawn(), values_of(network), options)

    return {
        "task": task,
        "attack": attack,
        "norm": norm,
        "levels": [level._asdict() | fooled(network, level.epsilon) for level in levels],
        "fit": told(Fit, lambda: fit(prepared(), over())),
        "threshold": told(Threshold, best, infinite=OPEN),
        "threshold_over_cases": told(Estimate, over_cases, infinite=OPEN),
        "network": about(network, options),
        "perceptibility_margin": told(Estimate, margin, infinite=OPEN),
    }


def counts_of(by_case: dict[str, list[Level]], epsilons: Sequence[float]) -> Floats:
    """[case, epsilon, (counted, n)]."""
    found = np.zeros((len(by_case), len(epsilons), 2))
    for row, case in enumerate(sorted(by_case)):
        for level in by_case[case]:
            found[row, epsilons.index(level.epsilon)] += (level.counted, level.n)
    return found


def resampled(data: Data, counts: Floats, seed: int) -> Floats:
    """The thresholds of resampled cases."""
    drawn = np.tensordot(case_weights(len(counts), seed, TIMES), counts, axes=1)
    return thresholds_of_resamples(data, drawn[..., 0], drawn[..., 1])


def fooled(network: NetworkEpsilon | None, epsilon: float) -> Json:
    """The share of the network's cases that a perturbation of this size, or smaller, fooled."""
    if network is None or len(network.values) < 2:
        return {}
    return {"network_fooled": float(np.mean(np.asarray(network.values) <= epsilon))}


def about(network: NetworkEpsilon | None, options: Options) -> Json:
    def found() -> Estimate:
        values = values_of(network)
        if len(values) < 2:
            return Estimate(values[0], values[0], values[0])
        return Estimate(float(np.median(values)), *median_limits(values, options))

    source = {"source": network.source, "cases": len(network.values)} if network else {}
    return source | {"median_epsilon": told(Estimate, found), "curve": success_curve(network)}


def success_curve(network: NetworkEpsilon | None) -> list[Json]:
    """The share fooled within each epsilon at which it rises; of many, so many that are spread."""
    if network is None or len(network.values) < 2:
        return []
    values = np.asarray(network.values, dtype=np.float64)
    rises = np.unique(values[np.isfinite(values)])
    places = np.unique(np.linspace(0, len(rises) - 1, CURVE_POINTS).round().astype(int))
    return [
        {"epsilon": float(epsilon), "network_fooled": float(np.mean(values <= epsilon))}
        for epsilon in rises[places[: len(rises)]]
    ]


def values_of(network: NetworkEpsilon | None) -> Floats:
    if network is None:
        raise CannotSay("The network's smallest epsilons in this norm were not given.")
    return np.asarray(network.values, dtype=np.float64)


def median_limits(values: Floats, options: Options) -> tuple[float, float]:
    return percentiles(medians(values, options), 1 - options.alpha)


def medians(values: Floats, options: Options) -> Floats:
    """Of resampled cases of the network."""
    draws = np.random.default_rng(options.seed + 2).choice(values, (TIMES, len(values)))
    found: Floats = np.median(draws, axis=1)
    return found


def perceptibility_margin(
    estimate: float, thresholds: Floats, values: Floats, options: Options
) -> Estimate:
    """How many times smaller an attack is than what readers see; both sides resampled."""
    median = float(np.median(values))
    if math.isinf(median):
        raise CannotSay("Fewer than half of the network's cases were fooled at all.")
    with np.errstate(invalid="ignore"):  # infinite by infinite may be anything
        ratios = thresholds / medians(values, options)
    low, _ = percentiles(np.nan_to_num(ratios, nan=0.0, posinf=math.inf), 1 - options.alpha)
    _, high = percentiles(np.nan_to_num(ratios, nan=math.inf, posinf=math.inf), 1 - options.alpha)
    return Estimate(estimate / median, low, high)
