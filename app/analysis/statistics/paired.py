"""Two answers to each of n independent cases: the difference of two proportions."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from app.analysis.statistics.common import (
    CannotSay,
    Difference,
    Floats,
    falls_to_zero,
    normal_quantile,
)
from app.analysis.statistics.proportions import wilson_interval


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


class McNemar(NamedTuple):
    """p values of "both proportions are equal", two-sided; 1 without a discordant pair."""

    chi2: float
    exact: float
    mid_p: float
    asymptotic: float
    asymptotic_corrected: float


def paired_difference(table: PairedTable, confidence: float = 0.95) -> Difference:
    """Tango's score interval (Stat Med 1998, 17:891) for pairs that are independent.

    The limits are where the score for "the true difference is delta" leaves +-z. It holds
    without discordant pairs and for few pairs.
    """
    require_pairs(table)
    return score_interval(table.b, table.c, table.n, confidence)


def score_interval(b: float, c: float, n: float, confidence: float) -> Difference:
    estimate = (b - c) / n
    z = normal_quantile(confidence)
    low = falls_to_zero(lambda delta: score(b, c, n, delta) - z, -1.0, estimate)
    high = falls_to_zero(lambda delta: score(b, c, n, delta) + z, estimate, 1.0)
    return Difference(estimate, low, high)


def require_pairs(table: PairedTable) -> None:
    if table.n == 0:
        raise CannotSay("No case has an answer to both images.")


def tango_score(table: PairedTable, delta: float) -> float:
    """Standard normal if the true difference is `delta`, which it falls with."""
    return score(table.b, table.c, table.n, delta)


def score(b: float, c: float, n: float, delta: float) -> float:
    """`tango_scores` of one table."""
    surplus = b - c - n * delta
    linear = -b - c + (2 * n - b + c) * delta
    root = math.sqrt(max(0.0, linear**2 + 8 * n * c * delta * (1 - delta)))
    variance = (root - linear) / 2 + n * delta * (1 - delta)
    if surplus == 0:
        return 0.0
    return surplus / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, surplus)


def tango_scores(b: Floats | float, c: Floats | float, n: float, delta: float) -> Floats:
    """`tango_score` of many tables of `n` pairs at once.

    The variance is that of the most likely probabilities under `delta`: Tango 1998, eq. 5.
    """
    b, c = np.asarray(b, dtype=np.float64), np.asarray(c, dtype=np.float64)
    surplus = b - c - n * delta
    linear = -b - c + (2 * n - b + c) * delta
    root = np.sqrt(np.maximum(0.0, linear**2 + 8 * n * c * delta * (1 - delta)))
    variance = n * (2 * (root - linear) / (4 * n) + delta * (1 - delta))
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = surplus / np.sqrt(np.maximum(variance, 0.0))
    found: Floats = np.where(surplus == 0, 0.0, scores)
    return found


def newcombe_difference(
    table: PairedTable, confidence: float = 0.95, *, corrected: bool = True
) -> Difference:
    """Newcombe's method 10 (Stat Med 1998, 17:2635), or his 8 when not `corrected`.

    Wilson's intervals of both proportions, squared and added with the pairs' correlation.
    """
    require_pairs(table)
    n = table.n
    first, second = (table.a + table.b) / n, (table.a + table.c) / n
    low_1, high_1 = wilson_interval(table.a + table.b, n, confidence)
    low_2, high_2 = wilson_interval(table.a + table.c, n, confidence)
    phi = correlation(table, corrected)
    difference = (table.b - table.c) / n
    return Difference(
        difference,
        difference - reach(first - low_1, high_2 - second, phi),
        difference + reach(second - low_2, high_1 - first, phi),
    )


def reach(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))


def correlation(table: PairedTable, corrected: bool) -> float:
    a, b, c, d = table.a, table.b, table.c, table.d
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    surplus = float(a * d - b * c)
    if corrected and surplus > 0:
        surplus = max(0.0, surplus - table.n / 2)
    return surplus / math.sqrt(margins) if margins else 0.0


def bonett_price_difference(table: PairedTable, confidence: float = 0.95) -> Difference:
    """Bonett and Price (J Educ Behav Stat 2012, 37:479): Wald's after one more b and one more c.

    The estimate is that of the table as it is.
    """
    require_pairs(table)
    n = table.n + 2
    p_10, p_01 = (table.b + 1) / n, (table.c + 1) / n
    centre = p_10 - p_01
    half = normal_quantile(confidence) * math.sqrt((p_10 + p_01 - centre**2) / n)
    return Difference(
        (table.b - table.c) / table.n, max(-1.0, centre - half), min(1.0, centre + half)
    )


def mcnemar(table: PairedTable) -> McNemar:
    """Fagerland, Lydersen, Laake (BMC Med Res Methodol 2013, 13:91); they recommend mid-p."""
    require_pairs(table)
    b, c, m = table.b, table.c, table.b + table.c
    if m == 0:
        return McNemar(0.0, 1.0, 1.0, 1.0, 1.0)
    law = stats.binom(m, 0.5)
    at = float(law.pmf(min(b, c)))
    exact = min(1.0, 2 * float(law.cdf(min(b, c))))
    chi2 = (b - c) ** 2 / m
    corrected = max(0, abs(b - c) - 1) ** 2 / m
    return McNemar(
        chi2=chi2,
        exact=exact,
        mid_p=1 - at if b == c else exact - at,
        asymptotic=float(stats.chi2.sf(chi2, 1)),
        asymptotic_corrected=float(stats.chi2.sf(corrected, 1)),
    )
