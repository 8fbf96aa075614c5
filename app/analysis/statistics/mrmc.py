"""Readers and cases both drawn at random: Obuchowski and Rockette, with Hillis' degrees.

theta[arm, reader] is any figure of merit; its covariances are over cases. In `covariance` the rows
are all readers of the first arm, then all of the second.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from app.analysis.statistics.common import (
    CannotSay,
    Difference,
    Estimate,
    Floats,
    normal_quantile,
    t_quantile,
)


class Components(NamedTuple):
    """The mean covariance of two figures: of one reading (variance), of the same reader in other
    arms (1), of other readers in the same arm (2), of others in others (3)."""

    variance: float
    covariance_1: float
    covariance_2: float
    covariance_3: float


class Comparison(NamedTuple):
    """Original minus perturbed. `F` and `df` for random readers; chi-square and its 1 for fixed."""

    difference: Difference
    error: float
    statistic: float
    df: float
    p: float
    clamped: bool


class ArmMean(NamedTuple):
    mean: Estimate
    error: float
    df: float | None


def case_covariance(values: Floats) -> Floats:
    """Of means over cases of values[reading, case]: of proportions, or averages of 0 and 1."""
    covariance: Floats = np.atleast_2d(np.cov(values)) / values.shape[1]
    return covariance


def components(covariance: Floats, readers: int) -> Components:
    """Of two arms; of one reader the covariances with other readers are 0."""
    blocks = covariance.reshape(2, readers, 2, readers)
    within = blocks[0, :, 0, :] + blocks[1, :, 1, :]
    between = blocks[0, :, 1, :] + blocks[1, :, 0, :]
    others = ~np.eye(readers, dtype=bool)
    return Components(
        float(np.trace(within)) / (2 * readers),
        float(np.trace(between)) / (2 * readers),
        float(within[others].mean()) / 2 if readers > 1 else 0.0,
        float(between[others].mean()) / 2 if readers > 1 else 0.0,
    )


def mean_squares(theta: Floats) -> tuple[float, float]:
    """Of arms, and of arms by readers."""
    arms, readers = theta.shape
    of_arms = theta.mean(axis=1)
    residual = theta - of_arms[:, None] - theta.mean(axis=0)[None, :] + theta.mean()
    return (
        readers * float(np.square(of_arms - theta.mean()).sum()) / (arms - 1),
        float(np.square(residual).sum()) / ((arms - 1) * (readers - 1)),
    )


def random_readers(theta: Floats, covariance: Floats, confidence: float = 0.95) -> Comparison:
    """Hillis (Stat Med 2007, 26:596): Cov2 - Cov3 is not let below 0, which `clamped` tells."""
    readers = theta.shape[1]
    if readers < 3:
        raise CannotSay("Fewer than three readers cannot stand for other readers.")
    parts = components(covariance, readers)
    of_arms, of_readers = mean_squares(theta)
    surplus = parts.covariance_2 - parts.covariance_3
    denominator = of_readers + readers * max(surplus, 0.0)
    if denominator <= 1e-15:
        raise CannotSay("No reader's result changes between the arms by more than another's.")
    df = denominator**2 / (of_readers**2 / (readers - 1)) if of_readers > 0 else math.inf
    error = math.sqrt(2 * denominator / readers)
    estimate = float(theta[0].mean() - theta[1].mean())
    reach = (
        t_quantile(confidence, df) if math.isfinite(df) else normal_quantile(confidence)
    ) * error
    statistic = of_arms / denominator
    p = float(stats.f.sf(statistic, 1, df) if math.isfinite(df) else stats.chi2.sf(statistic, 1))
    return Comparison(
        Difference(estimate, estimate - reach, estimate + reach),
        error,
        statistic,
        df,
        p,
        surplus < 0,
    )


def fixed_readers(theta: Floats, covariance: Floats, confidence: float = 0.95) -> Comparison:
    """For these readers and any cases; nothing is clamped."""
    readers = theta.shape[1]
    parts = components(covariance, readers)
    surplus = parts.covariance_2 - parts.covariance_3
    denominator = parts.variance - parts.covariance_1 + (readers - 1) * surplus
    if denominator <= 1e-15:
        raise CannotSay("No case's result differs between the arms: there is no variance to see.")
    error = math.sqrt(2 * denominator / readers)
    estimate = float(theta[0].mean() - theta[1].mean())
    reach = normal_quantile(confidence) * error
    statistic = (estimate / error) ** 2
    return Comparison(
        Difference(estimate, estimate - reach, estimate + reach),
        error,
        statistic,
        1.0,
        float(stats.chi2.sf(statistic, 1)),
        False,
    )


def arm_mean(theta: Floats, covariance: Floats, arm: int, confidence: float = 0.95) -> ArmMean:
    """Of one arm, readers random from three on, else fixed; limits end at 0 and 1."""
    readers = theta.shape[1]
    block = covariance.reshape(2, readers, 2, readers)[arm, :, arm, :]
    others = ~np.eye(readers, dtype=bool)
    shared = float(block[others].mean()) if readers > 1 else 0.0
    if readers < 3:
        variance = (float(np.trace(block)) / readers + (readers - 1) * shared) / readers
        error = math.sqrt(max(0.0, variance))  # two readers who balance out: rounding may go below
        return ArmMean(limited(theta[arm], normal_quantile(confidence) * error), error, None)
    spread = float(theta[arm].var(ddof=1))
    variance = spread + readers * max(shared, 0.0)
    error = math.sqrt(variance / readers)
    if spread == 0:
        return ArmMean(limited(theta[arm], normal_quantile(confidence) * error), error, None)
    df = variance**2 / (spread**2 / (readers - 1))
    return ArmMean(limited(theta[arm], t_quantile(confidence, df) * error), error, df)


def limited(values: Floats, reach: float) -> Estimate:
    mean = float(values.mean())
    return Estimate(mean, max(0.0, mean - reach), min(1.0, mean + reach))
