"""Learning from images that are perturbed against the network as it is learning.

Images and perturbations are in grey levels, epsilon is Linf; a `Loss` is the batch's mean.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]


def perturb_by_pgd(loss_of: Loss, images: Tensor, *, epsilon: float, steps: int) -> Tensor:
    """The images within `epsilon` that PGD finds: Madry et al. 2017, arXiv:1706.06083.

    From a random start, by steps of 2.5 epsilon / `steps` along the sign of the gradient. As in
    their library (Engstrom et al. 2019, github.com/MadryLab/robustness), the network is to be in
    eval mode here and in train mode when it learns from what this gives.
    """
    centre = images.float()
    perturbation = torch.empty_like(centre).uniform_(-epsilon, epsilon)
    for _ in range(steps):
        perturbed = (centre + perturbation).clamp(0, 255).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_of(perturbed), perturbed)
        stepped = perturbation + 2.5 * epsilon / steps * gradient.sign()
        perturbation = stepped.clamp(-epsilon, epsilon)
    return (centre + perturbation).clamp(0, 255)


def learn_and_perturb(
    loss_of: Loss, images: Tensor, perturbation: Tensor, *, epsilon: float
) -> Tensor:
    """The loss at the perturbed images; moves `perturbation` and leaves the weights' gradients.

    "Free" training, Shafahi et al. 2019, arXiv:1904.12843: the backward pass that the weights need
    gives the perturbation's gradient as well, so that both move at the price of one. The same
    perturbation, of as many rows as the largest batch has, goes on from batch to batch.
    """
    seen = (images + perturbation[: len(images)]).clamp(0, 255).requires_grad_()
    loss = loss_of(seen)
    torch.autograd.backward(loss)
    if seen.grad is not None:
        stepped = perturbation[: len(images)] + epsilon * seen.grad.sign()
        perturbation[: len(images)] = stepped.clamp(-epsilon, epsilon)
    return loss.detach()
