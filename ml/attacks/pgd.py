"""Projected gradient descent: a perturbation for each image, within a budget."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ml.attacks.budget import project_linf
from ml.attacks.margin import Network, margin_and_gradient
from ml.data import Progress


@dataclass(frozen=True)
class Perturbed:
    """`images` in grey levels, fp32; `steps` taken (n,); `confidence` in the wrong class (n,)."""

    images: Tensor
    steps: Tensor
    confidence: Tensor


def pgd_linf(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    confidence_target: float,
    slots: int,
    start: Tensor | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """PGD in the Linf ball, Madry et al. 2017 (arXiv:1706.06083); the paper, section 2.2.

    `images` uint8 (n, 3, height, width), `epsilon` and `step_size` in grey levels; `start` lies
    within epsilon of `images`. An image that reaches the confidence target, or has taken all
    steps, leaves its slot to the next one, and ends as the best of its steps.
    """
    best = (images if start is None else start).to(torch.float32, copy=True)
    best_margin = torch.full((len(images),), -math.inf)
    taken = torch.zeros(len(images), dtype=torch.int64)
    target = math.log(confidence_target / (1 - confidence_target))
    started = min(slots, len(images))
    active, present = torch.arange(started), best[:started].clone()
    while len(active) > 0:
        margins, gradient = margin_and_gradient(network, present, labels[active])
        better = margins > best_margin[active]
        best[active[better]] = present[better]
        best_margin[active[better]] = margins[better]

        moved = project_linf(present + step_size * gradient.sign(), images[active], epsilon)
        goes_on = (margins < target) & (taken[active] < steps)
        active, present = active[goes_on], moved[goes_on]
        taken[active] += 1

        refill = torch.arange(started, min(started + slots - len(active), len(images)))
        active, present = torch.cat([active, refill]), torch.cat([present, best[refill]])
        started += len(refill)
        progress(started - len(active), len(images))
    return Perturbed(best, taken, best_margin.sigmoid())


def random_start(images: Tensor, epsilon: float, seed: int) -> Tensor:
    """A point drawn evenly from the Linf ball around each uint8 image, in grey levels."""
    noise = torch.empty(images.shape)
    noise.uniform_(-epsilon, epsilon, generator=torch.Generator().manual_seed(seed))
    return project_linf(images + noise, images, epsilon)
