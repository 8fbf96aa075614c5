"""What every attack climbs: by how much the wrong class leads."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ml.quantize import pixels_from_grey_levels

Network = Callable[[Tensor], Tensor]


def margin(
    network: Network, grey_levels: Tensor, labels: Tensor, *, targeted: bool = False
) -> Tensor:
    """(batch,) log-odds of any class but that of `labels`, or, `targeted`, of that class.

    Its sigmoid is the confidence in the wrong class. With two classes it is a difference of logits,
    above 0 where the image is misclassified, and the cross-entropy loss grows with it alone, so
    their gradients point the same way; unlike that of the loss, this gradient does not vanish for a
    confident network.
    """
    logits = network(pixels_from_grey_levels(grey_levels)).float()
    column = labels.view(-1, 1)
    own = logits.gather(1, column).squeeze(1)
    others = logits.scatter(1, column, -math.inf).logsumexp(dim=1)
    return own - others if targeted else others - own


def margin_and_gradient(
    network: Network, grey_levels: Tensor, labels: Tensor, *, targeted: bool = False
) -> tuple[Tensor, Tensor]:
    """The margin (batch,) and its gradient with respect to the grey levels."""
    variable = grey_levels.detach().clone().requires_grad_()
    margins = margin(network, variable, labels, targeted=targeted)
    (gradient,) = torch.autograd.grad(margins.sum(), variable)
    return margins.detach(), gradient


def log_odds(confidence: float) -> float:
    """The margin at which the wrong class has this probability."""
    return math.log(confidence / (1 - confidence))
