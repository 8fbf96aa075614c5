"""The loss around a trained network, and the way that its training took (the paper's Fig. 2b)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from ml.attacks.targets import held_out_of, load_patches_of
from ml.data import Patches
from ml.errors import MlError
from ml.experiment import Experiment
from ml.explain.plane import Plane, find_plane
from ml.networks import NetworkCard, load_card, load_network
from ml.progress import stage
from ml.quantize import pixels_from_grey_levels, tensor_from_images
from ml.steps import once, write_table

MARGIN = 0.25
"""How far the grid reaches beyond the trajectory on each side, in widths of the trajectory."""

BATCH_NORM = (
    "The plane is that of the learned weights. Batch-norm statistics are no weights and mean "
    "nothing away from the weights that they were taken under, so at every point each batch norm "
    "uses the mean and variance of the whole fixed subset in one batch under the weights there. "
    "Dropout is off."
)
NO_BATCH_NORM = "The network has no batch norm. Dropout is off."


@dataclass(frozen=True)
class LandscapeRow:
    """One line of landscape.csv."""

    x: float
    y: float
    loss: float


@dataclass(frozen=True)
class TrajectoryRow:
    """One line of trajectory.csv: the projection, but the loss of the epoch's own weights."""

    epoch: int
    x: float
    y: float
    loss: float


@dataclass(frozen=True)
class Judge:
    """Tells the mean loss of any weights on fixed patches; pixels in [0, 1]."""

    network: nn.Module
    pixels: Tensor
    labels: Tensor

    def loss(self, weights: dict[str, Tensor]) -> float:
        with torch.inference_mode():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(weights[name])
            return float(cross_entropy(self.network(self.pixels), self.labels))


def run_landscape(
    network_file: Path, data: Path, out: Path, experiment: Experiment, *, fresh: bool = False
) -> dict[str, Any]:
    """Writes landscape.csv, trajectory.csv and landscape.json.

    Needs the weights of each epoch beside the network. The loss is the mean cross-entropy over
    `explain.landscape_limit` training patches, drawn by the seed.
    """
    card = load_card(network_file)
    settings = experiment.explain
    identity = {
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
        "seed": experiment.seed,
        "explain": {"grid": settings.grid, "landscape_limit": settings.landscape_limit},
    }

    def work() -> dict[str, Any]:
        checkpoints = epoch_files(network_file)
        network, _ = load_network(network_file)
        patches = load_patches_of(card, data)
        chosen = draw_training(patches, card, settings.landscape_limit, experiment.seed)
        pixels = pixels_from_grey_levels(tensor_from_images(chosen.images(range(len(chosen)))))
        labels = torch.from_numpy(chosen.labels)
        with torch.inference_mode():
            as_saved = float(cross_entropy(network(pixels), labels))
        has_batch_norm = with_batch_statistics(network)
        judge = Judge(network, pixels, labels)
        names = [name for name, _ in network.named_parameters()]
        with stage("finding the plane of the weights") as update:
            plane = find_plane(list(checkpoints.values()), network_file, names)
            update(1, 1)
        trajectory = follow(judge, plane, checkpoints)
        surface = survey(judge, plane, settings.grid)
        write_table(out / "trajectory.csv", TrajectoryRow, trajectory)
        write_table(out / "landscape.csv", LandscapeRow, surface)
        return {
            "patches": len(chosen),
            "weights": sum(w.numel() for w in plane.centre.values()),
            "epochs": len(checkpoints) - 1,
            "variance_explained": plane.explained.tolist(),
            "final_loss": judge.loss(plane.centre),
            "final_loss_with_statistics_of_training": as_saved,
            "highest_loss": max(row.loss for row in surface),
            "batch_norm": BATCH_NORM if has_batch_norm else NO_BATCH_NORM,
        }

    return once(out, "landscape", identity, work, fresh=fresh)


def epoch_files(network_file: Path) -> dict[int, Path]:
    """By epoch; 0 is before training."""
    found = sorted((network_file.parent / "epochs").glob("epoch-*.safetensors"))
    if not found:
        raise MlError(
            f"There are no weights of single epochs beside {network_file}; "
            "train it with --keep-epochs."
        )
    return {int(path.stem.removeprefix("epoch-")): path for path in found}


def draw_training(patches: Patches, card: NetworkCard, limit: int, seed: int) -> Patches:
    learned = np.flatnonzero(~held_out_of(patches, card))
    return patches.subset(np.sort(np.random.default_rng(seed).permutation(learned)[:limit]))


def with_batch_statistics(network: nn.Module) -> bool:
    """Makes every batch norm use the statistics of what it is given; whether there is any."""
    found = [module for module in network.eval().modules() if isinstance(module, _BatchNorm)]
    for module in found:
        module.train()
        module.track_running_stats = False
    return bool(found)


def follow(judge: Judge, plane: Plane, checkpoints: dict[int, Path]) -> list[TrajectoryRow]:
    rows: list[TrajectoryRow] = []
    with stage("following the training") as update:
        for (epoch, path), (x, y) in zip(
            checkpoints.items(), plane.positions.tolist(), strict=True
        ):
            update(len(rows), len(checkpoints))
            rows.append(TrajectoryRow(epoch, x, y, judge.loss(safetensors.torch.load_file(path))))
        update(len(rows), len(checkpoints))
    return rows


def survey(judge: Judge, plane: Plane, count: int) -> list[LandscapeRow]:
    """`count` x `count` points, row by row."""
    xs, ys = (axis_over(plane.positions[:, i], count) for i in (0, 1))
    rows: list[LandscapeRow] = []
    with stage("measuring the loss surface") as update:
        for y in ys:
            for x in xs:
                update(len(rows), count**2)
                rows.append(LandscapeRow(x, y, judge.loss(plane.weights_at(x, y))))
        update(len(rows), count**2)
    return rows


def axis_over(positions: NDArray[np.float64], count: int) -> list[float]:
    """Covers the positions and the final weights, 0, with the margin on both sides."""
    low, high = min(0.0, float(positions.min())), max(0.0, float(positions.max()))
    margin = MARGIN * (high - low)
    axis: list[float] = np.linspace(low - margin, high + margin, count).tolist()
    return axis
