"""`plainsight analyse`: the results of an exported study, without a server or a database."""

import json
from pathlib import Path

import click

from app.provenance import code

Share = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command("analyse")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--margin-flips", default=0.05, show_default=True, type=Share, help="Of the excess flip rate."
)
@click.option(
    "--margin-tp",
    default=0.10,
    show_default=True,
    type=Share,
    help="Of sensitivity and specificity.",
)
@click.option(
    "--alpha",
    default=0.05,
    show_default=True,
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
)
@click.option(
    "--seed", default=20210614, show_default=True, type=click.IntRange(0), help="Of resampling."
)
@click.option(
    "--network-epsilon",
    metavar="NUMBER|FILE",
    help="The network's median smallest epsilon, or minimal.csv of plainsight-ml curves.",
)
@click.option("--network-norm", help="Of that number or file: l0, l1, l2 or linf.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def analyse_command(
    folder: Path,
    margin_flips: float,
    margin_tp: float,
    alpha: float,
    seed: int,
    network_epsilon: str | None,
    network_norm: str | None,
    as_json: bool,
) -> None:
    """Analyse a folder that `plainsight study export` wrote.

    Margins and alpha are those of the study's plan: set before its key was opened.

    Example: plainsight analyse results --json > results.json
    """
    from app.analysis.analyse import analyse
    from app.analysis.network import read_network
    from app.analysis.sections.rows import Options
    from app.analysis.summary import summary
    from app.analysis.tidy import read_export

    network = read_network(network_epsilon, network_norm) if network_epsilon else None
    options = Options(margin_flips, margin_tp, alpha, seed, network)
    found = analyse(read_export(folder), options, code())
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo("\n".join(summary(found)))
