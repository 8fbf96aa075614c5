"""`plainsight researcher`: accounts from the command line."""

import sys

import click

from app.cli_common import OPERATOR, database_option, json_option, opened, settings_for, tell
from app.researchers.accounts import is_first, make_administrator, note, reactivate
from app.researchers.service import add_researcher, find_researcher, new_password
from app.web.identity import now


@click.group()
def researcher() -> None:
    """Researchers' accounts."""


@researcher.command("add")
@click.argument("email")
@click.option("--administrator", is_flag=True, help="Also looks after accounts and all studies.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@json_option
@database_option
def researcher_add(
    email: str, administrator: bool, password_stdin: bool, as_json: bool, database: str | None
) -> None:
    """Add a researcher; the first one is an administrator.

    Without --password-stdin a password is made and shown once.

    Example: plainsight researcher add ada@example.org
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else new_password()
    with opened(settings_for(database)) as store, store.writing() as session:
        administrator = administrator or is_first(session)
        added = add_researcher(session, email, password, now(), is_administrator=administrator)
        note(session, OPERATOR, "administrator added" if administrator else "added", added, now())
        email = added.email
    shown = {} if password_stdin else {"password": password}
    tell(
        as_json,
        {"email": email, "administrator": administrator, **shown},
        f"{'Administrator' if administrator else 'Researcher'}: {email}",
        *(f"Password, shown only now: {each}" for each in shown.values()),
    )


@researcher.command("administrator")
@click.argument("email")
@json_option
@database_option
def researcher_administrator(email: str, as_json: bool, database: str | None) -> None:
    """Make a researcher an administrator, and their account active.

    For databases of before there were administrators, and when nobody else can do it.

    Example: plainsight researcher administrator ada@example.org
    """
    with opened(settings_for(database)) as store, store.writing() as session:
        found = find_researcher(session, email)
        make_administrator(found)
        reactivate(found)
        note(session, OPERATOR, "made an administrator", found, now())
        email = found.email
    tell(as_json, {"email": email, "administrator": True}, f"{email} is an administrator.")
