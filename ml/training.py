"""Trains a network; the same seed and number of threads give the same one to the last bit."""

import csv
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Adadelta, AdamW, Optimizer

from ml.data import Patches, Source
from ml.splits import split_holdout
from ml.errors import MlError
from ml.evaluation import measure_predictions, p_positive
from ml.experiment import Experiment, TrainingSettings
from ml.files import whole_file
from ml.networks import (
    NetworkCard,
    PixelNetwork,
    build_network,
    card_path,
    load_network,
    save_network,
    save_weights,
)
from ml.progress import Update
from ml.provenance import provenance, utc_now
from ml.quantize import pixels_from_grey_levels, tensor_from_images

Fold = Mapping[str, int | str]
"""Names one split of a cross-validation, with all that decides which patches it holds out."""

WARM_UP = 0.3
"""The share of a one-cycle schedule in which the learning rate rises."""


@dataclass(frozen=True)
class EpochLog:
    """One line of log.csv. The held-out AUC is only told: nothing is chosen by it."""

    epoch: int
    loss: float
    held_out_auc: float
    learning_rate: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class Labelled:
    """Images in memory, uint8 (n, 3, height, width), and their labels (n,)."""

    images: Tensor
    labels: Tensor


@dataclass
class Run:
    """A training under way."""

    settings: dict[str, Any]
    network: PixelNetwork
    optimizer: Optimizer
    log: list[EpochLog]


def training_settings(
    experiment: Experiment, patches: Patches, fold: Fold | None = None
) -> dict[str, Any]:
    """All that decides what the network becomes, ready for JSON."""
    settings = asdict(experiment)
    decisive = {name: settings[name] for name in ("seed", "data", "network", "training")}
    told = {} if fold is None else {"fold": dict(fold)}
    return {**decisive, **told, "data_sha256": patches.digest}


def network_path(out: Path) -> Path:
    return out / "network.safetensors"


def _unfinished_path(out: Path) -> Path:
    return out / "unfinished.pt"


def finished_training(
    experiment: Experiment, patches: Patches, out: Path, fold: Fold | None = None
) -> NetworkCard | None:
    """The card of the network in `out` if there is one; refuses one of other settings or data."""
    if not card_path(network_path(out)).is_file():
        return None
    _, card = load_network(network_path(out))
    _refuse_other_settings(out, card.settings, training_settings(experiment, patches, fold))
    return card


def forget_training(out: Path) -> None:
    """So that the next training in `out` starts from nothing."""
    for path in (card_path(network_path(out)), network_path(out), _unfinished_path(out)):
        path.unlink(missing_ok=True)
    shutil.rmtree(out / "epochs", ignore_errors=True)


def train(
    patches: Patches,
    experiment: Experiment,
    out: Path,
    progress: Update,
    *,
    split: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    fold: Fold | None = None,
    keep_epochs: bool = False,
) -> NetworkCard:
    """Writes network, card, log and predictions to `out`; goes on where it was interrupted.

    `split` gives (training, held-out) patches, and `fold` says which split that is; `keep_epochs`
    keeps the weights before and after each epoch as epochs/epoch-NNN.safetensors.
    """
    training, held_out = split or split_holdout(patches, seed=experiment.seed)
    run = _start_or_continue(experiment, training_settings(experiment, patches, fold), out)
    if keep_epochs and not run.log:
        _keep_epoch(run, out)
    to_learn, to_judge = _in_memory(patches, training), _in_memory(patches, held_out)
    note = ""
    for epoch in range(len(run.log) + 1, experiment.training.epochs + 1):
        began = time.monotonic()
        loss = _train_epoch(run, experiment, epoch, to_learn, progress, note)
        learned = time.monotonic()
        probabilities = p_positive(run.network, to_judge.images)
        auc = measure_predictions(to_judge.labels.numpy(), probabilities).auc
        speed = len(training) / (learned - began)
        rate = run.optimizer.param_groups[0]["lr"]
        run.log.append(EpochLog(epoch, loss, auc, rate, speed, time.monotonic() - began))
        note = f"loss {loss:.3f}, held-out AUC {auc:.3f}, {speed:.1f} images/s"
        if keep_epochs:
            _keep_epoch(run, out)
        _keep(run, out)
    probabilities = p_positive(run.network, to_judge.images)
    sources = [patches.sources[i] for i in held_out]
    _write_predictions(out / "predictions.csv", sources, to_judge.labels, probabilities)
    card = save_network(
        run.network,
        network_path(out),
        lambda file_sha256: NetworkCard(
            architecture=experiment.network.architecture,
            file_sha256=file_sha256,
            created_at=utc_now(),
            data_name=patches.name,
            data_sha256=patches.digest,
            held_out=tuple(sources),
            settings=run.settings,
            metrics=asdict(measure_predictions(to_judge.labels.numpy(), probabilities)),
            seconds=sum(line.seconds for line in run.log),
            provenance=provenance(),
        ),
    )
    _unfinished_path(out).unlink()
    return card


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


def _train_epoch(
    run: Run,
    experiment: Experiment,
    epoch: int,
    to_learn: Labelled,
    progress: Update,
    note: str,
) -> float:
    """The mean loss. Order and augmentation come from seed and epoch, so resuming needs neither."""
    settings = experiment.training
    chance = np.random.default_rng([experiment.seed, epoch])
    order = chance.permutation(len(to_learn.images))
    symmetries = chance.integers(8 if settings.augmentation else 1, size=len(order))
    batches = np.array_split(order, math.ceil(len(order) / settings.batch_size))
    steps_before, steps = (epoch - 1) * len(batches), settings.epochs * len(batches)
    told = f"epoch {epoch} of {settings.epochs}" + (f", {note}" if note else "")
    run.network.train()
    total_loss = 0.0
    for step, batch in enumerate(batches, start=steps_before):
        progress(step, steps, told)
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate_at(settings, (step + 0.5) / steps)
        images = torch.stack([augment(to_learn.images[i], int(symmetries[i])) for i in batch])
        logits = run.network(pixels_from_grey_levels(images))
        loss = cross_entropy(logits, to_learn.labels[batch])
        run.optimizer.zero_grad()
        torch.autograd.backward(loss)
        run.optimizer.step()
        total_loss += loss.item() * len(batch)
    progress(steps_before + len(batches), steps, told)
    return total_loss / len(order)


def _in_memory(patches: Patches, indices: NDArray[np.int64]) -> Labelled:
    images = tensor_from_images(patches.images(indices))
    height, width = images.shape[2:]
    if height != width:
        raise MlError(f"Training needs square patches, not {width} x {height} pixels; crop them.")
    return Labelled(images, torch.from_numpy(patches.labels[indices]))


def _start_or_continue(experiment: Experiment, settings: dict[str, Any], out: Path) -> Run:
    unfinished = _unfinished_path(out)
    if not unfinished.is_file():
        network = build_network(
            experiment.network.weights,
            seed=experiment.seed,
            architecture=experiment.network.architecture,
        )
        return Run(settings, network, _optimizer(experiment.training, network), [])
    try:
        kept = torch.load(unfinished, weights_only=True)
    except Exception:  # noqa: BLE001 (torch.load raises many kinds, all meaning the same)
        raise MlError(f"{unfinished} is damaged; start over with --fresh.") from None
    _refuse_other_settings(out, kept["settings"], settings)
    network = build_network(
        "none", seed=experiment.seed, architecture=experiment.network.architecture
    )
    network.load_state_dict(kept["network"])
    optimizer = _optimizer(experiment.training, network)
    optimizer.load_state_dict(kept["optimizer"])
    return Run(settings, network, optimizer, [EpochLog(**line) for line in kept["log"]])


def _optimizer(settings: TrainingSettings, network: PixelNetwork) -> Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimizer:
        case "adadelta":
            return Adadelta(network.parameters(), lr=rate, weight_decay=decay)
        case "adamw":
            return AdamW(network.parameters(), lr=rate, weight_decay=decay)


def _keep(run: Run, out: Path) -> None:
    log = [asdict(line) for line in run.log]
    state = {
        "settings": run.settings,
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "log": log,
    }
    with whole_file(_unfinished_path(out)) as beside:
        torch.save(state, beside)
    with whole_file(out / "log.csv") as beside, beside.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(EpochLog)])
        writer.writeheader()
        writer.writerows(log)


def _keep_epoch(run: Run, out: Path) -> None:
    with whole_file(out / "epochs" / f"epoch-{len(run.log):03}.safetensors") as beside:
        save_weights(run.network, beside)


def _write_predictions(
    path: Path, sources: Sequence[Source], labels: Tensor, probabilities: NDArray[np.float64]
) -> None:
    with whole_file(path) as beside, beside.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["data_set", "fold", "index", "truth", "p_positive"])
        for source, label, p in zip(sources, labels.tolist(), probabilities, strict=True):
            writer.writerow([source.data_set, source.fold, source.index, label, float(p)])


def _refuse_other_settings(out: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    if theirs != ours:
        differing = ", ".join(key for key in ours if theirs.get(key) != ours[key])
        raise MlError(
            f"{out} holds a training with other settings ({differing}); "
            "choose another folder, or replace it with --fresh."
        )
