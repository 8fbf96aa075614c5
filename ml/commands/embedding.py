"""Maps the features of attacked images."""

from pathlib import Path

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
def embedding(
    network: Path,
    experiment: Path | None,
    data: Path,
    out: Path,
    limit: int | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Show where attacked images lie among NETWORK's features.

    UMAP of the penultimate layer: held-out patches, what the attack of EXPERIMENT makes of some of
    them, and one image's track; and whose neighbours attacked images are among the features
    themselves. Writes embedding.csv and embedding.json.

    \b
    Example:
      plainsight-ml embedding network/network.safetensors --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, given({"explain.limit": limit}))

    from ml.explain.embedding import run_embedding

    outcome = run_embedding(network, data, out, settings, fresh=fresh)
    told = [_sentence(name, group) for name, group in outcome["groups"].items() if group]
    tell(
        as_json,
        outcome,
        f"{out}: share of their {outcome['neighbours']} nearest unperturbed neighbours that have "
        f"the class which the network gives them: {'; '.join(told)}.",
    )


def _sentence(name: str, group: dict[str, float]) -> str:
    return (
        f"{name.replace('_', ' ')}s {group['mean_neighbour_share']:.3f} "
        f"(n {group['n']}, by chance {group['by_chance']:.3f})"
    )
