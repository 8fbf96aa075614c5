"""Adversarial training (section 4), and the success curves before and after it."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ml.attacks.targets import held_out_of, load_patches_of
from ml.crossval import train_fold
from ml.curves import CurvePoint, run_curves
from ml.experiment import Experiment
from ml.jobs import Job, run_jobs
from ml.networks import card_path, load_card
from ml.progress import stage
from ml.splits import Fold
from ml.steps import once, read_table, write_table
from ml.training import network_path

DEFENCE = "defence"


@dataclass(frozen=True)
class DefenceRow:
    """One line of defence.csv, from the search of the smallest perturbations.

    `n` patches were classified correctly and attacked; `robust_accuracy` is the share of all
    held-out patches that are classified correctly whatever is done within epsilon.
    """

    method: str
    norm: str
    epsilon: str
    n: int
    successes: int
    rate: float
    low: float
    high: float
    bits: Literal["float", "8"]
    clean_accuracy: float
    clean_auc: float
    robust_accuracy: float


def run_defence(
    network_file: Path,
    data: Path,
    out: Path,
    experiment: Experiment,
    *,
    engine: str = "local",
    device: str = "auto",
    fresh: bool = False,
) -> dict[str, Any]:
    """Writes defence.csv and defence.json, and for each method its network and curves.

    `network_file` is the standard network of a fold; the others are trained on the same patches and
    judged on those that it held out. Its own curves come first, in `out`.
    """
    card = load_card(network_file)
    identity = {
        "settings": asdict(experiment.defence),
        "curves": asdict(experiment.curves),
        "training": asdict(experiment.training),
        "seed": experiment.seed,
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
    }
    if fresh:
        (out / f"{DEFENCE}.json").unlink(missing_ok=True)
        shutil.rmtree(out / DEFENCE, ignore_errors=True)

    def work() -> dict[str, Any]:
        files = {
            "standard": network_file,
            **_train(network_file, data, out, experiment, engine, device),
        }
        rows: list[DefenceRow] = []
        for method, file in files.items():
            folder = out if method == "standard" else file.parent
            curves = run_curves(file, data, folder, experiment, engine=engine, device=device)
            points = read_table(folder / "curves.csv", CurvePoint)
            rows += _rows(method, points, curves, load_card(file).metrics)
        write_table(out / f"{DEFENCE}.csv", DefenceRow, rows)
        metrics = {method: load_card(file).metrics for method, file in files.items()}
        return {"metrics": metrics}

    return once(out, DEFENCE, identity, work)


def _train(
    network_file: Path, data: Path, out: Path, experiment: Experiment, engine: str, device: str
) -> dict[str, Path]:
    """The networks of all methods, each a job."""
    card = load_card(network_file)
    patches = load_patches_of(card, data.absolute())
    held_out = held_out_of(patches, card)
    fold = Fold(1, 1, np.flatnonzero(~held_out), np.flatnonzero(held_out))
    files: dict[str, Path] = {}
    jobs = []
    for method in experiment.defence.methods:
        training = replace(experiment.training, method=method)
        file = files[method] = network_path(out / DEFENCE / method)
        jobs.append(
            Job(
                title=f"{method} training",
                function=train_fold,
                arguments={
                    "patches": patches,
                    "fold": fold,
                    "experiment": replace(experiment, training=training),
                    "out": file.parent,
                    "device": device,
                },
                done=card_path(file),
                size=training.epochs * len(fold.training),
                device=device,
            )
        )
    with stage("adversarial training") as update:
        run_jobs(jobs, engine, progress=update)
    return files


def _rows(
    method: str, points: Sequence[CurvePoint], curves: dict[str, Any], metrics: dict[str, Any]
) -> list[DefenceRow]:
    correct = curves["correct"] / curves["considered"]
    return [
        DefenceRow(
            method=method,
            norm=point.norm,
            epsilon=point.epsilon,
            n=point.n,
            successes=point.successes,
            rate=point.rate,
            low=point.low,
            high=point.high,
            bits=point.bits,
            clean_accuracy=metrics["accuracy"],
            clean_auc=metrics["auc"],
            robust_accuracy=correct * (1 - point.rate),
        )
        for point in points
        if point.method == "minimal"
    ]
