from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ml.sanity import Check, check_attacks, check_ends, check_network


class Steep(nn.Module):
    """Tumour where the picture is brighter than the middle; `scale` makes it more certain."""

    def __init__(self, scale: float = 30.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, pixels: Tensor) -> Tensor:
        positive = self.scale * (pixels.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([torch.zeros_like(positive), positive], dim=1)


class Flat(Steep):
    """A staircase: right, but without a gradient anywhere."""

    def forward(self, pixels: Tensor) -> Tensor:
        logits = super().forward(pixels)
        return logits.round() + 0 * pixels.sum()


class Drawing(Steep):
    """As a layer of dropout left in training."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(self.dropout(pixels))


class Deaf(Steep):
    """Certain of one class, whatever the picture, but for a gradient too small to matter."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels) * 1e-3 + torch.tensor([0.0, 5.0])


class OfTheBatch(Steep):
    """As batch norm in training: each picture is seen against its neighbours."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels - (pixels.mean() - 0.5) / 2)


def cases() -> tuple[Tensor, Tensor]:
    levels = torch.tensor([60, 90, 110, 150, 170, 200], dtype=torch.uint8)
    images = levels.view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    return images, (levels > 127).long()


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.check: check for check in checks}


def of_network(network: nn.Module, view: Any = None) -> dict[str, Check]:
    return by_name(check_network(network, view or network, *cases(), slots=4))


def failed(checks: dict[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if not check.passed]


def test_a_sound_network_passes() -> None:
    assert failed(of_network(Steep().eval())) == []
    assert failed(by_name(check_ends(Steep(), *cases(), slots=4))) == []


@pytest.mark.parametrize(
    ("network", "view", "name"),
    [
        (Steep().train(), None, "the network is in eval mode"),
        (OfTheBatch().eval(), None, "the same image gives the same output"),
        (Steep().eval(), Steep(29.0), "what is attacked is the network"),
        (Flat().eval(), None, "input gradients are not zero"),
    ],
)
def test_each_fault_is_found_and_alone(network: nn.Module, view: Any, name: str) -> None:
    assert failed(of_network(network, view)) == [name]


def test_a_network_that_draws_at_random_is_found() -> None:
    torch.manual_seed(0)
    assert "the same image gives the same output" in failed(of_network(Drawing().train()))


def test_the_share_of_images_without_a_gradient_is_told_for_the_loss_too() -> None:
    told = of_network(Steep(scale=1000.0).eval())["input gradients are not zero"]
    assert told.passed, "the margin has a gradient where the loss has none"
    assert told.told.startswith("zero for 0 of 6 images; of the cross-entropy loss for")
    assert not told.told.endswith("for 0")


def test_a_network_that_nothing_turns_fails_at_the_upper_end_only() -> None:
    images, _ = cases()
    labels = torch.ones(len(images), dtype=torch.int64)
    checks = by_name(check_ends(Deaf(), images, labels, slots=4))
    assert failed(checks) == ["within a huge epsilon everything succeeds"]
    assert checks["within a huge epsilon everything succeeds"].told.startswith("0 of 6")


def test_success_within_nothing_is_found() -> None:
    images, labels = cases()
    checks = by_name(check_ends(Steep(), images, 1 - labels, slots=4))
    assert failed(checks) == ["within epsilon 0 nothing succeeds"]


@dataclass(frozen=True)
class Counted:
    attack: str
    epsilon: str
    successes: int
    norm: str = "linf"
    n: int = 100


def counted(**changes: tuple[int, int]) -> list[Counted]:
    """Successes within 2 and 10 grey levels (as text, "10" comes before "2")."""
    usual = {
        "random noise": (0, 1),
        "FGSM": (30, 40),
        "PGD": (60, 80),
        "APGD-CE": (61, 80),
        "APGD-margin": (61, 81),
        "Square": (20, 50),
    }
    return [
        Counted(attack, epsilon, successes)
        for attack, both in (usual | changes).items()
        for epsilon, successes in zip(("2", "10"), both, strict=True)
    ]


def test_attacks_in_the_usual_order_pass() -> None:
    assert failed(by_name(check_attacks(counted()))) == []


@pytest.mark.parametrize(
    ("changes", "name", "told"),
    [
        ({"random noise": (61, 1)}, "random noise", "random noise 61, PGD 60 of 100 within linf 2"),
        ({"FGSM": (30, 81)}, "FGSM", "FGSM 81, PGD 80 of 100 within linf 10"),
        ({"Square": (61, 81)}, "Square", "within linf 2; Square 81, PGD 80 of 100 within linf 10"),
        ({"APGD-CE": (63, 80)}, "APGD-CE, to 2 % of the images", "APGD-CE 63, PGD 60"),
        ({"APGD-margin": (60, 83)}, "APGD-margin, to 2 % of the images", "APGD-margin 83, PGD 80"),
    ],
)
def test_an_attack_that_should_be_weaker_but_is_not_is_told(
    changes: dict[str, tuple[int, int]], name: str, told: str
) -> None:
    checks = by_name(check_attacks(counted(**changes)))
    assert failed(checks) == [f"PGD finds at least as much as {name}"]
    assert told in checks[f"PGD finds at least as much as {name}"].told


def test_success_that_falls_with_epsilon_is_told() -> None:
    checks = by_name(check_attacks(counted(PGD=(81, 80))))
    assert failed(checks) == ["success does not fall with epsilon"]
    assert checks["success does not fall with epsilon"].told == "PGD linf: 81 at 2, 80 at 10"
