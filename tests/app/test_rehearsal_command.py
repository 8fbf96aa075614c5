"""`plainsight rehearse`: robots on the command line, alone or beside a server."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, select

from app import ROOT
from app.batches.service import find_batch, import_batch
from app.cli import cli
from app.errors import Conflict, StudyError
from app.main import create_app
from app.researchers.service import add_researcher
from app.settings import Settings
from app.storage.jobs import alone
from app.storage.models import Rehearsal
from app.storage.session import Database
from app.studies.service import NewStudy, create_study
from app.vocabulary import RehearsalState
from app.web.identity import now


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PLAINSIGHT_HOME", str(tmp_path))
    monkeypatch.delenv("PLAINSIGHT_DATABASE_URL", raising=False)
    return Settings()


@pytest.fixture
def study(settings: Settings, make_batch: Callable[..., Path], tmp_path: Path) -> str:
    """A draft of 24 presentations."""
    database = Database(URL.create("sqlite", database=str(tmp_path / "plainsight.db")))
    database.upgrade()
    app = create_app(settings)
    path = make_batch(tmp_path / "batch", cases=4, conditions=2, size=16)
    number = import_batch(path, database, app.state.images, now())
    app.state.database.close()
    with database.writing() as session:
        owner = add_researcher(session, "ada@example.org", "correct horse battery", now())
        new = NewStudy("Linf 2", "Tissue", scan_reason="Made for a test.")
        made = str(create_study(session, owner, find_batch(session, number), new, now()).id)
    database.close()
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words, standalone_mode=False)


def states(settings: Settings) -> list[tuple[RehearsalState, int]]:
    database = Database(settings.database)
    with database.reading() as session:
        rows = session.execute(select(Rehearsal.state, Rehearsal.done).order_by(Rehearsal.study_id))
        found = [(row.state, row.done) for row in rows]
    database.close()
    return found


def test_robots_read_and_their_answers_are_exported_and_analysed(
    study: str, settings: Settings, tmp_path: Path
) -> None:
    said = run("rehearse", study, "--robots", "perfect,noisy", "--seed", "7", "--json")
    assert json.loads(said.stdout) == {"rehearsal": 2, "seed": 7}
    assert states(settings) == [(RehearsalState.DONE, 48)]
    assert run("study", "export", "2", "--out", str(tmp_path / "out")).exit_code == 0
    assert json.loads((tmp_path / "out" / "study.json").read_text())["is_rehearsal"] is True
    listed = json.loads(run("study", "list", "--json").stdout)["studies"]
    assert [each["title"] for each in listed] == ["Linf 2"]


def test_other_commands_leave_a_rehearsal_to_the_robots(study: str) -> None:
    assert run("rehearse", study, "--robots", "perfect").exit_code == 0
    for words in (("study", "invite", "2"), ("study", "start", "2"), ("rehearse", "2")):
        refusal = run(*words).exception
        assert isinstance(refusal, Conflict)
        assert "only robots read it" in str(refusal)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--robots", "perfect,tired"), "'tired' is no robot"),
        (("--robots", ","), "at least one robot"),
        (("--seed", "-1"), "The seed is"),
        (("--hit-rate", "1.5"), "The hit rate is"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    words: tuple[str, ...], why: str, study: str, settings: Settings
) -> None:
    refusal = run("rehearse", study, *words).exception
    assert why in str(getattr(refusal, "message", refusal))
    assert states(settings) == []


def test_a_study_that_could_not_be_read_says_why(study: str, settings: Settings) -> None:
    for file in settings.images.rglob("*.png"):
        file.unlink()
    refusal = run("rehearse", study).exception
    assert isinstance(refusal, StudyError)
    assert "cannot start" in str(refusal)


def test_where_a_server_runs_it_does_the_work(study: str, settings: Settings) -> None:
    app = create_app(settings)
    rehearser = app.state.rehearser
    with alone(rehearser.lock) as is_alone:  # as a server holds it
        assert is_alone
        results: list[Any] = []
        command = threading.Thread(
            target=lambda: results.append(run("rehearse", study, "--robots", "perfect"))
        )
        command.start()
        while command.is_alive():
            rehearser.work_off()
            command.join(0.1)
    app.state.database.close()
    assert [result.exit_code for result in results] == [0]
    assert states(settings) == [(RehearsalState.DONE, 24)]


def test_ctrl_c_leaves_a_rehearsal_that_the_next_one_finishes(
    study: str, settings: Settings
) -> None:
    environment = {**os.environ, "PLAINSIGHT_HOME": str(settings.home)}
    command = subprocess.Popen(
        [sys.executable, "-m", "app", "rehearse", study, "--robots", "perfect,noisy,biased"],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(1200):
        if any(done for _, done in states(settings)):
            break
        threading.Event().wait(0.05)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "Traceback" not in errors
    [(state, done)] = states(settings)
    assert state is RehearsalState.RUNNING
    assert 0 < done < 72
    app = create_app(settings)
    app.state.rehearser.work_off()
    app.state.database.close()
    assert states(settings) == [(RehearsalState.DONE, 72)]
