from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.attacks.lattice import finish
from ml.attacks.pgd import Perturbed, pgd
from ml.attacks.rounding import round_inside
from ml.experiment import Norm

NORMS: list[Norm] = ["none", "l0", "l1", "l2", "linf"]
EPSILON = {"none": 0.0, "l0": 0.2, "l1": 1.5, "l2": 2.0, "linf": 2.5}
STEP = {"none": 0.5, "l0": 64.0, "l1": 0.3, "l2": 0.3, "linf": 0.4}
TARGET = 0.9
SHARPNESS = 20


class Curved(nn.Module):
    """Small, with float64 inside and a boundary that bends."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.second = nn.Linear(6 * 6 * 6, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.second(self.first(pixels.double()).tanh().flatten(1))
        return SHARPNESS * logits


@pytest.fixture(scope="module")
def images() -> Tensor:
    chance = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (10, 3, 8, 8), generator=chance, dtype=torch.uint8)


@pytest.fixture(scope="module")
def curved(images: Tensor) -> nn.Module:
    """Half of the images are of each class, all of them near the boundary."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = Curved().double().requires_grad_(False)
    logits = network(images / 255)
    network.second.bias[1] += (logits[:, 0] - logits[:, 1]).median() / SHARPNESS + 1e-3
    return network


def wrong(network: nn.Module, images: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """The confidence in the other of two classes."""
    with torch.inference_mode():
        shares = network(images.float() / 255).double().softmax(dim=1)
    confidence: Tensor = shares.gather(1, 1 - labels.view(-1, 1)).squeeze(1)
    return np.asarray(confidence.numpy())


def classes(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network(images.float() / 255)
    return logits.argmax(dim=1)


def sizes(whole: Tensor, originals: Tensor, norm: Norm) -> NDArray[np.float64]:
    values = np.abs(whole.numpy().astype(np.int64) - originals.numpy().astype(np.int64))
    match norm:
        case "none":
            return np.zeros(len(values))
        case "l0":
            return np.asarray((values > 0).any(axis=1).mean(axis=(1, 2)))
        case "l1":
            return np.asarray(values.mean(axis=(1, 2, 3)))
        case "l2":
            return np.asarray(np.sqrt((values**2).mean(axis=(1, 2, 3))))
        case "linf":
            return np.asarray(values.max(axis=(1, 2, 3)).astype(np.float64))


def in_float(network: nn.Module, images: Tensor, norm: Norm, target: float = TARGET) -> Perturbed:
    return pgd(
        network,
        images,
        classes(network, images),
        norm=norm,
        epsilon=EPSILON[norm],
        step_size=STEP[norm],
        steps=8,
        confidence_target=target,
        slots=4,
    )


def finished(
    network: nn.Module, images: Tensor, perturbed: Tensor, norm: Norm, **changes: Any
) -> Perturbed:
    arguments = {"epsilon": EPSILON[norm], "steps": 10, "confidence_target": TARGET, "slots": 4}
    labels = classes(network, images)
    return finish(network, images, perturbed, labels, norm=norm, **{**arguments, **changes})


@pytest.mark.parametrize("norm", NORMS)
def test_without_steps_an_image_is_what_rounding_inside_the_budget_makes_of_it(
    curved: nn.Module, images: Tensor, norm: Norm
) -> None:
    perturbed = in_float(curved, images, norm).images
    result = finished(curved, images, perturbed, norm, steps=0)
    assert torch.equal(result.images, round_inside(images, perturbed, norm, EPSILON[norm]))
    assert result.steps.tolist() == [0] * len(images)


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_that_rounding_left_at_the_target_is_not_touched(
    curved: nn.Module, images: Tensor, norm: Norm
) -> None:
    """A target at which rounding leaves half of them."""
    perturbed = in_float(curved, images, norm).images
    rounded = round_inside(images, perturbed, norm, EPSILON[norm])
    confidence = wrong(curved, rounded, classes(curved, images))
    target = float(np.median(confidence))
    result = finished(curved, images, perturbed, norm, confidence_target=target)
    at_target = torch.from_numpy(confidence > target + 1e-6)
    below = torch.from_numpy(confidence < target - 1e-6)
    assert at_target.any()
    assert below.any()
    assert torch.equal(result.images[at_target], rounded[at_target])
    assert (result.steps[at_target] == 0).all()
    assert (result.steps[below] > 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_whole_images_stay_within_the_budget_and_their_confidence_is_the_networks(
    curved: nn.Module, images: Tensor, norm: Norm
) -> None:
    result = finished(curved, images, in_float(curved, images, norm).images, norm)
    assert result.images.dtype == torch.uint8
    assert (sizes(result.images, images, norm) <= EPSILON[norm] + 1e-9).all()
    told = result.confidence.double().numpy()
    assert told == pytest.approx(wrong(curved, result.images, classes(curved, images)), abs=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_finishing_is_at_least_as_confident_as_rounding_and_gains_where_there_is_room(
    curved: nn.Module, images: Tensor, norm: Norm
) -> None:
    start = in_float(curved, images, norm, target=0.51).images
    rounded = wrong(
        curved,
        round_inside(images, start, norm, EPSILON[norm]),
        classes(curved, images),
    )
    result = finished(curved, images, start, norm, steps=20)
    told = result.confidence.double().numpy()
    assert (told >= rounded - 1e-5).all()
    assert told.mean() > rounded.mean() + 0.01


@pytest.mark.parametrize("norm", NORMS)
def test_how_many_images_are_finished_at_once_changes_nothing(
    curved: nn.Module, images: Tensor, norm: Norm
) -> None:
    perturbed = in_float(curved, images, norm).images
    one, all_of_them = (finished(curved, images, perturbed, norm, slots=slots) for slots in (1, 10))
    assert torch.equal(one.images, all_of_them.images)
    assert torch.equal(one.steps, all_of_them.steps)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(("epsilon", "falls"), [(3.0, True), (2.99, False), (2.0, False)])
def test_in_linf_a_linear_network_is_decided_by_the_whole_part_of_the_budget(
    make_linear_case: Callable[..., Any], epsilon: float, falls: bool, label: int
) -> None:
    """At a distance of 2.8 grey levels 3 whole ones are enough, and 2 are not."""
    case = make_linear_case(2.8, label=label)
    result = finished_linear(case, "linf", epsilon)
    assert (wrong(case.network, result.images, case.label) > 0.5).item() == falls


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_in_l2_a_linear_network_falls_ten_percent_above_its_distance(
    make_linear_case: Callable[..., Any], seed: int, label: int
) -> None:
    """5 grey levels, so that what rounding takes is small beside them."""
    case = make_linear_case(6.0, label=label, seed=seed)
    weight = case.network.weight.double() / 255
    lead = abs(float(case.network(case.image / 255)[0] @ torch.tensor([-1.0, 1.0])))
    distance = lead / float(weight.norm()) / weight.numel() ** 0.5
    assert distance > 4
    beyond = finished_linear(case, "l2", 1.1 * distance)
    before = finished_linear(case, "l2", 0.95 * distance)
    assert wrong(case.network, beyond.images, case.label).item() > 0.5
    assert wrong(case.network, before.images, case.label).item() < 0.5


def finished_linear(case: Any, norm: Norm, epsilon: float) -> Perturbed:
    flip = 0.500001
    start = pgd(
        case.network,
        case.image,
        case.label,
        norm=norm,
        epsilon=epsilon,
        step_size=epsilon / 4,
        steps=10,
        confidence_target=flip,
        slots=1,
    ).images
    return finish(
        case.network,
        case.image,
        start,
        case.label,
        norm=norm,
        epsilon=epsilon,
        steps=20,
        confidence_target=flip,
        slots=1,
    )


def test_a_target_class_is_finished_too(curved: nn.Module, images: Tensor) -> None:
    """With two classes, to leave one is to reach the other."""
    labels = classes(curved, images)
    perturbed = in_float(curved, images, "linf").images
    arguments: dict[str, Any] = {
        "norm": "linf",
        "epsilon": 2.5,
        "steps": 10,
        "confidence_target": TARGET,
        "slots": 4,
    }
    left = finish(curved, images, perturbed, labels, **arguments)
    reached = finish(curved, images, perturbed, 1 - labels, targeted=True, **arguments)
    assert torch.equal(left.images, reached.images)


def test_progress_ends_at_what_rounding_left_to_do(curved: nn.Module, images: Tensor) -> None:
    told: list[tuple[int, int]] = []
    perturbed = in_float(curved, images, "linf").images
    result = finished(
        curved,
        images,
        perturbed,
        "linf",
        confidence_target=0.999999,
        progress=lambda done, total: told.append((done, total)),
    )
    left = int((result.steps > 0).sum())
    assert left > 0
    assert told[-1] == (left, left)
