"""Runs the whole chain of an experiment."""

from pathlib import Path

import click

from ml.commands.common import (
    PathArgument,
    data_option,
    device_option,
    engine_option,
    json_option,
    tell,
)


@click.command()
@click.argument("experiment", type=PathArgument())
@data_option
@click.option("--out", type=PathArgument(), required=True, help="Folder for the whole run.")
@engine_option
@device_option
@click.option("--fresh", is_flag=True, help="Delete an earlier run in OUT first.")
@json_option
def reproduce(
    experiment: Path,
    data: Path,
    out: Path,
    engine: str,
    device: str,
    fresh: bool,
    as_json: bool,
) -> None:
    """Run all of EXPERIMENT, from the patches to the report; the same command goes on.

    Cross-validation, success curves, other attacks, one universal perturbation, natural changes,
    adversarial training, saliency, embedding, loss landscape, figures and report.html.

    \b
    Example, without any download:
      plainsight-ml phantom tissue
      plainsight-ml reproduce experiments/tiny.toml --data tissue --out run
    """
    from ml.experiment import read_experiment

    settings = read_experiment(experiment, {})

    from ml.reproduce import run_reproduce

    done = run_reproduce(data, out, settings, engine=engine, device=device, fresh=fresh)
    total = sum(done.seconds.values())
    outcome = {"report": str(done.report), "seconds": done.seconds, "failed": done.failed}
    missing = f" Not done: {', '.join(done.failed)}." if done.failed else ""
    tell(as_json, outcome, f"{done.report}: {total:.0f} s of work.{missing}")
    if done.failed:
        raise SystemExit(1)
