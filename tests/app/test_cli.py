"""The `plainsight` command: from an empty folder to an export, and errors in one sentence."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from app.cli import cli

PLAINSIGHT = Path(sys.executable).parent / "plainsight"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def leaves(command: click.Command, *words: str) -> list[tuple[str, ...]]:
    """Every command that does something, as the words that name it."""
    if isinstance(command, click.Group):
        return [
            leaf for name, sub in command.commands.items() for leaf in leaves(sub, *words, name)
        ]
    return [words]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("study", "list")` in a home of its own."""

    def command(*words: str, text: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        own = {"PLAINSIGHT_HOME": str(tmp_path / "home"), "PLAINSIGHT_DATABASE_URL": "", **settings}
        return subprocess.run(
            [str(PLAINSIGHT), *words],
            env={**os.environ, **own},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return command


@pytest.fixture
def facts(run: Run) -> Callable[..., dict[str, Any]]:
    """`facts("study", "list")` is the one JSON object that the command prints."""

    def command(*words: str, text: str = "") -> dict[str, Any]:
        done = run(*words, "--json", text=text)
        assert done.returncode == 0, done.stderr
        [line] = done.stdout.splitlines()
        told: dict[str, Any] = json.loads(line)
        return told

    return command


@pytest.mark.parametrize("words", leaves(cli), ids=" ".join)
def test_help_says_what_a_command_does_with_an_example(words: tuple[str, ...], run: Run) -> None:
    done = run(*words, "--help")
    assert done.returncode == 0
    assert f"Example: plainsight {' '.join(words)}" in " ".join(done.stdout.split())


def test_a_study_goes_from_an_empty_folder_to_its_export(
    run: Run,
    facts: Callable[..., dict[str, Any]],
    make_batch: Callable[..., Path],
    tmp_path: Path,
) -> None:
    assert run("db", "upgrade").returncode == 0
    account = facts("researcher", "add", "Ada@Example.org")
    assert account["email"] == "ada@example.org"
    assert len(account["password"]) >= 12
    path = str(make_batch(tmp_path / "batch", cases=3, size=32, truths=[1, 1, 1]))
    assert facts("batch", "check", path)["proven"] == 3
    assert facts("batch", "import", path) == {"batch": 1}
    study = facts("study", "create", "--batch", "A small batch", "--title", "First", "--sets", "2")
    assert study["presentations"] == 12
    invitation = facts("study", "invite", "First")
    assert invitation["reader"] == "R01"
    assert invitation["url"].startswith("http://127.0.0.1:8000/r/")
    [listed] = facts("study", "list")["studies"]
    assert (listed["title"], listed["state"], listed["readers"]) == ("First", "ready", 1)

    sealed = run("study", "export", "1", "--out", str(tmp_path / "early"))
    assert sealed.returncode == 2
    assert "sealed" in sealed.stderr
    assert not (tmp_path / "early").exists()
    wrong = run("study", "unblind", "1", text="Second\n")
    assert wrong.returncode == 2
    assert facts("study", "list")["studies"][0]["state"] == "ready"
    assert run("study", "unblind", "1", text="First\n").returncode == 0
    out = tmp_path / "results"
    written = facts("study", "export", "1", "--out", str(out))["files"]
    assert "presentations.csv" in written
    assert sorted(written) == sorted(path.name for path in out.iterdir())
    assert run("study", "export", "1", "--out", str(out)).returncode == 2, "nothing is overwritten"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("study", "list"), "plainsight db upgrade"),
        (("batch", "check", "no-such-folder"), "no-such-folder"),
        (("study", "no-such-command"), "no-such-command"),
        (("study", "list", "--database", "mysql://host/name"), "postgresql://"),
        (("study", "list", "--database", "postgresql://nobody@127.0.0.1:1/x"), "127.0.0.1"),
        (("serve", "--port", "99999"), "99999"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_error_is_a_sentence_and_exit_code_2(
    words: tuple[str, ...], said: str, run: Run
) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_everything_wrong_with_a_batch_is_listed(
    run: Run, make_batch: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_batch(tmp_path / "batch", cases=3, size=32)
    for image in sorted((path / "images").iterdir())[:2]:
        image.unlink()
    done = run("batch", "check", str(path), "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert len(told["problems"]) == 2
    assert all(problem in done.stderr for problem in told["problems"])


def test_commands_before_any_researcher_or_batch_say_what_to_do_first(run: Run) -> None:
    run("db", "upgrade")
    done = run("study", "create", "--batch", "1", "--title", "Too early")
    assert done.returncode == 2
    assert "plainsight researcher add" in done.stderr
    assert run("researcher", "add", "ada@example.org").returncode == 0
    done = run("study", "create", "--batch", "1", "--title", "Still early")
    assert done.returncode == 2
    assert "batch" in done.stderr


def test_a_password_from_standard_input_is_not_repeated(run: Run) -> None:
    run("db", "upgrade")
    secret = "correct horse battery"
    done = run("researcher", "add", "ada@example.org", "--password-stdin", text=f"{secret}\n")
    assert done.returncode == 0
    assert secret not in done.stdout + done.stderr
    short = run("researcher", "add", "bob@example.org", "--password-stdin", text="short\n")
    assert short.returncode == 2
    assert "12" in short.stderr


def test_ctrl_c_stops_the_server_cleanly(run: Run, tmp_path: Path) -> None:
    run("db", "upgrade")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [str(PLAINSIGHT), "serve", "--port", str(port)],
        env={
            **os.environ,
            "PLAINSIGHT_HOME": str(tmp_path / "home"),
            "PLAINSIGHT_DATABASE_URL": "",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                break
        except OSError:
            time.sleep(0.1)
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=30)
    assert server.returncode in {0, 130}
    assert "Traceback" not in said


def test_the_server_never_loads_torch() -> None:
    program = (
        "import sys, app.main, app.cli; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'torchvision', 'matplotlib', 'ml')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
