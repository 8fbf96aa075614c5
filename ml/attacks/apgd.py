"""Auto-PGD: no step size to choose (Croce and Hein 2020, arXiv:2003.01690), from the paper.

A check of `ml.attacks.pgd` by other means: it starts with steps of twice the budget, keeps some
momentum, and at set checkpoints halves the step of an image that has stopped gaining and takes it
back to its best point.

The paper's other loss, the difference of logits ratio, divides by a gap to the third largest logit
(targeted: to the fourth), so with two classes it does not exist. What it is for, a loss whose
gradient does not vanish where the network is confident, is here the margin. With two classes the
cross-entropy grows with the margin alone and steps have a fixed length, so both losses walk alike
unless floating point loses the gradient of the cross-entropy: that is what comparing them tells.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ml.attacks.budget import project
from ml.attacks.margin import Network, log_odds, margin, margin_and_gradient
from ml.attacks.pgd import Perturbed, step_of
from ml.data import Progress
from ml.quantize import pixels_from_grey_levels

Loss = Literal["cross-entropy", "margin"]
BallNorm = Literal["l2", "linf"]

MOMENTUM = 0.25
ENOUGH_RISES = 0.75
FIRST_CHECKPOINT, SHORTER_BY, SHORTEST = 0.22, 0.03, 0.06


@dataclass
class _Climb:
    """Of each image under way, along the first axis."""

    index: Tensor
    originals: Tensor
    labels: Tensor
    present: Tensor
    previous: Tensor
    gradient: Tensor
    loss: Tensor
    step: Tensor
    best: Tensor
    best_loss: Tensor
    best_gradient: Tensor
    rises: Tensor
    loss_at_checkpoint: Tensor
    just_halved: Tensor

    def where(self, chosen: Tensor) -> "_Climb":
        return _Climb(*(getattr(self, f.name)[chosen] for f in fields(self)))


def apgd(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    norm: BallNorm,
    epsilon: float,
    steps: int,
    loss: Loss,
    confidence_target: float,
    slots: int,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """`images` uint8 (n, 3, height, width); `epsilon` as in `ml.attacks.budget`.

    An image that reaches the confidence target is dropped; each ends as the best of its steps.
    """
    found, taken, margins = [], [], []
    for first in range(0, len(images), slots):
        part, truths = images[first : first + slots], labels[first : first + slots]
        best, count = _climb(network, part, truths, norm, epsilon, steps, loss, confidence_target)
        found.append(best)
        taken.append(count)
        with torch.no_grad():
            margins.append(margin(network, best, truths))
        progress(first + len(part), len(images))
    return Perturbed(torch.cat(found), torch.cat(taken), torch.cat(margins).sigmoid())


def _climb(
    network: Network,
    images: Tensor,
    labels: Tensor,
    norm: BallNorm,
    epsilon: float,
    steps: int,
    loss: Loss,
    confidence_target: float,
) -> tuple[Tensor, Tensor]:
    best = images.to(torch.float32, copy=True)
    taken = torch.full_like(labels, steps)
    target = log_odds(confidence_target)
    marks = checkpoints(steps)
    climb, margins = _begin(network, images, labels, loss, 2 * epsilon)
    since = 0
    for step in range(steps + 1):
        taken[climb.index[margins >= target]] = step
        best[climb.index] = climb.best
        climb = climb.where(margins < target)
        if step == steps or len(climb.index) == 0:
            break
        if step in marks:
            _adapt(climb, step - since)
            since = step
        _move(climb, norm, epsilon, momentum=MOMENTUM if step > 0 else 0.0)
        margins = _look(network, climb, loss)
    return best, taken


def checkpoints(steps: int) -> set[int]:
    """After how many steps the paper looks whether its steps are still of use."""
    marks, place, length = set[int](), 0.0, FIRST_CHECKPOINT
    while place + length <= 1:
        place += length
        marks.add(math.ceil(place * steps - 1e-9))
        length = max(length - SHORTER_BY, SHORTEST)
    return marks


def _begin(
    network: Network, images: Tensor, labels: Tensor, loss: Loss, first_step: float
) -> tuple[_Climb, Tensor]:
    present, device = images.to(torch.float32), images.device
    margins, values, gradient = _evaluate(network, present, labels, loss)
    climb = _Climb(
        index=torch.arange(len(images), device=device),
        originals=images,
        labels=labels,
        present=present,
        previous=present,
        gradient=gradient,
        loss=values,
        step=torch.full((len(images), 1, 1, 1), first_step, device=device),
        best=present,
        best_loss=values,
        best_gradient=gradient,
        rises=torch.zeros_like(values),
        loss_at_checkpoint=torch.full_like(values, -math.inf),
        just_halved=torch.zeros_like(values, dtype=torch.bool),
    )
    return climb, margins


def _evaluate(
    network: Network, present: Tensor, labels: Tensor, loss: Loss
) -> tuple[Tensor, Tensor, Tensor]:
    """The margins, the values of the loss, and the gradient of it."""
    match loss:
        case "margin":
            margins, gradient = margin_and_gradient(network, present, labels)
            return margins, margins, gradient
        case "cross-entropy":
            variable = present.detach().clone().requires_grad_()
            logits = network(pixels_from_grey_levels(variable)).float()
            values = functional.cross_entropy(logits, labels, reduction="none")
            (gradient,) = torch.autograd.grad(values.sum(), variable)
            margins = margin(lambda _pixels: logits.detach(), present, labels)
            return margins, values.detach(), gradient


def _move(climb: _Climb, norm: BallNorm, epsilon: float, momentum: float) -> None:
    direction = step_of(climb.gradient, climb.present, norm, 1.0, epsilon)
    stepped = climb.present + climb.step * direction
    ahead = project(stepped, climb.originals, norm, epsilon) - climb.present
    carried = climb.present - climb.previous
    moved = climb.present + (1 - momentum) * ahead + momentum * carried
    climb.previous = climb.present
    climb.present = project(moved, climb.originals, norm, epsilon)


def _look(network: Network, climb: _Climb, loss: Loss) -> Tensor:
    margins, values, climb.gradient = _evaluate(network, climb.present, climb.labels, loss)
    climb.rises = climb.rises + (values > climb.loss)
    climb.loss = values
    better = values > climb.best_loss
    pick = better.view(-1, 1, 1, 1)
    climb.best = torch.where(pick, climb.present, climb.best)
    climb.best_gradient = torch.where(pick, climb.gradient, climb.best_gradient)
    climb.best_loss = torch.where(better, values, climb.best_loss)
    return margins


def _adapt(climb: _Climb, interval: int) -> None:
    """Halves the steps of images that rose too seldom, or gained nothing with unchanged steps."""
    stuck = ~climb.just_halved & (climb.best_loss <= climb.loss_at_checkpoint)
    halve = (climb.rises < ENOUGH_RISES * interval) | stuck
    pick = halve.view(-1, 1, 1, 1)
    climb.step = torch.where(pick, climb.step / 2, climb.step)
    climb.present = torch.where(pick, climb.best, climb.present)
    climb.gradient = torch.where(pick, climb.best_gradient, climb.gradient)
    climb.loss = torch.where(halve, climb.best_loss, climb.loss)
    climb.just_halved = halve
    climb.loss_at_checkpoint = climb.best_loss
    climb.rises = torch.zeros_like(climb.rises)
