"""How well a difference was seen, as d': 0 is not at all. The model is that of the task."""

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from app.analysis.statistics.common import CannotSay, Estimate
from app.analysis.statistics.proportions import exact_interval

ROOT_2 = math.sqrt(2)


class Choice(NamedTuple):
    """Of two-alternative forced choice: the share of right answers with exact limits, d' with
    theirs, and the one-sided p of "at chance, 1/2". Where all or none are right d' is infinite."""

    share: Estimate
    d_prime: Estimate
    error: float
    p_chance: float


class YesNo(NamedTuple):
    """`d_prime` = z(H) - z(F), `criterion` = -(z(H) + z(F)) / 2; positive says yes seldom."""

    d_prime: float
    criterion: float


class SameDifferent(NamedTuple):
    """d' if the two images are compared, and if each is judged by itself."""

    differencing: float
    independent_observation: float


def z(share: float) -> float:
    return float(special.ndtri(share))


def choice(right: int, n: int, confidence: float = 0.95) -> Choice:
    """d' = sqrt(2) z(share), as in R's sensR but not cut off at 0."""
    if n == 0:
        raise CannotSay("No pair was answered.")
    limits = exact_interval(right, n, confidence)
    share = Estimate(right / n, *limits)
    d_prime = Estimate(*(ROOT_2 * z(each) for each in share))
    slope = float(stats.norm.pdf(d_prime.estimate / ROOT_2)) / ROOT_2
    spread = math.sqrt(share.estimate * (1 - share.estimate) / n)
    p = float(stats.binom.sf(right - 1, n, 0.5))
    return Choice(share, d_prime, spread / slope if slope > 0 else math.inf, p)


def similarity_p(right: int, n: int, d_prime: float) -> float:
    """Of "the true d' is `d_prime` or more", one-sided: small where a difference is not seen."""
    return float(stats.binom.cdf(right, n, share_of(d_prime)))


def share_of(d_prime: float) -> float:
    """Right answers in two-alternative forced choice."""
    return float(special.ndtr(d_prime / ROOT_2))


def yes_no(hit: float, false_alarm: float) -> YesNo:
    z_hit, z_false = z(hit), z(false_alarm)
    return YesNo(z_hit - z_false, -(z_hit + z_false) / 2)


def log_linear(count: float, n: float) -> float:
    """A share that is never 0 or 1: half an answer is added to either side (Hautus 1995)."""
    return (count + 0.5) / (n + 1)


def yes_no_error(hit: float, signals: int, false_alarm: float, noises: int) -> float:
    """Standard error of d' (Gourevitch and Galanter, Psychometrika 1967, 32:25)."""

    def part(share: float, n: int) -> float:
        return share * (1 - share) / (n * float(stats.norm.pdf(z(share))) ** 2)

    return math.sqrt(part(hit, signals) + part(false_alarm, noises))


def fisher_p(hits: int, signals: int, false_alarms: int, noises: int) -> float:
    """Fisher's exact test of "no more hits than false alarms", one-sided."""
    table = np.array([[hits, signals - hits], [false_alarms, noises - false_alarms]])
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def same_different(hit: float, false_alarm: float) -> SameDifferent:
    """Macmillan and Creelman 2005, chapter 9. `hit` and `false_alarm`: "different" was said.

    0 where there are no more hits than false alarms.
    """
    if hit <= false_alarm:
        return SameDifferent(0.0, 0.0)
    criterion = -ROOT_2 * z(false_alarm / 2)

    def lack(d_prime: float) -> float:
        return said_different(d_prime, criterion) - hit

    share = float(special.ndtr((z(hit) - z(false_alarm)) / 2))
    observed = 2 * z((1 + math.sqrt(2 * share - 1)) / 2)
    return SameDifferent(float(optimize.brentq(lack, 0.0, 40.0)), observed)


def said_different(d_prime: float, criterion: float) -> float:
    """Comparing: the difference of two images with noise 1 each is outside +-criterion."""
    above = special.ndtr((d_prime - criterion) / ROOT_2)
    below = special.ndtr((-d_prime - criterion) / ROOT_2)
    return float(above + below)
