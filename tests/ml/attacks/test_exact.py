"""Attacks on ReLU networks whose nearest adversarial image is computed part by linear part."""

import importlib
import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor, nn

from ml.attacks.minimal import minimal
from ml.attacks.pgd import pgd
from ml.experiment import Norm

cvxpy: Any = importlib.import_module("cvxpy")

CONVEX = ["l1", "l2", "linf"]
FLIP = 0.500001
"""A confidence target that asks for no more than the wrong class."""
ABOVE, BELOW = 1.05, 0.95
ROUNDING = 1e-4
UNITS, SEEDS = 4, 3
FAR = 4.0
"""Grey levels: images further from the boundary are left out, since there an attack by gradients
may go to and fro between the edges of two units and never come through."""
Draw = Literal["agreeing", "one-sided", "wild"]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """The points p in [0, 1] with `rows` @ p <= `limits`."""

    rows: Vector
    limits: Vector


def nearest(point: Vector, region: Region, norm: Norm) -> float:
    """Mean, root mean square or largest difference; infinite where the region is empty."""
    return _by_cone(point, region) if norm == "l2" else _by_linear_programme(point, region, norm)


def _by_cone(point: Vector, region: Region) -> float:
    moved = cvxpy.Variable(point.size)
    within = [region.rows @ moved <= region.limits, moved >= 0, moved <= 1]
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.pnorm(moved - point, 2)), within)
    problem.solve(solver=cvxpy.CLARABEL)
    return float(problem.value / np.sqrt(point.size))


def _by_linear_programme(point: Vector, region: Region, norm: Norm) -> float:
    """The variables are the moved point and what its differences are at most."""
    identity, size = np.eye(point.size), point.size
    most = identity if norm == "l1" else np.ones((size, 1))
    count = most.shape[1]
    result: Any = linprog(
        np.concatenate([np.zeros(size), np.full(count, 1 / count)]),
        A_ub=np.block(
            [
                [region.rows, np.zeros((len(region.rows), count))],
                [identity, -most],
                [-identity, -most],
            ]
        ),
        b_ub=np.concatenate([region.limits, point, -point]),
        bounds=[(0, 1)] * size + [(0, None)] * count,
    )
    return float(result.fun) if result.status == 0 else np.inf


class HiddenUnits(nn.Module):
    """One hidden layer of ReLU units; the logits are 0 and theirs. Float64 inside."""

    def __init__(self, hidden: Vector, edges: Vector, output: Vector, level: float) -> None:
        super().__init__()
        self.hidden, self.edges, self.output, self.level = hidden, edges, output, level

    def forward(self, pixels: Tensor) -> Tensor:
        lines = pixels.double().flatten(1) @ torch.from_numpy(self.hidden).T
        units = (lines + torch.from_numpy(self.edges)).relu()
        positive = units @ torch.from_numpy(self.output) + self.level
        return torch.stack([torch.zeros_like(positive), positive], dim=1)

    def regions(self, label: int) -> dict[tuple[bool, ...], Region]:
        """For each choice of active units, the points that have it and are not of this class."""
        sign = -1 if label == 1 else 1
        found = {}
        for active in itertools.product([False, True], repeat=len(self.edges)):
            side = np.where(active, 1.0, -1.0)
            gain = sign * self.output * active
            rows = np.vstack([-side[:, None] * self.hidden, -gain @ self.hidden])
            limits = np.append(side * self.edges, gain @ self.edges + sign * self.level)
            found[active] = Region(rows, limits)
        return found


def draw_hidden_units(seed: int, label: int, draw: Draw) -> tuple[HiddenUnits, Tensor]:
    """A network and an image (1, 3, 2, 2) of this class, some of its values black or white.

    The units of "agreeing" networks share a direction, as trained ones do. Those of "one-sided"
    ones hold the image in its class, each in a direction of its own: what is beyond the boundary is
    convex, and its nearest point mostly on the edges of several units. "wild" ones have neither.
    """
    chance = np.random.default_rng([seed, label])
    image = np.clip(chance.integers(-40, 296, 12), 0, 255)
    point, side = image / 255, 1 if label == 1 else -1
    against = chance.permutation(np.resize([1.0, -1.0], UNITS))
    shared = chance.normal(size=12) * (3 if draw == "agreeing" else 0)
    hidden = against[:, None] * shared + chance.normal(size=(UNITS, 12))
    edges = -hidden @ point + chance.uniform(-0.1, 0.2, UNITS)
    output = 40 * chance.uniform(0.5, 1.5, UNITS) * (side if draw == "one-sided" else against)
    pulls = output * np.maximum(hidden @ point + edges, 0)
    lead = (0.6 if draw == "agreeing" else 0.2) * np.abs(pulls).sum()
    level = float(-pulls.sum() + side * lead)
    drawn = torch.from_numpy(image.astype(np.uint8)).view(1, 3, 2, 2)
    return HiddenUnits(hidden, edges, output, level), drawn


@dataclass(frozen=True)
class Solved:
    """An image and, in grey levels, how far its nearest adversarial point is.

    `bent` where that is not as far as the linear part around the image tells.
    """

    network: nn.Module
    image: Tensor
    label: Tensor
    distance: float
    bent: bool

    def pgd_succeeds(self, norm: Norm, share: float, steps: int = 40, restarts: int = 1) -> bool:
        result = pgd(
            self.network,
            self.image,
            self.label,
            norm=norm,
            epsilon=share * self.distance,
            step_size=share * self.distance / 20,
            steps=steps,
            confidence_target=FLIP,
            slots=1,
            restarts=restarts,
        )
        return result.confidence.item() > 0.5

    def minimal_ratio(self, norm: Norm, steps: int) -> float:
        found = minimal(
            self.network, self.image, self.label, norm=norm, steps=steps, slots=1
        ).epsilon
        return found.item() / self.distance


def solve_hidden_units(seed: int, label: int, draw: Draw, norm: Norm) -> Solved:
    network, image = draw_hidden_units(seed, label, draw)
    point = image.double().numpy().ravel() / 255
    logits = network(image / 255)[0].tolist()
    assert (logits[1] > logits[0]) == (label == 1)
    distances = {
        active: nearest(point, region, norm) * 255
        for active, region in network.regions(label).items()
    }
    distance = min(distances.values())
    present = network.regions(label)[tuple((network.hidden @ point + network.edges > 0).tolist())]
    without_edges = nearest(point, Region(present.rows[-1:], present.limits[-1:]), norm) * 255
    bent = abs(distance / without_edges - 1) > 0.02
    return Solved(network, image, torch.tensor([label]), distance, bent)


@lru_cache
def solved(draw: Draw, norm: Norm) -> list[Solved]:
    """Images of both classes."""
    drawn = [
        solve_hidden_units(seed, label, draw, norm) for seed in range(SEEDS) for label in (0, 1)
    ]
    near = [case for case in drawn if case.distance <= FAR]
    assert len(near) >= 2 * SEEDS - 1
    return near


@pytest.mark.parametrize("norm", CONVEX)
def test_a_network_with_hidden_units_falls_at_the_distance_of_all_its_linear_parts(
    norm: Norm,
) -> None:
    cases = solved("agreeing", norm)
    assert sum(case.bent for case in cases) >= 2, "the network is linear where it matters"
    for case in cases:
        assert case.pgd_succeeds(norm, ABOVE, steps=200, restarts=2)
        assert 1 - ROUNDING <= case.minimal_ratio(norm, steps=50) <= ABOVE


@pytest.mark.parametrize("norm", CONVEX)
def test_the_minimal_attack_finds_the_nearest_point_on_the_edges_of_units(norm: Norm) -> None:
    """PGD is not asked: within a budget that leaves little room it may stay before an edge."""
    cases = solved("one-sided", norm)
    assert sum(case.bent for case in cases) >= 2
    for case in cases:
        assert 1 - ROUNDING <= case.minimal_ratio(norm, steps=100) <= ABOVE


@pytest.mark.parametrize("norm", CONVEX)
@pytest.mark.parametrize("draw", ["agreeing", "one-sided", "wild"])
def test_no_attack_ever_succeeds_nearer_than_the_nearest_point(draw: Draw, norm: Norm) -> None:
    for case in solved(draw, norm):
        assert not case.pgd_succeeds(norm, BELOW)
        assert case.minimal_ratio(norm, steps=20) >= 1 - ROUNDING
