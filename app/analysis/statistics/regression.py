"""Regressions whose errors are robust to answers that share a case: GEE, from statsmodels."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from app.analysis.statistics.common import CannotSay, Floats, normal_quantile


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
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise CannotSay("These answers do not tell the effects of the model apart.")
    if family == "binomial" and separated(outcome, design[:, 1:]):
        raise CannotSay("Some group of the model gave one answer only: its odds are infinite.")
    estimates, errors = fitted(outcome, design, model.cases, family, correlation)
    return Fitted(["intercept", *columns], estimates, errors, confidence)


def separated(outcome: Floats, design: Floats) -> bool:
    """Whether a value of some column has one outcome only, which an infinite logit would fit."""
    return any(
        np.ptp(outcome[column == value]) == 0 for column in design.T for value in np.unique(column)
    )


def fitted(
    outcome: Floats, design: Floats, cases: Sequence[str], family: Family, correlation: Correlation
) -> tuple[Floats, Floats]:
    from statsmodels.genmod import cov_struct, families
    from statsmodels.genmod.generalized_estimating_equations import GEE

    link = families.Gaussian() if family == "gaussian" else families.Binomial()
    structure = (
        cov_struct.Independence() if correlation == "independence" else cov_struct.Exchangeable()
    )
    groups = np.unique(np.asarray(cases), return_inverse=True)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = GEE(outcome, design, groups=groups, family=link, cov_struct=structure).fit()
            variances = np.maximum(np.diag(found.cov_robust), 0.0)
        except (Warning, np.linalg.LinAlgError, ValueError) as error:
            raise CannotSay(f"The model could not be fitted: {error}.") from error
    return np.asarray(found.params), np.sqrt(variances)
