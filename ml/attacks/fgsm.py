"""The fast gradient sign method: one step as long as the budget (Goodfellow et al. 2015)."""

import torch
from torch import Tensor

from ml.attacks.budget import project
from ml.attacks.margin import Network, margin_and_gradient
from ml.attacks.pgd import step_of
from ml.experiment import Norm


def fgsm(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    epsilon: float,
    slots: int,
) -> Tensor:
    """The perturbed images in grey levels, fp32; in another norm than `linf`, its steepest step.

    `images` uint8 (n, 3, height, width); `epsilon` as in `ml.attacks.budget`.
    """
    parts = []
    for first in range(0, len(images), slots):
        part, truths = images[first : first + slots], labels[first : first + slots]
        present = part.to(torch.float32)
        _, gradient = margin_and_gradient(network, present, truths)
        moved = present + step_of(gradient, present, norm, epsilon, epsilon)
        parts.append(project(moved, part, norm, epsilon))
    return torch.cat(parts)
