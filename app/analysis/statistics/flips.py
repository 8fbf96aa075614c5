"""Flips between original and perturbed, against flips between two showings of the same image.

A unit is one case read by one reader, `copies` times each: x of the showings of the original and
y of those of the perturbed image were called tumour. See docs/statistics.md, "Flips".
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from app.analysis.statistics.common import CannotSay, Floats
from app.analysis.statistics.proportions import bound_of_no_event


@dataclass(frozen=True)
class Unit:
    """The labels, 1 or 0, in the order of the sets."""

    case: str
    reader: str
    original: tuple[int, ...]
    perturbed: tuple[int, ...]

    @property
    def copies(self) -> int:
        return len(self.original)

    @property
    def x(self) -> int:
        return sum(self.original)

    @property
    def y(self) -> int:
        return sum(self.perturbed)


class Rates(NamedTuple):
    """Of one unit, or their means: disagreement between arms, and within each; `excess` is the
    first less the mean of the others, `iei` the first less that of the originals alone."""

    d_op: float
    d_oo: float
    d_pp: float
    excess: float
    iei: float


class ExactTest(NamedTuple):
    """Of M units that could tell, K flipped as one would if the arms differ; one-sided p."""

    K: int
    M: int
    p: float


class Bound(NamedTuple):
    """Of the mean excess, one-sided limits; the error is over `cases` means."""

    estimate: float
    error: float
    low: float
    high: float
    cases: int


def rates(unit: Unit) -> Rates:
    """Of two showings of an arm d is 1 if they differ; of more, the share of pairs that do."""
    return rates_of_counts(unit.x, unit.y, unit.copies)


@cache
def rates_of_counts(x: int, y: int, copies: int) -> Rates:
    d_op = (x * (copies - y) + y * (copies - x)) / copies**2
    pairs = copies * (copies - 1) / 2
    d_oo, d_pp = x * (copies - x) / pairs, y * (copies - y) / pairs
    return Rates(d_op, d_oo, d_pp, d_op - (d_oo + d_pp) / 2, d_op - d_oo)


def require_units(units: Sequence[Unit]) -> None:
    if not units:
        raise CannotSay("No reader has labelled all showings of both images of a case.")
    if min(unit.copies for unit in units) < 2:
        raise CannotSay("Every image was shown once: there is no test-retest noise to compare.")


def mean_rates(units: Sequence[Unit]) -> Rates:
    require_units(units)
    return Rates(*(float(mean) for mean in np.mean([rates(unit) for unit in units], axis=0)))


def exact_test(units: Sequence[Unit]) -> ExactTest:
    """Of "perturbing changes nothing": then all showings of a unit are exchangeable.

    Given x + y, x is hypergeometric. Of two copies only units with x + y = 2 tell: K of the M are
    (2, 0) or (0, 2), which has probability 1/3, so p is binomial.
    """
    require_units(units)
    return exact(units, [any_order(unit) for unit in units])


def exact_test_within_sets(units: Sequence[Unit]) -> ExactTest:
    """The same if answers drift from set to set: only the two images of a set are exchangeable."""
    require_units(units)
    return exact(units, [swapped_within_sets(unit) for unit in units])


Law = Mapping[int, float]
"""The probability of each possible excess, in whole units of 1 / (copies^2 (copies - 1))."""


def any_order(unit: Unit) -> Law:
    return hypergeometric(unit.x + unit.y, unit.copies)


@cache
def hypergeometric(total: int, copies: int) -> Law:
    x = range(max(0, total - copies), min(copies, total) + 1)
    weights = stats.hypergeom(2 * copies, total, copies).pmf(list(x))
    return law((steps(k, total - k, copies) for k in x), weights)


def swapped_within_sets(unit: Unit) -> Law:
    pairs = list(zip(unit.original, unit.perturbed, strict=True))
    return swapped(pairs.count((1, 1)), sum(o != p for o, p in pairs), unit.copies)


@cache
def swapped(both: int, discordant: int, copies: int) -> Law:
    to_original = range(discordant + 1)
    weights = stats.binom(discordant, 0.5).pmf(list(to_original))
    values = (steps(both + k, both + discordant - k, copies) for k in to_original)
    return law(values, weights)


def steps(x: int, y: int, copies: int) -> int:
    return round(rates_of_counts(x, y, copies).excess * copies**2 * (copies - 1))


def law(values: Iterator[int], weights: Floats) -> Law:
    found: dict[int, float] = {}
    for value, weight in zip(values, weights, strict=True):
        found[value] = found.get(value, 0.0) + float(weight)
    return found


def exact(units: Sequence[Unit], laws: Sequence[Law]) -> ExactTest:
    """K of the M units whose excess could be another are at the largest that it could be."""
    observed = [steps(unit.x, unit.y, unit.copies) for unit in units]
    telling = [(value, each) for value, each in zip(observed, laws, strict=True) if len(each) > 1]
    at_most = sum(value == max(each) for value, each in telling)
    p = tail(sum(value for value, _ in telling), [each for _, each in telling])
    return ExactTest(at_most, len(telling), p)


def tail(observed: int, laws: Sequence[Law]) -> float:
    """The probability of a sum of independent steps as large as observed, by convolution."""
    lowest = sum(min(each) for each in laws)
    total = np.ones(1)
    for each in laws:
        kernel = np.zeros(max(each) - min(each) + 1)
        for value, weight in each.items():
            kernel[value - min(each)] = weight
        total = np.convolve(total, kernel)
    return min(1.0, float(total[observed - lowest :].sum()))


def excess_bound(units: Sequence[Unit], alpha: float = 0.05) -> Bound:
    """One-sided limits of the mean excess, from its spread between cases (Student's t).

    Where all cases have the same excess there is no spread to see: the limits are then those of
    an event that none of so many cases had.
    """
    require_units(units)
    by_case: dict[str, list[float]] = {}
    for unit in units:
        by_case.setdefault(unit.case, []).append(rates(unit).excess)
    cases = len(by_case)
    if cases < 2:
        raise CannotSay("A limit over cases needs at least two cases.")
    means = np.array([float(np.mean(values)) for values in by_case.values()])
    estimate = mean_rates(units).excess
    error = float(means.std(ddof=1)) / math.sqrt(cases)
    if error < 1e-12:
        unseen = bound_of_no_event(cases, alpha)
        low, high = estimate - (estimate + 0.5) * unseen, estimate + (1 - estimate) * unseen
        return Bound(estimate, 0.0, low, high, cases)
    reach = float(stats.t.ppf(1 - alpha, cases - 1)) * error
    return Bound(estimate, error, estimate - reach, estimate + reach, cases)


def worst_case(
    original: Sequence[int | None], perturbed: Sequence[int | None]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both labels of a unit with what is missing filled in for most excess."""
    filled = [
        (with_first(original, ones), with_first(perturbed, others))
        for ones in range(missing(original) + 1)
        for others in range(missing(perturbed) + 1)
    ]
    copies = len(original)
    return max(filled, key=lambda f: rates_of_counts(sum(f[0]), sum(f[1]), copies).excess)


def missing(labels: Sequence[int | None]) -> int:
    return sum(label is None for label in labels)


def with_first(labels: Sequence[int | None], ones: int) -> tuple[int, ...]:
    """The first so many missing labels are 1, the others 0."""
    left = iter([1] * ones + [0] * len(labels))
    return tuple(next(left) if label is None else label for label in labels)


def directions(units: Sequence[Unit]) -> tuple[int, int]:
    """Pairs of the same set that went from tumour to none, and from none to tumour."""
    pairs = [pair for unit in units for pair in zip(unit.original, unit.perturbed, strict=True)]
    return pairs.count((1, 0)), pairs.count((0, 1))
