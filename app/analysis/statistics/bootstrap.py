"""Resampling of whole cases, seeded, for numbers that have no formula for an error over cases."""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from app.analysis.statistics.common import CannotSay, Floats, Interval

TIMES = 1000


@lru_cache(maxsize=8)
def case_weights(cases: int, seed: int, times: int = TIMES) -> Floats:
    """[resample, case]: how often each case is drawn, with replacement."""
    if cases < 2:
        raise CannotSay("Resampling needs two cases.")
    draws = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), times)
    weights: Floats = draws.astype(np.float64)
    weights.flags.writeable = False
    return weights


def percentiles(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """The next values outwards; infinite ones count."""
    ordered = np.sort(np.fromiter(values, dtype=np.float64))
    last, tail = len(ordered) - 1, (1 - confidence) / 2
    return Interval(
        float(ordered[math.floor(tail * last)]), float(ordered[math.ceil((1 - tail) * last)])
    )
