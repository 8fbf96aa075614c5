from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ml.attacks.apgd import Loss, apgd, checkpoints
from ml.attacks.budget import size_of
from ml.attacks.fgsm import fgsm
from ml.attacks.margin import margin
from ml.attacks.pgd import Perturbed

FLIP = 0.500001
"""A confidence target that asks for no more than the wrong class."""
UNREACHABLE = 1 - 1e-12


class Curved(nn.Module):
    """Float64 inside, so that the size of a batch cannot change the sign of a gradient."""

    def __init__(self, seed: int = 0, scale: float = 80.0) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(seed)
        self.first = torch.randn((24, 192), generator=chance, dtype=torch.float64) / 14
        self.second = torch.randn((24, 2), generator=chance, dtype=torch.float64) / 5
        self.scale = scale

    def forward(self, pixels: Tensor) -> Tensor:
        hidden: Tensor = (pixels.double().flatten(1) @ self.first.T).relu() @ self.second
        return hidden * self.scale


def random_images(count: int, seed: int = 0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=chance, dtype=torch.uint8)


def predicted(network: nn.Module, images: Tensor) -> Tensor:
    return (margin(network, images, torch.zeros(len(images), dtype=torch.int64)) > 0).long()


def attack(network: Any, images: Tensor, labels: Tensor, **changes: Any) -> Perturbed:
    settings = {
        "norm": "linf",
        "epsilon": 4.0,
        "steps": 20,
        "loss": "margin",
        "confidence_target": FLIP,
        "slots": 4,
    }
    return apgd(network, images, labels, **{**settings, **changes})


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
@pytest.mark.parametrize("label", [0, 1])
def test_five_percent_above_the_known_linf_distance_succeeds_and_five_below_fails(
    make_linear_case: Callable[..., Any], label: int, loss: Loss
) -> None:
    case = make_linear_case(3.0, label=label)
    for factor, succeeds in ((1.05, True), (0.95, False)):
        result = attack(case.network, case.image, case.label, epsilon=3.0 * factor, loss=loss)
        assert (result.confidence.item() > 0.5) is succeeds


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
def test_five_percent_above_the_known_l2_distance_succeeds_and_five_below_fails(
    make_linear_case: Callable[..., Any], loss: Loss
) -> None:
    case = make_linear_case(3.0)
    weight = case.network.weight.double()
    # The boundary is 3 grey levels away in Linf: a lead of 3 |w|_1, which |w|_2 divides in L2.
    distance = 3.0 * float(weight.abs().sum() / weight.norm()) / weight.numel() ** 0.5
    for factor, succeeds in ((1.05, True), (0.95, False)):
        result = attack(
            case.network, case.image, case.label, norm="l2", epsilon=distance * factor, loss=loss
        )
        assert (result.confidence.item() > 0.5) is succeeds


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 6.0), ("l2", 3.0)])
def test_a_bent_boundary_makes_it_better_than_one_step_and_never_leaves_the_budget(
    norm: Any, epsilon: float
) -> None:
    images, network = random_images(12), Curved()
    labels = predicted(network, images)
    result = attack(
        network, images, labels, norm=norm, epsilon=epsilon, confidence_target=UNREACHABLE
    )
    assert (size_of(result.images - images, norm) <= epsilon * (1 + 1e-5)).all()
    assert 0 <= result.images.min().item() <= result.images.max().item() <= 255
    one_step = fgsm(network, images, labels, norm=norm, epsilon=epsilon, slots=5)
    assert (size_of(one_step - images, norm) <= epsilon * (1 + 1e-5)).all()
    of_one_step = margin(network, one_step, labels)
    reached = margin(network, result.images, labels)
    assert (reached >= of_one_step - 1e-4).all()
    assert (reached > of_one_step + 0.01).any()
    assert torch.allclose(reached.sigmoid(), result.confidence, atol=1e-6)


def test_with_two_classes_both_losses_walk_alike() -> None:
    images, network = random_images(6), Curved(scale=2.0)
    labels = predicted(network, images)
    of_margin, of_loss = (
        attack(network, images, labels, loss=loss, confidence_target=UNREACHABLE)
        for loss in ("margin", "cross-entropy")
    )
    assert torch.allclose(of_margin.confidence, of_loss.confidence, rtol=1e-3)


def test_where_confidence_hides_the_gradient_only_the_margin_goes_on() -> None:
    images, network = random_images(6), Curved(scale=3000.0)
    labels = predicted(network, images)
    assert (margin(network, images, labels) < -120).any(), "no image is confident enough"
    of_margin, of_loss = (
        attack(network, images, labels, loss=loss, epsilon=60.0)
        for loss in ("margin", "cross-entropy")
    )
    assert (of_margin.confidence > 0.5).sum() > (of_loss.confidence > 0.5).sum()


def test_the_checkpoints_are_those_of_the_paper() -> None:
    # Croce and Hein 2020, section 3: p = 0, 0.22, 0.41, 0.57, 0.7, 0.8, 0.87, 0.93, 0.99.
    assert sorted(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_an_image_stops_at_the_target_and_slots_change_nothing() -> None:
    images, network = random_images(9), Curved()
    labels = predicted(network, images)
    result = attack(network, images, labels, confidence_target=0.9, epsilon=6.0)
    early = result.steps < 20
    assert early.any()
    assert (margin(network, result.images, labels).sigmoid()[early] >= 0.9 - 1e-6).all()
    for i in range(len(images)):
        alone = attack(
            network, images[i : i + 1], labels[i : i + 1], confidence_target=0.9, epsilon=6.0
        )
        assert torch.equal(result.images[i], alone.images[0])
        assert result.steps[i] == alone.steps[0]
    assert len(set(result.steps.tolist())) > 1, "all took the same steps, so none was dropped"


def test_halving_the_step_finds_a_narrow_peak_that_long_steps_jump_over() -> None:
    class Ridge(nn.Module):
        """The wrong class leads only where the first value is within 0.1 of 103.3."""

        def forward(self, pixels: Tensor) -> Tensor:
            value = pixels[:, 0, 0, 0] * 255
            lead = 0.1 - (value - 103.3).abs()
            return torch.stack([torch.zeros_like(lead), lead], dim=1)

    image = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    result = attack(Ridge(), image, torch.tensor([0]), epsilon=8.0, steps=60)
    assert result.confidence.item() > 0.5
    assert abs(result.images[0, 0, 0, 0].item() - 103.3) < 0.1


def test_with_epsilon_0_nothing_changes() -> None:
    images, network = random_images(3), Curved()
    result = attack(network, images, predicted(network, images), epsilon=0.0)
    assert torch.equal(result.images, images.float())
    assert (result.confidence < 0.5).all()
