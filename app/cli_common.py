"""What several commands share: their options, how they open the database, how they answer."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from app.settings import Settings
from app.storage.session import Database

OPERATOR = "operator"  # who acts on the command line, in every record
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
database_option = click.option(
    "--database",
    metavar="URL",
    help="Instead of PLAINSIGHT_DATABASE_URL, such as sqlite:///study.db.",
)


def tell(as_json: bool, facts: dict[str, Any], *lines: str) -> None:
    """One JSON object for a script, or lines for a person."""
    for line in [json.dumps(facts)] if as_json else lines:
        click.echo(line)


def settings_for(database: str | None) -> Settings:
    return Settings(database_url=database) if database else Settings()


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    try:
        database.require_current()
        yield database
    finally:
        database.close()


@contextmanager
def progress_on_terminal(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, and nothing in a log."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
