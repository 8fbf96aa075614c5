"""How far a perturbed image may be from its original.

Sizes are the paper's (section 2.2): `l0` is the share of pixels of which any channel differs, `l1`
the mean absolute difference, `l2` the root mean squared difference, `linf` the largest difference,
the last three in grey levels over all 3 x height x width values. "none" is bounded by black and
white alone; its size is told as that of `l2`.
"""

import torch
from torch import Tensor

from ml.experiment import Norm

NEWTON_STEPS = 14
ACTIVE_SETS = 8


def size_of(perturbation: Tensor, norm: Norm) -> Tensor:
    """(n,) from (n, 3, height, width)."""
    values = perturbation.to(torch.float32)
    match norm:
        case "l0":
            return (values != 0).any(dim=1).flatten(1).float().mean(dim=1)
        case "l1":
            return values.abs().flatten(1).mean(dim=1)
        case "l2" | "none":
            return values.square().flatten(1).mean(dim=1).sqrt()
        case "linf":
            return values.abs().flatten(1).amax(dim=1)


def project(perturbed: Tensor, originals: Tensor, norm: Norm, epsilon: float | Tensor) -> Tensor:
    """The nearest image (Euclidean) in grey levels, 0 to 255, within `epsilon` of the original.

    `epsilon` a number or (n,). What is within the budget is unchanged. The paper rescales for `l1`
    and `l2`: for `l2` that is this projection as long as no value meets black or white, for `l1` it
    is a point of the ball but not the nearest one (Duchi et al. 2008).
    """
    centre = originals.to(torch.float32)
    below, above = -centre, 255 - centre
    inside = torch.clamp(perturbed - centre, below, above)
    radius = torch.as_tensor(epsilon, dtype=torch.float32, device=centre.device).expand(len(centre))
    match norm:
        case "none":
            perturbation = inside
        case "linf":
            bound = radius.view(-1, 1, 1, 1)
            perturbation = torch.clamp(inside, -bound, bound)
        case "l2":
            perturbation = _project_l2(perturbed - centre, inside, below, above, radius)
        case "l1":
            perturbation = _project_l1(perturbed - centre, inside, radius)
        case "l0":
            perturbation = _project_l0(perturbed - centre, inside, radius)
    return (centre + perturbation).clamp(0, 255)


def _project_l2(
    wanted: Tensor, inside: Tensor, below: Tensor, above: Tensor, radius: Tensor
) -> Tensor:
    """Shrinks what is not held by black or white until the whole has the size `radius`.

    The scale grows from that without bounds; with each set of held values the next scale follows in
    closed form, never past the solution, so that a few rounds suffice.
    """
    outside = size_of(inside, "l2") > radius
    if not outside.any():
        return inside
    goal = radius.square() * wanted[0].numel()
    scale = (goal / wanted.square().flatten(1).sum(dim=1)).sqrt()
    for _ in range(ACTIVE_SETS):
        scaled = wanted * scale.view(-1, 1, 1, 1)
        clamped = torch.clamp(scaled, below, above)
        held = clamped != scaled
        rest = goal - (clamped * held).square().flatten(1).sum(dim=1)
        free = (wanted * ~held).square().flatten(1).sum(dim=1)
        grown = (rest.clamp(min=0) / free.clamp(min=1e-30)).sqrt()
        following = torch.where(grown > scale, grown, scale).clamp(max=1)
        if torch.equal(following, scale):
            break
        scale = following
    shrunk = torch.clamp(wanted * scale.view(-1, 1, 1, 1), below, above)
    return torch.where(outside.view(-1, 1, 1, 1), shrunk, inside)


def _project_l1(wanted: Tensor, inside: Tensor, radius: Tensor) -> Tensor:
    """Every value goes down by one threshold, and no further than 0 (Duchi et al. 2008).

    The threshold is found by Newton's steps on the total, which is a line between the points where
    a value meets a bound, and by bisection where such a step leaves the bracket.
    """
    outside = size_of(inside, "l1") > radius
    if not outside.any():
        return inside
    size, room = wanted.abs().flatten(1), inside.abs().flatten(1)
    goal = radius * size.shape[1]
    low, high = torch.zeros_like(goal), size.amax(dim=1)
    threshold = low
    for _ in range(NEWTON_STEPS):
        lowered = size - threshold.unsqueeze(1)
        falling = (lowered > 0) & (lowered < room)
        surplus = torch.minimum(lowered.clamp_(min=0), room).sum(dim=1) - goal
        fits = surplus <= goal * 1e-6
        low, high = torch.where(fits, low, threshold), torch.where(fits, threshold, high)
        newton = threshold + surplus / falling.sum(dim=1)
        bracketed = (newton > low) & (newton < high)
        threshold = torch.where(bracketed, newton, (low + high) / 2)
    lowered = (size - high.unsqueeze(1)).clamp_(min=0)
    kept = torch.minimum(lowered, room).view_as(inside) * inside.sign()
    return torch.where(outside.view(-1, 1, 1, 1), kept, inside)


def _project_l0(wanted: Tensor, inside: Tensor, radius: Tensor) -> Tensor:
    """Keeps the pixels whose loss would move the image furthest from where it was wanted."""
    n, _, height, width = inside.shape
    gain = wanted.square().sum(dim=1) - (wanted - inside).square().sum(dim=1)
    return inside * largest_pixels(gain, radius).view(n, 1, height, width)


def largest_pixels(worth: Tensor, share: Tensor) -> Tensor:
    """(n, height, width): true for the pixels worth most, `share` (n,) of all, rounded down."""
    flat = worth.flatten(1)
    count = (share.double() * flat.shape[1] + 1e-6).long().clamp(max=flat.shape[1])
    order = flat.argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(flat.shape[1], device=flat.device).expand_as(order))
    return (ranks < count.unsqueeze(1)).view_as(worth)
