"""Explains what a network looks at."""

from pathlib import Path
from typing import Any

import click

from ml.commands.common import PathArgument, data_option, given, json_option, tell


@click.command()
@click.argument("network", type=PathArgument())
@click.argument("experiment", type=PathArgument(), required=False)
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the results.")
@click.option("--limit", type=click.IntRange(min=1), help="Attack this many, drawn by the seed.")
@click.option("--fresh", is_flag=True, help="Replace what OUT holds.")
@json_option
def saliency(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    limit: int | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Measure where NETWORK looks, before and after an attack.

    The share of the saliency that lies in tumour nuclei, where these are outlined, by gradient,
    integrated gradients and Grad-CAM, with a paired test. The attack is that of EXPERIMENT.
    Writes saliency.csv, saliency.npz (some patches with their maps) and saliency.json.

    \b
    Example:
      plainsight-ml saliency network/network.safetensors --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, given({"explain.limit": limit}))

    from ml.explain.saliency import run_saliency

    outcome = run_saliency(network, data, out, settings, fresh=fresh)
    told = [_sentence(name, test) for name, test in outcome["before_and_after"].items()]
    tell(
        as_json,
        outcome,
        f"{out}: of {outcome['attacked']} patches attacked, {outcome['fooled']} fool the network "
        f"in 8 bits; share of the saliency in tumour nuclei: {'; '.join(told)}.",
    )


def _sentence(method: str, test: dict[str, Any] | None) -> str:
    name = method.replace("_", " ")
    if test is None:
        return f"{name} unknown, for lack of outlined nuclei"
    return (
        f"{name} {test['mean_before']:.3f} before, {test['mean_after']:.3f} after "
        f"(n {test['n']}, Wilcoxon p {test['wilcoxon_p']:.2g})"
    )
