"""What every attack climbs: by how much the wrong class leads."""

from collections.abc import Callable

import torch
from torch import Tensor

from ml.quantize import pixels_from_grey_levels

Network = Callable[[Tensor], Tensor]


def margin(network: Network, grey_levels: Tensor, labels: Tensor) -> Tensor:
    """(batch,) logit of the wrong class minus the true one's; above 0 means misclassified.

    With two classes the cross-entropy loss grows with this margin alone, so their gradients point
    the same way; unlike that of the loss, this gradient does not vanish for a confident network.
    """
    logits = network(pixels_from_grey_levels(grey_levels)).float()
    return (logits[:, 1] - logits[:, 0]) * (1 - 2 * labels)


def margin_and_gradient(
    network: Network, grey_levels: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """The margin (batch,) and its gradient with respect to the grey levels."""
    variable = grey_levels.detach().clone().requires_grad_()
    margins = margin(network, variable, labels)
    (gradient,) = torch.autograd.grad(margins.sum(), variable)
    return margins.detach(), gradient
