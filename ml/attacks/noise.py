"""Random perturbations of the same size as an attack's: what chance alone achieves."""

from collections.abc import Callable

import torch
from torch import Tensor

from ml.experiment import Norm

HALVINGS = 24


def random_perturbation(
    images: Tensor, *, norm: Norm, epsilon: float | Tensor, seed: int
) -> Tensor:
    """`images`, uint8 (n, 3, height, width), each with random noise of that budget, in 8 bits.

    `linf`: every value up or down by the budget; `l1`, `l2`, `none`: Laplace's, and Gauss's noise
    at the largest multiple that stays within MAD or RMSD once clipped and rounded; `l0`: that share
    of the pixels replaced by random colours. `epsilon` is one number, or one for each image (n,).
    """
    chance = torch.Generator().manual_seed(seed)
    budget = torch.as_tensor(epsilon, dtype=torch.float64).expand(len(images))
    match norm:
        case "linf":
            signs = torch.randint(0, 2, images.shape, generator=chance) * 2 - 1
            return _added(images, signs * budget.floor().view(-1, 1, 1, 1))
        case "l1":
            return _largest_multiple(images, _laplace(images, chance), budget, _mad)
        case "l2" | "none":
            noise = torch.randn(images.shape, generator=chance, dtype=torch.float64)
            return _largest_multiple(images, noise, budget, _rmsd)
        case "l0":
            return _random_colours(images, budget, chance)


def _added(images: Tensor, perturbation: Tensor) -> Tensor:
    return (images + perturbation).round().clamp(0, 255).to(torch.uint8)


def _laplace(images: Tensor, chance: torch.Generator) -> Tensor:
    """Of mean absolute value 1: an exponential with a sign."""
    sizes = torch.empty(images.shape, dtype=torch.float64).exponential_(generator=chance)
    return sizes * (torch.randint(0, 2, images.shape, generator=chance) * 2 - 1)


def _largest_multiple(
    images: Tensor, noise: Tensor, budget: Tensor, size: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """By halving: clipped and rounded, no value gets nearer to its original as noise grows."""
    within = torch.zeros(len(images), dtype=torch.float64)
    above = torch.full_like(within, 512.0)
    for _ in range(HALVINGS):
        middle = (within + above) / 2
        fits = size(_added(images, noise * middle.view(-1, 1, 1, 1)), images) <= budget
        within, above = torch.where(fits, middle, within), torch.where(fits, above, middle)
    return _added(images, noise * within.view(-1, 1, 1, 1))


def _mad(perturbed: Tensor, images: Tensor) -> Tensor:
    return (perturbed.double() - images).abs().mean(dim=(1, 2, 3))


def _rmsd(perturbed: Tensor, images: Tensor) -> Tensor:
    return (perturbed.double() - images).square().mean(dim=(1, 2, 3)).sqrt()


def _random_colours(images: Tensor, budget: Tensor, chance: torch.Generator) -> Tensor:
    pixels = images.shape[2] * images.shape[3]
    order = torch.rand((len(images), pixels), generator=chance).argsort(dim=1).argsort(dim=1)
    drawn = (order < (budget * pixels).floor().view(-1, 1)).view(-1, 1, *images.shape[2:])
    colours = torch.randint(0, 256, images.shape, generator=chance, dtype=torch.uint8)
    return torch.where(drawn, colours, images)
