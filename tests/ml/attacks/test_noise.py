from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ml.attacks.noise import random_perturbation
from ml.quantize import images_from_tensor, measure

UNITS = {"l0": "l0_fraction", "l1": "l1_mad", "l2": "l2_rmsd", "none": "l2_rmsd", "linf": "linf"}


def random_images(count: int = 4, side: int = 32, seed: int = 0) -> Tensor:
    """Every third value black or white, where half of the noise is clipped."""
    chance = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, side, side), generator=chance, dtype=torch.uint8)
    images[:, 0], images[:, 1, ::2] = 255, 0
    return images


def sizes(images: Tensor, perturbed: Tensor, norm: str) -> list[float]:
    """As the batch format measures them, independently of the attack's own norms."""
    pairs = zip(images_from_tensor(images), images_from_tensor(perturbed), strict=True)
    return [getattr(measure(original, changed), UNITS[norm]) for original, changed in pairs]


@pytest.mark.parametrize(
    ("norm", "epsilon"),
    [(n, e) for n in ("l1", "l2", "none") for e in (0.05, 0.4, 2.0, 10.0)]
    + [("l0", 0.01), ("l0", 0.2), ("linf", 1.0), ("linf", 6.0)],
)
def test_noise_has_the_stated_size_and_never_more(norm: Any, epsilon: float) -> None:
    images = random_images()
    for size in sizes(
        images, random_perturbation(images, norm=norm, epsilon=epsilon, seed=3), norm
    ):
        assert 0.97 * epsilon - 1 / 32**2 <= size <= epsilon


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_each_image_can_have_a_budget_of_its_own(norm: Any) -> None:
    images, budgets = random_images(), torch.tensor([1.0, 2.0, 4.0, 8.0])
    perturbed = random_perturbation(images, norm=norm, epsilon=budgets, seed=0)
    assert sizes(images, perturbed, norm) == pytest.approx(budgets.tolist(), rel=0.03)


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
def test_without_a_budget_nothing_changes(norm: Any) -> None:
    images = random_images()
    assert torch.equal(random_perturbation(images, norm=norm, epsilon=0.0, seed=0), images)


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
def test_the_same_seed_gives_the_same_noise_and_another_seed_other_noise(norm: Any) -> None:
    images, epsilon = random_images(), 0.3 if norm == "l0" else 3.0

    def perturbed(seed: int) -> Tensor:
        return random_perturbation(images, norm=norm, epsilon=epsilon, seed=seed)

    assert torch.equal(perturbed(5), perturbed(5))
    assert not torch.equal(perturbed(5), perturbed(6))


def test_a_linf_budget_between_whole_grey_levels_is_the_whole_one_below() -> None:
    images = torch.full((2, 3, 8, 8), 128, dtype=torch.uint8)
    perturbed = random_perturbation(images, norm="linf", epsilon=2.9, seed=0)
    assert set(perturbed.flatten().tolist()) == {126, 130}


def test_l0_noise_leaves_all_other_pixels_as_they_are() -> None:
    images = random_images(side=20)
    perturbed = random_perturbation(images, norm="l0", epsilon=0.1, seed=0)
    changed = (perturbed != images).any(dim=1).flatten(1).sum(dim=1)
    assert changed.max() <= 40


def test_noise_of_a_budget_of_l1_has_heavier_tails_than_that_of_l2() -> None:
    images = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)

    def kurtosis(norm: Any) -> float:
        perturbed = random_perturbation(images, norm=norm, epsilon=8.0, seed=0)
        values = perturbed.double().numpy() - 128
        return float(np.mean(values**4) / np.mean(values**2) ** 2)

    assert kurtosis("l2") == pytest.approx(3, rel=0.1)
    assert kurtosis("l1") == pytest.approx(6, rel=0.2)
