"""From which epsilon a perturbation is seen: a psychometric function by maximum likelihood.

The share of right answers ("different" in same-different) at an epsilon is
    guess + (1 - guess - lapse) F(d'),  d' = (epsilon / threshold) ** slope,
where F grows from 0 to 1 as the task's own model of d' says. So the threshold is the epsilon of
d' = 1: in two-alternative forced choice 76 % right, were there no lapses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from app.analysis.statistics.common import CannotSay, Floats

LARGEST_LAPSE = 0.06
SLOPES = (0.2, 10.0)
BEYOND = 10.0
"""The threshold is looked for up to so many times outside the epsilons that were shown."""


class Level(NamedTuple):
    """At one epsilon, in grey levels: `counted` of `n` answers were right, or "different"."""

    epsilon: float
    counted: int
    n: int


@dataclass(frozen=True)
class Fit:
    """`guess` is 1/2 in two-alternative forced choice, else fitted to pairs of epsilon 0."""

    threshold: float
    slope: float
    lapse: float
    guess: float
    log_likelihood: float


class Threshold(NamedTuple):
    """In grey levels. Infinite (or 0) where the answers set no limit above (or below)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Data:
    epsilons: Floats
    counted: Floats
    n: Floats
    guess_is_half: bool

    @property
    def range_of_logs(self) -> tuple[float, float]:
        shown = self.epsilons[self.epsilons > 0]
        return math.log(shown.min() / BEYOND), math.log(shown.max() * BEYOND)


def prepare(levels: Sequence[Level], *, guess_is_half: bool) -> Data:
    columns = np.array([level for level in levels if level.n], dtype=np.float64).reshape(-1, 3)
    if len(np.unique(columns[columns[:, 0] > 0, 0])) < 3:
        raise CannotSay("A psychometric function needs answers at three epsilons or more.")
    if not guess_is_half and not (columns[:, 0] == 0).any():
        raise CannotSay("Same-different needs pairs of two equal images for the guess rate.")
    return Data(columns[:, 0], columns[:, 1], columns[:, 2], guess_is_half)


def shares(parameters: Floats, data: Data) -> Floats:
    """Of parameters (log threshold, log slope, lapse) and, in same-different, logit of guess."""
    log_threshold, log_slope, lapse = parameters[:3]
    with np.errstate(over="ignore", divide="ignore"):
        ratio = np.exp(math.exp(log_slope) * (np.log(data.epsilons) - log_threshold))
    d_prime = np.minimum(ratio, 50.0)
    root_2 = math.sqrt(2)
    if data.guess_is_half:
        guess = 0.5
        growth = 2 * special.ndtr(d_prime / root_2) - 1
    else:
        guess = float(special.expit(parameters[3]))
        criterion = -root_2 * float(special.ndtri(guess / 2))
        outside = special.ndtr((d_prime - criterion) / root_2)
        outside = outside + special.ndtr((-d_prime - criterion) / root_2)
        growth = (outside - guess) / (1 - guess)
    found: Floats = guess + (1 - guess - min(lapse, 1 - guess)) * growth
    return np.clip(found, 1e-9, 1 - 1e-9)


def loss(parameters: Floats, data: Data) -> float:
    """The log likelihood, negative."""
    p = shares(parameters, data)
    return -float(np.sum(data.counted * np.log(p) + (data.n - data.counted) * np.log1p(-p)))


def bounds(data: Data) -> list[tuple[float, float]]:
    slopes = (math.log(SLOPES[0]), math.log(SLOPES[1]))
    common = [data.range_of_logs, slopes, (0.0, LARGEST_LAPSE)]
    return common if data.guess_is_half else [*common, (-7.0, 7.0)]


def starts(data: Data) -> list[Floats]:
    low, high = data.range_of_logs
    rest = [0.0, 0.01] if data.guess_is_half else [0.0, 0.01, first_guess(data)]
    return [np.array([low + part * (high - low), *rest]) for part in (0.3, 0.5, 0.7)]


def first_guess(data: Data) -> float:
    at_zero = data.epsilons == 0
    share = (data.counted[at_zero].sum() + 0.5) / (data.n[at_zero].sum() + 1)
    return float(special.logit(share))


def minimise(
    data: Data, begin: Sequence[Floats], fixed: float | None = None
) -> tuple[Floats, float]:
    """The best parameters and their loss; with the log threshold `fixed` if it is given."""
    limits = bounds(data)
    if fixed is not None:
        limits[0] = (fixed, fixed)
        begin = [np.array([fixed, *start[1:]]) for start in begin]
    found = [
        optimize.minimize(loss, start, args=(data,), method="L-BFGS-B", bounds=limits)
        for start in begin
    ]
    best = min(found, key=lambda each: float(each.fun))
    return np.asarray(best.x, dtype=np.float64), float(best.fun)


def fit(data: Data) -> Fit:
    parameters, lost = minimise(data, starts(data))
    guess = 0.5 if data.guess_is_half else float(special.expit(parameters[3]))
    return Fit(math.exp(parameters[0]), math.exp(parameters[1]), float(parameters[2]), guess, -lost)


def threshold(data: Data, confidence: float = 0.95) -> Threshold:
    """With limits where twice the log likelihood has fallen by a chi-square quantile.

    The answers are taken as independent; a bootstrap over cases does without that.
    """
    parameters, least = minimise(data, starts(data))
    low, high = data.range_of_logs
    allowed = float(stats.chi2.ppf(confidence, 1)) / 2

    def surplus(log_threshold: float) -> float:
        begin = [parameters, *starts(data)[1:2]]
        return minimise(data, begin, fixed=log_threshold)[1] - least - allowed

    def limit(end: float, unlimited: float) -> float:
        if surplus(end) <= 0:
            return unlimited
        near, far = sorted((end, float(parameters[0])))
        return math.exp(optimize.brentq(surplus, near, far, xtol=1e-4))

    return Threshold(inside(parameters[0], low, high), limit(low, 0.0), limit(high, math.inf))


def inside(log_threshold: float, low: float, high: float) -> float:
    """0 or infinite where the best value is at an end of the search."""
    if log_threshold >= high - 1e-3:
        return math.inf
    return 0.0 if log_threshold <= low + 1e-3 else math.exp(log_threshold)


def threshold_near(data: Data, begin: Fit) -> float:
    """Only the best value, looked for from an earlier fit: for resampled cases."""
    low, high = data.range_of_logs
    start = [math.log(begin.threshold), math.log(begin.slope), begin.lapse]
    if not data.guess_is_half:
        start.append(float(special.logit(begin.guess)))
    parameters, _ = minimise(data, [np.array(start)])
    return inside(parameters[0], low, high)
