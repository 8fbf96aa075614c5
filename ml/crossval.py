"""Trains a network on each fold and judges it on the patches held out: the paper's Table 1a."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ml.data import Patches, Progress, load_patches
from ml.devices import choose_device
from ml.experiment import Experiment
from ml.jobs import Job, report, run_jobs
from ml.networks import NetworkCard, card_path
from ml.progress import Update, stage
from ml.splits import Fold, folds_of
from ml.steps import once, read_table
from ml.table1a import read_judged, write_tables
from ml.training import finished_training, network_path, train
from ml.training_log import EpochLog

DECISIVE = ("seed", "data", "network", "training", "crossval")


@dataclass(frozen=True)
class Crossval:
    """Means and standard deviations (over n - 1) of all folds.

    `ece` is the expected calibration error of each run, over the predictions of its folds together.
    """

    n_patches: int
    n_positive: int
    n_folds: int
    auc_mean: float
    auc_sd: float
    accuracy_mean: float
    accuracy_sd: float
    ece: tuple[float, ...]
    training_seconds: float


def run_crossval(
    data: Path,
    out: Path,
    experiment: Experiment,
    *,
    engine: str = "local",
    device: str = "auto",
    fresh: bool = False,
) -> Crossval:
    """Writes table1a.csv, predictions.csv, roc.csv, calibration.csv, confusion.csv, crossval.json.

    Each fold is an independent job in folds/run-R-fold-F; those that are finished are kept, and an
    unfinished one goes on after its last epoch. `engine` as in `ml.jobs`.
    """
    chosen = experiment.data
    with stage("reading patches") as update:
        patches = load_patches(
            data.absolute(), tissue=chosen.tissue, size=chosen.size, progress=update
        )
    folds = folds_of(patches, **asdict(experiment.crossval), seed=experiment.seed)
    if fresh:
        _forget(out)
    settings = asdict(experiment)
    identity = {**{name: settings[name] for name in DECISIVE}, "data_sha256": patches.digest}

    def work() -> dict[str, Any]:
        cards = _train_all(patches, folds, experiment, out, engine, device)
        figures = write_tables(
            out, [read_judged(fold_folder(out, fold), fold.run, fold.fold) for fold in folds]
        )
        return {
            **figures,
            "n_patches": len(patches),
            "n_positive": int(patches.labels.sum()),
            "training_seconds": sum(card.seconds for card in cards),
        }

    facts = once(out, "crossval", identity, work)
    found = {f.name: facts[f.name] for f in fields(Crossval)}
    return Crossval(**{**found, "ece": tuple(found["ece"])})


def fold_folder(out: Path, fold: Fold) -> Path:
    return out / "folds" / f"run-{fold.run}-fold-{fold.fold}"


def train_fold(
    patches: Patches, fold: Fold, experiment: Experiment, out: Path, device: str
) -> None:
    """A job: the network of one fold, in `out`. The first keeps its epochs, for the landscape."""
    size = _work_of(fold, experiment)

    def progress(done: int, total: int, note: str = "") -> None:  # noqa: ARG001 - jobs tell numbers
        report(done * size // total)

    train(
        patches,
        _of_run(experiment, fold),
        out,
        progress,
        split=(fold.training, fold.held_out),
        fold=_name(fold, experiment),
        keep_epochs=(fold.run, fold.fold) == (1, 1),
        device=choose_device(device),
    )


def _of_run(experiment: Experiment, fold: Fold) -> Experiment:
    """Each run starts from weights of its own; those of the first are the experiment's."""
    return replace(experiment, seed=(experiment.seed + fold.run - 1) % 2**31)


def _name(fold: Fold, experiment: Experiment) -> dict[str, int | str]:
    """All that decides which patches the fold holds out; more runs change nothing."""
    told: dict[str, int | str] = {"run": fold.run, "fold": fold.fold}
    match experiment.crossval.scheme:
        case "own":
            return {"scheme": "own", **told}
        case "stratified":
            drawn_by = {"folds": experiment.crossval.folds, "seed": experiment.seed}
            return {"scheme": "stratified", **drawn_by, **told}


def _work_of(fold: Fold, experiment: Experiment) -> int:
    """In patches learned from."""
    return experiment.training.epochs * len(fold.training)


def _forget(out: Path) -> None:
    """The facts first, so that what is left after an interruption counts as unfinished."""
    (out / "crossval.json").unlink(missing_ok=True)
    shutil.rmtree(out / "folds", ignore_errors=True)


def _train_all(
    patches: Patches,
    folds: Sequence[Fold],
    experiment: Experiment,
    out: Path,
    engine: str,
    device: str,
) -> list[NetworkCard]:
    """Refuses folds that were trained with other settings before it trains those that are not."""
    _finished(patches, folds, experiment, out)
    jobs = [fold_job(patches, fold, experiment, fold_folder(out, fold), device) for fold in folds]
    with stage("patches learned from") as update:
        run_jobs(jobs, engine, progress=_telling_folds(jobs, update))
    return _finished(patches, folds, experiment, out)


def _finished(
    patches: Patches, folds: Sequence[Fold], experiment: Experiment, out: Path
) -> list[NetworkCard]:
    cards = [
        finished_training(
            _of_run(experiment, fold), patches, fold_folder(out, fold), _name(fold, experiment)
        )
        for fold in folds
    ]
    return [card for card in cards if card is not None]


def fold_job(
    patches: Patches, fold: Fold, experiment: Experiment, folder: Path, device: str
) -> Job:
    arguments = {
        "patches": patches,
        "fold": fold,
        "experiment": experiment,
        "out": folder,
        "device": device,
    }
    return Job(
        title=f"run {fold.run} fold {fold.fold}",
        function=train_fold,
        arguments=arguments,
        done=card_path(network_path(folder)),
        size=_work_of(fold, experiment),
        device=device,
    )


def _telling_folds(jobs: Sequence[Job], update: Update) -> Progress:
    def tell(done: int, total: int) -> None:
        unfinished = [job for job in jobs if not job.done.exists()]
        number = min(len(jobs) - len(unfinished) + 1, len(jobs))
        told = [f"fold {number} of {len(jobs)}", *_last_epoch(unfinished)]
        update(done, total, ", ".join(told))

    return tell


def _last_epoch(unfinished: Sequence[Job]) -> list[str]:
    """How the first training under way went so far; nothing before the end of its first epoch."""
    logs = [job.done.with_name("log.csv") for job in unfinished]
    under_way = next((log for log in logs if log.is_file()), None)
    if under_way is None:
        return []
    last = read_table(under_way, EpochLog)[-1]
    return [f"epoch {last.epoch}: {last}"]
