"""`plainsight study invite`, `reissue` and `revoke`: the personal links of readers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click

from app.cli_common import (
    OPERATOR,
    database_option,
    json_option,
    opened,
    settings_for,
    tell,
)
from app.designer.service import start_if_draft
from app.errors import Invalid
from app.readers.domain import end_of
from app.readers.pages import Link, link_of, links_csv
from app.readers.service import find_reader, invite_several, reissue, revoke
from app.storage.images import ImageStore
from app.studies.service import find_study_named
from app.web.identity import now

expires_option = click.option(
    "--expires",
    "last_day",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last day of the link, such as 2026-12-31, until its end in UTC.",
)


def show_link(as_json: bool, link: Link) -> None:
    tell(
        as_json,
        {"reader": link.label, "url": link.url},
        f"Reader: {link.label}",
        f"Reader link: {link.url}",
    )


@click.command("invite")
@click.argument("study_name", metavar="STUDY")
@expires_option
@click.option("--count", default=1, show_default=True, help="How many readers to invite.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path),
    help="A new file for the links, which only you can read; they are not printed then.",
)
@json_option
@database_option
def study_invite(
    study_name: str,
    last_day: datetime | None,
    count: int,
    csv_file: Path | None,
    as_json: bool,
    database: str | None,
) -> None:
    """Make a personal link for each of one or more readers; links are shown only now.

    A study that is not started yet is started first: see plainsight study start.

    Example: plainsight study invite 1 --count 12 --csv links.csv --expires 2099-12-31
    """
    settings = settings_for(database)
    with opened(settings) as store, new_file(csv_file) as file, store.writing() as session:
        until = end_of(last_day, now())
        found = find_study_named(session, study_name)
        start_if_draft(session, ImageStore(settings.images), found, OPERATOR, now())
        invited = invite_several(session, found, OPERATOR, now(), count, until)
        links = [link_of(each, settings.public_url) for each in invited]
        if file:
            file.write(links_csv(links))
            file.flush()
    if csv_file:
        labels = [link.label for link in links]
        tell(as_json, {"readers": labels, "csv": str(csv_file)}, f"{count} links: {csv_file}")
    elif count == 1:
        show_link(as_json, links[0])
    else:
        facts = [{"reader": link.label, "url": link.url} for link in links]
        tell(as_json, {"readers": facts}, *(f"{link.label}  {link.url}" for link in links))


@contextmanager
def new_file(path: Path | None) -> Iterator[TextIO | None]:
    """A file for its owner alone, which is gone again when the work fails."""
    if path is None:
        yield None
        return
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Invalid(f"{path} exists; choose a new file.") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@click.command("reissue")
@click.argument("study_name", metavar="STUDY")
@click.argument("label", metavar="READER")
@expires_option
@json_option
@database_option
def study_reissue(
    study_name: str, label: str, last_day: datetime | None, as_json: bool, database: str | None
) -> None:
    """Make another link for a reader, who goes on where they were; the old one is no more.

    Example: plainsight study reissue 1 R01
    """
    settings = settings_for(database)
    with opened(settings) as store, store.writing() as session:
        until = end_of(last_day, now())
        reader = find_reader(session, find_study_named(session, study_name), label)
        invitation = reissue(session, reader, OPERATOR, now(), until)
    show_link(as_json, link_of(invitation, settings.public_url))


@click.command("revoke")
@click.argument("study_name", metavar="STUDY")
@click.argument("label", metavar="READER")
@json_option
@database_option
def study_revoke(study_name: str, label: str, as_json: bool, database: str | None) -> None:
    """Withdraw a reader's link; what is answered is kept.

    Example: plainsight study revoke 1 R01
    """
    with opened(settings_for(database)) as store, store.writing() as session:
        reader = find_reader(session, find_study_named(session, study_name), label)
        revoke(session, reader, OPERATOR, now())
        label = reader.label
    tell(as_json, {"reader": label, "revoked": True}, f"The link of {label} is withdrawn.")
