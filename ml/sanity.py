"""When the result of an attack is not to be trusted (Carlini et al. 2019, arXiv:1902.06705).

An attack that fails may have failed for a reason that is not the network's strength: gradients that
vanish, layers that draw at random, an attack that is weaker than chance. Each check is one line of
sanity.csv; one that did not pass says what to look into before believing the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.attacks.margin import Network, margin, margin_and_gradient
from ml.attacks.pgd import pgd
from ml.quantize import pixels_from_grey_levels

SAME = 1e-3
"""Margins that differ by less, against 1 plus their size, are the same but for rounding in fp32."""
NEARLY_ALL = 0.02
"""By this share of the images another attack may find more than PGD."""
HUGE, HUGE_STEPS = 255, 64
"""From black to white; small steps, as long ones leap over what they look for."""


@dataclass(frozen=True)
class Check:
    """One line of sanity.csv."""

    check: str
    passed: bool
    told: str


class Tally(Protocol):
    """How many of `n` images an attack turned, within a budget in grey levels, as text."""

    @property
    def attack(self) -> str: ...
    @property
    def norm(self) -> str: ...
    @property
    def epsilon(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def successes(self) -> int: ...


# The network.


def check_network(
    network: nn.Module, view: Network, images: Tensor, labels: Tensor, *, slots: int
) -> list[Check]:
    """`view` is what is attacked in place of `network`; `images` uint8 (n, 3, height, width)."""
    parts = [(images[i : i + slots], labels[i : i + slots]) for i in range(0, len(images), slots)]
    return [
        _check_mode(network),
        _check_repeatable(network, parts),
        _check_view(network, view, parts),
        _check_gradients(view, parts),
    ]


def _check_mode(network: nn.Module) -> Check:
    training = [name or "the network" for name, part in network.named_modules() if part.training]
    told = f"{len(training)} parts train, such as {training[0]}" if training else "all parts"
    return Check("the network is in eval mode", not training, told)


def _check_repeatable(network: nn.Module, parts: Sequence[tuple[Tensor, Tensor]]) -> Check:
    """Each image alone too: statistics of a batch would make its neighbours matter."""
    images, labels = parts[0]
    with torch.no_grad():
        first, again = margin(network, images, labels), margin(network, images, labels)
        alone = [margin(network, images[i : i + 1], labels[i : i + 1]) for i in range(len(images))]
    difference = max(_difference(first, again), _difference(first, torch.cat(alone)))
    return Check(
        "the same image gives the same output",
        difference < SAME,
        f"margins differ by up to {difference:.1e} when asked again and alone",
    )


def _check_view(network: nn.Module, view: Network, parts: Sequence[tuple[Tensor, Tensor]]) -> Check:
    with torch.no_grad():
        difference = max(
            _difference(margin(network, images, labels), margin(view, images, labels))
            for images, labels in parts
        )
    told = f"margins differ by up to {difference:.1e}"
    return Check("what is attacked is the network", difference < SAME, told)


def _difference(one: Tensor, other: Tensor) -> float:
    return float(((one - other).abs() / (1 + one.abs())).max())


def _check_gradients(view: Network, parts: Sequence[tuple[Tensor, Tensor]]) -> Check:
    total = sum(len(labels) for _, labels in parts)
    of_margin = sum(
        _without_gradient(margin_and_gradient(view, images.to(torch.float32), labels)[1])
        for images, labels in parts
    )
    of_loss = sum(_without_gradient(_loss_gradient(view, *part)) for part in parts)
    return Check(
        "input gradients are not zero",
        of_margin == 0,
        f"zero for {of_margin} of {total} images; of the cross-entropy loss for {of_loss}",
    )


def _without_gradient(gradient: Tensor) -> int:
    return int((gradient.abs().flatten(1).amax(dim=1) == 0).sum())


def _loss_gradient(view: Network, images: Tensor, labels: Tensor) -> Tensor:
    variable = images.to(torch.float32, copy=True).requires_grad_()
    loss = functional.cross_entropy(view(pixels_from_grey_levels(variable)).float(), labels)
    (gradient,) = torch.autograd.grad(loss, variable)
    return gradient


# The ends of the scale.


def check_ends(view: Network, images: Tensor, labels: Tensor, *, slots: int) -> list[Check]:
    """PGD within nothing and within everything (Linf), on images that are classified correctly."""

    def successes(epsilon: float, steps: int) -> int:
        found = pgd(
            view,
            images,
            labels,
            epsilon=epsilon,
            step_size=HUGE / HUGE_STEPS,
            steps=steps,
            confidence_target=0.9,
            slots=slots,
        )
        return int((found.confidence > 0.5).sum())

    nothing, everything, n = successes(0, 1), successes(HUGE, HUGE_STEPS), len(images)
    return [
        Check("within epsilon 0 nothing succeeds", nothing == 0, f"{nothing} of {n} images"),
        Check(
            "within a huge epsilon everything succeeds",
            everything == n,
            f"{everything} of {n} images within {HUGE} grey levels (linf)",
        ),
    ]


# The attacks beside each other.


def check_attacks(tallies: Sequence[Tally]) -> list[Check]:
    """Of attacks named as in `ml.baselines`, on the same images."""
    return [
        _check_rising(tallies),
        _check_at_least(tallies, "random noise", 0.0),
        _check_at_least(tallies, "FGSM", 0.0),
        _check_at_least(tallies, "Square", 0.0),
        _check_at_least(tallies, "APGD-CE", NEARLY_ALL),
        _check_at_least(tallies, "APGD-margin", NEARLY_ALL),
    ]


def _check_rising(tallies: Sequence[Tally]) -> Check:
    falls = [
        f"{less.attack} {less.norm}: {less.successes} at {less.epsilon}, "
        f"{more.successes} at {more.epsilon}"
        for less in tallies
        for more in tallies
        if less.attack in {"PGD", "APGD-CE", "APGD-margin"}
        and (less.attack, less.norm) == (more.attack, more.norm)
        and float(less.epsilon) < float(more.epsilon)
        and less.successes > more.successes
    ]
    told = "; ".join(falls) or "of PGD and APGD, in each norm"
    return Check("success does not fall with epsilon", not falls, told)


def _check_at_least(tallies: Sequence[Tally], other: str, tolerance: float) -> Check:
    pgd_successes = {(t.norm, t.epsilon): t.successes for t in tallies if t.attack == "PGD"}
    beyond = [
        f"{other} {t.successes}, PGD {pgd_successes[t.norm, t.epsilon]} of {t.n} within {t.norm} "
        f"{t.epsilon}"
        for t in tallies
        if t.attack == other and t.successes - pgd_successes[t.norm, t.epsilon] > tolerance * t.n
    ]
    within = f", to {100 * tolerance:g} % of the images" if tolerance > 0 else ""
    return Check(
        f"PGD finds at least as much as {other}{within}",
        not beyond,
        "; ".join(beyond) or "within each budget",
    )
