"""Intervals and tests for paired answers. Every difference is original minus perturbed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats


class Interval(NamedTuple):
    low: float
    high: float


class Difference(NamedTuple):
    """Of two proportions, with its confidence interval; nan where nothing can be said."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedTable:
    """Counts of pairs by what was answered to the original and to the perturbed image.

    With 1 for the answer that is counted: a is (1, 1), b is (1, 0), c is (0, 1), d is (0, 0).
    """

    a: int
    b: int
    c: int
    d: int

    @property
    def n(self) -> int:
        return self.a + self.b + self.c + self.d


class CaseCounts(NamedTuple):
    """Of one case, over readers and sets: pairs (1, 0), pairs (0, 1), and all pairs."""

    b: int
    c: int
    n: int


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson 1927, as in scipy. Of no trials it is all of [0, 1]."""
    if n == 0:
        return Interval(0.0, 1.0)
    interval = stats.binomtest(successes, n).proportion_ci(confidence, "wilson")
    return Interval(float(interval.low), float(interval.high))


def paired_difference(table: PairedTable, confidence: float = 0.95) -> Difference:
    """Tango's score interval (Stat Med 1998, 17:891) for pairs that are independent.

    The limits are where the score for "the true difference is delta" leaves +-z. It holds
    without discordant pairs and for few pairs; of no pairs all three numbers are nan.
    """
    if table.n == 0:
        return Difference(math.nan, math.nan, math.nan)
    estimate = (table.b - table.c) / table.n
    z = normal_quantile(confidence)
    low = falls_to_zero(lambda delta: tango_score(table, delta) - z, -1.0, estimate)
    high = falls_to_zero(lambda delta: tango_score(table, delta) + z, estimate, 1.0)
    return Difference(estimate, low, high)


def tango_score(table: PairedTable, delta: float) -> float:
    """Standard normal if the true difference is `delta`, which it falls with.

    Its variance is that of the most likely probabilities under `delta`: Tango 1998, eq. 5.
    """
    n, b, c = table.n, table.b, table.c
    surplus = b - c - n * delta
    if surplus == 0:
        return 0.0
    linear = -b - c + (2 * n - b + c) * delta
    root = math.sqrt(max(0.0, linear**2 + 8 * n * c * delta * (1 - delta)))
    probability_01 = (root - linear) / (4 * n)
    variance = n * (2 * probability_01 + delta * (1 - delta))
    return surplus / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, surplus)


def falls_to_zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function, infinite at an end perhaps, passes zero; `low` if they are one."""
    return float(optimize.bisect(function, low, high, xtol=1e-12)) if low < high else low


def normal_quantile(confidence: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2))


def clustered_difference(per_case: Sequence[CaseCounts], confidence: float = 0.95) -> Difference:
    """Over readers and sets, where only cases are independent; for these readers, any cases.

    The variance between cases is Obuchowski's (Stat Med 1998, 17:1495), the quantile that of
    Student's t with one degree of freedom less than there are cases, and the limits end at -1
    and 1. Of one case there is an estimate without limits, of no pairs nothing: these are nan.
    """
    counts = np.asarray(per_case, dtype=np.float64).reshape(-1, 3)
    surplus, pairs = counts[:, 0] - counts[:, 1], counts[:, 2]
    cases, total = len(counts), float(pairs.sum())
    if total == 0:
        return Difference(math.nan, math.nan, math.nan)
    estimate = float(surplus.sum()) / total
    if cases == 1:
        return Difference(estimate, math.nan, math.nan)
    squares = float(np.square(surplus - pairs * estimate).sum())
    error = math.sqrt(cases / (cases - 1) * squares) / total
    reach = float(stats.t.ppf((1 + confidence) / 2, cases - 1)) * error
    return Difference(estimate, max(-1.0, estimate - reach), min(1.0, estimate + reach))
