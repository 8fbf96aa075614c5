import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ml.attacks.budget import size_of
from ml.attacks.margin import margin
from ml.attacks.pgd import Perturbed, pgd, random_start
from ml.experiment import Norm

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
    return pgd(case.network, case.image, case.label, **{**settings, **changes})


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
    return (margin(network, images, torch.zeros(len(images), dtype=torch.int64)) > 0).long()


def multiclass(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).requires_grad_(False)


def test_with_more_classes_the_target_is_reached_or_the_true_class_left() -> None:
    network, images = multiclass(), random_images(6)
    clean = network(images / 255).argmax(dim=1)
    settings: dict[str, Any] = {
        "norm": "l2",
        "epsilon": 90.0,
        "step_size": 15.0,
        "steps": 30,
        "confidence_target": 0.8,
        "slots": 3,
    }
    left = pgd(network, images, clean, **settings)
    assert (network(left.images / 255).argmax(dim=1) != clean).all()
    wanted = (clean + 2) % 4
    reached = pgd(network, images, wanted, targeted=True, **settings)
    logits = network(reached.images / 255)
    assert (logits.argmax(dim=1) == wanted).all()
    assert torch.allclose(
        reached.confidence, logits.softmax(dim=1).gather(1, wanted.view(-1, 1)).squeeze(1)
    )


class FlatAtTheStart(nn.Module):
    """The no-tumour logit rises only on one side of a plane just beside the first image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.weight = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
        self.level = float((self.weight * image / 255).sum()) + 0.01

    def forward(self, pixels: Tensor) -> Tensor:
        rise = ((pixels * self.weight).sum(dim=(1, 2, 3)) - self.level).relu()
        return torch.stack([400 * rise - 1, torch.zeros_like(rise)], dim=1)


def test_where_the_gradient_vanishes_restarts_find_the_way_and_only_what_is_left_starts_again() -> (
    None
):
    image = random_images(1, 3)
    images, network = torch.cat([image, image, 255 - image]), FlatAtTheStart(image[0])
    labels = torch.tensor([1, 1, 1])

    def run(restarts: int) -> Perturbed:
        return pgd(
            network,
            images,
            labels,
            epsilon=2.0,
            step_size=0.5,
            steps=4,
            confidence_target=0.9,
            slots=3,
            restarts=restarts,
        )

    once, often = run(1), run(12)
    assert (once.confidence[:2] < 0.5).all()
    assert (often.confidence[:2] >= 0.9).all()
    assert (often.confidence >= once.confidence).all()
    assert (often.steps[:2] < 12 * 4).all()
    assert often.steps[2].item() in {0, 12 * 4}


def test_without_a_budget_the_perturbation_grows_until_the_class_flips() -> None:
    images, network = random_images(8), convolutional()
    result = pgd(
        network,
        images,
        predicted(network, images),
        norm="none",
        epsilon=0.0,
        step_size=1.0,
        steps=60,
        confidence_target=0.9,
        slots=8,
    )
    assert (result.confidence >= 0.9).all()


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("distance", [0.4, 3.0, 20.0])
def test_five_percent_above_the_known_distance_succeeds_and_five_below_fails(
    make_linear_case: Callable[..., Any], label: int, distance: float
) -> None:
    case = make_linear_case(distance, label=label)
    assert attack(case, 1.05 * distance).confidence.item() > 0.5
    assert attack(case, 0.95 * distance).confidence.item() < 0.5


def test_with_epsilon_0_nothing_changes(make_linear_case: Callable[..., Any]) -> None:
    case = make_linear_case(0.4)
    result = attack(case, 0.0, step_size=1.0)
    assert torch.equal(result.images, case.image.float())
    assert result.confidence.item() < 0.5


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
@given(st.integers(0, 1000), st.sampled_from([0.02, 0.3, 1.0, 7.5]), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=8)
def test_no_attack_leaves_the_budget_nor_0_to_255(
    norm: Norm, seed: int, epsilon: float, begin_at_random: bool, whole: bool
) -> None:
    images, network = random_images(5, seed), convolutional(seed)
    result = pgd(
        network,
        images,
        predicted(network, images),
        norm=norm,
        epsilon=epsilon,
        step_size=epsilon if norm != "l0" else 64,
        steps=3,
        confidence_target=0.99,
        slots=3,
        restarts=2,
        begin_at_random=begin_at_random,
        seed=seed,
        whole=whole,
    )
    assert size_of(result.images - images, norm).max().item() <= epsilon + 1e-4
    assert 0 <= result.images.min().item() <= result.images.max().item() <= 255
    assert not whole or torch.equal(result.images, result.images.round())


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
    result = pgd(network, images, labels, **arguments, slots=slots)
    for i in range(len(images)):
        alone = pgd(network, images[i : i + 1], labels[i : i + 1], **arguments, slots=1)
        assert torch.equal(result.images[i], alone.images[0])
        assert result.steps[i] == alone.steps[0]
    assert len(set(result.steps.tolist())) > 1, "all took the same steps, so none was refilled"


def test_an_image_that_stopped_early_has_reached_the_target() -> None:
    images, network = random_images(11), convolutional()
    labels = predicted(network, images)
    result = pgd(
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
        return pgd(
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


@pytest.mark.parametrize("norm", ["none", "l0", "l1", "l2", "linf"])
def test_a_random_start_is_repeated_by_its_seed_only(norm: Norm) -> None:
    images = random_images(3)
    first, again, other = (random_start(images, norm, 0.5, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_progress_ends_at_all_images() -> None:
    told: list[tuple[int, int]] = []
    images, network = random_images(5), convolutional()
    pgd(
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
