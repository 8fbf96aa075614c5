"""The variance of a mean over readers and cases, both drawn at random: iMRMC's U-statistics."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from app.analysis.statistics.common import CannotSay, Floats


@dataclass(frozen=True)
class MeanVariance:
    """`unbiased` is the U-statistic's and may be negative, `biased` the V-statistic's.

    The degrees of freedom are those of iMRMC (Satterthwaite), for either variance; None where it
    is not positive.
    """

    mean: float
    unbiased: float
    biased: float
    unbiased_df: float | None
    biased_df: float | None


Axes = tuple[int, ...]


def mean_variance(values: Floats) -> MeanVariance:
    """Of values[i, j, ...] over crossed random axes: readers, cases, or two kinds of cases.

    Gallas et al. (Commun Stat A 2009, 38:2586): products of two values are averaged by which of
    their indices are the same. T[same] sums the products with these indices the same, whatever the
    others; inclusion and exclusion leave those with the others different.
    """
    if min(values.shape) < 2:
        raise CannotSay("A variance over readers and cases needs two of each.")
    shape, subsets = values.shape, list(all_subsets(values.ndim))
    sums = {same: product_sum(values, same) for same in subsets}
    counts = {same: pair_count(shape, same) for same in subsets}
    unbiased = {same: distinct(sums, same) / distinct(counts, same) for same in subsets}
    biased = {same: sums[same] / counts[same] for same in subsets}
    shares = {same: distinct(counts, same) / counts[()] for same in subsets}
    variances = [
        sum(shares[same] * moments[same] for same in subsets) - moments[()]
        for moments in (unbiased, biased)
    ]
    spread = sum(
        (biased[axis,] - biased[()]) ** 2 / (shape[axis] - 1) ** 3 for axis in range(values.ndim)
    )
    least = min(shape) - 1
    degrees = [
        max(variance**2 / spread, least) if variance > 0 and spread > 0 else None
        for variance in variances
    ]
    return MeanVariance(float(values.mean()), variances[0], variances[1], degrees[0], degrees[1])


def all_subsets(axes: int) -> Iterator[Axes]:
    return chain.from_iterable(combinations(range(axes), size) for size in range(axes + 1))


def product_sum(values: Floats, same: Axes) -> float:
    others = tuple(axis for axis in range(values.ndim) if axis not in same)
    return float(np.square(values.sum(axis=others)).sum())


def pair_count(shape: tuple[int, ...], same: Axes) -> float:
    return float(np.prod([n if axis in same else n**2 for axis, n in enumerate(shape)]))


def distinct(of_pairs: dict[Axes, float], same: Axes) -> float:
    """Only of the pairs whose other indices all differ."""
    return sum(
        (-1.0) ** (len(wider) - len(same)) * value
        for wider, value in of_pairs.items()
        if set(same) <= set(wider)
    )
