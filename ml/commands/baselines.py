"""Checks what PGD finds by other means."""

from dataclasses import asdict
from pathlib import Path

import click

from ml.commands.common import PathArgument, data_option, json_option, tell


@click.command()
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the tables.")
@click.option(
    "--other-network",
    "other_networks",
    type=PathArgument(),
    multiple=True,
    help="Show it the images perturbed for NETWORK; may be given more than once.",
)
@click.option("--fresh", is_flag=True, help="Replace the tables that OUT holds.")
@json_option
def baselines(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    other_networks: tuple[Path, ...],
    fresh: bool,
    as_json: bool,
) -> None:
    """Attack NETWORK by other means than PGD, and say whether the results are to be trusted.

    Random noise, FGSM, PGD, APGD and Square within the budgets of the section baselines of
    EXPERIMENT, a TOML file; without one, those of experiments/paper.toml.
    Writes baselines.csv, transfer.csv, sanity.csv and baselines.json.

    \b
    Example:
      plainsight-ml baselines network/network.safetensors --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, {})

    from ml.baselines import run_baselines

    summary = run_baselines(network, data, out, settings, other_networks, fresh=fresh)
    doubts = "; ".join(summary.failed)
    tell(
        as_json,
        {"path": str(out), **asdict(summary)},
        f"{out}: {summary.attacked} patches attacked by six means; "
        + (f"these checks did not pass: {doubts}." if doubts else "all sanity checks passed."),
    )
