"""Sets natural changes beside adversarial ones."""

from dataclasses import asdict
from pathlib import Path

import click

from ml.commands.common import PathArgument, data_option, json_option, tell


@click.command()
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the table.")
@click.option("--fresh", is_flag=True, help="Replace the table that OUT holds.")
@json_option
def natural(
    network: Path, experiment: Path | None, data: Path, out: Path, fresh: bool, as_json: bool
) -> None:
    """Change what NETWORK classifies correctly as scanners, staining and compression do.

    Beside it stand attacks, within the budgets of the section natural of EXPERIMENT, a TOML file,
    and noise of the same energy; without a file, those of experiments/paper.toml.
    Writes natural.csv and natural.json.

    \b
    Example:
      plainsight-ml natural network/network.safetensors --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, {})

    from ml.matched_energy import sentence
    from ml.robustness import run_natural

    summary = run_natural(network, data, out, settings, fresh=fresh)
    tell(as_json, {"path": str(out), **asdict(summary)}, f"{out}: {sentence(summary.matched)}")
