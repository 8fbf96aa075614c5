import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ml.attacks.budget import project_linf
from ml.attacks.lattice import finish_linf
from ml.attacks.margin import margin
from ml.attacks.pgd import Perturbed, pgd_linf, random_start
from ml.quantize import round_inside_budget

FLIP = 0.500001
"""A confidence target that asks for no more than the wrong class."""


def attack(case: Any, epsilon: float, **changes: Any) -> Perturbed:
    settings = {
        "epsilon": epsilon,
        "step_size": epsilon / 4,
        "steps": 20,
        "confidence_target": FLIP,
        "slots": 8,
    }
    return pgd_linf(case.network, case.image, case.label, **{**settings, **changes})


def convolutional(seed: int = 0) -> nn.Module:
    """Float64 inside, so that the size of a batch cannot change the sign of a gradient."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3)
            self.second = nn.Linear(4 * 6 * 6, 2)

        def forward(self, pixels: Tensor) -> Tensor:
            features: Tensor = self.first(pixels.double()).relu().flatten(1)
            logits: Tensor = self.second(features)
            return logits * 80

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small().double().requires_grad_(False)


def random_images(count: int, seed: int = 0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=chance, dtype=torch.uint8)


def predicted(network: nn.Module, images: Tensor) -> Tensor:
    return (margin(network, images, torch.zeros(len(images))) > 0).long()


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("distance", [0.4, 3.0, 20.0])
def test_five_percent_above_the_known_distance_succeeds_and_five_below_fails(
    make_linear_case: Callable[..., Any], label: int, distance: float
) -> None:
    case = make_linear_case(distance, label=label)
    assert attack(case, 1.05 * distance).confidence.item() > 0.5
    assert attack(case, 0.95 * distance).confidence.item() < 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_on_the_lattice_the_whole_budget_decides(
    make_linear_case: Callable[..., Any], label: int
) -> None:
    case = make_linear_case(2.8, label=label)

    def confidence(epsilon: str) -> float:
        rounded = round_inside_budget(case.image, case.image.float(), Decimal(epsilon))
        finished = finish_linf(
            case.network,
            case.image,
            rounded,
            case.label,
            epsilon=Decimal(epsilon),
            steps=10,
            confidence_target=FLIP,
            slots=8,
        )
        assert finished.images.dtype == torch.uint8
        assert (finished.images.int() - case.image.int()).abs().max() <= float(epsilon)
        return finished.confidence.item()

    assert confidence("3") > 0.5
    assert confidence("2.99") < 0.5


def test_finishing_leaves_alone_what_rounding_left_at_the_target(
    make_linear_case: Callable[..., Any],
) -> None:
    case = make_linear_case(2.8)
    rounded = round_inside_budget(case.image, attack(case, 3.0).images, Decimal(3))
    finished = finish_linf(
        case.network,
        case.image,
        rounded,
        case.label,
        epsilon=Decimal(3),
        steps=10,
        confidence_target=FLIP,
        slots=8,
    )
    assert finished.steps.item() == 0
    assert torch.equal(finished.images, rounded)


def test_with_epsilon_0_nothing_changes(make_linear_case: Callable[..., Any]) -> None:
    case = make_linear_case(0.4)
    result = attack(case, 0.0, step_size=1.0)
    assert torch.equal(result.images, case.image.float())
    assert result.confidence.item() < 0.5


@given(st.integers(0, 2**31), st.floats(0, 40), st.floats(0.01, 3))
@settings(deadline=None)
def test_a_projection_ends_within_the_budget_and_leaves_what_was_within(
    seed: int, epsilon: float, spread: float
) -> None:
    originals = random_images(2, seed)
    chance = torch.Generator().manual_seed(seed)
    noise = (torch.rand(originals.shape, generator=chance) * 2 - 1) * epsilon * spread
    perturbed = originals + noise
    projected = project_linf(perturbed, originals, epsilon)
    rounding_of_fp32 = 1e-4
    assert (projected - originals).abs().max().item() <= epsilon + rounding_of_fp32
    assert projected.min().item() >= 0
    assert projected.max().item() <= 255
    within = ((perturbed - originals).abs() <= epsilon) & (perturbed >= 0) & (perturbed <= 255)
    assert torch.allclose(projected[within], perturbed[within], rtol=0, atol=rounding_of_fp32)
    assert torch.equal(project_linf(projected, originals, epsilon), projected)


@given(st.integers(0, 1000), st.sampled_from([0.3, 1.0, 7.5, 60.0]), st.booleans())
@settings(deadline=None, max_examples=20)
def test_no_attack_leaves_the_budget_nor_0_to_255(
    seed: int, epsilon: float, starts_at_random: bool
) -> None:
    images, network = random_images(5, seed), convolutional(seed)
    result = pgd_linf(
        network,
        images,
        predicted(network, images),
        epsilon=epsilon,
        step_size=epsilon,
        steps=3,
        confidence_target=0.99,
        slots=3,
        start=random_start(images, epsilon, seed) if starts_at_random else None,
    )
    assert (result.images - images).abs().max().item() <= epsilon + 1e-4
    assert 0 <= result.images.min().item() <= result.images.max().item() <= 255


@pytest.mark.parametrize("slots", [1, 3, 11])
def test_refilling_slots_changes_nothing(slots: int) -> None:
    images, network = random_images(11), convolutional()
    arguments: dict[str, Any] = {
        "epsilon": 6.0,
        "step_size": 1.0,
        "steps": 12,
        "confidence_target": 0.9,
    }
    labels = predicted(network, images)
    result = pgd_linf(network, images, labels, **arguments, slots=slots)
    for i in range(len(images)):
        alone = pgd_linf(network, images[i : i + 1], labels[i : i + 1], **arguments, slots=1)
        assert torch.equal(result.images[i], alone.images[0])
        assert result.steps[i] == alone.steps[0]
    assert len(set(result.steps.tolist())) > 1, "all took the same steps, so none was refilled"


def test_an_image_that_stopped_early_has_reached_the_target() -> None:
    images, network = random_images(11), convolutional()
    labels = predicted(network, images)
    result = pgd_linf(
        network,
        images,
        labels,
        epsilon=4.0,
        step_size=1.0,
        steps=12,
        confidence_target=0.9,
        slots=4,
    )
    early = result.steps < 12
    assert early.any()
    reached = margin(network, result.images, labels).sigmoid()
    assert (reached[early] >= 0.9 - 1e-6).all()
    assert torch.allclose(reached, result.confidence, atol=1e-6)


def test_an_image_that_misses_the_target_ends_as_the_best_of_its_steps() -> None:
    images, network = random_images(11), convolutional()
    labels = predicted(network, images)

    def confidence(steps: int) -> Tensor:
        return pgd_linf(
            network,
            images,
            labels,
            epsilon=30.0,
            step_size=30.0,
            steps=steps,
            confidence_target=1 - 1e-12,
            slots=4,
        ).confidence

    results = [confidence(steps) for steps in range(6)]
    for fewer, more in itertools.pairwise(results):
        assert (more >= fewer).all()


def test_a_random_start_is_repeated_by_its_seed_only() -> None:
    images = random_images(3)
    first, again, other = (random_start(images, 2.0, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_progress_ends_at_all_images() -> None:
    told: list[tuple[int, int]] = []
    images, network = random_images(5), convolutional()
    pgd_linf(
        network,
        images,
        predicted(network, images),
        epsilon=4.0,
        step_size=1.0,
        steps=4,
        confidence_target=0.9,
        slots=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (5, 5)
    assert told == sorted(told)
