"""A training under way: begun, kept after each epoch, and gone on with after an interruption."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ml.errors import MlError
from ml.experiment import Experiment
from ml.files import whole_file
from ml.learning import Learner, optimizer_for
from ml.networks import build_network, save_weights
from ml.training_log import EpochLog, write_log


@dataclass(frozen=True)
class Best:
    """The network of the epoch with the best AUC on the patches set aside for early stopping."""

    epoch: int
    auc: float
    network: dict[str, Tensor]


@dataclass
class Run:
    """A training under way."""

    settings: dict[str, Any]
    learner: Learner
    log: list[EpochLog]
    best: Best | None = None

    @property
    def is_over(self) -> bool:
        patience = self.learner.settings.early_stopping
        waited = len(self.log) - self.best.epoch if self.best else 0
        return len(self.log) >= self.learner.epochs or (patience > 0 and waited >= patience)


def unfinished_path(out: Path) -> Path:
    return out / "unfinished.pt"


def start_or_continue(
    experiment: Experiment, settings: dict[str, Any], out: Path, device: torch.device
) -> Run:
    unfinished = unfinished_path(out)
    if not unfinished.is_file():
        return Run(settings, _learner(experiment, experiment.network.weights, device), [])
    try:
        kept = torch.load(unfinished, weights_only=True, map_location=device)
    except Exception:  # noqa: BLE001 (torch.load raises many kinds, all meaning the same)
        raise MlError(f"{unfinished} is damaged; start over with --fresh.") from None
    refuse_other_settings(out, kept["settings"], settings)
    learner = _learner(experiment, "none", device)
    learner.network.load_state_dict(kept["network"])
    learner.optimizer.load_state_dict(kept["optimizer"])
    learner.perturbation = kept["perturbation"]
    best = None if kept["best"] is None else Best(**kept["best"])
    return Run(settings, learner, [EpochLog(**line) for line in kept["log"]], best)


def _learner(experiment: Experiment, weights: str, device: torch.device) -> Learner:
    architecture = experiment.network.architecture
    network = build_network(weights, seed=experiment.seed, architecture=architecture).to(device)
    optimizer = optimizer_for(experiment.training, network)
    return Learner(network, optimizer, experiment.training, experiment.seed)


def keep(run: Run, out: Path) -> None:
    state = {
        "settings": run.settings,
        "network": run.learner.network.state_dict(),
        "optimizer": run.learner.optimizer.state_dict(),
        "perturbation": run.learner.perturbation,
        "log": [asdict(line) for line in run.log],
        "best": None if run.best is None else vars(run.best),
    }
    with whole_file(unfinished_path(out)) as beside:
        torch.save(state, beside)
    write_log(out / "log.csv", run.log)


def keep_epoch(run: Run, out: Path) -> None:
    with whole_file(out / "epochs" / f"epoch-{len(run.log):03}.safetensors") as beside:
        save_weights(run.learner.network, beside)


def refuse_other_settings(out: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    if theirs != ours:
        differing = ", ".join(key for key in ours if theirs.get(key) != ours[key])
        raise MlError(
            f"{out} holds a training with other settings ({differing}); "
            "choose another folder, or replace it with --fresh."
        )
