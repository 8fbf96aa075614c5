"""A logistic model with cases, and readers, drawn at random: maximum likelihood by Laplace.

As lme4's glmer(label ~ ... + (1 + slope | case) + (1 | reader), binomial): a case has an intercept
of its own and, if a slope is asked for, an effect of its own of that column; a reader has an
intercept of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from app.analysis.statistics.common import CannotSay, Floats, Ints
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


@dataclass(frozen=True)
class Rows:
    """`random` has a column of 1 and, if there is a slope, its column; `readers` None: fixed."""

    outcome: Floats
    design: Floats
    cases: Ints
    random: Floats
    readers: Ints | None


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
    found = optimize.minimize(modes.deviance, start, method="BFGS", options={"gtol": 1e-4})
    best = np.asarray(found.x, dtype=np.float64)
    effects = best[thetas:]
    if np.abs(effects).max() > LARGEST_LOGIT:
        raise CannotSay("Some group of the model gave one answer only: its odds are infinite.")
    curvature = hessian(modes, best)
    try:
        variances = np.diag(2 * np.linalg.inv(curvature))[thetas:]
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
    return Mixed(names, effects, errors, deviations, -modes.deviance(best) / 2)


def start_of(rows: Rows, thetas: int) -> Floats:
    start = np.zeros(thetas)
    start[[0] if rows.random.shape[1] == 1 else [0, 2]] = 1.0
    if rows.readers is not None:
        start[-1] = 0.5
    return start


def split(theta: Floats, rows: Rows) -> tuple[Floats, float]:
    """The lower triangular factor of a case's covariance, and a reader's deviation."""
    of_reader = float(theta[-1]) if rows.readers is not None else 0.0
    if rows.random.shape[1] == 1:
        return np.array([[theta[0]]]), of_reader
    return np.array([[theta[0], 0.0], [theta[1], theta[2]]]), of_reader


def hessian(modes: "Modes", at: Floats, step: float = 1e-3) -> Floats:
    """Second derivatives of the deviance, by central differences."""
    size = len(at)
    steps = np.eye(size) * step
    found = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            corners = [
                modes.deviance(at + a * steps[i] + b * steps[j])
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            found[i, j] = found[j, i] = (corners[0] - corners[1] - corners[2] + corners[3]) / (
                4 * step**2
            )
    return found


class Modes:
    """The deviance by Laplace; the modes of one evaluation begin the next."""

    def __init__(self, rows: Rows):
        self._rows = rows
        self._of_case = np.zeros((int(rows.cases.max()) + 1, rows.random.shape[1]))
        readers = np.zeros_like(rows.cases) if rows.readers is None else rows.readers
        self._readers, self._of_reader = readers, np.zeros(int(readers.max()) + 1)

    def deviance(self, parameters: Floats) -> float:
        """-2 log likelihood: of the modes u, and half the logarithm of the curvature there."""
        rows = self._rows
        thetas = len(parameters) - rows.design.shape[1]
        factor, of_reader = split(parameters[:thetas], rows)
        random, fixed = rows.random @ factor, rows.design @ parameters[thetas:]
        u, v = self._of_case, self._of_reader
        value = self._penalised(fixed, random, of_reader, u, v)
        for _ in range(50):
            step_u, step_v, _ = self._newton(fixed, random, of_reader, u, v)
            length = 1.0
            while length > 1e-4:
                tried_u, tried_v = u + length * step_u, v + length * step_v
                tried = self._penalised(fixed, random, of_reader, tried_u, tried_v)
                if tried <= value + 1e-12:
                    break
                length /= 2
            gain = value - tried
            u, v, value = tried_u, tried_v, tried
            if gain < 1e-10:
                break
        self._of_case, self._of_reader = u, v
        return 2 * value + self._newton(fixed, random, of_reader, u, v)[2]

    def _predictor(
        self, fixed: Floats, random: Floats, of_reader: float, u: Floats, v: Floats
    ) -> Floats:
        own: Floats = (random * u[self._rows.cases]).sum(axis=1)
        found: Floats = fixed + own + of_reader * v[self._readers]
        return found

    def _penalised(
        self, fixed: Floats, random: Floats, of_reader: float, u: Floats, v: Floats
    ) -> float:
        logits = self._predictor(fixed, random, of_reader, u, v)
        lost = np.logaddexp(0.0, logits) - self._rows.outcome * logits
        return float(lost.sum() + (np.square(u).sum() + np.square(v).sum()) / 2)

    def _newton(
        self, fixed: Floats, random: Floats, of_reader: float, u: Floats, v: Floats
    ) -> tuple[Floats, Floats, float]:
        """The step, and the determinant's logarithm; cases are blocks, readers their border."""
        cases, readers = self._rows.cases, self._readers
        count, width, border = len(u), u.shape[1], len(v)
        mean = special.expit(self._predictor(fixed, random, of_reader, u, v))
        residual, weight = self._rows.outcome - mean, mean * (1 - mean)
        block = np.zeros((count, width, width)) + np.eye(width)
        np.add.at(block, cases, weight[:, None, None] * random[:, :, None] * random[:, None, :])
        shared = np.zeros((count, border, width))
        np.add.at(shared, (cases, readers), (weight * of_reader)[:, None] * random)
        corner = np.diag(1 + np.bincount(readers, weight * of_reader**2, border))
        slope_u = -u
        np.add.at(slope_u, cases, residual[:, None] * random)
        slope_v = np.bincount(readers, residual * of_reader, border) - v
        inverse = np.linalg.inv(block)
        carried = shared @ inverse
        schur = corner - np.einsum("irk,isk->rs", carried, shared)
        step_v = np.linalg.solve(schur, slope_v - np.einsum("irk,ik->r", carried, slope_u))
        step_u = np.einsum("ijk,ik->ij", inverse, slope_u - np.einsum("irk,r->ik", shared, step_v))
        determinant = np.linalg.slogdet(block)[1].sum() + np.linalg.slogdet(schur)[1]
        return step_u, step_v, float(determinant)
