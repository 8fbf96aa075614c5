"""Exact paired tests that do not condition on the number of discordant pairs."""

import numpy as np
from scipy import optimize, special

from app.analysis.statistics.common import (
    CannotSay,
    Difference,
    Floats,
    falls_to_zero,
)
from app.analysis.statistics.paired import PairedTable, require_pairs, tango_scores

MOST_PAIRS = 500
SAME = 1e-11
"""Scores closer than this are equal: the same fraction, computed in another order."""
NODES = np.polynomial.legendre.leggauss(200)
"""Where and with which weights an integral over (-1, 1) is taken."""


def unconditional_p(table: PairedTable) -> float:
    """Suissa and Shuster (Biometrics 1991, 47:361), two-sided, ordered by McNemar's statistic.

    The largest probability, over the unknown share of discordant pairs, of a statistic as large.
    """
    if table.b == table.c:
        return 1.0
    b, c = all_tables(table)
    statistic = np.abs(b - c) / np.sqrt(np.maximum(b + c, 1))
    observed = abs(table.b - table.c) / np.sqrt(table.b + table.c)
    extreme = statistic >= observed - SAME
    return largest_probability(b[extreme], c[extreme], table.n, 0.0)


def noninferiority_p(table: PairedTable, margin: float) -> float:
    """Of "original minus perturbed is `margin` or more", ordered by Tango's score, one-sided.

    As `paired.exact.test(method = "uam", alternative = "less", delta = margin)` of R's Exact.
    """
    b, c = all_tables(table)
    scores = tango_scores(b, c, table.n, margin)
    observed = tango_scores(table.b, table.c, table.n, margin)
    extreme = scores <= observed + SAME
    return largest_probability(b[extreme], c[extreme], table.n, margin)


def all_tables(table: PairedTable) -> tuple[Floats, Floats]:
    """b and c of every table with as many pairs."""
    require_pairs(table)
    if table.n > MOST_PAIRS:
        raise CannotSay(f"Enumerated up to {MOST_PAIRS} pairs only; mid-p is as good for more.")
    b, c = np.indices((table.n + 1, table.n + 1)).reshape(2, -1).astype(np.float64)
    possible = b + c <= table.n
    return b[possible], c[possible]


def largest_probability(b: Floats, c: Floats, n: int, delta: float) -> float:
    """Of any of these tables, over every p_01, when p_10 is `delta` more."""
    ways = special.gammaln(n + 1) - (
        special.gammaln(b + 1) + special.gammaln(c + 1) + special.gammaln(n - b - c + 1)
    )

    def lack(p_01: float) -> float:
        p_10 = p_01 + delta
        logs = ways + special.xlogy(b, p_10) + special.xlogy(c, p_01)
        return -float(np.exp(logs + special.xlog1py(n - b - c, -(p_10 + p_01))).sum())

    grid = np.linspace(max(0.0, -delta) + 1e-5, (1 - delta) / 2 - 1e-5, 100)
    values = [lack(p_01) for p_01 in grid]
    best = int(np.argmin(values))
    around = (grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)])
    refined = optimize.minimize_scalar(lack, bounds=around, method="bounded")
    return min(1.0, -min(float(refined.fun), values[best]))


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
        return falls_to_zero(lambda delta: lack(delta, m, n - m + 1), 0.0, 1.0)
    return falls_to_zero(lambda delta: lack(delta, m + 1, n - m), -1.0, 0.0)


def probability_below(delta: float, b: int, c: int, a_t: int, b_t: int) -> float:
    """Of T (2 B - 1) <= delta, with T ~ Beta(a_t, b_t), 1 if b_t is 0, and B ~ Beta(b, c + 1)."""
    if b_t == 0:
        return float(special.betainc(b, c + 1, (1 + delta) / 2))
    nodes, weights = NODES
    ends = special.betaincinv(a_t, b_t, 1e-13), special.betaincinv(a_t, b_t, 1 - 1e-13)
    t = ends[0] + (ends[1] - ends[0]) * (nodes + 1) / 2
    logs = special.xlogy(a_t - 1, t) + special.xlog1py(b_t - 1, -t) - special.betaln(a_t, b_t)
    below = special.betainc(b, c + 1, np.clip(0.5 + delta / (2 * t), 0.0, 1.0))
    return float(np.sum(weights * below * np.exp(logs)) * (ends[1] - ends[0]) / 2)
