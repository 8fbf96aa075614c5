"""How far a perturbed image may be from its original."""

import torch
from torch import Tensor


def project_linf(perturbed: Tensor, originals: Tensor, epsilon: float) -> Tensor:
    """The nearest image in grey levels, 0 to 255, no value of which is off by over `epsilon`."""
    centre = originals.to(torch.float32)
    lower, upper = (centre - epsilon).clamp(min=0), (centre + epsilon).clamp(max=255)
    return torch.clamp(perturbed, lower, upper)
