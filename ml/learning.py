"""One epoch of learning: order, augmentation, learning rate, and the method's steps."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Adadelta, AdamW, Optimizer

from ml.adversarial_training import learn_and_perturb, perturb_by_pgd
from ml.data import Progress
from ml.devices import autocast, device_of
from ml.experiment import TrainingSettings
from ml.networks import PixelNetwork
from ml.quantize import pixels_from_grey_levels

WARM_UP = 0.3
"""The share of a one-cycle schedule in which the learning rate rises."""


@dataclass(frozen=True)
class Labelled:
    """Images in memory, uint8 (n, 3, height, width), and their labels (n,)."""

    images: Tensor
    labels: Tensor


@dataclass
class Learner:
    """`perturbation` is what "free" training goes on with, (batch size, 3, height, width)."""

    network: PixelNetwork
    optimizer: Optimizer
    settings: TrainingSettings
    seed: int
    perturbation: Tensor | None = None

    @property
    def passes(self) -> int:
        """How often each batch is learned from in an epoch."""
        return self.settings.replays if self.settings.method == "free" else 1

    @property
    def epochs(self) -> int:
        """Fewer where each repeats its batches, so that all methods but "pgd" cost the same."""
        return math.ceil(self.settings.epochs / self.passes)


def optimizer_for(settings: TrainingSettings, network: PixelNetwork) -> Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimizer:
        case "adadelta":
            return Adadelta(network.parameters(), lr=rate, weight_decay=decay)
        case "adamw":
            return AdamW(network.parameters(), lr=rate, weight_decay=decay)


def learning_rate_at(settings: TrainingSettings, share: float) -> float:
    """`share` of all steps done; one-cycle follows Smith and Topin 2017, arXiv:1708.07120."""
    match settings.schedule:
        case "constant":
            return settings.learning_rate
        case "one-cycle" if share < WARM_UP:
            return settings.learning_rate * (1 - math.cos(math.pi * share / WARM_UP)) / 2
        case "one-cycle":
            falling = (share - WARM_UP) / (1 - WARM_UP)
            return settings.learning_rate * (1 + math.cos(math.pi * falling)) / 2


def augment(image: Tensor, symmetry: int) -> Tensor:
    """One of the eight symmetries of a square (0 to 7; 0 changes nothing) of (3, side, side)."""
    turned = torch.rot90(image, symmetry % 4, dims=(1, 2))
    return turned.flip(2) if symmetry >= 4 else turned


def learn_epoch(learner: Learner, epoch: int, to_learn: Labelled, progress: Progress) -> float:
    """The mean loss. What is random comes from seed and epoch, so that resuming needs no state."""
    settings, device = learner.settings, device_of(learner.network)
    chance = np.random.default_rng([learner.seed, epoch])
    order = chance.permutation(len(to_learn.images))
    symmetries = chance.integers(8 if settings.augmentation else 1, size=len(order))
    batches = np.array_split(order, math.ceil(len(order) / settings.batch_size))
    before = (epoch - 1) * len(batches) * learner.passes
    steps = learner.epochs * len(batches) * learner.passes
    step, total_loss = before, 0.0
    learner.network.train()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(chance.integers(2**31)))
        for batch in batches:
            images = torch.stack([augment(to_learn.images[i], int(symmetries[i])) for i in batch])
            images, labels = images.to(device), to_learn.labels[batch].to(device)
            for _ in range(learner.passes):
                progress(step, steps)
                for group in learner.optimizer.param_groups:
                    group["lr"] = learning_rate_at(settings, (step + 0.5) / steps)
                total_loss += _learn(learner, images, labels) * len(batch)
                step += 1
    progress(step, steps)
    return total_loss / (len(order) * learner.passes)


def _learn(learner: Learner, images: Tensor, labels: Tensor) -> float:
    """One step of the optimizer; gives the mean loss before it."""
    settings = learner.settings
    epsilon = float(settings.adversarial_epsilon)

    def loss_of(grey_levels: Tensor) -> Tensor:
        with autocast(grey_levels.device, settings.precision):
            logits = learner.network(pixels_from_grey_levels(grey_levels))
        return cross_entropy(logits.float(), labels)

    learner.optimizer.zero_grad()
    match settings.method:
        case "standard":
            loss = loss_of(images)
            torch.autograd.backward(loss)
        case "pgd":
            learner.network.eval()
            steps = settings.pgd_steps
            perturbed = perturb_by_pgd(loss_of, images, epsilon=epsilon, steps=steps)
            learner.network.train()
            loss = loss_of(perturbed)
            torch.autograd.backward(loss)
        case "free":
            if learner.perturbation is None:
                shape = (settings.batch_size, *images.shape[1:])
                learner.perturbation = torch.zeros(shape, device=images.device)
            loss = learn_and_perturb(loss_of, images, learner.perturbation, epsilon=epsilon)
    learner.optimizer.step()
    return loss.item()
