"""Trains against attacks, and attacks again."""

from pathlib import Path

import click

from ml.commands.common import (
    PathArgument,
    data_option,
    device_option,
    engine_option,
    json_option,
    tell,
)


@click.command()
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the tables.")
@engine_option
@device_option
@click.option("--fresh", is_flag=True, help="Train and attack anew.")
@json_option
def defence(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    engine: str,
    device: str,
    fresh: bool,
    as_json: bool,
) -> None:
    """Train adversarially on the patches of NETWORK, and set the success curves side by side.

    The methods are those of the section defence of EXPERIMENT ("free", "pgd"). Writes defence.csv,
    and the networks with their own curves in the folder defence.

    \b
    Example:
      plainsight-ml defence network/network.safetensors exp.toml --data tissue --out run
    """
    from ml.defence import run_defence
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, {})
    found = run_defence(network, data, out, settings, engine=engine, device=device, fresh=fresh)
    told = ", ".join(
        f"{method} accuracy {metrics['accuracy']:.3f}"
        for method, metrics in found["metrics"].items()
    )
    outcome = {"path": str(out), "metrics": found["metrics"], "seconds": found["seconds"]}
    tell(as_json, outcome, f"{out}: {told}; the curves are in defence.csv.")
