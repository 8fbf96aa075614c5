"""Attacks one network."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from ml.commands.common import PathArgument, data_option, given, json_option, tell


@click.command()
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the results.")
@click.option("--epsilon", help='Budget in grey levels, such as "2".')
@click.option("--steps", type=int, help="At most this many steps an image.")
@click.option("--step-size", help="In grey levels. [default: a quarter of epsilon]")
@click.option("--confidence", type=float, help="Stop at this probability of the wrong class.")
@click.option("--seed", type=int)
@click.option("--limit", type=click.IntRange(min=1), help="Attack this many, drawn by the seed.")
@click.option(
    "--truths",
    type=click.Choice(["positive", "both"]),
    default="positive",
    show_default=True,
    help="Attack tumour patches, or those without tumour too.",
)
@click.option("--include-training", is_flag=True, help="Attack training patches too.")
@click.option("--other-data", is_flag=True, help="DATA is not what the network was trained on.")
@click.option("--tissue", help="With --other-data: only this tissue.")
@click.option("--fresh", is_flag=True, help="Replace the attack that OUT holds.")
@json_option
def attack(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    epsilon: str | None,
    steps: int | None,
    step_size: str | None,
    confidence: float | None,
    seed: int | None,
    limit: int | None,
    truths: Literal["positive", "both"],
    include_training: bool,
    other_data: bool,
    tissue: str | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Attack the held-out patches that NETWORK classifies correctly.

    EXPERIMENT is a TOML file; without one the attack is that of experiments/paper.toml.
    Writes attack.json, results.csv (a line an image) and images.npz.

    \b
    Example:
      plainsight-ml attack network/network.safetensors --data tissue --out attack --epsilon 2
    """
    from ml.experiment import read_experiment

    overrides = {
        "attack.epsilon": epsilon,
        "attack.steps": steps,
        "attack.step_size": step_size,
        "attack.confidence_target": confidence,
        "seed": seed,
    }
    settings = read_experiment(experiment, given(overrides))

    from ml.attacks.run import Choice, run_attack

    choice = Choice(
        truths=truths,
        limit=limit,
        include_training=include_training,
        other_data=other_data,
        tissue=tissue,
    )
    record = run_attack(network, data, out, settings, choice, fresh=fresh)
    figures = record.figures
    if limit is not None and figures.attacked < limit:
        click.echo(
            f"Only {figures.attacked} of the {limit} patches asked for could be attacked: "
            f"{figures.correct} of {figures.considered} are classified correctly.",
            err=True,
        )
    outcome = {"path": str(out), "epsilon": record.condition.epsilon, **asdict(figures)}
    tell(
        as_json,
        outcome,
        f"{out}: of {figures.attacked} patches attacked within {record.condition.epsilon} grey "
        f"levels, {figures.success_float.count} are misclassified in float, "
        f"{figures.success_rounded.count} when rounded, {figures.success_8bit.count} as finished "
        f"in 8 bits; {figures.mean_steps:.1f} steps an image, {figures.seconds:.0f} s.",
    )
