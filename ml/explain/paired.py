"""Whether a measure changes from before to after, case by case."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

FLIPS = RESAMPLES = 10_000

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """`low` to `high`: 95 % of the mean difference, after less before; both p values two-sided."""

    n: int
    mean_before: float
    mean_after: float
    mean_difference: float
    low: float
    high: float
    wilcoxon_p: float
    permutation_p: float


def paired_test(before: Values, after: Values, *, seed: int) -> PairedTest | None:
    """None for fewer than two cases. Cases count as independent, also those of one tile or patient.

    The interval is the percentile bootstrap over cases; the permutation flips the signs of the
    differences and counts the observed one among them (Phipson and Smyth 2010).
    """
    if len(before) < 2:
        return None
    difference = after - before
    chance = np.random.default_rng(seed)
    drawn = chance.integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.quantile(difference[drawn].mean(axis=1), (0.025, 0.975))
    return PairedTest(
        n=len(difference),
        mean_before=float(before.mean()),
        mean_after=float(after.mean()),
        mean_difference=float(difference.mean()),
        low=float(low),
        high=float(high),
        wilcoxon_p=_wilcoxon(difference),
        permutation_p=_sign_flips(difference, chance),
    )


def _wilcoxon(difference: Values) -> float:
    """1 where nothing differs, for which scipy has no answer."""
    return float(wilcoxon(difference).pvalue) if difference.any() else 1.0


def _sign_flips(difference: Values, chance: np.random.Generator) -> float:
    signs = chance.integers(2, size=(FLIPS, len(difference)), dtype=np.int8) * 2.0 - 1
    observed = abs(difference.sum())
    # Sums of the same numbers in another order differ in their last bits.
    as_extreme = np.abs(signs @ difference) >= observed * (1 - 1e-9)
    return float((1 + as_extreme.sum()) / (1 + FLIPS))
