"""Attacks one network."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

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
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the results.")
@click.option("--norm", type=click.Choice(["none", "l0", "l1", "l2", "linf"]))
@click.option(
    "--epsilon",
    help='Budget, such as "2": grey levels of every value (linf), on average (l1), as root mean '
    "square (l2), or the share of pixels (l0).",
)
@click.option("--steps", type=int, help="At most this many steps an image.")
@click.option("--step-size", help="In grey levels. [default: a quarter of epsilon; l0 64]")
@click.option("--confidence", type=float, help="Stop at this probability of the wrong class.")
@click.option("--restarts", type=int, help="Walks an image, the later ones from random starts.")
@click.option(
    "--targeted/--untargeted",
    default=None,
    help="Climb to the other class, or away from the true one; with two classes the same.",
)
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
@engine_option
@device_option
@click.option("--fresh", is_flag=True, help="Replace the attack that OUT holds.")
@json_option
def attack(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    norm: str | None,
    epsilon: str | None,
    steps: int | None,
    step_size: str | None,
    confidence: float | None,
    restarts: int | None,
    targeted: bool | None,
    seed: int | None,
    limit: int | None,
    truths: Literal["positive", "both"],
    include_training: bool,
    other_data: bool,
    tissue: str | None,
    engine: str,
    device: str,
    fresh: bool,
    as_json: bool,
) -> None:
    """Attack the held-out patches that NETWORK classifies correctly.

    EXPERIMENT is a TOML file; without one the attack is that of experiments/paper.toml.
    Writes the images in shards, results.csv (a line an image) and, last, attack.json. The same
    command goes on with an attack that was interrupted.

    \b
    Example:
      plainsight-ml attack network/network.safetensors --data tissue --out attack --epsilon 2
    """
    from ml.experiment import read_experiment

    overrides = {
        "attack.norm": norm,
        "attack.epsilon": epsilon,
        "attack.steps": steps,
        "attack.step_size": step_size,
        "attack.confidence_target": confidence,
        "attack.restarts": restarts,
        "attack.targeted": targeted,
        "seed": seed,
    }
    settings = read_experiment(experiment, given(overrides))

    from ml.attacks.results import RECORD
    from ml.attacks.run import Choice, run_attack

    choice = Choice(
        truths=truths,
        limit=limit,
        include_training=include_training,
        other_data=other_data,
        tissue=tissue,
    )
    reused = (out / RECORD).is_file() and not fresh
    record = run_attack(
        network, data, out, settings, choice, engine=engine, device=device, fresh=fresh
    )
    figures = record.figures
    if limit is not None and figures.attacked < limit:
        click.echo(
            f"Only {figures.attacked} of the {limit} patches asked for could be attacked: "
            f"{figures.correct} of {figures.considered} are classified correctly.",
            err=True,
        )
    condition = record.condition
    outcome = {
        "path": str(out),
        "reused": reused,
        "norm": condition.norm,
        "epsilon": condition.epsilon,
        **asdict(figures),
    }
    tell(
        as_json,
        outcome,
        f"{out}{' was there already' if reused else ''}: of {figures.attacked} patches attacked "
        f"{_budget_in_words(condition.norm, condition.epsilon)}, {figures.success_float.count} are "
        f"misclassified in float, {figures.success_rounded.count} when rounded, "
        f"{figures.success_8bit.count} as finished in 8 bits; {figures.mean_steps:.1f} steps an "
        f"image, {figures.seconds:.0f} s.",
    )


def _budget_in_words(norm: str, epsilon: str | None) -> str:
    match norm:
        case "l0":
            return f"within a share of {epsilon} of the pixels"
        case "l1":
            return f"within {epsilon} grey levels on average (l1)"
        case "l2":
            return f"within {epsilon} grey levels as root mean square (l2)"
        case "linf":
            return f"within {epsilon} grey levels"
        case _:
            return "without a budget"
