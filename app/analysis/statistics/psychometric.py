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


@dataclass(frozen=True)
class Grid:
    """Of points[threshold, other parameters]: the logarithms of both answers' shares at a level."""

    logs: Floats
    points: Floats
    right: Floats
    wrong: Floats

    def likelihoods(self, counted: Floats, n: Floats) -> Floats:
        """[threshold, other parameters], of counts at the levels."""
        found = counted @ self.right + (n - counted) @ self.wrong
        return np.asarray(found.reshape(len(self.logs), -1), dtype=np.float64)


Ranges = list[tuple[float, float]]
FINE, COARSE = (160, 20, 4, 9), (120, 10, 2, 5)
"""How many thresholds, slopes, lapses and guess rates a grid has."""


def whole(data: Data) -> Ranges:
    """Of the logarithms of threshold and slope, of the lapse, and of the logit of the guess rate:
    four standard errors around the share at epsilon 0."""
    found = [data.range_of_logs, (math.log(SLOPES[0]), math.log(SLOPES[1])), (0.0, LARGEST_LAPSE)]
    if data.guess_is_half:
        return found
    at_zero = data.epsilons == 0
    n = float(data.n[at_zero].sum()) + 1
    share = (float(data.counted[at_zero].sum()) + 0.5) / n
    reach = 4 / math.sqrt(n * share * (1 - share))
    centre = float(special.logit(share))
    return [*found, (centre - reach, centre + reach)]


def grid(data: Data, ranges: Ranges, sizes: Sequence[int]) -> Grid:
    axes = [np.linspace(*ends, size) for ends, size in zip(ranges, sizes, strict=False)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    p = shares(points, data)
    return Grid(axes[0], points, np.log(p).T, np.log1p(-p).T)


def zoomed(data: Data, sizes: Sequence[int], drop: float) -> Grid:
    """Around all that is less than `drop` below the best likelihood, narrower three times."""
    limits = whole(data)
    ranges, over = limits, grid(data, limits, sizes)
    for _ in range(3):
        likelihoods = over.likelihoods(data.counted, data.n).ravel()
        kept = over.points[likelihoods >= likelihoods.max() - drop]
        ranges = [
            narrower(kept[:, axis], limits[axis], (high - low) / (size - 1))
            for axis, ((low, high), size) in enumerate(zip(ranges, sizes, strict=False))
        ]
        over = grid(data, ranges, sizes)
    return over


def narrower(kept: Floats, limits: tuple[float, float], step: float) -> tuple[float, float]:
    """One step beyond what is kept, but within the limits."""
    return max(limits[0], float(kept.min()) - step), min(limits[1], float(kept.max()) + step)


def allowance(confidence: float) -> float:
    return float(stats.chi2.ppf(confidence, 1)) / 2


def fine_grid(data: Data, confidence: float = 0.95) -> Grid:
    return zoomed(data, FINE, allowance(confidence) + 3)


def fit(data: Data, over: Grid) -> Fit:
    """The best of a grid, improved."""
    start = over.points[over.likelihoods(data.counted, data.n).argmax()]
    limits = bounds_of(data)[: len(start)]
    found = optimize.minimize(loss, start, args=(data,), method="L-BFGS-B", bounds=limits)
    best = min((start, np.asarray(found.x)), key=lambda each: loss(each, data))
    guess = 0.5 if data.guess_is_half else float(special.expit(best[3]))
    return Fit(math.exp(best[0]), math.exp(best[1]), float(best[2]), guess, -loss(best, data))


def bounds_of(data: Data) -> Ranges:
    slopes = (math.log(SLOPES[0]), math.log(SLOPES[1]))
    return [data.range_of_logs, slopes, (0.0, LARGEST_LAPSE), (-12.0, 12.0)]


def loss(parameters: Floats, data: Data) -> float:
    """The log likelihood, negative."""
    [p] = shares(parameters[None, :], data)
    return -float(np.sum(data.counted * np.log(p) + (data.n - data.counted) * np.log1p(-p)))


def threshold(data: Data, over: Grid, confidence: float = 0.95) -> Threshold:
    """With limits where twice the log likelihood has fallen by a chi-square quantile.

    The answers are taken as independent; resampling cases does without that.
    """
    likelihoods = over.likelihoods(data.counted, data.n)
    profile, rest = likelihoods.max(axis=1), likelihoods.argmax(axis=1)
    points = over.points.reshape(*likelihoods.shape, -1)
    starts = points[np.arange(len(profile)), rest, 1:]
    found = fit(data, over)
    least = found.log_likelihood - allowance(confidence)

    def lacks(log_threshold: float, place: int) -> float:
        return least - best_with(log_threshold, starts[place], data)

    def limit(place: int, step: int) -> float:
        """Outwards from a place of the grid, or first inwards if that is too far."""
        while lacks(over.logs[place], place) > 0:
            place -= step
        while 0 <= (outer := place + step) < len(over.logs):
            if lacks(over.logs[outer], outer) > 0:
                ends = float(over.logs[place]), float(over.logs[outer])
                if lacks(ends[0], outer) >= 0:
                    return math.exp(ends[0])
                return math.exp(optimize.brentq(lacks, *ends, args=(outer,), xtol=1e-6))
            place = outer
        return 0.0 if step < 0 else math.inf

    within = np.flatnonzero(profile >= profile.max() - allowance(confidence))
    low, high = limit(int(within[0]), -1), limit(int(within[-1]), 1)
    fallen = profile.max() - profile
    return Threshold(ended(found.threshold, fallen, over.logs, data.range_of_logs), low, high)


def best_with(log_threshold: float, start: Floats, data: Data) -> float:
    """The largest log likelihood with this threshold."""

    def lost(rest: Floats) -> float:
        return loss(np.concatenate([[log_threshold], rest]), data)

    bounds = bounds_of(data)[1 : len(start) + 1]
    found = optimize.minimize(lost, start, method="L-BFGS-B", bounds=bounds)
    return -min(float(found.fun), lost(start))


def ended(estimate: float, fallen: Floats, logs: Floats, limits: tuple[float, float]) -> float:
    """0 or infinite where an end of the whole search is as good as the best."""
    if logs[0] <= limits[0] and fallen[0] < FLAT:
        return 0.0
    return math.inf if logs[-1] >= limits[1] and fallen[-1] < FLAT else estimate


def thresholds_of_resamples(data: Data, counted: Floats, n: Floats) -> Floats:
    """Of [resample, level] counts at the levels of `data`, each the best on a grid."""
    over = zoomed(data, COARSE, drop=12.0)
    found = np.empty(len(counted))
    for row, (k, total) in enumerate(zip(counted, n, strict=True)):
        profile = over.likelihoods(k, total).max(axis=1)
        best = int(profile.argmax())
        estimate = math.exp(over.logs[best])
        found[row] = ended(estimate, profile[best] - profile, over.logs, data.range_of_logs)
    return found
