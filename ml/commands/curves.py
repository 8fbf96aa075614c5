"""Finds the smallest perturbations of one network."""

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
@click.option("--fresh", is_flag=True, help="Replace what OUT holds.")
@json_option
def curves(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    engine: str,
    device: str,
    fresh: bool,
    as_json: bool,
) -> None:
    """Find the smallest perturbation of every held-out patch that NETWORK classifies correctly.

    In L0, L1, L2 and Linf, in float and in 8 bits: the whole of Fig. 4 in one run. Writes
    minimal.csv, curves.csv, checks.csv (against PGD at every epsilon), perceptibility.csv and
    examples.npz. An interrupted run goes on with the shards that are missing.

    \b
    Example:
      plainsight-ml curves network/network.safetensors --data tissue --out run
    """
    from ml.curves import run_curves
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, {})
    found = run_curves(network, data, out, settings, engine=engine, device=device, fresh=fresh)
    medians = found["median_epsilon_8bit"]
    told = ", ".join(
        f"{norm} {'more than half not fooled' if size is None else f'{size:.4g}'}"
        for norm, size in medians.items()
    )
    outcome = {
        "path": str(out),
        "attacked": len(found["indices"]),
        **{key: found[key] for key in ("median_epsilon_float", "median_epsilon_8bit", "seconds")},
    }
    tell(
        as_json,
        outcome,
        f"{out}: {outcome['attacked']} patches; median smallest perturbation in 8 bits: {told}.",
    )
