"""A logistic model with cases, and readers, drawn at random: maximum likelihood by Laplace.

As lme4's glmer(label ~ ... + (1 + slope | case) + (1 | reader), binomial): a case has an intercept
of its own and, if a slope is asked for, an effect of its own of that column; a reader has an
intercept of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

from app.analysis.statistics.common import CannotSay, Floats, Ints
from app.analysis.statistics.laplace import Modes, Rows, hessian, split
from app.analysis.statistics.regression import Effect, Model, effect_of

LARGEST_LOGIT = 12.0
"""A coefficient beyond this is an infinite one that was not reached yet."""


LARGEST_DEVIATION = 50.0


class Mixed(NamedTuple):
    """Of the fixed effects, the intercept first; `deviations` are the random effects' standard
    deviations: case, slope of the case, reader, as far as they are in the model."""

    names: Sequence[str]
    estimates: Floats
    errors: Floats
    deviations: Sequence[float]
    log_likelihood: float

    def effect(self, name: str, confidence: float = 0.95) -> Effect:
        place = list(self.names).index(name)
        return effect_of(float(self.estimates[place]), float(self.errors[place]), confidence)


def mixed(model: Model, *, slope: str | None = None, readers: Sequence[str] | None = None) -> Mixed:
    """`slope` is the column whose effect differs from case to case."""
    return fitted(prepared(model, slope, readers), ["intercept", *model.columns])


def prepared(model: Model, slope: str | None, readers: Sequence[str] | None) -> Rows:
    outcome, columns = np.asarray(model.outcome, dtype=np.float64), model.columns
    ones = np.ones(len(outcome))
    design = np.column_stack([ones, *columns.values()])
    if len(outcome) == 0 or np.ptp(outcome) == 0:
        raise CannotSay("All answers are the same: a logit of them is infinite.")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise CannotSay("These answers do not tell the effects of the model apart.")
    random = np.column_stack([ones, *([columns[slope]] if slope else [])])
    numbers = None if readers is None else numbered(readers)
    return Rows(outcome, design, numbered(model.cases), random, numbers)


def numbered(names: Sequence[str]) -> Ints:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def fitted(rows: Rows, names: list[str]) -> Mixed:
    thetas = rows.random.shape[1] * (rows.random.shape[1] + 1) // 2 + (rows.readers is not None)
    start = np.concatenate([start_of(rows, thetas), np.zeros(rows.design.shape[1])])
    modes = Modes(rows)
    found = optimize.minimize(
        modes.deviance, start, jac=True, method="BFGS", options={"gtol": 1e-5}
    )
    best = np.asarray(found.x, dtype=np.float64)
    effects = best[thetas:]
    if np.abs(effects).max() > LARGEST_LOGIT:
        raise CannotSay("Some group of the model gave one answer only: its odds are infinite.")
    try:
        variances = np.diag(2 * np.linalg.inv(hessian(modes, best)))[thetas:]
    except np.linalg.LinAlgError as error:
        raise CannotSay("The likelihood of the model is flat.") from error
    if not (variances > 0).all():
        raise CannotSay("The likelihood of the model has no peak.")
    errors = np.sqrt(variances)
    factor, of_reader = split(best[:thetas], rows)
    deviations = np.sqrt(np.square(factor).sum(axis=1)).tolist()
    if rows.readers is not None:
        deviations.append(abs(of_reader))
    if max(deviations) > LARGEST_DEVIATION:
        raise CannotSay("Cases differ without limit: each has one answer only.")
    return Mixed(names, effects, errors, deviations, -modes.deviance(best)[0] / 2)


def start_of(rows: Rows, thetas: int) -> Floats:
    start = np.zeros(thetas)
    start[[0] if rows.random.shape[1] == 1 else [0, 2]] = 1.0
    if rows.readers is not None:
        start[-1] = 0.5
    return start
