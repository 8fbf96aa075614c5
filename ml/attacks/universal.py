"""One perturbation for all images, the paper's section 2.2 (eq. 2)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.attacks.margin import Network, log_odds, margin, margin_and_gradient
from ml.data import Patches, Progress
from ml.errors import MlError
from ml.quantize import tensor_from_images

MEMORY_OF_AN_IMAGE = 0.99
"""What is left of an image's gradient in the direction once the next image has come."""
TRAVEL = 10
"""How many times epsilon a value may move in all, if it always moves the same way."""
LARGEST_EPSILON = 127
BATCH_SIZE = 32


@dataclass(frozen=True)
class Universal:
    """`perturbation` int8 (3, height, width) in grey levels, which fools `successes` images."""

    perturbation: Tensor
    successes: int


def find_universal(
    network: Network,
    patches: Patches,
    *,
    epsilon: int,
    epochs: int,
    batch_size: int,
    confidence_target: float,
    seed: int,
    start: Tensor | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Universal:
    """Stochastic gradient ascent over all `patches`, read from disk batch by batch.

    The paper follows the gradient of the loss after each example, which is `batch_size` 1; with two
    classes the margin has its direction (see `ml.attacks.margin`), and a sum over images does not
    lean towards those that are fooled already, because the margin counts up to `confidence_target`
    only (Shafahi et al. 2018, arXiv:1811.11304, who clip the loss). As there, a step goes by the
    sign of the gradient and the perturbation is clamped to epsilon (whole grey levels, Linf); the
    gradient is averaged over about the last hundred images, and steps shrink to nothing at the end.
    Rounded, as a reader would see it, the perturbation is tried on all patches after each epoch,
    and the best is kept. `start`, of a smaller epsilon, is kept too unless a better one is found.
    """
    if not 1 <= epsilon <= LARGEST_EPSILON:
        raise MlError(
            f"A universal perturbation needs an epsilon from 1 to {LARGEST_EPSILON} grey levels, "
            f"but it is {epsilon}; change it."
        )
    labels = torch.from_numpy(patches.labels)
    chance = np.random.default_rng(seed)
    target = log_odds(confidence_target)
    per_epoch = math.ceil(len(patches) / batch_size)
    best = _start(patches) if start is None else start
    merit = _merit(network, patches, best, target)
    perturbation = _stretched(best, epsilon)
    direction = torch.zeros_like(perturbation)
    for epoch in range(epochs):
        for number, batch in enumerate(_shuffled(len(patches), per_epoch, chance)):
            images = tensor_from_images(patches.images(batch))
            ascent = _ascent(network, images, labels[batch], perturbation, target)
            direction = MEMORY_OF_AN_IMAGE ** len(batch) * direction + ascent
            step = _step_size(epsilon, epoch * per_epoch + number, epochs * per_epoch)
            moved = perturbation + step * direction.sign()
            perturbation = moved.clamp(-epsilon, epsilon)
            progress(epoch * per_epoch + number + 1, epochs * per_epoch)
        rounded = perturbation.round().to(torch.int8)
        found = _merit(network, patches, rounded, target)
        if found > merit:
            best, merit = rounded, found
    return Universal(best, merit[0])


def add_universal(images: Tensor, perturbation: Tensor) -> Tensor:
    """uint8 (n, 3, height, width) plus int8 (3, height, width), clipped to 0 and 255."""
    return (images.to(torch.int16) + perturbation).clamp(0, 255).to(torch.uint8)


def _start(patches: Patches) -> Tensor:
    height, width, channels = patches.image(0).shape
    return torch.zeros((channels, height, width), dtype=torch.int8)


def _stretched(perturbation: Tensor, epsilon: int) -> Tensor:
    """So that its largest value is epsilon; nothing stays nothing."""
    largest = max(1, int(perturbation.abs().max()))
    return perturbation.to(torch.float32) * epsilon / largest


def _shuffled(count: int, parts: int, chance: np.random.Generator) -> list[NDArray[np.int64]]:
    return np.array_split(chance.permutation(count), parts)


def _step_size(epsilon: int, number: int, steps: int) -> float:
    """Falls evenly; at most epsilon, at which a value gets from one end to the middle."""
    return min(1.0, TRAVEL * 2 / steps * (1 - number / steps)) * epsilon


def _ascent(
    network: Network, images: Tensor, labels: Tensor, perturbation: Tensor, target: float
) -> Tensor:
    """Gradient of the sum of the margins, each at most `target`, by the perturbation.

    A value that is clipped already does not follow the perturbation any further.
    """
    wanted = images + perturbation
    margins, gradient = margin_and_gradient(network, wanted.clamp(0, 255), labels)
    counts = (wanted >= 0) & (wanted <= 255) & (margins < target).view(-1, 1, 1, 1)
    return (gradient * counts).sum(dim=0)


def _merit(
    network: Network, patches: Patches, perturbation: Tensor, target: float
) -> tuple[int, float]:
    """How many images it fools, and for equals the sum of their margins as far as they count."""
    labels = torch.from_numpy(patches.labels)
    fooled, lead = 0, 0.0
    for first in range(0, len(patches), BATCH_SIZE):
        part = slice(first, min(first + BATCH_SIZE, len(patches)))
        images = tensor_from_images(patches.images(range(part.start, part.stop)))
        with torch.inference_mode():
            margins = margin(network, add_universal(images, perturbation), labels[part])
        fooled += int((margins > 0).sum())
        lead += float(margins.double().clamp(max=target).sum())
    return fooled, lead
