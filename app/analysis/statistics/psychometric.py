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
ROOT_2 = math.sqrt(2)
FLAT = 1e-6
"""Log likelihoods that differ by less say the same: then the threshold may be at that end."""
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
    """[row, level] of parameters[row]: log threshold, log slope, lapse, in same-different logit of
    guess."""
    log_threshold, log_slope, lapse = (parameters[:, [column]] for column in range(3))
    with np.errstate(over="ignore", divide="ignore"):
        d_prime = np.exp(np.exp(log_slope) * (np.log(data.epsilons)[None, :] - log_threshold))
    d_prime = np.minimum(d_prime, 50.0)
    if data.guess_is_half:
        guess = np.full_like(lapse, 0.5)
        growth = 2 * special.ndtr(d_prime / ROOT_2) - 1
    else:
        guess = special.expit(parameters[:, [3]])
        criterion = -ROOT_2 * special.ndtri(guess / 2)
        outside = special.ndtr((d_prime - criterion) / ROOT_2)
        outside = outside + special.ndtr((-d_prime - criterion) / ROOT_2)
        growth = (outside - guess) / (1 - guess)
    found: Floats = guess + np.maximum(0.0, 1 - guess - lapse) * growth
    return np.clip(found, 1e-9, 1 - 1e-9)


def loss(parameters: Floats, data: Data) -> float:
    """The log likelihood, negative."""
    [p] = shares(parameters[None, :], data)
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

    estimate = math.exp(parameters[0])
    for end, unlimited in ((low, 0.0), (high, math.inf)):
        if surplus(end) + allowed < FLAT:
            estimate = unlimited
    return Threshold(estimate, limit(low, 0.0), limit(high, math.inf))


def thresholds_of_resamples(data: Data, counted: Floats, n: Floats, best: Fit) -> Floats:
    """Of [resample, level] counts at the levels of `data`: the best on a grid, 2 % apart or less.

    The guess rate of same-different is looked for around that of the fit to all cases.
    """
    low, high = data.range_of_logs
    thresholds = np.linspace(low, high, math.ceil((high - low) / 0.02) + 1)
    slopes = np.linspace(math.log(SLOPES[0]), math.log(SLOPES[1]), 14)
    rest = [thresholds, slopes, np.linspace(0.0, LARGEST_LAPSE, 3)]
    if not data.guess_is_half:
        rest.append(float(special.logit(best.guess)) + np.linspace(-1.2, 1.2, 7))
    grid = np.stack(np.meshgrid(*rest, indexing="ij"), axis=-1).reshape(-1, len(rest))
    p = shares(grid, data)
    right, wrong = np.log(p).T, np.log1p(-p).T
    found = np.empty(len(counted))
    for row, (k, total) in enumerate(zip(counted, n, strict=True)):
        likelihood = (k @ right + (total - k) @ wrong).reshape(len(thresholds), -1).max(axis=1)
        found[row] = math.exp(thresholds[likelihood.argmax()])
        if likelihood[0] > likelihood.max() - FLAT:
            found[row] = 0.0
        elif likelihood[-1] > likelihood.max() - FLAT:
            found[row] = math.inf
    return found
