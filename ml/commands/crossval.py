"""Trains and judges a network on every fold."""

from dataclasses import asdict
from pathlib import Path

import click

from ml.commands.common import (
    PathArgument,
    data_option,
    device_option,
    engine_option,
    given,
    json_option,
    tell,
)


@click.command()
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for folds and tables.")
@device_option
@engine_option
@click.option("--seed", type=int, help="Decides folds, first weights and order.")
@click.option("--fresh", is_flag=True, help="Replace what OUT holds from earlier folds.")
@json_option
def crossval(
    experiment: Path | None,
    data: Path,
    out: Path,
    device: str,
    engine: str,
    seed: int | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Cross-validate: train a network on each fold, judge it on the patches held out.

    EXPERIMENT is a TOML file such as experiments/paper.toml, whose values apply without one: 5 runs
    of 3 stratified folds. Folds part no patient, slide or tile; [crossval] scheme = "own" takes
    those that the data set has. Finished folds are kept: after an interruption, run the same
    command again.
    Writes table1a.csv, predictions.csv, roc.csv, calibration.csv, confusion.csv, crossval.json and
    one folder a fold.

    \b
    Example:
      plainsight-ml crossval experiments/phantom.toml --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, given({"seed": seed}))

    from ml.crossval import run_crossval

    found = run_crossval(data, out, settings, engine=engine, device=device, fresh=fresh)
    error = sum(found.ece) / len(found.ece)
    tell(
        as_json,
        {"out": str(out), **asdict(found)},
        f"{out}: AUC {found.auc_mean:.3f} (SD {found.auc_sd:.3f}), "
        f"accuracy {found.accuracy_mean:.3f} (SD {found.accuracy_sd:.3f}), "
        f"calibration error {error:.3f} over {found.n_folds} folds of {found.n_patches} patches; "
        f"trained in {found.training_seconds:.0f} s.",
    )
