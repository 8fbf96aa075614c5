"""Delivers proven attacks as a batch."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ml.commands.common import PathArgument, json_option, tell


@click.command()
@click.argument("attack_folder", metavar="ATTACK", type=PathArgument())
@click.option("--out", type=PathArgument(), required=True, help="A new folder, or a new .zip.")
@click.option("--network", type=PathArgument(), help="[default: where it was when attacked]")
@click.option("--count", type=click.IntRange(min=1), help="This many cases, drawn by the seed.")
@click.option("--name", help="What people call this batch.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--evidence", type=PathArgument(), help="The folder of a run: see reproduce.")
@click.option(
    "--saliency",
    type=click.Choice(["gradient", "integrated_gradients", "grad_cam", "none"]),
    default="gradient",
    show_default=True,
    help="Where the network looks in each image; with --evidence.",
)
@json_option
def batch(
    attack_folder: Path,
    out: Path,
    network: Path | None,
    count: int | None,
    name: str | None,
    seed: int,
    evidence: Path | None,
    saliency: Any,
    as_json: bool,
) -> None:
    """Write the attacks of the folder ATTACK that are proven on disk as a batch for the study.

    Every image is written as PNG, read back, decoded and judged by the network in fp32; only pairs
    of a correctly classified original and a misclassified perturbed image are delivered.

    With --evidence, what the folder of a run tells of the network goes along, and stands beside
    what readers say: success curves and smallest perturbations, which are needed, and
    cross-validation and natural changes as far as they are there.

    \b
    Example:
      plainsight-ml batch attack --out batch.zip --count 20 --evidence run
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
            evidence=evidence,
            saliency=None if saliency == "none" else saliency,
            progress=update,
        )
    tell(
        as_json,
        {**asdict(written), "path": str(out)},
        f"{out}: {written.cases} cases; {written.proven} of {written.attacked} attacks are proven "
        f"on the files themselves (largest difference {written.linf_max} grey levels)."
        f"{_told_of_evidence(written.no_evidence_of)}",
    )


def _told_of_evidence(missing: list[str] | None) -> str:
    match missing:
        case None:
            return ""
        case []:
            return " With the evidence of the run."
        case _:
            return f" With the evidence of the run, which has no {' and no '.join(missing)}."
