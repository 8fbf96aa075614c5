"""Trains one network."""

from pathlib import Path

import click

from ml.commands.common import (
    PathArgument,
    data_option,
    device_option,
    given,
    json_option,
    tell,
)


@click.command()
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the network.")
@click.option("--weights", help='Start from "imagenet", "none" (random), or a file of weights.')
@click.option("--epochs", type=int)
@click.option("--seed", type=int, help="Decides the split, the first weights and the order.")
@click.option("--tissue", help="Only this tissue. [default: Breast where PanNuke has it]")
@device_option
@click.option("--keep-epochs", is_flag=True, help="Keep the weights of every epoch in OUT/epochs.")
@click.option("--tensorboard", is_flag=True, help="Tell TensorBoard too, in OUT/tensorboard.")
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
    device: str,
    keep_epochs: bool,
    tensorboard: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    """Train a network; one third of the patches is held out, by whole groups.

    EXPERIMENT is a TOML file such as experiments/paper.toml, whose values apply without one.
    Writes network.safetensors, network.json, log.csv and predictions.csv (held-out patches).
    The held-out patches choose nothing: the network is that of the last epoch, or with
    training.early_stopping that of the best one on patches set aside from the training ones.

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
    settings = read_experiment(experiment, given(overrides))
    with stage("reading patches") as update:
        patches = load_patches(
            data, tissue=settings.data.tissue, size=settings.data.size, progress=update
        )

    from ml.devices import choose_device
    from ml.training import finished_training, forget_training, network_path
    from ml.training import train as train_network

    chosen = choose_device(device)
    if fresh:
        forget_training(out)
    card = finished_training(settings, patches, out)
    reused = card is not None
    if card is None:
        with stage("training") as update:
            card = train_network(
                patches,
                settings,
                out,
                update,
                keep_epochs=keep_epochs,
                tensorboard=tensorboard,
                device=chosen,
            )
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
    tell(
        as_json,
        outcome,
        f"{outcome['network']}{' was there already' if reused else ''}: "
        f"AUC {card.metrics['auc']:.3f}, accuracy {card.metrics['accuracy']:.3f} "
        f"on {card.metrics['n']} held-out patches; trained in {card.seconds:.0f} s.",
    )
