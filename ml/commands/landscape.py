"""Draws the loss around a network."""

from pathlib import Path

import click

from ml.commands.common import PathArgument, data_option, given, json_option, tell


@click.command()
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the results.")
@click.option("--grid", type=click.IntRange(min=3), help="Points along each axis.")
@click.option("--patches", type=click.IntRange(min=2), help="Training patches to take the loss of.")
@click.option("--fresh", is_flag=True, help="Replace what OUT holds.")
@json_option
def landscape(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    grid: int | None,
    patches: int | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Measure the loss around NETWORK, in the plane that its training moved in most.

    NETWORK was trained with --keep-epochs, so that the weights of each epoch lie beside it.
    Writes landscape.csv, trajectory.csv and landscape.json.

    \b
    Example:
      plainsight-ml landscape network/network.safetensors --data tissue --out run --grid 11
    """
    from ml.experiment import read_experiment

    overrides = {"explain.grid": grid, "explain.landscape_limit": patches}
    settings = read_experiment(experiment, given(overrides))

    from ml.explain.landscape import run_landscape

    outcome = run_landscape(network, data, out, settings, fresh=fresh)
    first, second = outcome["variance_explained"]
    tell(
        as_json,
        outcome,
        f"{out}: the plane explains {100 * (first + second):.0f} % of the way of "
        f"{outcome['epochs']} epochs; the loss on {outcome['patches']} training patches ends at "
        f"{outcome['final_loss']:.3f} and reaches {outcome['highest_loss']:.3f} around it.",
    )
