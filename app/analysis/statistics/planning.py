"""What a design can show: power and numbers of cases, enumerated where that is possible."""

import math

import numpy as np
from scipy import special, stats

from app.analysis.statistics.common import Floats
from app.analysis.statistics.detection import share_of
from app.analysis.statistics.paired import tango_scores

NEGLIGIBLE = 1e-15
"""Of all tables of 400 pairs those below this have less than 1e-10 together."""


def trinomial(n: int, p_10: float, p_01: float) -> tuple[Floats, Floats, Floats]:
    """b, c and the probability of every table of n pairs."""
    b, c = np.indices((n + 1, n + 1)).reshape(2, -1).astype(np.float64)
    possible = b + c <= n
    b, c = b[possible], c[possible]
    counts = np.arange(n + 1)
    factorials = special.gammaln(counts + 1)
    of_b = special.xlogy(counts, p_10) - factorials
    of_c = special.xlogy(counts, p_01) - factorials
    of_rest = special.xlog1py(counts, -(p_10 + p_01)) - factorials
    rest = (n - b - c).astype(np.int64)
    logs = of_b[b.astype(np.int64)] + of_c[c.astype(np.int64)] + of_rest[rest]
    return b, c, np.exp(factorials[n] + logs)


def tost_power(n: int, p_10: float, p_01: float, margin: float, alpha: float = 0.05) -> float:
    """Of two one-sided tests with Tango's score, exact, of n independent pairs."""
    b, c, weights = trinomial(n, p_10, p_01)
    b, c, weights = (each[weights > NEGLIGIBLE] for each in (b, c, weights))
    z = float(stats.norm.isf(alpha))
    shown = (tango_scores(b, c, n, -margin) >= z) & (tango_scores(b, c, n, margin) <= -z)
    return float(weights[shown].sum())


def mid_p_power(n: int, p_10: float, p_01: float, alpha: float = 0.05) -> float:
    """Of McNemar's mid-p test, exact, of n independent pairs."""
    b, c, weights = trinomial(n, p_10, p_01)
    m, least = b + c, np.minimum(b, c)
    at = stats.binom.pmf(least, m, 0.5)
    p = np.where(b == c, 1 - at, 2 * stats.binom.cdf(least, m, 0.5) - at)
    return float(weights[np.where(m == 0, 1.0, p) <= alpha].sum())


def pairs_for_difference(
    p_10: float, p_01: float, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Pairs that McNemar's test needs (Connor, Biometrics 1987, 43:207); not rounded up."""
    discordant, difference = p_10 + p_01, p_10 - p_01
    spread = math.sqrt(discordant - difference**2)
    z_alpha, z_power = float(stats.norm.isf(alpha / 2)), float(stats.norm.ppf(power))
    return (z_alpha * math.sqrt(discordant) + z_power * spread) ** 2 / difference**2


def pairs_without_flip(margin: float, alpha: float = 0.05) -> int:
    """So many pairs, all concordant, are the fewest that show equivalence.

    Tango's interval of no discordant pair ends at z^2 / (n + z^2).
    """
    z2 = float(stats.norm.isf(alpha)) ** 2
    return math.floor(z2 * (1 - margin) / margin) + 1


def units_for_flips(
    unstable: float, margin: float, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Case x reader units for an upper limit below `margin` when the true excess is 0.

    `unstable` is the share of units that two of four showings call tumour; the variance of a
    unit's excess is half of it.
    """
    z = float(stats.norm.isf(alpha) + stats.norm.ppf(power))
    return z**2 * (unstable / 2) / margin**2


def choice_power(n: int, d_prime: float, alpha: float = 0.05) -> float:
    """Of the exact test of chance in two-alternative forced choice."""
    needed = int(stats.binom.isf(alpha, n, 0.5)) + 1
    return float(stats.binom.sf(needed - 1, n, share_of(d_prime)))


def similarity_power(n: int, limit: float, alpha: float = 0.05, d_prime: float = 0.0) -> float:
    """Of the exact test of "d' is `limit` or more", when it is `d_prime`."""
    counts = np.arange(n + 1)
    shown = stats.binom.cdf(counts, n, share_of(limit)) <= alpha
    return float(stats.binom.pmf(counts, n, share_of(d_prime))[shown].sum())
