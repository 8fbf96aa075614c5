"""Draws the figures of a run and writes its report."""

from pathlib import Path

import click

from ml.commands.common import PathArgument, json_option, tell


@click.command()
@click.argument("run", type=PathArgument())
@json_option
def figures(run: Path, as_json: bool) -> None:
    """Draw the figures of the folder RUN, and write its report.

    Reads the tables that the steps of a run leave; a step that was not run is left out.
    Writes figures/*.svg and *.png, and report.html, which is one file to send to a colleague.

    \b
    Example:
      plainsight-ml figures run
    """
    from ml.progress import stage
    from ml.report import write_report

    with stage("drawing") as update:
        written = write_report(run, update)
    outcome = {
        "path": str(written.path),
        "figures": list(written.figures),
        "not_run": list(written.not_run),
    }
    missing = f"; not run: {', '.join(written.not_run)}" if written.not_run else ""
    tell(as_json, outcome, f"{written.path}: {len(written.figures)} figures{missing}.")
