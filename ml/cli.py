"""The `plainsight-ml` command: tissue, training, attack, batch."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from ml.errors import MlError

PathArgument = partial(click.Path, path_type=Path)

# Threads that wait for each other by spinning make torch up to eight times slower as soon as
# anything else runs on the machine. OpenMP reads this when torch is loaded, so it is set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Commands(click.Group):
    """Tells every failure in one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MlError as error:
            _fail(str(error))
        except ModuleNotFoundError as error:
            _fail(f"{error.name} is not installed; install it with: pip install 'plainsight[ml]'")
        except OSError as error:
            _fail(f"{error.filename or 'A file'}: {error.strerror or error}; give another path.")
        except KeyboardInterrupt:
            click.echo(
                "Interrupted; run the same command again (training goes on after its last epoch).",
                err=True,
            )
            ctx.exit(130)


def _fail(sentence: str) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    raise SystemExit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="plainsight")
def main() -> None:
    """Train a network on tissue patches, attack it, and deliver proven attacks as a batch.

    \b
    Without any download:
      plainsight-ml phantom tissue
      plainsight-ml train experiments/phantom.toml --data tissue --out network
      plainsight-ml attack network/network.safetensors --data tissue --out attack --epsilon 4
      plainsight-ml batch attack --out batch.zip --count 20
    """


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "Print the outcome as one JSON object; progress stays on stderr."
    return click.option("--json", "as_json", is_flag=True, help=told)(command)


def data_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "A folder of PanNuke folds, or of images with a labels.csv."
    return click.option("--data", type=PathArgument(), required=True, help=told)(command)


def _tell(as_json: bool, outcome: dict[str, Any], sentence: str) -> None:
    click.echo(json.dumps(outcome) if as_json else sentence)


@main.command()
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
    _tell(as_json, outcome, f"{out}: {patches} generated patches of {size} x {size} pixels.")


@main.command()
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the network.")
@click.option("--weights", help='Start from "imagenet", "none" (random), or a file of weights.')
@click.option("--epochs", type=int)
@click.option("--seed", type=int, help="Decides the split, the first weights and the order.")
@click.option("--tissue", help="Only this tissue. [default: Breast where PanNuke has it]")
@click.option("--fresh", is_flag=True, help="Replace what OUT holds from an earlier training.")
@json_option
def train(
    experiment: Path | None,
    data: Path,
    out: Path,
    weights: str | None,
    epochs: int | None,
    seed: int | None,
    tissue: str | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Train a network; one third of the patches is held out, by whole groups.

    EXPERIMENT is a TOML file such as experiments/paper.toml, whose values apply without one.
    Writes network.safetensors, network.json, log.csv and predictions.csv (held-out patches).
    The held-out patches choose nothing: the network is that of the last epoch.

    \b
    Example:
      plainsight-ml train experiments/phantom.toml --data tissue --out network
    """
    from ml.data import load_patches
    from ml.experiment import read_experiment
    from ml.progress import stage

    overrides = {
        "network.weights": weights,
        "training.epochs": epochs,
        "seed": seed,
        "data.tissue": tissue,
    }
    settings = read_experiment(experiment, _given(overrides))
    with stage("reading patches") as update:
        patches = load_patches(data, tissue=settings.data.tissue, progress=update)

    from ml.training import finished_training, forget_training, network_path
    from ml.training import train as train_network

    if fresh:
        forget_training(out)
    card = finished_training(settings, patches, out)
    reused = card is not None
    if card is None:
        with stage("training") as update:
            card = train_network(patches, settings, out, update)
    outcome = {
        "network": str(network_path(out)),
        "reused": reused,
        **{key: card.metrics[key] for key in ("auc", "accuracy")},
        "n_held_out": card.metrics["n"],
        "epochs": settings.training.epochs,
        "seconds": card.seconds,
        "network_sha256": card.file_sha256,
        "data_sha256": card.data_sha256,
    }
    _tell(
        as_json,
        outcome,
        f"{outcome['network']}{' was there already' if reused else ''}: "
        f"AUC {card.metrics['auc']:.3f}, accuracy {card.metrics['accuracy']:.3f} "
        f"on {card.metrics['n']} held-out patches; trained in {card.seconds:.0f} s.",
    )


@main.command()
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
    settings = read_experiment(experiment, _given(overrides))

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
    _tell(
        as_json,
        outcome,
        f"{out}: of {figures.attacked} patches attacked within {record.condition.epsilon} grey "
        f"levels, {figures.success_float.count} are misclassified in float, "
        f"{figures.success_rounded.count} when rounded, {figures.success_8bit.count} as finished "
        f"in 8 bits; {figures.mean_steps:.1f} steps an image, {figures.seconds:.0f} s.",
    )


@main.command()
@click.argument("attack_folder", metavar="ATTACK", type=PathArgument())
@click.option("--out", type=PathArgument(), required=True, help="A new folder, or a new .zip.")
@click.option("--network", type=PathArgument(), help="[default: where it was when attacked]")
@click.option("--count", type=click.IntRange(min=1), help="This many cases, drawn by the seed.")
@click.option("--name", help="What people call this batch.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@json_option
def batch(
    attack_folder: Path,
    out: Path,
    network: Path | None,
    count: int | None,
    name: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Write the attacks of the folder ATTACK that are proven on disk as a batch for the study.

    Every image is written as PNG, read back, decoded and judged by the network in fp32; only pairs
    of a correctly classified original and a misclassified perturbed image are delivered.

    \b
    Example:
      plainsight-ml batch attack --out batch.zip --count 20
    """
    from ml.batch import write_batch
    from ml.progress import stage

    with stage("proving") as update:
        written = write_batch(
            attack_folder,
            out,
            network_file=network,
            count=count,
            name=name,
            seed=seed,
            progress=update,
        )
    _tell(
        as_json,
        {**asdict(written), "path": str(out)},
        f"{out}: {written.cases} cases; {written.proven} of {written.attacked} attacks are proven "
        f"on the files themselves (largest difference {written.linf_max} grey levels).",
    )


def _given(overrides: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in overrides.items() if value is not None}


if __name__ == "__main__":
    main()
