"""Pairs of several readers and sets, where only the cases are independent."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from app.analysis.statistics.common import CannotSay, Difference, Floats, t_quantile
from app.analysis.statistics.equivalence import Tost
from app.analysis.statistics.paired import PairedTable, score, score_interval


class CaseCounts(NamedTuple):
    """Of one case, over readers and sets: pairs (1, 0), pairs (0, 1), and all pairs."""

    b: int
    c: int
    n: int


class ChiSquare(NamedTuple):
    """With one degree of freedom."""

    chi2: float
    p: float


def clustered_difference(per_case: Sequence[CaseCounts], confidence: float = 0.95) -> Difference:
    """Over readers and sets, where only cases are independent; for these readers, any cases.

    The variance between cases is Obuchowski's (Stat Med 1998, 17:1495), the quantile that of
    Student's t with one degree of freedom less than there are cases, and the limits end at -1
    and 1. Where all cases agree there is no variance to see; the interval is then Tango's with
    one pair a case, which is not of length 0.
    """
    counts = np.asarray(per_case, dtype=np.float64).reshape(-1, 3)
    counts = counts[counts[:, 2] > 0]
    surplus, pairs = counts[:, 0] - counts[:, 1], counts[:, 2]
    cases = len(counts)
    if cases < 2:
        raise CannotSay("An interval over cases needs two cases with an answer to both images.")
    estimate = float(surplus.sum() / pairs.sum())
    error = cluster_error(surplus, pairs)
    if error == 0:
        return score_interval(
            cases * max(estimate, 0.0), cases * max(-estimate, 0.0), cases, confidence
        )
    reach = t_quantile(confidence, cases - 1) * error
    return Difference(estimate, max(-1.0, estimate - reach), min(1.0, estimate + reach))


def clustered_tost(per_case: Sequence[CaseCounts], margin: float, alpha: float = 0.05) -> Tost:
    """Two one-sided tests with the same error and degrees as `clustered_difference`; where all
    cases agree, Tango's with one pair a case."""
    counts = np.asarray(per_case, dtype=np.float64).reshape(-1, 3)
    counts = counts[counts[:, 2] > 0]
    estimate, low, high = clustered_difference(per_case, 1 - 2 * alpha)
    surplus, pairs, cases = counts[:, 0] - counts[:, 1], counts[:, 2], len(counts)
    error = cluster_error(surplus, pairs)
    if error == 0:
        b, c = cases * max(estimate, 0.0), cases * max(-estimate, 0.0)
        p_lower = float(special.ndtr(-score(b, c, cases, -margin)))
        p_upper = float(special.ndtr(score(b, c, cases, margin)))
    else:
        p_lower = float(special.stdtr(cases - 1, -(estimate + margin) / error))
        p_upper = float(special.stdtr(cases - 1, (estimate - margin) / error))
    return Tost(p_lower, p_upper, max(p_lower, p_upper), low, high)


def cluster_error(surplus: Floats, pairs: Floats) -> float:
    """Standard error of sum(surplus) / sum(pairs) over cases; 0 where all cases agree."""
    cases = len(pairs)
    residuals = surplus - pairs * (surplus.sum() / pairs.sum())
    residuals[np.abs(residuals) < 1e-12] = 0
    return float(math.sqrt(cases / (cases - 1) * float(np.square(residuals).sum())) / pairs.sum())


def mcnemar_pooled(tables: Sequence[PairedTable]) -> ChiSquare:
    """As if all pairs were independent, which they are not: to show what that would claim."""
    b, c = sum(table.b for table in tables), sum(table.c for table in tables)
    return chi_square((b - c) ** 2, b + c)


def obuchowski(tables: Sequence[PairedTable]) -> ChiSquare:
    """Obuchowski (Stat Med 1998, 17:1495)."""
    surplus, _ = columns(tables)
    cases = len(surplus)
    return chi_square((cases - 1) / cases * surplus.sum() ** 2, np.square(surplus).sum())


def durkalski(tables: Sequence[PairedTable]) -> ChiSquare:
    """Durkalski et al. (Stat Med 2003, 22:2417)."""
    surplus, pairs = columns(tables)
    shares = surplus / pairs
    return chi_square(shares.sum() ** 2, np.square(shares).sum())


def yang(tables: Sequence[PairedTable]) -> ChiSquare:
    """Yang, Sun, Hardin (Stat Med 2010, 29:2723)."""
    surplus, pairs = columns(tables)
    cases, estimate = len(surplus), surplus.sum() / pairs.sum()
    squares = np.square(surplus - pairs * estimate) + np.square(surplus)
    return chi_square((cases - 1) / cases * surplus.sum() ** 2, 0.5 * squares.sum())


def eliasziw(tables: Sequence[PairedTable]) -> ChiSquare:
    """Eliasziw and Donner (Stat Med 1991, 10:1981), first version."""
    pooled = mcnemar_pooled(tables)
    counts = np.array([(t.a, t.b, t.c, t.d) for t in tables if t.n], dtype=np.float64)
    pairs = counts.sum(axis=1)
    cases, mean = len(pairs), pairs.mean()
    if mean <= 1 or cases < 2:
        raise CannotSay("The correlation within cases needs several pairs a case.")
    typical = mean - np.square(pairs - mean).sum() / (cases * (cases - 1) * mean)
    shares = counts.sum(axis=0) / pairs.sum()
    between = np.sum(np.square(counts - np.outer(pairs, shares)) / pairs[:, None]) / cases
    within = np.sum(counts * (pairs[:, None] - counts) / pairs[:, None]) / (cases * (mean - 1))
    spread = between + (typical - 1) * within
    if not spread:
        raise CannotSay("All pairs ended alike: there is no correlation within cases to tell.")
    ratio = (between - within) / spread
    discordant = counts[:, 1] + counts[:, 2]
    some = int(np.count_nonzero(discordant))
    if ratio == 0 or some < 2:
        raise CannotSay("The correlation within cases needs two cases with discordant pairs.")
    inverse = 1 + (shares[1] + shares[2]) * (1 - ratio) / ratio
    if inverse == 0:
        raise CannotSay("The correlation within cases is infinite.")
    correlation = 1 / inverse
    average = discordant.sum() / some
    spread = np.square(discordant - average).sum() - (cases - some) * average**2
    smaller = average - spread / (some * (some - 1) * average)
    size = smaller + some * (average - smaller)
    return chi_square(pooled.chi2, 1 + (size - 1) * correlation)


CLUSTERED_TESTS: dict[str, Callable[[Sequence[PairedTable]], ChiSquare]] = {
    "mcnemar_pooled": mcnemar_pooled,
    "eliasziw": eliasziw,
    "obuchowski": obuchowski,
    "durkalski": durkalski,
    "yang": yang,
}


def columns(tables: Sequence[PairedTable]) -> tuple[Floats, Floats]:
    """b - c and n of every case that has pairs."""
    kept = [table for table in tables if table.n]
    surplus = np.array([table.b - table.c for table in kept], dtype=np.float64)
    return surplus, np.array([table.n for table in kept], dtype=np.float64)


def chi_square(numerator: float, denominator: float) -> ChiSquare:
    if denominator <= 0:
        raise CannotSay("No pair is discordant.")
    statistic = float(numerator / denominator)
    return ChiSquare(statistic, float(stats.chi2.sf(statistic, 1)))
