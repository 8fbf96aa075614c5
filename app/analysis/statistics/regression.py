"""Regressions whose errors are robust to answers that share a case: estimating equations (GEE)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special, stats

from app.analysis.statistics.common import CannotSay, Floats, Ints, normal_quantile

MOST_STEPS, CLOSE, LARGEST_LOGIT = 100, 1e-10, 30.0
RANK_TOLERANCE = 1e-10


class Effect(NamedTuple):
    """A coefficient, its robust (sandwich) standard error, normal limits and p."""

    estimate: float
    error: float
    low: float
    high: float
    p: float


class Model:
    """An outcome and the columns it is explained by; an intercept comes first."""

    def __init__(self, outcome: Floats, cases: Sequence[str]):
        self.outcome, self.cases = outcome, cases
        self.columns: dict[str, Floats] = {}

    def add(self, name: str, values: Floats) -> None:
        self.columns[name] = np.asarray(values, dtype=np.float64)

    def add_groups(self, name: str, groups: Sequence[str | int]) -> None:
        """A column of 0 and 1 for every group but the first, which the intercept is of."""
        for group in sorted(set(groups), key=str)[1:]:
            self.add(f"{name} {group}", np.array([each == group for each in groups], np.float64))


Family = Literal["gaussian", "binomial"]
Correlation = Literal["independence", "exchangeable"]


def effect_of(estimate: float, error: float, confidence: float) -> Effect:
    reach = normal_quantile(confidence) * error
    p = float(2 * stats.norm.sf(abs(estimate) / error))
    return Effect(estimate, error, estimate - reach, estimate + reach, p)


@dataclass(frozen=True)
class Fitted:
    """Estimates with robust errors, the intercept's first."""

    names: Sequence[str]
    estimates: Floats
    errors: Floats
    confidence: float

    def effect(self, name: str) -> Effect:
        place = list(self.names).index(name)
        estimate, error = float(self.estimates[place]), float(self.errors[place])
        if not error > 1e-12:
            raise CannotSay("The outcome does not vary enough for an error over cases.")
        return effect_of(estimate, error, self.confidence)


def gee(model: Model, family: Family, correlation: Correlation, confidence: float = 0.95) -> Fitted:
    """Liang and Zeger (Biometrika 1986, 73:13); binomial is by logit."""
    outcome, columns = model.outcome, model.columns
    design = np.column_stack([np.ones(len(outcome)), *columns.values()])
    if len(set(model.cases)) < 3:
        raise CannotSay("An error over cases needs three cases.")
    if not of_full_rank(design):
        raise CannotSay("These answers do not tell the effects of the model apart.")
    if family == "binomial" and separated(outcome, design[:, 1:]):
        raise CannotSay("Some group of the model gave one answer only: its odds are infinite.")
    clusters = np.unique(np.asarray(model.cases), return_inverse=True)[1]
    estimates, covariance = Equations(outcome, design, clusters, family, correlation).solved()
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return Fitted(["intercept", *columns], estimates, errors, confidence)


def of_full_rank(design: Floats) -> bool:
    """By the small matrix of products, of columns of length 1."""
    scaled = design / np.maximum(np.linalg.norm(design, axis=0), 1e-300)
    return bool(np.linalg.eigvalsh(scaled.T @ scaled)[0] > RANK_TOLERANCE)


def separated(outcome: Floats, design: Floats) -> bool:
    """Whether a value of some column has one outcome only, which an infinite logit would fit."""
    return any(
        np.ptp(outcome[column == value]) == 0 for column in design.T for value in np.unique(column)
    )


@dataclass(frozen=True)
class Equations:
    """Generalised estimating equations; correlation within a case is none, or the same of all pairs
    of its rows. `clusters` numbers the cases from 0."""

    outcome: Floats
    design: Floats
    clusters: Ints
    family: Family
    correlation: Correlation

    def solved(self) -> tuple[Floats, Floats]:
        """The estimates, and their robust covariance."""
        shared, estimates = 0.0, np.zeros(self.design.shape[1])
        for _ in range(MOST_STEPS):
            scores, information = self._scores(estimates, shared)
            try:
                step = np.linalg.solve(information, scores.sum(axis=0))
            except np.linalg.LinAlgError as error:
                raise CannotSay("The model could not be fitted: it has no one solution.") from error
            estimates = estimates + step
            self._require_finite(estimates)
            before, shared = shared, self._shared(estimates)
            if np.abs(step).max() < CLOSE and abs(shared - before) < CLOSE:
                break
        else:
            raise CannotSay("The model could not be fitted: its estimates do not settle.")
        scores, information = self._scores(estimates, shared)
        bread = np.linalg.inv(information)
        return estimates, bread @ (scores.T @ scores) @ bread

    def _require_finite(self, estimates: Floats) -> None:
        """Logits of 30 and more are infinite ones that were not reached yet."""
        if self.family == "binomial" and np.abs(self.design @ estimates).max() > LARGEST_LOGIT:
            raise CannotSay("Some group of the model gave one answer only: its odds are infinite.")

    def _standardised(self, estimates: Floats) -> tuple[Floats, Floats]:
        """The residuals over their deviations, and the derivatives of the means over them."""
        linear = self.design @ estimates
        if self.family == "gaussian":
            return self.outcome - linear, self.design
        mean = special.expit(linear)
        deviation = np.sqrt(mean * (1 - mean))
        return (self.outcome - mean) / deviation, self.design * deviation[:, None]

    def _scores(self, estimates: Floats, shared: float) -> tuple[Floats, Floats]:
        """[case, column], and the information: of the inverse of a correlation that is `shared`."""
        residual, slopes = self._standardised(estimates)
        count = np.bincount(self.clusters)
        sums = np.column_stack([np.bincount(self.clusters, column) for column in slopes.T])
        total = np.bincount(self.clusters, residual)
        products = np.column_stack(
            [np.bincount(self.clusters, column * residual) for column in slopes.T]
        )
        less = shared / (1 + (count - 1) * shared)
        scores = (products - (less * total)[:, None] * sums) / (1 - shared)
        information = (slopes.T @ slopes - (sums * less[:, None]).T @ sums) / (1 - shared)
        return scores, information

    def _shared(self, estimates: Floats) -> float:
        """The mean product of two residuals of one case, over their mean square; the estimates hold
        with any correlation, so it is kept where it has an inverse."""
        if self.correlation == "independence":
            return 0.0
        residual, _ = self._standardised(estimates)
        rows, columns = self.design.shape
        count = np.bincount(self.clusters)
        pairs = float((count * (count - 1)).sum()) / 2
        squares = float(np.square(residual).sum())
        if pairs <= columns or squares == 0:
            return 0.0
        of_cases = float(np.square(np.bincount(self.clusters, residual)).sum())
        shared = (of_cases - squares) / 2 / (pairs - columns) / (squares / (rows - columns))
        return float(np.clip(shared, -0.95 / (int(count.max()) - 1), 0.95))
