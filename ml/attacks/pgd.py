"""Projected gradient descent: a perturbation for each image, within a budget.

The paper (section 2.2) steps along the gradient and then constrains the perturbation. Here the step
is the steepest one of the norm, which needs no learning rate that fits the scale of the gradient;
with two classes its direction is that of the paper's loss (see `ml.attacks.margin`).

| norm | step | constraint |
| --- | --- | --- |
| none | along the gradient, to a root mean square of `step_size` | 0 to 255 |
| linf | every value by `step_size`, by the sign (Madry et al. 2017) | clamped |
| l2 | along the gradient, to a root mean square of `step_size` (Madry et al. 2017) | shrunk |
| l1 | the hundredth of the values with the largest gradient that can still move, to a mean of
  `step_size` (Tramer and Boneh 2019, SLIDE), but along the gradient: by the sign, the best value
  would never gain on the others | projected (`ml.attacks.budget`) |
| l0 | the pixels with the largest gradient, as many as the budget has (the paper), every value by
  `step_size`, by the sign (Croce and Hein 2019, PGD0) | the pixels that matter most stay |
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ml.attacks.budget import largest_pixels, project, size_of
from ml.attacks.margin import Network, log_odds, margin_and_gradient
from ml.attacks.rounding import round_inside
from ml.data import Progress
from ml.experiment import Norm

SPARSE_SHARE = 0.01
"""The share of the values that a step in L1 moves."""


@dataclass(frozen=True)
class Perturbed:
    """`images` in grey levels, fp32; `steps` taken (n,); `confidence` in the wrong class (n,)."""

    images: Tensor
    steps: Tensor
    confidence: Tensor


def pgd(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm = "linf",
    epsilon: float,
    step_size: float,
    steps: int,
    confidence_target: float,
    slots: int,
    restarts: int = 1,
    begin_at_random: bool = False,
    seed: int = 0,
    targeted: bool = False,
    start: Tensor | None = None,
    whole: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Perturbed:
    """The best of `restarts` walks for each image; the first starts at `start` or the original.

    `images` uint8 (n, 3, height, width); `epsilon` as in `ml.attacks.budget`, `step_size` in grey
    levels. `labels` are the true classes, or, `targeted`, those to reach. Further restarts, and all
    of them with `begin_at_random`, start at random within the budget, and only images that have not
    reached the confidence target start again. With `whole`, the network judges at each step the
    8-bit image that the step rounds to, and that is what is returned.
    """
    walk = partial(
        _walk,
        network,
        norm=norm,
        epsilon=epsilon,
        step_size=step_size,
        steps=steps,
        target=log_odds(confidence_target),
        slots=slots,
        targeted=targeted,
        whole=whole,
        progress=progress,
    )

    def at_random(of: Tensor, restart: int) -> Tensor:
        return random_start(of, norm, epsilon, seed + restart)

    first = at_random(images, 0) if begin_at_random else images if start is None else start
    best = walk(images, labels, first)
    for restart in range(1, restarts):
        left = (best.confidence < confidence_target).nonzero().squeeze(1)
        again = walk(images[left], labels[left], at_random(images[left], restart))
        better = again.confidence > best.confidence[left]
        best.images[left[better]] = again.images[better]
        best.confidence[left[better]] = again.confidence[better]
        best.steps[left] += again.steps
    return best


def _walk(
    network: Network,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    *,
    norm: Norm,
    epsilon: float,
    step_size: float,
    steps: int,
    target: float,
    slots: int,
    targeted: bool,
    whole: bool,
    progress: Progress,
) -> Perturbed:
    """An image that reaches the target, or has taken all steps, leaves its slot to the next one."""
    best = start.to(torch.float32, copy=True)
    best_margin = torch.full((len(images),), -math.inf, device=images.device)
    taken = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    everyone = torch.arange(len(images), device=images.device)
    started = min(slots, len(images))
    active, present = everyone[:started], best[:started].clone()
    while len(active) > 0:
        originals = images[active]
        seen = round_inside(originals, present, norm, epsilon).float() if whole else present
        margins, gradient = margin_and_gradient(network, seen, labels[active], targeted=targeted)
        better = margins > best_margin[active]
        best[active[better]] = seen[better]
        best_margin[active[better]] = margins[better]

        moved = present + step_of(gradient, present, norm, step_size, epsilon)
        goes_on = (margins < target) & (taken[active] < steps)
        present = project(moved[goes_on], originals[goes_on], norm, epsilon)
        active = active[goes_on]
        taken[active] += 1

        refill = everyone[started : started + slots - len(active)]
        active, present = torch.cat([active, refill]), torch.cat([present, best[refill]])
        started += len(refill)
        progress(started - len(active), len(images))
    return Perturbed(best, taken, best_margin.sigmoid())


def step_of(
    gradient: Tensor, present: Tensor, norm: Norm, step_size: float, epsilon: float
) -> Tensor:
    """What one step adds to the images `present`, both (n, 3, height, width)."""
    match norm:
        case "linf":
            return step_size * gradient.sign()
        case "l2" | "none":
            size = size_of(gradient, "l2").clamp(min=1e-30).view(-1, 1, 1, 1)
            return step_size * gradient / size
        case "l1":
            stuck = torch.where(gradient > 0, present >= 255, present <= 0)
            worth = gradient.abs().masked_fill(stuck, 0).flatten(1)
            count = max(1, round(SPARSE_SHARE * worth.shape[1]))
            least = worth.topk(count, dim=1).values[:, -1:].clamp(min=1e-30)
            moving = gradient * (worth >= least).view_as(gradient)
            return step_size * moving / size_of(moving, "l1").clamp(min=1e-30).view(-1, 1, 1, 1)
        case "l0":
            share = torch.full((len(gradient),), epsilon, device=gradient.device)
            moving = largest_pixels(gradient.square().sum(dim=1), share).unsqueeze(1)
            return step_size * gradient.sign() * moving


def random_start(images: Tensor, norm: Norm, epsilon: float, seed: int) -> Tensor:
    """A point within the budget of each uint8 image, in grey levels; "none" starts within 1.

    `linf`: drawn evenly. `l1`, `l2`: in a direction drawn evenly, at a distance drawn evenly up to
    epsilon. `l0`: pixels and colours drawn evenly.
    """
    chance = torch.Generator().manual_seed(seed)
    match norm:
        case "linf" | "none":
            bound = 1.0 if norm == "none" else epsilon
            noise = torch.empty(images.shape).uniform_(-bound, bound, generator=chance)
        case "l1" | "l2":
            noise = torch.randn(images.shape, generator=chance)
            length = epsilon * torch.rand(len(images), generator=chance)
            noise *= (length / size_of(noise, norm)).view(-1, 1, 1, 1)
        case "l0":
            n, _, height, width = images.shape
            worth = torch.rand((n, height, width), generator=chance)
            chosen = largest_pixels(worth, torch.full((n,), epsilon)).unsqueeze(1)
            colours = torch.empty(images.shape).uniform_(0, 255, generator=chance)
            noise = (colours - images.cpu()) * chosen
    return project(images + noise.to(images.device), images, norm, epsilon)
