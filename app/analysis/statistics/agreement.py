"""How far readings agree: of two readings in a table, and of several with answers missing."""

import math
from typing import NamedTuple

import numpy as np

from app.analysis.statistics.common import (
    CannotSay,
    Estimate,
    Floats,
    normal_quantile,
    t_quantile,
)
from app.analysis.statistics.paired import PairedTable, require_pairs
from app.analysis.statistics.proportions import wilson_interval


class Coefficient(NamedTuple):
    """A coefficient with its standard error and interval."""

    estimate: float
    error: float
    low: float
    high: float


def percent_agreement(table: PairedTable, confidence: float = 0.95) -> Estimate:
    """With Wilson's interval."""
    require_pairs(table)
    agreed = table.a + table.d
    return Estimate(agreed / table.n, *wilson_interval(agreed, table.n, confidence))


def specific_agreement(both: int, discordant: int, confidence: float = 0.95) -> Estimate:
    """2a / (2a + b + c) with a = `both`: positive agreement; of negatives with d.

    It is 2q / (1 + q) of q = a / (a + b + c), and its limits are those of Wilson's of q.
    """
    if both + discordant == 0:
        raise CannotSay("Neither reading gave this answer.")
    limits = wilson_interval(both, both + discordant, confidence)
    return Estimate(*(2 * q / (1 + q) for q in (both / (both + discordant), *limits)))


def cohen_kappa(table: PairedTable, confidence: float = 0.95) -> Coefficient:
    """Error of Fleiss, Cohen, Everitt (Psychol Bull 1969, 72:323); limits end at -1 and 1."""
    require_pairs(table)
    if max(table.a, table.d) == table.n:
        raise CannotSay("Both readings gave one answer only: chance explains all agreement.")
    shares = np.array([[table.a, table.b], [table.c, table.d]]) / table.n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(rows @ columns)
    kappa = (observed - expected) / (1 - expected)
    agreed = np.diag(shares) @ np.square(1 - (rows + columns) * (1 - kappa))
    apart = shares[0, 1] * (columns[0] + rows[1]) ** 2 + shares[1, 0] * (columns[1] + rows[0]) ** 2
    spread = agreed + (1 - kappa) ** 2 * apart - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(0.0, float(spread)) / table.n) / (1 - expected)
    reach = normal_quantile(confidence) * error
    return Coefficient(kappa, error, max(-1.0, kappa - reach), min(1.0, kappa + reach))


def pabak(table: PairedTable, confidence: float = 0.95) -> Coefficient:
    """2 po - 1 (Brennan-Prediger of two answers); its limits are those of Wilson's of po."""
    share, low, high = percent_agreement(table, confidence)
    error = 2 * math.sqrt(share * (1 - share) / table.n)
    return Coefficient(2 * share - 1, error, 2 * low - 1, 2 * high - 1)


def scott_pi(table: PairedTable) -> float:
    require_pairs(table)
    share, _, _ = percent_agreement(table)
    positive = (2 * table.a + table.b + table.c) / (2 * table.n)
    expected = positive**2 + (1 - positive) ** 2
    if expected == 1:
        raise CannotSay("Both readings gave one answer only: chance explains all agreement.")
    return (share - expected) / (1 - expected)


def gwet_ac1_of_table(table: PairedTable) -> tuple[float, float]:
    """The coefficient and its standard error; the variance is divided by n, as of a table."""
    ratings = ratings_of(table)
    found = gwet_ac1(ratings, 2)
    return found.estimate, found.error * math.sqrt((table.n - 1) / table.n)


def ratings_of(table: PairedTable) -> Floats:
    """[case, reading] with 1 and 0, in the order a, b, c, d."""
    require_pairs(table)
    pairs = [[1, 1]] * table.a + [[1, 0]] * table.b + [[0, 1]] * table.c + [[0, 0]] * table.d
    return np.array(pairs, dtype=np.float64)


# Several readings: ratings[case, reading], nan where one is missing.


class Counts(NamedTuple):
    """Of every case how often each category was given; `several` marks cases rated twice."""

    given: Floats
    ratings: Floats
    several: Floats
    agreed: Floats
    shares: Floats


def counts(ratings: Floats) -> Counts:
    rated = ratings[~np.isnan(ratings).all(axis=1)]
    if not rated.size:
        raise CannotSay("Nothing was rated.")
    categories = np.unique(rated[~np.isnan(rated)])
    given = np.stack([(rated == category).sum(axis=1) for category in categories], axis=1).astype(
        np.float64
    )
    total = given.sum(axis=1)
    several = total >= 2
    if several.sum() < 2:
        raise CannotSay("Agreement needs two cases with two readings each.")
    pairs = np.where(several, total * (total - 1), 1)
    agreed = (given * (given - 1)).sum(axis=1) / pairs * several
    return Counts(given, total, several, agreed, (given / total[:, None]).mean(axis=0))


def linearised(found: Counts, chance: float, of_cases: Floats, confidence: float) -> Coefficient:
    """(pa - chance) / (1 - chance) with Gwet's error (2008, 2014), Student's t, n - 1 degrees.

    `of_cases` is each case's part of `chance`.
    """
    if chance >= 1 - 1e-12:
        raise CannotSay("All readings gave one answer only: chance explains all agreement.")
    n, twice = len(found.agreed), int(found.several.sum())
    estimate = (found.agreed.sum() / twice - chance) / (1 - chance)
    part = n / twice * (found.agreed - chance * found.several) / (1 - chance)
    part = part - 2 * (1 - estimate) * (of_cases - chance) / (1 - chance)
    return with_limits(estimate, part, estimate, confidence)


def with_limits(estimate: float, part: Floats, centre: float, confidence: float) -> Coefficient:
    n = len(part)
    error = math.sqrt(float(np.square(part - centre).sum()) / (n * (n - 1)))
    reach = t_quantile(confidence, n - 1) * error
    estimate = float(estimate)
    return Coefficient(estimate, error, max(-1.0, estimate - reach), min(1.0, estimate + reach))


def mean_agreement(ratings: Floats, confidence: float = 0.95) -> Coefficient:
    """The share of pairs of readings that agree, over cases with at least two."""
    found = counts(ratings)
    return linearised(found, 0.0, np.zeros(len(found.agreed)), confidence)


def brennan_prediger(ratings: Floats, categories: int, confidence: float = 0.95) -> Coefficient:
    found = counts(ratings)
    return linearised(found, 1 / categories, np.full(len(found.agreed), 1 / categories), confidence)


def gwet_ac1(ratings: Floats, categories: int, confidence: float = 0.95) -> Coefficient:
    """Gwet (Br J Math Stat Psychol 2008, 61:29)."""
    found = counts(ratings)
    chance = float((found.shares * (1 - found.shares)).sum()) / (categories - 1)
    of_cases = found.given @ (1 - found.shares) / found.ratings / (categories - 1)
    return linearised(found, chance, of_cases, confidence)


def fleiss_kappa(ratings: Floats, confidence: float = 0.95) -> Coefficient:
    """Fleiss (Psychol Bull 1971, 76:378), for answers missing as in Gwet 2014."""
    found = counts(ratings)
    chance = float(np.square(found.shares).sum())
    return linearised(found, chance, found.given @ found.shares / found.ratings, confidence)


def conger_kappa(ratings: Floats) -> float:
    """Conger (Psychol Bull 1980, 88:322): Cohen's kappa of several readers."""
    found = counts(ratings)
    categories = np.unique(ratings[~np.isnan(ratings)])
    answered = (~np.isnan(ratings)).sum(axis=0)
    if answered.min() == 0:
        raise CannotSay("One reading is empty.")
    each = np.stack([(ratings == category).sum(axis=0) / answered for category in categories])
    chance = float(np.square(each.mean(axis=1)).sum())
    chance -= float(each.var(axis=1, ddof=1).sum()) / ratings.shape[1]
    if chance >= 1 - 1e-12:
        raise CannotSay("All readings gave one answer only: chance explains all agreement.")
    return float((found.agreed.sum() / found.several.sum() - chance) / (1 - chance))


def krippendorff_alpha(ratings: Floats, confidence: float = 0.95) -> Coefficient:
    """Nominal alpha (Krippendorff 1970); error as in Gwet 2014."""
    found = counts(ratings)
    kept = found.several.astype(bool)
    given, total = found.given[kept], found.ratings[kept]
    mean, small = total.mean(), 1 / total.sum()
    pairs = (given * (given - 1)).sum(axis=1) / (mean * (total - 1))
    observed = pairs.mean()
    agreed = (1 - small) * observed + small
    shares = given.mean(axis=0) / mean
    chance = float(np.square(shares).sum())
    if chance >= 1 - 1e-12:
        raise CannotSay("All readings gave one answer only: chance explains all agreement.")
    plain = (observed - chance) / (1 - chance)
    excess = (total - mean) / mean
    part = (pairs - agreed * excess - chance) / (1 - chance)
    of_cases = given @ shares / mean - chance * excess
    part = part - 2 * (1 - plain) * (of_cases - chance) / (1 - chance)
    return with_limits((agreed - chance) / (1 - chance), part, plain, confidence)
