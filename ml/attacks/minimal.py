"""The smallest perturbation of each image that fools the network: all of a success curve at once.

A secant search on the size of the perturbation. At each step the margin, divided by what a step of
size 1 would add to it, tells to first order how much further it is to the boundary; the size grows
by that, or shrinks, and never past the smallest that has fooled the network. The perturbation
itself moves along the accumulated gradients and is projected to the new size. After FMN (Pintor et
al. 2021), DDN (Rony et al. 2019) and DeepFool (Moosavi-Dezfooli et al. 2016), from which it differs
in that the size follows the margin on both sides of the boundary, and so needs far fewer steps.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ml.attacks.budget import largest_pixels, project, size_of
from ml.attacks.lattice import margins_of
from ml.attacks.margin import Network, margin_and_gradient
from ml.attacks.pgd import step_of
from ml.attacks.rounding import round_inside
from ml.data import Progress
from ml.experiment import Norm

MOMENTUM, L0_MOMENTUM = 0.75, 0.5
FIRST_STRIDE, FIRST_STRIDE_IN_L1, LAST_STRIDE = 2.0, 0.5, 0.3
"""How far a step moves the perturbation, in units of its new size."""
SHORT_SEARCH = 20
"""Steps after which a longer search ends with a stride as much shorter as it is longer: what
remains of the stride is what keeps it from the nearest point of a boundary with edges."""
BEYOND = 0.05
"""How much past the estimated boundary the first steps aim, so that they end outside."""
FOOLED = 1e-3
"""The margin from which an image counts as fooled, above what floating point can take away."""
GAIN = 0.005
"""A new size is smaller than the best known by this share at least, larger than one that failed by
half of it: where the boundary is nearer than floating point tells, steps would not reach it."""
L0_STEP = 48.0
"""Grey levels by which a step moves the values of the chosen pixels."""
L0_START, L0_GROWTH, L0_SHRINKAGE = 16, 1.6, 0.7
"""Pixels to begin with, and by what their number grows and shrinks."""
WHOLE_TRIALS, WHOLE_GROWTH, WHOLE_PRECISION = 10, 1.3, 0.01
"""How often a whole perturbation is tried, how it grows, and how close it should come."""


@dataclass(frozen=True)
class Minimal:
    """Sizes (n,) as in `ml.attacks.budget`, infinite where nothing fooled the network.

    `images` in grey levels, fp32; `images_8bit` uint8; the originals where nothing was found.
    """

    images: Tensor
    epsilon: Tensor
    images_8bit: Tensor
    epsilon_8bit: Tensor


def minimal(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    steps: int,
    slots: int,
    judge: Network | None = None,
    targeted: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Minimal:
    """`images` uint8 (n, 3, height, width); `slots` of them at once take `steps` steps each.

    `judge` decides what is fooled, in float and in 8 bits; without it, `network` does.
    """
    parts = []
    for first in range(0, len(images), slots):
        of_part = slice(first, first + slots)
        part = _Search(network, judge or network, images[of_part], labels[of_part], norm, targeted)
        parts.append(part.run(steps))
        progress(min(first + slots, len(images)), len(images))
    return Minimal(
        torch.cat([part.images for part in parts]),
        torch.cat([part.epsilon for part in parts]),
        torch.cat([part.images_8bit for part in parts]),
        torch.cat([part.epsilon_8bit for part in parts]),
    )


@dataclass
class _Search:
    network: Network
    judge: Network
    images: Tensor
    labels: Tensor
    norm: Norm
    targeted: bool

    def run(self, steps: int) -> Minimal:
        images, sizes = self._in_float(steps)
        if self.judge is not self.network:
            everyone = torch.arange(len(images), device=images.device)
            fooled = self._fooled(images, everyone)
            sizes = torch.where(fooled, sizes, math.inf)
            images[~fooled] = self.images[~fooled].float()
        images_8bit, sizes_8bit = self._whole(images, sizes)
        return Minimal(images, sizes, images_8bit, sizes_8bit)

    def _fooled(self, images: Tensor, which: Tensor) -> Tensor:
        labels = self.labels[which]
        judged = margins_of(self.judge, images, labels, slots=len(images), targeted=self.targeted)
        return judged > FOOLED

    # In float

    def _in_float(self, steps: int) -> tuple[Tensor, Tensor]:
        """The best images found, and their sizes."""
        originals = self.images.to(torch.float32)
        best, present = originals.clone(), originals
        best_size = torch.full((len(best),), math.inf, device=best.device)
        inside, wanted = torch.zeros_like(best_size), torch.zeros_like(best_size)
        direction = torch.zeros_like(best)
        momentum = L0_MOMENTUM if self.norm == "l0" else MOMENTUM
        first_stride = FIRST_STRIDE_IN_L1 if self.norm == "l1" else FIRST_STRIDE
        last_stride = LAST_STRIDE * min(1, SHORT_SEARCH / max(1, steps))
        for step in range(steps):
            margins, gradient = margin_and_gradient(
                self.network, present, self.labels, targeted=self.targeted
            )
            size = size_of(present - originals, self.norm)
            better = (margins > FOOLED) & (size < best_size)
            best[better] = present[better]
            best_size = torch.where(better, size, best_size)
            failed = (margins <= FOOLED) & (wanted < best_size)
            inside = torch.where(failed, wanted, inside)
            if step + 1 == steps:
                break
            progress = step / max(1, steps - 2)
            direction = momentum * direction + _scaled(gradient, self.norm)
            if self.norm == "l0":
                wanted = _next_share(margins, wanted, best_size, inside, best[0, 0].numel())
            else:
                wanted = self._next_size(margins, gradient, present, best_size, 1 - progress)
            stride = first_stride * (last_stride / first_stride) ** progress
            present = self._move(present, direction, wanted, stride)
        return best, best_size

    def _next_size(
        self,
        margins: Tensor,
        gradient: Tensor,
        present: Tensor,
        best_size: Tensor,
        earliness: float,
    ) -> Tensor:
        size = size_of(present - self.images, self.norm)
        unit = step_of(gradient, present, self.norm, 1.0, 0.0)
        slope = (gradient * unit).flatten(1).sum(dim=1).clamp(min=1e-30)
        distance = (margins - FOOLED).abs() / slope
        grown = size + torch.maximum(distance * (1 + BEYOND * earliness), size * GAIN / 2)
        shrunk = torch.maximum(size - distance * (1 - BEYOND), size / 2)
        wanted = torch.where(margins <= FOOLED, grown, shrunk)
        return torch.minimum(wanted, best_size * (1 - GAIN))

    def _move(self, present: Tensor, direction: Tensor, size: Tensor, stride: float) -> Tensor:
        if self.norm == "l0":
            stuck = torch.where(direction > 0, present >= 255, present <= 0)
            worth = direction.abs().masked_fill(stuck, 0).sum(dim=1)
            step = L0_STEP * direction.sign() * largest_pixels(worth, size).unsqueeze(1)
        else:
            step = (
                stride * size.view(-1, 1, 1, 1) * step_of(direction, present, self.norm, 1.0, 0.0)
            )
        return project(present + step, self.images, self.norm, size)

    # On whole grey levels

    def _whole(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The smallest multiple of the float perturbation that still fools once it is rounded.

        Found between the largest that failed, `low`, and the smallest that fooled, `high`.
        """
        best = self.images.clone()
        best_size, high = torch.full_like(sizes, math.inf), torch.full_like(sizes, math.inf)
        low = sizes.clone()
        tried = low.ceil() if self.norm == "linf" else low
        for _ in range(WHOLE_TRIALS):
            left = self._is_open(low, high).nonzero().squeeze(1)
            if len(left) == 0:
                break
            rounded = self._enlarged(images[left], left, tried[left] / sizes[left], tried[left])
            fooled = self._fooled(rounded, left)
            size = size_of(rounded.float() - self.images[left], self.norm)
            better = fooled & (size < best_size[left])
            best[left[better]], best_size[left[better]] = rounded[better], size[better]
            high[left[fooled]], low[left[~fooled]] = tried[left[fooled]], tried[left[~fooled]]
            tried = self._next_whole_size(low, high)
        return best, best_size

    def _is_open(self, low: Tensor, high: Tensor) -> Tensor:
        between = high - 1 > low if self.norm == "linf" else high > low * (1 + WHOLE_PRECISION)
        return between & ~low.isinf()

    def _next_whole_size(self, low: Tensor, high: Tensor) -> Tensor:
        if self.norm == "linf":
            return torch.where(high.isinf(), low.floor() + 1, (high - 1).clamp(min=1))
        return torch.where(high.isinf(), low * WHOLE_GROWTH, (low + high) / 2)

    def _enlarged(self, images: Tensor, which: Tensor, factor: Tensor, size: Tensor) -> Tensor:
        """uint8; in L0 only pixels count, so each value goes to the next whole level outwards."""
        originals = self.images[which]
        perturbation = (images - originals) * factor.view(-1, 1, 1, 1)
        if self.norm == "l0":
            outwards = perturbation.sign() * perturbation.abs().ceil()
            return (originals + outwards).clamp(0, 255).to(torch.uint8)
        return round_inside(originals, originals + perturbation, self.norm, size)


def _scaled(gradient: Tensor, norm: Norm) -> Tensor:
    """Of length 1, so that no step outweighs the others in the accumulated direction."""
    flat = gradient.flatten(1)
    length = flat.abs().sum(dim=1) if norm == "linf" else flat.norm(dim=1)
    return gradient / length.clamp(min=1e-30).view(-1, 1, 1, 1)


def _next_share(
    margins: Tensor, share: Tensor, best: Tensor, inside: Tensor, pixels: int
) -> Tensor:
    """Grows until it fools; then a good deal below the smallest that has fooled, and up from there.

    No gradient tells a distance here, since the values of a pixel may jump from black to white.
    """
    grown = torch.where(share == 0, L0_START / pixels, L0_GROWTH * share).clamp(max=1)
    between = torch.maximum(share, (inside.clamp(min=1 / pixels) * best).sqrt())
    known = torch.where(margins > FOOLED, L0_SHRINKAGE * best, between)
    return torch.where(best.isinf(), grown, known)
