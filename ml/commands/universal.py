"""Finds one perturbation for all images."""

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
    help="Show it the same held-out images; may be given more than once.",
)
@click.option("--fresh", is_flag=True, help="Replace the tables that OUT holds.")
@json_option
def universal(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    other_networks: tuple[Path, ...],
    fresh: bool,
    as_json: bool,
) -> None:
    """Find one perturbation on the training patches of NETWORK that fools it on many others.

    One for each epsilon of the section universal of EXPERIMENT, a TOML file; without one, those of
    experiments/paper.toml. Writes universal.csv, universal.npz and universal.json.

    \b
    Example:
      plainsight-ml universal network/network.safetensors --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, {})

    from ml.universal import run_universal

    summary = run_universal(network, data, out, settings, other_networks, fresh=fresh)
    on = {row.split: row for row in summary.rows if row.split != "transfer"}
    train, test = on["train"], on["test"]
    tell(
        as_json,
        {"path": str(out), **asdict(summary)},
        f"{out}: one perturbation within {test.epsilon} grey levels fools the network on "
        f"{train.successes} of {train.n} training patches, and on {test.successes} of {test.n} "
        "held-out ones that it classifies correctly otherwise.",
    )
