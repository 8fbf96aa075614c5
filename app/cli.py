"""The `plainsight` command: the server, its database, and studies from the command line."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from app.batches.check import check_batch
from app.batches.service import find_batch_named, import_batch
from app.cli_analyse import analyse_command
from app.cli_batch import folders_command, table_command
from app.cli_common import (
    OPERATOR,
    database_option,
    json_option,
    opened,
    progress_on_terminal,
    settings_for,
    tell,
)
from app.cli_design import design_options
from app.cli_export import audit, export_command
from app.cli_readers import study_invite, study_reissue, study_revoke
from app.cli_rehearse import rehearse_command
from app.cli_researchers import researcher
from app.designer.service import problems_with, start_study
from app.errors import Conflict, Invalid, StudyError
from app.provenance import code
from app.researchers.service import find_researcher
from app.storage.images import ImageStore
from app.storage.session import Database
from app.studies.monitor import amendments_of
from app.studies.service import (
    NewStudy,
    create_study,
    design_of_study,
    find_study_named,
    list_studies,
    lock_study,
    unblind_study,
)
from app.vocabulary import StudyState
from app.web.identity import now

Command = TypeVar("Command", bound=Callable[..., Any])


def main() -> None:
    """Errors are one sentence and exit code 2; Ctrl-C is exit code 130."""
    try:
        cli.main(prog_name="plainsight", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:  # also for KeyboardInterrupt
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except StudyError as error:
        fail(error)
    except ValidationError as error:
        fail(Invalid(wrong_setting(error)))
    except DBAPIError as error:
        fail(Invalid(f"The database does not answer: {error.orig}"))
    except OSError as error:
        fail(Invalid(f"{error.filename}: {error.strerror}."))


def wrong_setting(error: ValidationError) -> str:
    """The first problem, with the name of its setting where the problem is with one alone."""
    first = error.errors()[0]
    names = "".join(f"PLAINSIGHT_{str(place).upper()}: " for place in first["loc"])
    return names + first["msg"].removeprefix("Value error, ")


def fail(error: StudyError) -> None:
    click.echo(f"Error: {error}", err=True)
    for problem in error.problems if isinstance(error, Invalid) else ():
        click.echo(f"  - {problem}", err=True)
    sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(code()["version"], message="plainsight %(version)s")
def cli() -> None:
    """Blinded reader studies of original and perturbed images.

    \b
    From a batch to its table:
      plainsight db upgrade
      plainsight researcher add ada@example.org
      plainsight batch import batch.zip
      plainsight study create --batch 1 --title "Linf 4"
      plainsight rehearse 1
      plainsight study start 1
      plainsight study invite 1
      plainsight serve
      plainsight study unblind 1
      plainsight study export 1 --out results
      plainsight analyse results

    Settings come from the environment; see docs/operations.md.
    """


cli.add_command(analyse_command)
cli.add_command(researcher)
cli.add_command(audit)
cli.add_command(rehearse_command)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@database_option
def serve(host: str, port: int, database: str | None) -> None:
    """Serve studies to readers and researchers until Ctrl-C.

    Example: plainsight serve --port 8123
    """
    import uvicorn

    from app.main import create_app

    app = create_app(settings_for(database))
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)


@cli.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
@database_option
def db_upgrade(database: str | None) -> None:
    """Create the tables, or bring them to the newest version.

    Example: plainsight db upgrade
    """
    settings = settings_for(database)
    settings.home.mkdir(parents=True, exist_ok=True)
    store = Database(settings.database)
    store.upgrade()
    store.close()
    click.echo(f"The database is ready: {settings.database.render_as_string()}")


@cli.group()
def batch() -> None:
    """Batches of original and perturbed images."""


batch.add_command(folders_command)
batch.add_command(table_command)


@batch.command("check")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
def batch_check(path: Path, as_json: bool) -> None:
    """List everything that is wrong with a batch, a folder or a zip; change nothing.

    Example: plainsight batch check batch.zip
    """
    try:
        with progress_on_terminal("Checking") as progress:
            checked = check_batch(path, progress=progress)
    except Invalid as refusal:
        if as_json:
            click.echo(json.dumps({"ok": False, "problems": refusal.problems}))
        raise
    manifest = checked.manifest
    pairs = [image for case in manifest.cases for image in case.perturbed]
    proven = sum(image.success for image in pairs)
    tell(
        as_json,
        {
            "ok": True,
            "name": manifest.name,
            "sha256": checked.digest,
            "cases": len(manifest.cases),
            "pairs": len(pairs),
            "proven": proven,
        },
        f"{manifest.name}: {len(manifest.cases)} cases, {proven} of {len(pairs)} pairs proven; "
        "nothing is wrong.",
    )


@batch.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
@database_option
def batch_import(path: Path, as_json: bool, database: str | None) -> None:
    """Import a batch, whole or not at all.

    Example: plainsight batch import batch.zip
    """
    settings = settings_for(database)
    with opened(settings) as store, progress_on_terminal("Importing") as progress:
        images = ImageStore(settings.images)
        number = import_batch(path, store, images, now(), progress=progress)
    tell(as_json, {"batch": number}, f"Imported as batch {number}.")


@cli.group()
def study() -> None:
    """Blinded studies."""


for command in (export_command, study_invite, study_reissue, study_revoke):
    study.add_command(command)


@study.command("create")
@click.option("--batch", "batch_name", required=True, help="Its number or name.")
@click.option("--title", required=True, help="For researchers; may say what is studied.")
@click.option("--researcher", "email", help="Whose study; the only researcher when not given.")
@click.option("--demo", is_flag=True, help="Show results live, with a mark on every page.")
@design_options
@json_option
@database_option
def study_create(
    batch_name: str,
    title: str,
    email: str | None,
    demo: bool,
    practice_batch: str | None,
    catch_batch: str | None,
    as_json: bool,
    database: str | None,
    **design: Any,
) -> None:
    """Design a study on a batch: every image is shown once a set.

    docs/protocol.md tells what every option means to a reader.

    Example: plainsight study create --batch 1 --sets 2 --title "Linf 2, breast"
    """
    with opened(settings_for(database)) as store, store.writing() as session:
        owner = find_researcher(session, email)
        practice, catch = (
            find_batch_named(session, name) if name else None
            for name in (practice_batch, catch_batch)
        )
        new = NewStudy(title, is_demo=demo, practice_batch=practice, catch_batch=catch, **design)
        created = create_study(session, owner, find_batch_named(session, batch_name), new, now())
        shown = design_of_study(created)
        facts = {
            "study": created.id,
            "presentations": shown.presentations,
            "practice": shown.practice,
            "catch": shown.catch,
            "pairs": shown.pairs,
            "minutes": shown.minutes,
            "minimum_gap": created.minimum_gap,
        }
    also = {
        "of them catch images": shown.catch,
        "practice images before": shown.practice,
        "pairs afterwards": shown.pairs,
    }
    tell(
        as_json,
        facts,
        f"Study {facts['study']}: {shown.presentations} presentations a reader, "
        f"a case at least {facts['minimum_gap']} apart"
        + "".join(f", {count} {what}" for what, count in also.items() if count)
        + f"; about {shown.minutes} minutes. Next: plainsight study start {facts['study']}",
    )


@study.command("start")
@click.argument("study_name", metavar="STUDY")
@click.option("--scan-reason", help="Why a batch whose blinding scan is amber may be read.")
@json_option
@database_option
def study_start(
    study_name: str, scan_reason: str | None, as_json: bool, database: str | None
) -> None:
    """Freeze the design, the plan, the files and the orders; then readers can be invited.

    Prints the SHA-256 of all of it, for the registration of the study.

    Example: plainsight study start 1
    """
    settings = settings_for(database)
    with opened(settings) as store, store.writing() as session:
        found = find_study_named(session, study_name)
        if scan_reason is not None and found.state is StudyState.DRAFT:
            found.scan_reason = scan_reason
        start_study(session, ImageStore(settings.images), found, OPERATOR, now())
        facts = {"study": found.id, "protocol_hash": found.protocol_hash}
    tell(
        as_json,
        facts,
        f"Study {facts['study']} has started: its design and its plan are final.",
        f"SHA-256 of the protocol: {facts['protocol_hash']}",
    )


@study.command("protocol")
@click.argument("study_name", metavar="STUDY")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A new file for the protocol."
)
@json_option
@database_option
def study_protocol(study_name: str, out: Path, as_json: bool, database: str | None) -> None:
    """Write the protocol as it was frozen, and say whether the study still is what it says.

    The SHA-256 of the file is the hash that the study's page shows. Each amendment is written
    beside it. Exit code 2 when anything is not as it was frozen.

    Example: plainsight study protocol 1 --out protocol.json
    """
    with opened(settings_for(database)) as store, store.reading() as session:
        found = find_study_named(session, study_name)
        if found.protocol is None:
            raise Conflict("This study has no protocol yet; plainsight study start freezes it.")
        amendments = amendments_of(session, found)
        texts = [found.protocol, *(each.protocol for each in amendments)]
        hashes = [found.protocol_hash, *(each.protocol_hash for each in amendments)]
        problems = problems_with(session, found)
    files = [out, *(out.with_stem(f"{out.stem}-{n}") for n in range(2, len(texts) + 1))]
    for path, text in zip(files, texts, strict=True):
        if path.exists():
            raise Invalid(f"{path} exists; choose a new file.")
        path.write_bytes(text.encode())
    if problems:
        raise Invalid("The study is not what its protocol says.", problems=tuple(problems))
    tell(
        as_json,
        {"files": [str(path) for path in files], "protocol_hashes": hashes},
        *(f"{path}: SHA-256 {said}" for path, said in zip(files, hashes, strict=True)),
        "The study is what its protocol says.",
    )


@study.command("list")
@json_option
@database_option
def study_list(as_json: bool, database: str | None) -> None:
    """List the studies.

    Example: plainsight study list
    """
    with opened(settings_for(database)) as store, store.reading() as session:
        studies = [
            {
                "study": each.id,
                "title": each.internal_title,
                "state": each.state.value,
                "readers": len(each.readers),
                "finished": sum(reader.finished_at is not None for reader in each.readers),
            }
            for each in list_studies(session)
        ]
    lines = [
        "{study:>4}  {state:<10}  {finished} of {readers} readers finished  {title}".format(**each)
        for each in studies
    ]
    tell(as_json, {"studies": studies}, *(lines or ["There is no study yet."]))


@study.command("unblind")
@click.argument("study_name", metavar="STUDY")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@json_option
@database_option
def study_unblind(study_name: str, yes: bool, as_json: bool, database: str | None) -> None:
    """Lock a study and open its key. This cannot be undone.

    Example: plainsight study unblind 1
    """
    with opened(settings_for(database)) as store:
        with store.reading() as session:
            title = find_study_named(session, study_name).internal_title
        if not yes:
            typed = click.prompt(
                "No answer is taken after this, and it cannot be undone.\n"
                f"Type {title!r} to unblind",
                err=True,
            )
            if typed != title:
                raise Invalid("That is not the title; nothing was unblinded.")
        with store.writing() as session:
            found = find_study_named(session, study_name)
            if found.state in {StudyState.READY, StudyState.READING}:
                lock_study(session, found, OPERATOR, now())
            unblind_study(session, found, OPERATOR, now())
            number = found.id
    tell(as_json, {"study": number, "state": "unblinded"}, f"Study {number} is unblinded.")
