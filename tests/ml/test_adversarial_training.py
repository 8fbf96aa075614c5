from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ml.adversarial_training import learn_and_perturb, perturb_by_pgd
from ml.attacks.margin import margin_and_gradient
from ml.data import Patches
from ml.experiment import Experiment, TrainingSettings
from ml.learning import Learner, optimizer_for
from ml.networks import build_network, load_network
from ml.quantize import pixels_from_grey_levels, tensor_from_images
from ml.training import network_path, train

EPSILON = 3


def silent(done: int, total: int, note: str = "") -> None:
    pass


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3 * 8 * 8, generator=chance()))

    def loss(self, grey_levels: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(
            pixels_from_grey_levels(grey_levels).flatten(1) @ self.weight.T, labels
        )


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def some_images() -> Tensor:
    """Some of their values are black or white, or nearly so."""
    drawn = torch.randint(-40, 296, (4, 3, 8, 8), generator=chance())
    return drawn.clamp(0, 255).to(torch.uint8)


LABELS = torch.tensor([0, 1, 1, 0])


def worst_of_a_linear_network(network: Linear, images: Tensor, epsilon: float) -> Tensor:
    """Every value goes as far as it may towards the wrong class."""
    towards_1 = (network.weight[1] - network.weight[0]).detach().sign().view(1, 3, 8, 8)
    wrong = torch.where(LABELS == 1, -1.0, 1.0).view(-1, 1, 1, 1)
    return (images + epsilon * wrong * towards_1).clamp(0, 255)


def test_pgd_finds_the_worst_images_of_a_linear_network() -> None:
    network, images = Linear(), some_images()
    torch.manual_seed(0)
    found = perturb_by_pgd(lambda g: network.loss(g, LABELS), images, epsilon=3, steps=5)
    worst = worst_of_a_linear_network(network, images, 3)
    free = (worst > 0) & (worst < 255)
    assert torch.equal(found[free], worst[free])
    assert (found - images.float()).abs().max() <= 3
    assert network.weight.grad is None


def test_free_training_moves_the_perturbation_and_leaves_the_gradient_of_what_it_saw() -> None:
    network, images = Linear(), some_images()
    perturbation = torch.zeros(6, 3, 8, 8)
    for epoch in range(2):
        network.zero_grad()
        seen = (images + perturbation[:4]).clamp(0, 255)
        loss = learn_and_perturb(lambda g: network.loss(g, LABELS), images, perturbation, epsilon=3)
        expected = network.loss(seen, LABELS)
        assert loss == expected
        (gradient,) = torch.autograd.grad(expected, network.weight)
        assert network.weight.grad is not None
        assert torch.equal(network.weight.grad, gradient), epoch
    worst = worst_of_a_linear_network(network, images, 3)
    free = (worst > 0) & (worst < 255)
    assert torch.equal((images + perturbation[:4])[free], worst[free])
    assert perturbation[4:].eq(0).all()


@pytest.mark.parametrize(
    ("method", "replays", "epochs"), [("standard", 4, 10), ("pgd", 4, 10), ("free", 4, 3)]
)
def test_free_training_has_as_many_steps_as_standard_training(
    method: Literal["standard", "free", "pgd"], replays: int, epochs: int
) -> None:
    network = build_network("none", seed=0, architecture="squeezenet1_1")
    settings = TrainingSettings(method=method, epochs=10, replays=replays)
    assert Learner(network, optimizer_for(settings, network), settings, 0).epochs == epochs


def robust_accuracy(patches: Patches, experiment: Experiment, out: Path) -> tuple[float, float]:
    """Accuracy on the held-out patches, and what is left of it under a small PGD."""
    train(patches, experiment, out, silent)
    network, card = load_network(network_path(out))
    held_out = np.array([source.index for source in card.held_out])
    images = tensor_from_images(patches.images(held_out))
    labels = torch.from_numpy(patches.labels[held_out])
    perturbed = images.float()
    for _ in range(6):
        _, gradient = margin_and_gradient(network, perturbed, labels)
        perturbed = perturbed + EPSILON / 3 * gradient.sign()
        perturbed = torch.minimum(perturbed, images + EPSILON).clamp(0, 255)
        perturbed = torch.maximum(perturbed, images - EPSILON)
    margins = [margin_and_gradient(network, x, labels)[0] for x in (images.float(), perturbed)]
    clean, robust = (float((values < 0).float().mean()) for values in margins)
    return clean, robust


def test_adversarial_training_makes_a_network_harder_to_fool(
    make_patches: Callable[..., Patches], small: Experiment, tmp_path: Path
) -> None:
    patches = make_patches(48)
    network = replace(small.network, architecture="shufflenet_v2_x0_5")
    standard = replace(
        small.training,
        learning_rate=0.01,
        schedule="one-cycle",
        batch_size=8,
        epochs=24,
        replays=3,
        pgd_steps=2,
        adversarial_epsilon=str(EPSILON),
    )
    clean, robust = {}, {}
    for settings in (
        standard,
        replace(standard, method="free", epochs=72),
        replace(standard, method="pgd", epochs=48),
    ):
        experiment = replace(small, network=network, training=settings)
        name = settings.method
        clean[name], robust[name] = robust_accuracy(patches, experiment, tmp_path / name)
    assert min(clean.values()) > 0.8
    assert robust["standard"] < 0.5
    assert min(robust["free"], robust["pgd"]) > robust["standard"] + 0.25
