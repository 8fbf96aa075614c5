from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.attacks.margin import Network
from ml.attacks.minimal import Minimal, minimal
from ml.attacks.pgd import pgd
from ml.data import load_patches
from ml.experiment import Norm
from ml.networks import attack_view, load_network

NORMS: list[Norm] = ["l0", "l1", "l2", "linf"]
COUNT = 14
SHARPNESS = 40


class Small(nn.Module):
    """Float64 inside, so that the size of a batch cannot change the sign of a gradient."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Conv2d(3, 6, 3)
            self.second = nn.Linear(6 * 6 * 6, 2)
        self.double().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.second(self.first(pixels.double()).relu().flatten(1))
        return SHARPNESS * logits


@pytest.fixture(scope="module")
def images() -> Tensor:
    """A third of the values are black or white."""
    chance = torch.Generator().manual_seed(1)
    drawn = torch.randint(-80, 336, (COUNT, 3, 8, 8), generator=chance)
    return drawn.clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def network(images: Tensor) -> nn.Module:
    """Half of the images are of each class."""
    drawn = Small(seed=2)
    logits = drawn(images / 255)
    drawn.second.bias[1] += (logits[:, 0] - logits[:, 1]).median() / SHARPNESS + 1e-3
    return drawn


def classes(network: Network, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images.float() / 255).argmax(dim=1)


def search(network: Network, images: Tensor, norm: Norm, **changes: Any) -> Minimal:
    arguments: dict[str, Any] = {"steps": 20, "slots": COUNT, "norm": norm}
    labels = changes.pop("labels", None)
    labels = classes(network, images) if labels is None else labels
    return minimal(network, images, labels, **{**arguments, **changes})


def sizes(perturbed: Tensor, originals: Tensor, norm: Norm) -> NDArray[np.float64]:
    values = np.abs(perturbed.numpy().astype(np.float64) - originals.numpy().astype(np.float64))
    match norm:
        case "l0":
            return np.asarray((values > 0).any(axis=1).mean(axis=(1, 2)))
        case "l1":
            return np.asarray(values.mean(axis=(1, 2, 3)))
        case "l2" | "none":
            return np.asarray(np.sqrt((values**2).mean(axis=(1, 2, 3))))
        case "linf":
            return np.asarray(values.max(axis=(1, 2, 3)))


def check(found: Minimal, judge: Network, images: Tensor, labels: Tensor, norm: Norm) -> None:
    """Sizes are those of the images, which fool the judge; where none was found, the originals."""
    assert found.images_8bit.dtype == torch.uint8
    assert 0 <= found.images.min() <= found.images.max() <= 255
    for perturbed, told in (
        (found.images, found.epsilon),
        (found.images_8bit, found.epsilon_8bit),
    ):
        there = told.isfinite()
        measured = sizes(perturbed, images, norm)
        assert told[there].numpy() == pytest.approx(measured[there.numpy()], rel=1e-4, abs=1e-5)
        assert torch.equal(classes(judge, perturbed) != labels, there)
        assert torch.equal(perturbed[~there].float(), images[~there].float())


@pytest.mark.parametrize("norm", NORMS)
def test_sizes_are_those_of_the_images_and_every_image_fools_the_network(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    found = search(network, images, norm)
    check(found, network, images, classes(network, images), norm)
    assert found.epsilon.isfinite().all()
    assert found.epsilon_8bit.isfinite().all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_trained_networks_view_searches_and_the_network_judges(
    workplace: Any, norm: Norm
) -> None:
    judge, _ = load_network(workplace.network)
    entries = load_patches(workplace.data).entries[:6]
    drawn = np.stack([entry.read() for entry in entries]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(drawn))
    labels = classes(judge, images)
    found = search(attack_view(judge), images, norm, labels=labels, judge=judge, steps=12)
    check(found, judge, images, labels, norm)
    assert found.epsilon_8bit.isfinite().any()


@pytest.mark.parametrize("norm", NORMS)
def test_what_the_judge_does_not_believe_is_not_found(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    """The judge leans towards class 1, so it takes more than the network to leave that."""

    def judge(pixels: Tensor) -> Tensor:
        logits: Tensor = network(pixels)
        return logits + torch.tensor([0.0, 20.0])

    labels = classes(network, images)
    found = search(network, images, norm, judge=judge)
    assert found.epsilon[labels == 1].isinf().all()
    assert found.epsilon[labels == 0].isfinite().all()
    check(found, judge, images, labels, norm)


@pytest.mark.parametrize("norm", NORMS)
def test_a_network_that_cannot_be_fooled_leaves_infinity_and_the_originals(
    images: Tensor, norm: Norm
) -> None:
    def stubborn(pixels: Tensor) -> Tensor:
        total = 0 * pixels.sum(dim=(1, 2, 3))
        return torch.stack([total + 1, total], dim=1)

    found = search(stubborn, images, norm)
    assert found.epsilon.isinf().all()
    assert found.epsilon_8bit.isinf().all()
    assert torch.equal(found.images, images.float())
    assert torch.equal(found.images_8bit, images)


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_that_is_misclassified_already_needs_no_perturbation(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    wrong = 1 - classes(network, images)
    sure = (network(images / 255) @ torch.tensor([1.0, -1.0]).double()).abs() > 0.01
    found = search(network, images[sure], norm, labels=wrong[sure])
    assert (found.epsilon == 0).all()
    assert torch.equal(found.images, images[sure].float())


def test_whole_perturbations_in_linf_are_the_float_ones_rounded_up_or_more(
    network: nn.Module, images: Tensor
) -> None:
    """And here at most one grey level more."""
    found = search(network, images, "linf", steps=40)
    rounded_up = found.epsilon.ceil()
    assert torch.equal(found.epsilon_8bit, found.epsilon_8bit.round())
    assert (found.epsilon_8bit >= rounded_up).all()
    assert (found.epsilon_8bit <= rounded_up + 1).all()


def test_whole_perturbations_in_l0_change_the_same_pixels(
    network: nn.Module, images: Tensor
) -> None:
    found = search(network, images, "l0")
    changed = [
        (perturbed.float() != images).any(dim=1) for perturbed in (found.images, found.images_8bit)
    ]
    assert torch.equal(*changed)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_whole_perturbations_in_l1_and_l2_cost_little(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    """No bound holds for a single image: whole ones are few, and the float one not the smallest."""
    found = search(network, images, norm, steps=40)
    ratio = found.epsilon_8bit / found.epsilon
    assert ratio.min() >= 0.98
    assert ratio.median() <= 1.15


@pytest.mark.parametrize("norm", NORMS)
def test_four_times_the_steps_find_perturbations_that_are_not_larger(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    """In the median: strides follow the number of steps, so no search is the start of a longer."""
    few, more = (search(network, images, norm, steps=steps).epsilon for steps in (10, 40))
    assert more.median() <= few.median()
    assert (more <= few * 1.05).float().mean() >= 0.8


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("slots", [1, 5])
def test_how_many_images_are_searched_at_once_changes_nothing(
    network: nn.Module, images: Tensor, norm: Norm, slots: int
) -> None:
    together, apart = (search(network, images, norm, slots=n, steps=8) for n in (COUNT, slots))
    assert torch.allclose(together.epsilon, apart.epsilon, rtol=1e-4)
    assert torch.allclose(together.images, apart.images, atol=0.01)


@pytest.mark.parametrize("norm", NORMS)
def test_with_two_classes_to_leave_one_is_to_reach_the_other(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    labels = classes(network, images)
    left = search(network, images, norm, steps=8)
    reached = search(network, images, norm, steps=8, labels=1 - labels, targeted=True)
    assert torch.allclose(left.epsilon, reached.epsilon, rtol=1e-4)


def test_progress_ends_at_all_images(network: nn.Module, images: Tensor) -> None:
    told: list[tuple[int, int]] = []
    search(
        network,
        images,
        "linf",
        steps=2,
        slots=4,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(4, COUNT), (8, COUNT), (12, COUNT), (COUNT, COUNT)]


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_the_curve_is_that_of_pgd_at_each_budget(
    network: nn.Module, images: Tensor, norm: Norm
) -> None:
    """PGD within the budgets between which the curve rises, and before and after it."""
    smallest = search(network, images, norm, steps=40).epsilon
    labels = classes(network, images)
    for epsilon in smallest.quantile(torch.tensor([0.1, 0.35, 0.65, 0.9])).tolist():
        walked = pgd(
            network,
            images,
            labels,
            norm=norm,
            epsilon=epsilon,
            step_size=epsilon / 8,
            steps=40,
            confidence_target=0.5003,
            slots=COUNT,
        )
        by_pgd, by_minimal = (walked.confidence > 0.5).sum().item(), (smallest <= epsilon).sum()
        assert by_pgd <= by_minimal + 1
        assert abs(by_pgd - by_minimal.item()) <= 0.1 * COUNT
