import importlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.budget import project, size_of
from ml.attacks.rounding import round_inside
from ml.experiment import Norm

# Typed by itself as having no such functions.
cvxpy: Any = importlib.import_module("cvxpy")

NORMS = ["l0", "l1", "l2", "linf"]
CONVEX = ["l1", "l2", "linf"]
ROUNDING_OF_FP32 = 1e-4


def draw(seed: int, spread: float, size: int = 4) -> tuple[Tensor, Tensor]:
    """Originals with black and white in them, and images some grey levels away or beyond."""
    chance = torch.Generator().manual_seed(seed)
    originals = torch.randint(0, 256, (3, 3, size, size), generator=chance, dtype=torch.uint8)
    originals[0, :, 0], originals[0, :, 1] = 0, 255
    noise = torch.randn(originals.shape, generator=chance) * spread
    noise[1] *= torch.rand(noise[1].shape, generator=chance) ** 6  # mostly small values
    return originals, originals + noise


def sizes_by_hand(perturbation: Tensor, norm: Norm) -> NDArray[np.float64]:
    values = perturbation.double().numpy()
    match norm:
        case "l0":
            return np.asarray((values != 0).any(axis=1).mean(axis=(1, 2)))
        case "l1":
            return np.asarray(np.abs(values).mean(axis=(1, 2, 3)))
        case "l2" | "none":
            return np.asarray(np.sqrt((values**2).mean(axis=(1, 2, 3))))
        case "linf":
            return np.asarray(np.abs(values).max(axis=(1, 2, 3)))


@pytest.mark.parametrize("norm", NORMS)
@given(st.integers(0, 2**31), st.floats(0.01, 0.9), st.floats(0.1, 60))
@settings(deadline=None, max_examples=40)
def test_a_projection_ends_within_the_budget_and_leaves_what_was_within(
    norm: Norm, seed: int, share: float, spread: float
) -> None:
    originals, perturbed = draw(seed, spread)
    epsilon = share if norm == "l0" else share * spread
    projected = project(perturbed, originals, norm, epsilon)
    assert (sizes_by_hand(projected - originals, norm) <= epsilon + ROUNDING_OF_FP32).all()
    assert 0 <= projected.min().item() <= projected.max().item() <= 255
    again = project(projected, originals, norm, epsilon)
    assert torch.allclose(again, projected, rtol=0, atol=2 * ROUNDING_OF_FP32)
    within = project(perturbed, originals, "none", 0)
    fits = torch.from_numpy(sizes_by_hand(within - originals, norm) <= epsilon - 1e-6)
    assert torch.equal(projected[fits], within[fits])


@pytest.mark.parametrize("norm", CONVEX)
@pytest.mark.parametrize("seed", range(8))
def test_a_projection_is_the_nearest_point_that_a_convex_solver_finds(
    norm: Norm, seed: int
) -> None:
    originals, perturbed = draw(seed, spread=30.0)
    epsilon = {"l1": 4.0, "l2": 6.0, "linf": 9.0}[norm]
    projected = project(perturbed, originals, norm, epsilon).double().numpy()
    for i in range(len(originals)):
        centre = originals[i].double().numpy().ravel()
        solved = solve(perturbed[i].double().numpy().ravel(), centre, norm, epsilon)
        assert np.abs(projected[i].ravel() - solved).max() < 0.02


def solve(wanted: NDArray[Any], centre: NDArray[Any], norm: Norm, epsilon: float) -> NDArray[Any]:
    """In [0, 1], where the solver is at its best."""
    point = cvxpy.Variable(wanted.size)
    order = {"l1": 1, "l2": 2, "linf": "inf"}[norm]
    radius = {"l1": wanted.size, "l2": wanted.size**0.5, "linf": 1}[norm] * epsilon / 255
    within = [cvxpy.norm(point - centre / 255, order) <= radius, point >= 0, point <= 1]
    problem: Any = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(point - wanted / 255, 2)), within)
    problem.solve(solver=cvxpy.CLARABEL)
    return np.asarray(point.value) * 255


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_of_l0_is_the_best_choice_of_pixels(seed: int) -> None:
    """Every choice of 2 of 9 pixels, tried one by one."""
    originals, perturbed = draw(seed, spread=80.0, size=3)
    projected = project(perturbed, originals, "l0", 2 / 9)
    inside = perturbed.clamp(0, 255)
    for i in range(len(originals)):
        distances = []
        for first in range(9):
            for second in range(first):
                tried = originals[i].float().flatten(1).clone()
                chosen = [first, second]
                tried[:, chosen] = inside[i].flatten(1)[:, chosen]
                distances.append((tried - perturbed[i].flatten(1)).square().sum().item())
        found = (projected[i] - perturbed[i]).square().sum().item()
        assert found == pytest.approx(min(distances), rel=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@given(st.integers(0, 2**31), st.floats(0.02, 0.9), st.floats(0.3, 40))
@settings(deadline=None, max_examples=40)
def test_rounding_never_leaves_the_budget_nor_the_size_of_what_it_rounds(
    norm: Norm, seed: int, share: float, spread: float
) -> None:
    originals, wanted = draw(seed, spread)
    epsilon = share if norm == "l0" else share * spread
    perturbed = project(wanted, originals, norm, epsilon)
    rounded = round_inside(originals, perturbed, norm, epsilon)
    assert rounded.dtype == torch.uint8
    sizes = sizes_by_hand(rounded.int() - originals.int(), norm)
    assert (sizes <= epsilon + 1e-5).all()
    if norm != "linf":
        assert (sizes <= sizes_by_hand(perturbed - originals, norm) + ROUNDING_OF_FP32).all()


@pytest.mark.parametrize("norm", NORMS)
def test_rounding_leaves_whole_images_as_they_are(norm: Norm) -> None:
    originals, wanted = draw(0, spread=3.0)
    epsilon = {"l0": 0.4, "l1": 1.5, "l2": 2.0, "linf": 3.0}[norm]
    whole = round_inside(originals, project(wanted, originals, norm, epsilon), norm, epsilon)
    assert not torch.equal(whole, originals)
    again = round_inside(originals, whole.float(), norm, epsilon)
    assert torch.equal(again, whole)


def test_rounding_in_linf_takes_the_nearest_grey_level_that_the_budget_allows() -> None:
    originals = torch.tensor([100, 100, 100, 100, 0, 255], dtype=torch.uint8).view(1, 1, 1, 6)
    perturbed = torch.tensor([101.6, 101.4, 98.5, 100.2, -0.0, 256.0]).view(1, 1, 1, 6)
    rounded = round_inside(originals, perturbed, "linf", 1.6)
    assert rounded.flatten().tolist() == [101, 101, 99, 100, 0, 255]


@pytest.mark.parametrize("seed", range(4))
def test_rounding_a_steepest_direction_in_l2_is_the_best_whole_perturbation_of_its_size(
    seed: int,
) -> None:
    """For the gain w.p of a linear network, all whole p of three values, tried one by one."""
    weight = torch.randn(3, generator=torch.Generator().manual_seed(seed)).view(1, 3, 1, 1)
    originals = torch.full((1, 3, 1, 1), 128, dtype=torch.uint8)
    steepest = originals + weight / size_of(weight, "l2") * 2.9
    rounded = round_inside(originals, steepest, "l2", 2.9).int() - 128
    steps = torch.arange(-6, 7)
    tried = torch.cartesian_prod(steps, steps, steps)
    fits = tried.double().square().mean(dim=1).sqrt() <= size_of(rounded, "l2").double() + 1e-6
    gains = (tried.float() * weight.flatten()).sum(dim=1)
    assert (rounded.float() * weight).sum().item() == pytest.approx(gains[fits].max().item())


@given(st.integers(0, 2**31), st.sampled_from(NORMS))
@settings(deadline=None, max_examples=20)
def test_sizes_are_those_of_the_paper(seed: int, norm: Norm) -> None:
    originals, perturbed = draw(seed, spread=5.0)
    perturbation = (perturbed - originals).round()
    told = size_of(perturbation, norm).double().numpy()
    assert told == pytest.approx(sizes_by_hand(perturbation, norm), rel=1e-5)
