"""The 8-bit image, within the budget, that a perturbed image becomes."""

import torch
from torch import Tensor

from ml.attacks.budget import size_of
from ml.experiment import Norm

DOUBLINGS = 12
BISECTIONS = 12


def round_inside(
    originals: Tensor, perturbed: Tensor, norm: Norm, epsilon: float | Tensor
) -> Tensor:
    """uint8, within `epsilon` (a number or (n,)) of the uint8 `originals`.

    `linf`: the nearest such image. "none" and `l0`: the nearest image, whose changed pixels are
    those of `perturbed` or fewer. `l1` and `l2`: small values of a perturbation vanish in rounding,
    and with them most of it, so the perturbation is first enlarged as far as its rounded size stays
    within that of `perturbed` (and epsilon); for a linear network and its steepest direction no
    whole perturbation of that size is better in `l2`.
    """
    centre = originals.to(torch.float32)
    wanted = perturbed.to(torch.float32) - centre
    bound = torch.as_tensor(epsilon, dtype=torch.float32, device=centre.device).expand(len(centre))
    match norm:
        case "linf":
            whole = bound.add(1e-6).floor().view(-1, 1, 1, 1)
            rounded = torch.clamp(wanted.round(), -whole, whole)
        case "none" | "l0":
            rounded = wanted.round()
        case "l1" | "l2":
            scale = _largest_scale(centre, wanted, norm, bound)
            rounded = (wanted * scale.view(-1, 1, 1, 1)).round()
    return (centre + rounded).clamp(0, 255).to(torch.uint8)


def _largest_scale(centre: Tensor, wanted: Tensor, norm: Norm, bound: Tensor) -> Tensor:
    """(n,) at which the rounded perturbation, between black and white, is within `bound`.

    Sizes are exact, because whoever reads the image measures it again.
    """
    present = size_of(wanted, norm).cpu().double() * (1 + 1e-6)
    within = torch.minimum(bound.cpu().double() * (1 + 1e-9), present)
    most = wanted[0].numel() * (within if norm == "l1" else within.square())
    most = most.long().to(wanted.device)

    def fits(scale: Tensor) -> Tensor:
        enlarged = (wanted * scale.view(-1, 1, 1, 1)).round()
        seen = (centre + enlarged).clamp_(0, 255).sub_(centre).flatten(1)
        total = (seen.abs() if norm == "l1" else seen.square()).sum(dim=1, dtype=torch.int64)
        return total <= most

    low, high = torch.zeros_like(bound), torch.ones_like(bound)
    for _ in range(DOUBLINGS):
        small = fits(high)
        if not small.any():
            break
        low, high = torch.where(small, high, low), torch.where(small, 2 * high, high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        small = fits(middle)
        low, high = torch.where(small, middle, low), torch.where(small, high, middle)
    return low
