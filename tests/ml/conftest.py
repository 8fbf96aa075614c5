"""What tests of ml share: small patches, in memory or on disk, and a small finished attack."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ml.attacks.run import Choice, run_attack
from ml.data import Patch, Patches, Source, load_patches
from ml.experiment import Experiment, read_experiment
from ml.progress import stage
from ml.training import network_path, train

SIZE = 32
Pixels = NDArray[np.uint8]

SMALL = {
    "network.weights": "none",
    "training.optimizer": "adamw",
    "training.learning_rate": 0.001,
    "training.epochs": 8,
    "training.batch_size": 6,
    "attack.epsilon": "16",
    "attack.steps": 10,
}


def draw_patch(label: int, chance: np.random.Generator) -> Pixels:
    """Pink, with violet blobs where there is tumour; (SIZE, SIZE, 3)."""
    pixels = np.full((SIZE, SIZE, 3), (225.0, 170.0, 200.0))
    for row, column in chance.integers(0, SIZE - 8, (6 if label else 1, 2)):
        pixels[row : row + 8, column : column + 8] = (110, 70, 150)
    drawn: Pixels = np.clip(pixels + chance.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    return drawn


def draw_patches(count: int = 30, seed: int = 0) -> Patches:
    """Every other one with tumour, each a group of its own."""
    chance = np.random.default_rng(seed)
    images = [draw_patch(i % 2, chance) for i in range(count)]

    def read(i: int) -> Callable[[], Pixels]:
        return lambda: images[i]

    entries = tuple(
        Patch(
            source=Source("drawn", "", i),
            group=str(i),
            label=i % 2,
            tumour_nuclei=6 * (i % 2),
            digest=hashlib.sha256(image.tobytes()).hexdigest(),
            read=read(i),
        )
        for i, image in enumerate(images)
    )
    return Patches("drawn", 0.25, entries)


def write_patch_folder(folder: Path, count: int = 30, seed: int = 0) -> Path:
    """The drawn patches as an image folder with a labels table."""
    folder.mkdir(parents=True)
    patches = draw_patches(count, seed)
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "n_tumour_nuclei"])
        for i, entry in enumerate(patches.entries):
            Image.fromarray(entry.read()).save(folder / f"{i}.png")
            writer.writerow([f"{i}.png", entry.label, entry.tumour_nuclei])
    return folder


class LinearNetwork(nn.Module):
    """Two logits, 0 and w.x + b, so that the distance to the boundary is known in closed form."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, pixels: Tensor) -> Tensor:
        positive = (pixels * self.weight).sum(dim=(1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(positive), positive], dim=1)


@dataclass(frozen=True)
class LinearCase:
    """One image `distance` grey levels (Linf) from the boundary, far from black and white."""

    network: LinearNetwork
    image: Tensor
    label: Tensor
    distance: float


def draw_linear_case(distance: float, label: int = 1, seed: int = 0) -> LinearCase:
    chance = torch.Generator().manual_seed(seed)
    weight = torch.randn((3, 8, 8), generator=chance)
    image = torch.randint(90, 166, (1, 3, 8, 8), generator=chance, dtype=torch.uint8)
    lead = distance / 255 * float(weight.abs().sum()) * (1 if label == 1 else -1)
    bias = lead - float((image / 255 * weight).sum())
    return LinearCase(LinearNetwork(weight, bias), image, torch.tensor([label]), distance)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Networks this small lose more by waiting for a second thread than they gain."""
    torch.set_num_threads(1)


@pytest.fixture
def make_patches() -> Callable[..., Patches]:
    return draw_patches


@pytest.fixture
def make_patch_folder() -> Callable[..., Path]:
    return write_patch_folder


@pytest.fixture
def make_linear_case() -> Callable[..., LinearCase]:
    return draw_linear_case


@pytest.fixture
def small() -> Experiment:
    """Seconds of training on the drawn patches."""
    return read_experiment(None, SMALL)


@dataclass(frozen=True)
class Workplace:
    """A patch folder, the network trained on it, and the attack on that: for reading only."""

    data: Path
    network: Path
    attack: Path
    experiment: Experiment


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("workplace")
    data = write_patch_folder(folder / "data", count=36)
    experiment = read_experiment(None, SMALL)
    with stage("training") as update:
        train(load_patches(data), experiment, folder / "network", update)
    network = network_path(folder / "network")
    run_attack(network, data, folder / "attack", experiment, Choice(truths="both"))
    return Workplace(data, network, folder / "attack", experiment)
