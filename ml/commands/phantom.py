"""Generates tissue."""

from pathlib import Path

import click

from ml.commands.common import PathArgument, json_option, tell


@click.command()
@click.argument("out", type=PathArgument())
@click.option("--patches-per-fold", default=96, show_default=True, type=click.IntRange(min=1))
@click.option("--folds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--size", default=128, show_default=True, help="Pixels along one side of a patch.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@json_option
def phantom(
    out: Path, patches_per_fold: int, folds: int, size: int, seed: int, as_json: bool
) -> None:
    """Generate tissue in PanNuke's layout into OUT.

    \b
    Example:
      plainsight-ml phantom tissue --patches-per-fold 96
    """
    from ml.phantom import write_phantom
    from ml.progress import stage

    with stage("generating") as update:
        write_phantom(
            out,
            patches_per_fold=patches_per_fold,
            folds=folds,
            size=size,
            seed=seed,
            progress=update,
        )
    patches = folds * patches_per_fold
    outcome = {"path": str(out), "patches": patches, "size": size, "seed": seed}
    tell(as_json, outcome, f"{out}: {patches} generated patches of {size} x {size} pixels.")
