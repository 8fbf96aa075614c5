"""Finishes perturbed images on whole grey levels, where a reader will see them."""

import torch
from torch import Tensor

from ml.attacks.margin import Network, log_odds, margin
from ml.attacks.pgd import Perturbed, pgd
from ml.attacks.rounding import round_inside
from ml.data import Progress
from ml.experiment import Norm

WHOLE_STEP = {"none": 1.0, "linf": 1.0, "l2": 0.1, "l1": 0.05, "l0": 64.0}
"""Steps of the finish, in the measure of `ml.attacks.pgd`."""


def finish(
    network: Network,
    images: Tensor,
    perturbed: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    epsilon: float,
    steps: int,
    confidence_target: float,
    slots: int,
    targeted: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """The `perturbed` images (float) rounded inside the budget; PGD on whole images goes on from
    those that rounding left below the confidence target. The images are uint8.
    """
    rounded = round_inside(images, perturbed, norm, epsilon)
    margins = margins_of(network, rounded, labels, slots=slots, targeted=targeted)
    taken = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    left = (margins < log_odds(confidence_target)).nonzero().squeeze(1)
    if len(left) > 0 and steps > 0:
        finished = pgd(
            network,
            images[left],
            labels[left],
            norm=norm,
            epsilon=epsilon,
            step_size=min(WHOLE_STEP[norm], epsilon) if norm in {"l1", "l2"} else WHOLE_STEP[norm],
            steps=steps,
            confidence_target=confidence_target,
            slots=slots,
            targeted=targeted,
            start=perturbed[left],
            whole=True,
            progress=progress,
        )
        rounded[left] = finished.images.to(torch.uint8)
        margins[left] = finished.confidence.logit()
        taken[left] = finished.steps
    return Perturbed(rounded, taken, margins.sigmoid())


def margins_of(
    network: Network, images: Tensor, labels: Tensor, *, slots: int, targeted: bool = False
) -> Tensor:
    """(n,) in parts of `slots` images, without a gradient."""
    with torch.inference_mode():
        parts = [
            margin(network, images[i : i + slots], labels[i : i + slots], targeted=targeted)
            for i in range(0, len(images), slots)
        ]
    return torch.cat(parts).clone()
