"""What every statistic shares: intervals, quantiles, and saying that a number cannot be had."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CannotSay(ValueError):  # noqa: N818 (it is an answer, not a fault)
    """These data do not give the number; the message is the reason, one sentence."""


class Interval(NamedTuple):
    low: float
    high: float


class Estimate(NamedTuple):
    estimate: float
    low: float
    high: float


class Difference(NamedTuple):
    """Original minus perturbed, with its confidence interval."""

    estimate: float
    low: float
    high: float


def normal_quantile(confidence: float) -> float:
    """Two-sided: 1.96 of 0.95."""
    return float(special.ndtri((1 + confidence) / 2))


def t_quantile(confidence: float, degrees: float) -> float:
    """Two-sided: 1.98 of 0.95 and 100."""
    return float(special.stdtrit(degrees, (1 + confidence) / 2))


def falls_to_zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function, infinite at an end perhaps, passes zero; `low` if they are one."""
    return float(optimize.bisect(function, low, high, xtol=1e-12)) if low < high else low
