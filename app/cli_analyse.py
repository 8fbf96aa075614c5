"""`plainsight analyse`: the results of an exported study, without a server or a database."""

import json
from pathlib import Path

import click

from app.provenance import code

HalfShare = click.FloatRange(0, 0.5, min_open=True, max_open=True)
Share = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command("analyse")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--margin-flips", type=Share, help="Of the excess flip rate.  [usually: 0.05]")
@click.option("--margin-tp", type=Share, help="Of sensitivity, specificity.  [usually: 0.10]")
@click.option("--alpha", type=HalfShare, help="Of every test and limit.  [usually: 0.05]")
@click.option("--seed", type=click.IntRange(0), help="Of resampling.  [usually: 20210614]")
@click.option(
    "--network-epsilon",
    metavar="NUMBER|FILE",
    help="The network's median smallest epsilon, or minimal.csv of plainsight-ml curves.",
)
@click.option("--network-norm", help="Of that number or file: l0, l1, l2 or linf.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def analyse_command(
    folder: Path,
    margin_flips: float | None,
    margin_tp: float | None,
    alpha: float | None,
    seed: int | None,
    network_epsilon: str | None,
    network_norm: str | None,
    as_json: bool,
) -> None:
    """Analyse a folder that `plainsight study export` wrote.

    Margins and alpha are those that the study laid down before it was read, in study.json, and
    the network's smallest epsilons those of network.csv; others, when given here, are in the
    output.

    Example: plainsight analyse results --json > results.json
    """
    from app.analysis.analyse import analyse, options_of
    from app.analysis.network import read_network
    from app.analysis.summary import summary
    from app.analysis.tidy import read_export

    given = read_network(network_epsilon, network_norm) if network_epsilon else ()
    tidy = read_export(folder)
    options = options_of(
        tidy.plan,
        margin_flips=margin_flips,
        margin_tp=margin_tp,
        alpha=alpha,
        seed=seed,
        network=given or tidy.network,
    )
    found = analyse(tidy, options, code())
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo("\n".join(summary(found)))
