"""Areas under ROC curves from ratings, and their covariances over cases."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from app.analysis.statistics.common import (
    CannotSay,
    Difference,
    Estimate,
    Floats,
    normal_quantile,
)


class Placements(NamedTuple):
    """Of several readings of the same cases, one row a reading: for each positive the share of
    negatives below it, and for each negative the share of positives above it; ties count 1/2."""

    positives: Floats
    negatives: Floats

    @property
    def areas(self) -> Floats:
        areas: Floats = self.positives.mean(axis=1)
        return areas


class PairedRoc(NamedTuple):
    """Original and perturbed of the same cases, DeLong's intervals and test."""

    original: Estimate
    perturbed: Estimate
    difference: Difference
    z: float
    p: float


def wins(positive: Floats, negative: Floats) -> Floats:
    """[i, j]: 1 where positive i is rated above negative j, 1/2 where both are equal."""
    difference = positive[:, None] - negative[None, :]
    found: Floats = (np.sign(difference) + 1) / 2
    return found


def placements(ratings: Floats, truths: Sequence[int]) -> Placements:
    """Of ratings[reading, case]; higher means tumour."""
    is_positive = np.asarray(truths) == 1
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if min(positives, negatives) < 2:
        raise CannotSay("An ROC curve needs two tumour cases and two without tumour.")
    table = [wins(row[is_positive], row[~is_positive]) for row in ratings]
    return Placements(
        np.array([each.mean(axis=1) for each in table]),
        np.array([each.mean(axis=0) for each in table]),
    )


def delong_covariance(found: Placements) -> Floats:
    """DeLong, DeLong, Clarke-Pearson (Biometrics 1988, 44:837)."""
    covariance: Floats = sum(np.atleast_2d(np.cov(each)) / each.shape[1] for each in found)
    return covariance


def jackknife_covariance(found: Placements) -> Floats:
    """Of the areas without one case at a time."""
    areas = found.areas[:, None]
    without = np.hstack([(each.shape[1] * areas - each) / (each.shape[1] - 1) for each in found])
    centred = without - without.mean(axis=1, keepdims=True)
    n = without.shape[1]
    covariance: Floats = (n - 1) / n * centred @ centred.T
    return covariance


def paired_roc(ratings: Floats, truths: Sequence[int], confidence: float = 0.95) -> PairedRoc:
    """Of two rows, original and perturbed. Limits of an area end at 0 and 1."""
    found = placements(ratings, truths)
    covariance, areas = delong_covariance(found), found.areas
    z = normal_quantile(confidence)

    def area(row: int) -> Estimate:
        reach = z * math.sqrt(covariance[row, row])
        value = float(areas[row])
        return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))

    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-15:
        raise CannotSay(
            "These areas do not vary over cases, so that their difference has no interval."
        )
    error = math.sqrt(variance)
    score = difference / error
    return PairedRoc(
        area(0),
        area(1),
        Difference(difference, difference - z * error, difference + z * error),
        score,
        float(2 * stats.norm.sf(abs(score))),
    )


def curve(ratings: Floats, truths: Sequence[int]) -> list[tuple[float, float]]:
    """(1 - specificity, sensitivity) of every threshold, from (0, 0) to (1, 1)."""
    is_positive = np.asarray(truths) == 1
    thresholds = np.unique(ratings)[::-1]
    return [(0.0, 0.0)] + [
        (float((ratings[~is_positive] >= at).mean()), float((ratings[is_positive] >= at).mean()))
        for at in thresholds
    ]
