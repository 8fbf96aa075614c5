"""Trains a network; the same seed and number of threads give the same one to the last bit."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data import Patches
from ml.errors import MlError
from ml.evaluation import measure_predictions, p_positive
from ml.experiment import Experiment
from ml.learning import Labelled, learn_epoch
from ml.networks import (
    NetworkCard,
    PixelNetwork,
    card_path,
    load_network,
    save_network,
)
from ml.progress import Update
from ml.provenance import provenance, utc_now
from ml.quantize import tensor_from_images
from ml.splits import split_holdout
from ml.training_log import EpochLog, tensorboard_teller, write_predictions
from ml.unfinished import (
    Best,
    Run,
    keep,
    keep_epoch,
    refuse_other_settings,
    start_or_continue,
    unfinished_path,
)

FoldName = Mapping[str, int | str]
"""Names one split of a cross-validation, with all that decides which patches it holds out."""

Indices = NDArray[np.int64]
VALIDATION_SHARE = 1 / 5


@dataclass(frozen=True)
class Parts:
    """`to_stop_by` is there for early stopping only."""

    to_learn: Labelled
    to_stop_by: Labelled | None
    to_judge: Labelled


def training_settings(
    experiment: Experiment, patches: Patches, fold: FoldName | None = None
) -> dict[str, Any]:
    """All that decides what the network becomes, ready for JSON."""
    settings = asdict(experiment)
    decisive = {name: settings[name] for name in ("seed", "data", "network", "training")}
    told = {} if fold is None else {"fold": dict(fold)}
    return {**decisive, **told, "data_sha256": patches.digest}


def network_path(out: Path) -> Path:
    return out / "network.safetensors"


def finished_training(
    experiment: Experiment, patches: Patches, out: Path, fold: FoldName | None = None
) -> NetworkCard | None:
    """The card of the network in `out` if there is one; refuses one of other settings or data."""
    if not card_path(network_path(out)).is_file():
        return None
    _, card = load_network(network_path(out))
    refuse_other_settings(out, card.settings, training_settings(experiment, patches, fold))
    return card


def forget_training(out: Path) -> None:
    """So that the next training in `out` starts from nothing."""
    for path in (card_path(network_path(out)), network_path(out), unfinished_path(out)):
        path.unlink(missing_ok=True)
    for folder in ("epochs", "tensorboard"):
        shutil.rmtree(out / folder, ignore_errors=True)


def train(
    patches: Patches,
    experiment: Experiment,
    out: Path,
    progress: Update,
    *,
    split: tuple[Indices, Indices] | None = None,
    fold: FoldName | None = None,
    keep_epochs: bool = False,
    tensorboard: bool = False,
    device: torch.device | str = "cpu",
) -> NetworkCard:
    """Writes network, card, log and predictions to `out`; goes on where it was interrupted.

    `split` gives (training, held-out) patches, and `fold` says which split that is; `keep_epochs`
    keeps the weights before and after each epoch as epochs/epoch-NNN.safetensors.
    """
    training, held_out = split or split_holdout(patches, seed=experiment.seed)
    parts = _parts(patches, training, held_out, experiment)
    settings = training_settings(experiment, patches, fold)
    run = start_or_continue(experiment, settings, out, torch.device(device))
    _refuse_size(run.learner.network, parts.to_judge)
    tell = tensorboard_teller(out / "tensorboard", len(run.log)) if tensorboard else None
    if keep_epochs and not run.log:
        keep_epoch(run, out)
    while not run.is_over:
        line = _next_epoch(run, parts, progress)
        if tell is not None:
            tell(line)
        if keep_epochs:
            keep_epoch(run, out)
        keep(run, out)
    return _finish(run, patches, held_out, parts.to_judge, out)


def _next_epoch(run: Run, parts: Parts, progress: Update) -> EpochLog:
    learner, epoch, began = run.learner, len(run.log) + 1, time.monotonic()
    last = f", {run.log[-1]}" if run.log else ""
    note = f"epoch {epoch} of {learner.epochs}{last}"

    def tell(done: int, total: int) -> None:
        progress(done, total, note)

    loss = learn_epoch(learner, epoch, parts.to_learn, tell)
    learned = time.monotonic()
    validation_auc = None
    if parts.to_stop_by is not None:
        validation_auc = _auc(learner.network, parts.to_stop_by)
        if run.best is None or validation_auc > run.best.auc:
            state = {name: v.clone() for name, v in learner.network.state_dict().items()}
            run.best = Best(epoch, validation_auc, state)
    line = EpochLog(
        epoch=epoch,
        loss=loss,
        held_out_auc=_auc(learner.network, parts.to_judge),
        learning_rate=learner.optimizer.param_groups[0]["lr"],
        images_per_second=len(parts.to_learn.images) * learner.passes / (learned - began),
        seconds=time.monotonic() - began,
        validation_auc=validation_auc,
    )
    run.log.append(line)
    return line


def _auc(network: PixelNetwork, judged: Labelled) -> float:
    return measure_predictions(judged.labels.numpy(), p_positive(network, judged.images)).auc


def _finish(
    run: Run, patches: Patches, held_out: Indices, to_judge: Labelled, out: Path
) -> NetworkCard:
    network = run.learner.network
    if run.best is not None:
        network.load_state_dict(run.best.network)
    probabilities = p_positive(network, to_judge.images)
    sources = [patches.sources[i] for i in held_out]
    write_predictions(out / "predictions.csv", sources, to_judge.labels, probabilities)

    def describe(file_sha256: str) -> NetworkCard:
        return NetworkCard(
            architecture=network.architecture,
            file_sha256=file_sha256,
            created_at=utc_now(),
            data_name=patches.name,
            data_sha256=patches.digest,
            held_out=tuple(sources),
            settings=run.settings,
            metrics=asdict(measure_predictions(to_judge.labels.numpy(), probabilities)),
            seconds=sum(line.seconds for line in run.log),
            provenance=provenance(),
        )

    card = save_network(network, network_path(out), describe)
    unfinished_path(out).unlink()
    return card


def _parts(patches: Patches, training: Indices, held_out: Indices, experiment: Experiment) -> Parts:
    to_stop_by = None
    if experiment.training.early_stopping:
        training, aside = _set_aside(patches, training, experiment.seed)
        to_stop_by = _in_memory(patches, aside)
    return Parts(_in_memory(patches, training), to_stop_by, _in_memory(patches, held_out))


def _set_aside(patches: Patches, training: Indices, seed: int) -> tuple[Indices, Indices]:
    """Parts the training patches in two, by groups and whatever folds the data have."""
    chosen = [patches.entries[i] for i in training]
    entries = tuple(replace(p, source=replace(p.source, fold="")) for p in chosen)
    learn, aside = split_holdout(
        replace(patches, entries=entries), seed=seed, share=VALIDATION_SHARE
    )
    return training[learn], training[aside]


def _in_memory(patches: Patches, indices: Indices) -> Labelled:
    images = tensor_from_images(patches.images(indices))
    height, width = images.shape[2:]
    if height != width:
        raise MlError(f"Training needs square patches, not {width} x {height} pixels; crop them.")
    return Labelled(images, torch.from_numpy(patches.labels[indices]))


def _refuse_size(network: PixelNetwork, judged: Labelled) -> None:
    """Some networks take images of one size only, or none below one."""
    try:
        p_positive(network, judged.images[:1])
    except (RuntimeError, AssertionError, ValueError) as error:
        side, first_line = judged.images.shape[-1], str(error).partition("\n")[0]
        raise MlError(
            f"{network.architecture} takes no images of {side} x {side} pixels ({first_line}); "
            "set data.size, for instance to 224."
        ) from None
