"""`plainsight rehearse`."""

import secrets
import time
from collections import Counter
from collections.abc import Callable

import click

from app.cli_common import (
    OPERATOR,
    database_option,
    json_option,
    opened,
    progress_on_terminal,
    settings_for,
    tell,
)
from app.errors import Conflict
from app.storage.session import Database
from app.studies.service import find_study_named
from app.vocabulary import RobotKind
from app.web.identity import now

KINDS = ",".join(kind.value for kind in RobotKind)


def kinds(_context: click.Context, _option: click.Parameter, words: str) -> Counter[RobotKind]:
    named = [word.strip() for word in words.split(",") if word.strip()]
    if unknown := [word for word in named if word not in set(RobotKind)]:
        raise click.BadParameter(f"{unknown[0]!r} is no robot; there are {KINDS}.")
    return Counter(RobotKind(word) for word in named)


@click.command("rehearse")
@click.argument("study_name", metavar="STUDY")
@click.option(
    "--robots",
    default=KINDS,
    show_default=True,
    callback=kinds,
    help="Which robots read, with commas; one named twice reads twice.",
)
@click.option("--hit-rate", default=0.85, show_default=True, help="Of the unsteady robots.")
@click.option("--false-alarm-rate", default=0.10, show_default=True, help="Of the same.")
@click.option("--seed", type=int, help="For the same orders and answers again; else drawn.")
@json_option
@database_option
def rehearse_command(
    study_name: str,
    robots: Counter[RobotKind],
    hit_rate: float,
    false_alarm_rate: float,
    seed: int | None,
    as_json: bool,
    database: str | None,
) -> None:
    """Let robots read a copy of a study, and open its results; the study is not touched.

    Where a server runs in the same folder, it does the work. After Ctrl-C the next server, or the
    next rehearsal, goes on.

    Example: plainsight rehearse 1 --robots perfect,noisy --seed 7
    """
    from app.main import create_app
    from app.rehearsal.domain import LARGEST_SEED, crew
    from app.rehearsal.service import create_rehearsal

    settings = settings_for(database)
    chosen = secrets.randbelow(LARGEST_SEED + 1) if seed is None else seed
    with opened(settings) as store:
        with store.writing() as session:
            study = find_study_named(session, study_name)
            named = crew(robots, hit_rate, false_alarm_rate)
            number = create_rehearsal(session, study, named, chosen, OPERATOR, now()).study_id
        app = create_app(settings)
        rehearser = app.state.rehearser
        rehearser.start()
        try:
            with progress_on_terminal("Robots read") as show:
                watch(store, number, show)
        finally:
            rehearser.stop()
            app.state.database.close()
    tell(
        as_json,
        {"rehearsal": number, "seed": chosen},
        f"Rehearsal {number} is read, with seed {chosen}. "
        f"Next: plainsight study export {number} --out rehearsal",
    )


def watch(store: Database, number: int, show: Callable[[int, int], None]) -> None:
    """Until it is read, by whomever. Conflict with what went wrong."""
    from app.storage.models import Rehearsal
    from app.vocabulary import RehearsalState

    while True:
        with store.reading() as session:
            found = session.get(Rehearsal, number)
            if found is None:
                raise Conflict("The rehearsal was deleted.")
            if found.state is RehearsalState.FAILED:
                raise Conflict(found.problem)
            show(found.done, max(1, found.total))
            if found.state is RehearsalState.DONE:
                return
        time.sleep(0.5)
