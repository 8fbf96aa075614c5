"""Finishes perturbed images on whole grey levels, where a reader will see them."""

from decimal import Decimal

import torch
from torch import Tensor

from ml.attacks.margin import Network
from ml.attacks.pgd import Perturbed, pgd_linf
from ml.data import Progress
from ml.quantize import whole_budget


def finish_linf(
    network: Network,
    images: Tensor,
    rounded: Tensor,
    labels: Tensor,
    *,
    epsilon: Decimal,
    steps: int,
    confidence_target: float,
    slots: int,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """PGD from the `rounded` images in steps of one grey level, so that all steps stay whole.

    Both uint8 (n, 3, height, width). What rounding left at the confidence target is unchanged.
    """
    finished = pgd_linf(
        network,
        images,
        labels,
        epsilon=whole_budget(epsilon),
        step_size=1,
        steps=steps,
        confidence_target=confidence_target,
        slots=slots,
        start=rounded,
        progress=progress,
    )
    return Perturbed(finished.images.to(torch.uint8), finished.steps, finished.confidence)
