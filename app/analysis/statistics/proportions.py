"""Intervals of one proportion whose trials are independent."""

import math

from scipy import optimize, special

from app.analysis.statistics.common import Interval, normal_quantile


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson 1927, without continuity correction. Of no trials it is all of [0, 1]."""
    if n == 0:
        return Interval(0.0, 1.0)
    share, z2 = successes / n, normal_quantile(confidence) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    low = centre - half if successes > 0 else 0.0
    return Interval(low, centre + half if successes < n else 1.0)


def exact_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson 1934: never too narrow. Of no trials it is all of [0, 1]."""
    tail = (1 - confidence) / 2
    return Interval(
        beta_quantile(tail, successes, n - successes + 1) if successes > 0 else 0.0,
        beta_quantile(1 - tail, successes + 1, n - successes) if successes < n else 1.0,
    )


def beta_quantile(share: float, a: float, b: float) -> float:
    return float(special.betaincinv(a, b, share))


def mid_p_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Where half of the observed count's probability and all beyond it is (1 - confidence) / 2."""
    tail = (1 - confidence) / 2

    def at_most(count: int, p: float) -> float:
        return float(special.bdtr(count, n, p)) if count >= 0 else 0.0

    def middle(p: float) -> float:
        return (at_most(successes - 1, p) + at_most(successes, p)) / 2

    def where(share: float) -> float:
        return float(optimize.brentq(lambda p: middle(p) - share, 0.0, 1.0, xtol=1e-14))

    return Interval(
        where(1 - tail) if successes > 0 else 0.0, where(tail) if successes < n else 1.0
    )


def jeffreys_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Quantiles of Beta(x + 1/2, n - x + 1/2); 0 of none, 1 of all (Brown, Cai, DasGupta 2001)."""
    tail, a, b = (1 - confidence) / 2, successes + 0.5, n - successes + 0.5
    return Interval(
        beta_quantile(tail, a, b) if successes > 0 else 0.0,
        beta_quantile(1 - tail, a, b) if successes < n else 1.0,
    )


def bound_of_no_event(n: int, alpha: float = 0.05) -> float:
    """The largest share that `n` independent trials without one event leave possible.

    The one-sided limit of Clopper and Pearson, 1 - alpha ** (1 / n): 0.139 of 20.
    """
    return float(1 - alpha ** (1 / n)) if n else 1.0
