"""Intervals of one proportion whose trials are independent."""

from typing import Literal

from scipy import special, stats

from app.analysis.statistics.common import Interval, falls_to_zero


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson 1927, as in scipy. Of no trials it is all of [0, 1]."""
    return from_scipy(successes, n, confidence, "wilson")


def exact_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson 1934, as in scipy: never too narrow. Of no trials all of [0, 1]."""
    return from_scipy(successes, n, confidence, "exact")


def from_scipy(
    successes: int, n: int, confidence: float, method: Literal["exact", "wilson"]
) -> Interval:
    if n == 0:
        return Interval(0.0, 1.0)
    interval = stats.binomtest(successes, n).proportion_ci(confidence, method)
    return Interval(float(interval.low), float(interval.high))


def mid_p_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Where half of the observed count's probability and all beyond it is (1 - confidence) / 2."""
    tail = (1 - confidence) / 2

    def at_most(count: int, p: float) -> float:
        return float(special.bdtr(count, n, p)) if count >= 0 else 0.0

    def middle(p: float) -> float:
        return (at_most(successes - 1, p) + at_most(successes, p)) / 2

    low = falls_to_zero(lambda p: tail - (1 - middle(p)), 0.0, 1.0) if successes > 0 else 0.0
    high = falls_to_zero(lambda p: middle(p) - tail, 0.0, 1.0) if successes < n else 1.0
    return Interval(low, high)


def jeffreys_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Quantiles of Beta(x + 1/2, n - x + 1/2); 0 of none, 1 of all (Brown, Cai, DasGupta 2001)."""
    law = stats.beta(successes + 0.5, n - successes + 0.5)
    low = float(law.ppf((1 - confidence) / 2)) if successes > 0 else 0.0
    high = float(law.ppf((1 + confidence) / 2)) if successes < n else 1.0
    return Interval(low, high)


def bound_of_no_event(n: int, alpha: float = 0.05) -> float:
    """The largest share that `n` independent trials without one event leave possible.

    The one-sided limit of Clopper and Pearson, 1 - alpha ** (1 / n): 0.139 of 20.
    """
    return float(1 - alpha ** (1 / n)) if n else 1.0
