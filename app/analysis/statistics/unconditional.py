"""Exact paired tests that do not condition on the number of discordant pairs."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from app.analysis.statistics.common import CannotSay, Difference, Floats, Ints
from app.analysis.statistics.paired import PairedTable, require_pairs, tango_score, tango_scores

MOST_PAIRS = 500
SAME = 1e-11
"""Scores closer than this are equal: the same fraction, computed in another order."""
NODES = np.polynomial.legendre.leggauss(200)
"""Where and with which weights an integral over (-1, 1) is taken."""


def unconditional_p(table: PairedTable) -> float:
    """Suissa and Shuster (Biometrics 1991, 47:361), two-sided, ordered by McNemar's statistic.

    The largest probability, over the unknown share of discordant pairs, of a statistic as large.
    """
    require_enumerable(table)
    if table.b == table.c:
        return 1.0
    observed = abs(table.b - table.c) / math.sqrt(table.b + table.c)
    m = np.arange(table.n + 1)
    least = np.ceil(observed * np.sqrt(m) - SAME)  # of |b - c|, so that the statistic is as large
    extreme = 2 * special.bdtr(np.floor((m - least) / 2), m, 0.5)
    extreme[(m == 0) | (least > m)] = 0.0
    ways = logs_of_ways(table.n, m)

    def probability(share: float) -> float:
        logs = ways + m * math.log(share) + (table.n - m) * math.log1p(-share)
        return float(np.exp(logs) @ extreme)

    return largest(probability, 0.0, 1.0)


def noninferiority_p(table: PairedTable, margin: float) -> float:
    """Of "original minus perturbed is `margin` or more", ordered by Tango's score, one-sided.

    As `paired.exact.test(method = "uam", alternative = "less", delta = margin)` of R's Exact.
    """
    require_enumerable(table)
    n = table.n
    b, c, ways = all_tables(n)
    extreme = tango_scores(b, c, n, margin) <= tango_score(table, margin) + SAME
    b, c, ways = b[extreme], c[extreme], ways[extreme]

    def probability(p_01: float) -> float:
        p_10, rest = p_01 + margin, 1 - margin - 2 * p_01
        logs = b * math.log(p_10 / rest) + c * math.log(p_01 / rest)
        return float(np.exp(ways + (logs + n * math.log(rest))).sum())

    return largest(probability, max(0.0, -margin), (1 - margin) / 2)


def require_enumerable(table: PairedTable) -> None:
    require_pairs(table)
    if table.n > MOST_PAIRS:
        raise CannotSay(f"Enumerated up to {MOST_PAIRS} pairs only; mid-p is as good for more.")


@lru_cache(maxsize=4)
def all_tables(n: int) -> tuple[Floats, Floats, Floats]:
    """b and c of every table with as many pairs, and the logarithm of the ways to have it."""
    b, c = np.indices((n + 1, n + 1)).reshape(2, -1).astype(np.float64)
    possible = b + c <= n
    b, c = b[possible], c[possible]
    return b, c, logs_of_ways(n, b + c) + logs_of_ways(b + c, b)


def logs_of_ways(n: Floats | int, k: Floats | Ints) -> Floats:
    """To choose k of n."""
    found: Floats = special.gammaln(np.add(n, 1.0)) - (
        special.gammaln(np.add(k, 1.0)) + special.gammaln(np.subtract(n, k) + 1.0)
    )
    return found


def largest(probability: Callable[[float], float], low: float, high: float) -> float:
    """Between both ends: the best of 100 points, improved."""
    grid = np.linspace(low + 1e-9, high - 1e-9, 100)
    values = [probability(each) for each in grid]
    best = int(np.argmax(values))
    around = (grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)])
    refined = optimize.minimize_scalar(
        lambda each: -probability(each), bounds=around, method="bounded"
    )
    return min(1.0, max(-float(refined.fun), values[best]))


def exact_difference(table: PairedTable, confidence: float = 0.95) -> Difference:
    """Fay and Lumbard (Stat Med 2021, 40:1147): the interval that agrees with the exact McNemar.

    The difference is T (2 B - 1): T the share of discordant pairs, B that of (1, 0) among them,
    each with the beta distributions that make Clopper and Pearson's limits.
    """
    require_pairs(table)
    tail = (1 - confidence) / 2
    low = melded_lower(table.b, table.c, table.n, tail)
    high = -melded_lower(table.c, table.b, table.n, tail)
    return Difference((table.b - table.c) / table.n, low, high)


def melded_lower(b: int, c: int, n: int, tail: float) -> float:
    m = b + c
    if b == 0:
        return -1.0 if m == n else -float(special.betaincinv(m + 1, n - m, 1 - tail))
    at_zero = special.betainc(b, c + 1, 0.5)

    def lack(delta: float, a_t: int, b_t: int) -> float:
        return tail - probability_below(delta, b, c, a_t, b_t)

    if at_zero <= tail:
        return root(lambda delta: lack(delta, m, n - m + 1), 0.0, 1.0)
    return root(lambda delta: lack(delta, m + 1, n - m), -1.0, 0.0)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high, xtol=1e-13))


def probability_below(delta: float, b: int, c: int, a_t: int, b_t: int) -> float:
    """Of T (2 B - 1) <= delta, with T ~ Beta(a_t, b_t), 1 if b_t is 0, and B ~ Beta(b, c + 1).

    T below |delta| cannot reach delta; beyond it the integral is over a smooth function.
    """
    if b_t == 0:
        return float(special.betainc(b, c + 1, (1 + delta) / 2))
    reach = abs(delta)
    whole = float(special.betainc(a_t, b_t, reach)) if delta > 0 else 0.0
    ends = [max(reach, float(special.betaincinv(a_t, b_t, tail))) for tail in (1e-13, 1 - 1e-13)]
    nodes, weights = NODES
    t = ends[0] + (ends[1] - ends[0]) * (nodes + 1) / 2
    logs = special.xlogy(a_t - 1, t) + special.xlog1py(b_t - 1, -t) - special.betaln(a_t, b_t)
    below = special.betainc(b, c + 1, np.clip(0.5 + delta / (2 * t), 0.0, 1.0))
    part = float(np.sum(weights * below * np.exp(logs)) * (ends[1] - ends[0]) / 2)
    return whole + part
