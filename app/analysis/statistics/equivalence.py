"""Whether a difference is within a margin that was set before: two one-sided tests, verdicts."""

from enum import StrEnum
from typing import NamedTuple

from scipy import stats

from app.analysis.statistics.common import Interval
from app.analysis.statistics.paired import (
    PairedTable,
    paired_difference,
    require_pairs,
    tango_score,
)


class Verdict(StrEnum):
    EQUIVALENT = "equivalent within margin"
    DIFFERENT = "different"
    BOTH = "different but within margin"
    INCONCLUSIVE = "inconclusive"


class Tost(NamedTuple):
    """`p` is the larger of both; `low` and `high` the interval of confidence 1 - 2 alpha."""

    p_lower: float
    p_upper: float
    p: float
    low: float
    high: float


def verdict(for_difference: Interval, for_equivalence: Interval, margin: float) -> Verdict:
    """From intervals alone: of 1 - alpha for a difference, of 1 - 2 alpha for equivalence.

    Different: 0 is outside the first. Within the margin: the second is inside (-margin, margin).
    """
    different = not for_difference.low <= 0 <= for_difference.high
    within = -margin < for_equivalence.low and for_equivalence.high < margin
    match different, within:
        case True, True:
            return Verdict.BOTH
        case True, False:
            return Verdict.DIFFERENT
        case False, True:
            return Verdict.EQUIVALENT
        case _:
            return Verdict.INCONCLUSIVE


def tost(table: PairedTable, margin: float, alpha: float = 0.05) -> Tost:
    """Two one-sided tests with Tango's score (Liu et al., Stat Med 2002, 21:231)."""
    require_pairs(table)
    p_lower = float(stats.norm.sf(tango_score(table, -margin)))
    p_upper = float(stats.norm.cdf(tango_score(table, margin)))
    _, low, high = paired_difference(table, 1 - 2 * alpha)
    return Tost(p_lower, p_upper, max(p_lower, p_upper), low, high)
