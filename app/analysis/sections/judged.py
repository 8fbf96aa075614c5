"""Verdicts: from the intervals that a method gives at two confidences, and from nothing else."""

from collections.abc import Callable

from app.analysis.sections.told import Json
from app.analysis.statistics import CannotSay, Difference, Interval
from app.analysis.statistics.equivalence import verdict


def judged(interval: Callable[[float], Difference], margin: float, alpha: float) -> Json:
    """`interval(confidence)` of 1 - alpha tells a difference, of 1 - 2 alpha equivalence."""
    try:
        _, *for_difference = interval(1 - alpha)
        _, *for_equivalence = interval(1 - 2 * alpha)
    except CannotSay as reason:
        return {"verdict": None, "reason": str(reason)}
    return {"verdict": verdict(Interval(*for_difference), Interval(*for_equivalence), margin)}
