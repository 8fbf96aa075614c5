"""`plainsight study export` and `plainsight audit check`."""

from pathlib import Path

import click

from app.cli_common import OPERATOR, database_option, json_option, opened, settings_for, tell
from app.errors import Invalid
from app.studies.service import find_study_named, record
from app.web.identity import now


@click.command("export")
@click.argument("study_name", metavar="STUDY")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder, or a zip where the name ends in .zip.",
)
@json_option
@database_option
def export_command(study_name: str, out: Path, as_json: bool, database: str | None) -> None:
    """Write the answers, their data dictionary, study.json and the audit, after unblinding.

    docs/results-format.md tells what is in every file.

    Example: plainsight study export 1 --out results
    """
    from app.analysis.archive import write_out
    from app.analysis.export import export_files
    from app.analysis.routes import EXPORTED

    moment = now()
    with opened(settings_for(database)) as store:
        with store.snapshot() as session:
            study = find_study_named(session, study_name, or_rehearsal=True)
            names = write_out(export_files(session, study, moment), out, moment)
        with store.writing() as session:
            study = find_study_named(session, study_name, or_rehearsal=True)
            record(session, study, OPERATOR, EXPORTED, moment, out.name)
    tell(as_json, {"out": str(out), "files": names}, f"Wrote {', '.join(names)} to {out}.")


@click.group()
def audit() -> None:
    """The record of what happened to a study."""


@audit.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def audit_check(file: Path, as_json: bool) -> None:
    """Say whether an audit.jsonl is as it was written, or which line is the first that is not.

    Needs no database. Whoever wrote all lines anew has another SHA-256 of the last line: compare
    it with one that was kept elsewhere.

    Example: plainsight audit check results/audit.jsonl
    """
    from app.analysis.audit import check_audit

    with file.open("rb") as lines:
        try:
            checked = check_audit(lines)
        except Invalid as refusal:
            raise Invalid(f"{file} is not as it was written. {refusal}") from refusal
    tell(
        as_json,
        {"ok": True, "lines": checked.lines, "sha256": checked.head},
        f"{file}: {checked.lines} lines, all as they were written.",
        f"SHA-256 of the last line: {checked.head}",
    )
