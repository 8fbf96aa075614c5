"""A network with the weights of each epoch, on patches whose nuclei are outlined."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.data import load_patches
from ml.experiment import Experiment, read_experiment
from ml.progress import stage
from ml.training import network_path, train

SIZE = 32
SETTINGS = {
    "network.architecture": "shufflenet_v2_x0_5",
    "network.weights": "none",
    "training.optimizer": "adamw",
    "training.learning_rate": 0.003,
    "training.epochs": 20,
    "training.batch_size": 6,
    "attack.epsilon": "16",
    "attack.steps": 8,
    "explain.limit": 10,
    "explain.integration_steps": 4,
    "explain.grid": 3,
    "explain.landscape_limit": 6,
}
WITHOUT_OUTLINES = 1
"""Patches whose index ends so have no file of nuclei; they are positives."""


@dataclass(frozen=True)
class Explainable:
    """For reading only."""

    data: Path
    network: Path
    experiment: Experiment


@pytest.fixture(scope="session")
def explainable(tmp_path_factory: pytest.TempPathFactory) -> Explainable:
    folder = tmp_path_factory.mktemp("explainable")
    experiment = read_experiment(None, SETTINGS)
    data = write_outlined_patches(folder / "data")
    with stage("training") as update:
        train(load_patches(data), experiment, folder / "network", update, keep_epochs=True)
    return Explainable(data, network_path(folder / "network"), experiment)


def write_outlined_patches(folder: Path, count: int = 42) -> Path:
    """Every other one has six nuclei of tumour (green 1), the others one of another kind."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "n_tumour_nuclei", "nuclei"])
        for i in range(count):
            label = i % 2
            pixels = np.full((SIZE, SIZE, 3), (225.0, 170.0, 200.0))
            nuclei = np.zeros((SIZE, SIZE, 3), np.uint8)
            for row, column in chance.integers(0, SIZE - 8, (6 if label else 1, 2)):
                pixels[row : row + 8, column : column + 8] = (110, 70, 150)
                nuclei[row : row + 8, column : column + 8] = (1, 1 if label else 2, 0)
            pixels = np.clip(pixels + chance.normal(0, 8, pixels.shape), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
            Image.fromarray(nuclei).save(folder / f"nuclei-{i}.png")
            outlined = i % 10 != WITHOUT_OUTLINES
            writer.writerow([f"{i}.png", label, -1, f"nuclei-{i}.png" if outlined else ""])
    return folder
