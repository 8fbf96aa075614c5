"""The likelihood of a logistic model with random effects, by Laplace, with its derivatives.

A row's logit is its fixed part, and its case's and its reader's random effects times the columns A,
which the deviations (factor, of_reader) make. The modes of the random effects are u of cases and v
of readers.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from app.analysis.statistics.common import Floats, Ints


@dataclass(frozen=True)
class Rows:
    """`random` has a column of 1 and, if there is a slope, its column; `readers` None: fixed."""

    outcome: Floats
    design: Floats
    cases: Ints
    random: Floats
    readers: Ints | None


def split(theta: Floats, rows: Rows) -> tuple[Floats, float]:
    """The lower triangular factor of a case's covariance, and a reader's deviation."""
    of_reader = float(theta[-1]) if rows.readers is not None else 0.0
    if rows.random.shape[1] == 1:
        return np.array([[theta[0]]]), of_reader
    return np.array([[theta[0], 0.0], [theta[1], theta[2]]]), of_reader


def hessian(modes: "Modes", at: Floats, step: float = 1e-4) -> Floats:
    """Second derivatives of the deviance, by central differences of the first."""
    steps = np.eye(len(at)) * step
    found = np.array(
        [
            (modes.deviance(at + each)[1] - modes.deviance(at - each)[1]) / (2 * step)
            for each in steps
        ]
    )
    symmetric: Floats = (found + found.T) / 2
    return symmetric


class Curvature:
    """I + A' W A of random effects whose columns are A: cases are blocks, readers their border."""

    def __init__(self, rows: Rows, random: Floats, of_reader: float, weight: Floats):
        self._cases, self._random, self._of_reader = rows.cases, random, of_reader
        self._readers = rows.cases * 0 if rows.readers is None else rows.readers
        cases, width = int(self._cases.max()) + 1, random.shape[1]
        readers = int(self._readers.max()) + 1
        block = summed(weight[:, None, None] * random[:, :, None] * random[:, None, :], self._cases)
        border = self._cases * readers + self._readers
        shared = summed((weight * of_reader)[:, None] * random, border, cases * readers)
        corner = np.diag(1 + np.bincount(self._readers, weight * of_reader**2, readers))
        block += np.eye(width)
        self._inverse = np.linalg.inv(block)
        self._carried = shared.reshape(cases, readers, width) @ self._inverse
        schur = corner - np.tensordot(
            self._carried, shared.reshape(cases, readers, width), ([0, 2], [0, 2])
        )
        self._schur = np.linalg.inv(schur)
        self.log_determinant = float(
            np.linalg.slogdet(block)[1].sum() + np.linalg.slogdet(schur)[1]
        )

    def solve(self, of_case: Floats, of_reader: Floats) -> tuple[Floats, Floats]:
        v = self._schur @ (of_reader - np.tensordot(self._carried, of_case, ([0, 2], [0, 1])))
        u = (self._inverse @ of_case[:, :, None])[:, :, 0]
        return u - np.tensordot(self._carried, v, ([1], [0])), v

    def leverages(self) -> tuple[Floats, Floats]:
        """Of every row, a' H^-1 of its case's part, [row, width], and of its reader's."""
        onto = self._schur @ self._carried
        own = self._inverse + np.swapaxes(self._carried, 1, 2) @ onto
        across = onto[self._cases, self._readers]
        diagonal = np.diag(self._schur)[self._readers]
        of_case = (self._random[:, None, :] @ own[self._cases])[:, 0, :]
        of_case -= self._of_reader * across
        return of_case, self._of_reader * diagonal - (self._random * across).sum(axis=1)


def summed(values: Floats, groups: Ints, count: int | None = None) -> Floats:
    """Of the rows of each group."""
    flat, size = values.reshape(len(values), -1), count or int(groups.max()) + 1
    columns = [np.bincount(groups, column, size) for column in flat.T]
    found: Floats = np.column_stack(columns).astype(np.float64).reshape(size, *values.shape[1:])
    return found


class Modes:
    """The deviance by Laplace; the modes of one evaluation begin the next."""

    def __init__(self, rows: Rows):
        self._rows = rows
        self._u = np.zeros((int(rows.cases.max()) + 1, rows.random.shape[1]))
        self._readers = rows.cases * 0 if rows.readers is None else rows.readers
        self._v = np.zeros(int(self._readers.max()) + 1)

    def deviance(self, parameters: Floats) -> tuple[float, Floats]:
        """-2 log likelihood, of the modes and the curvature there, and its derivatives."""
        rows = self._rows
        thetas = len(parameters) - rows.design.shape[1]
        factor, of_reader = split(parameters[:thetas], rows)
        random, fixed = rows.random @ factor, rows.design @ parameters[thetas:]
        value = self._climb(fixed, random, of_reader)
        mean = special.expit(self._logits(fixed, random, of_reader, self._u, self._v))
        curvature = Curvature(rows, random, of_reader, mean * (1 - mean))
        slopes = self._slopes(random, of_reader, mean, curvature)
        return 2 * value + curvature.log_determinant, slopes

    def _logits(
        self, fixed: Floats, random: Floats, of_reader: float, u: Floats, v: Floats
    ) -> Floats:
        own: Floats = (random * u[self._rows.cases]).sum(axis=1)
        found: Floats = fixed + own + of_reader * v[self._readers]
        return found

    def _climb(self, fixed: Floats, random: Floats, of_reader: float) -> float:
        """Newton's steps to the modes; half of the penalised deviance there."""
        outcome, u, v = self._rows.outcome, self._u, self._v
        logits = self._logits(fixed, random, of_reader, u, v)
        value = self._penalised(logits, u, v)
        for _ in range(50):
            mean = special.expit(logits)
            residual = outcome - mean
            curvature = Curvature(self._rows, random, of_reader, mean * (1 - mean))
            step_u, step_v = curvature.solve(
                summed(residual[:, None] * random, self._rows.cases) - u,
                summed(residual * of_reader, self._readers, len(v)) - v,
            )
            length = 1.0
            while length > 1e-4:
                tried_u, tried_v = u + length * step_u, v + length * step_v
                logits = self._logits(fixed, random, of_reader, tried_u, tried_v)
                tried = self._penalised(logits, tried_u, tried_v)
                if tried <= value + 1e-12:
                    break
                length /= 2
            gain = value - tried
            u, v, value = tried_u, tried_v, tried
            if gain < 1e-11:
                break
        self._u, self._v = u, v
        return value

    def _penalised(self, logits: Floats, u: Floats, v: Floats) -> float:
        lost = np.logaddexp(0.0, logits) - self._rows.outcome * logits
        return float(lost.sum() + (np.square(u).sum() + np.square(v).sum()) / 2)

    def _slopes(
        self, random: Floats, of_reader: float, mean: Floats, curvature: Curvature
    ) -> Floats:
        """By the implicit function theorem: the modes move with the parameters (Kristensen et al.,
        J Stat Softw 2016, 70(5))."""
        rows, u, v = self._rows, self._u, self._v
        weight, miss = mean * (1 - mean), mean - rows.outcome
        of_case, of_v = curvature.leverages()
        leverage = (of_case * random).sum(axis=1) + of_v * of_reader
        bend = weight * (1 - 2 * mean) * leverage
        q_u, q_v = curvature.solve(
            summed(bend[:, None] * random, rows.cases),
            summed(bend * of_reader, self._readers, len(v)),
        )
        pull = (random * q_u[rows.cases]).sum(axis=1) + of_reader * q_v[self._readers]
        of_logits = 2 * miss + bend - weight * pull
        of_columns = (
            u[rows.cases] * of_logits[:, None]
            + 2 * weight[:, None] * of_case
            - miss[:, None] * q_u[rows.cases]
        )
        of_factor = rows.random.T @ of_columns
        free = [of_factor[0, 0]] if len(of_factor) == 1 else of_factor[[0, 1, 1], [0, 0, 1]]
        if rows.readers is not None:
            at = self._readers
            of_deviation = v[at] * of_logits + 2 * weight * of_v - miss * q_v[at]
            free = [*free, of_deviation.sum()]
        return np.concatenate([np.asarray(free), rows.design.T @ of_logits])
