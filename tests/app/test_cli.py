"""The `plainsight` command: examples that help, errors in one sentence, and the whole chain."""

import hashlib
import io
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError

import click
import pytest
from sqlalchemy import URL, select
from sqlalchemy.orm import Session

from app import ROOT, cli
from app.settings import Settings
from app.storage.models import Reader, Study
from app.storage.session import Database
from app.studies.service import NewStudy
from app.vocabulary import PairTask, Part, Undo

Make = Callable[..., Path]
COMMAND = [sys.executable, "-m", "app"]
CREATE = ["study", "create", "--batch", "1", "--title", "B"]


def all_commands(
    group: click.Group, *names: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from all_commands(command, *names, name)
        else:
            yield (*names, name), command


COMMANDS = dict(all_commands(cli.cli))


class Said:
    """How a command ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def object(self) -> Any:
        """The one JSON object on the standard output."""
        [line] = self.out.splitlines()
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

    def assert_refused(self, *words: str) -> None:
        """One sentence, exit code 2, no trace."""
        assert self.code == 2, self.err
        assert "Traceback" not in self.err
        assert self.err.count("Error: ") == 1, self.err
        for word in words:
            assert word in self.err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PLAINSIGHT_HOME, and no other setting."""
    for name in os.environ:
        if name.startswith("PLAINSIGHT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PLAINSIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def plainsight(
    home: Path,  # noqa: ARG001 (must be set before the command runs)
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Said]:
    """`plainsight("study", "list")` runs the command here, as a shell would."""

    def run(*arguments: object, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["plainsight", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture
def batch(make_batch: Make, tmp_path: Path) -> Path:
    return make_batch(tmp_path / "delivered", cases=3, size=16)


@pytest.fixture
def equipped(plainsight: Callable[..., Said], batch: Path) -> Callable[..., Said]:
    """The command with tables, a researcher, a batch and a study."""
    plainsight("db", "upgrade")
    plainsight("researcher", "add", "ada@example.org")
    plainsight("batch", "import", batch)
    made = plainsight("study", "create", "--batch", "1", "--title", "Linf 2")
    assert made.code == 0, made.err
    return plainsight


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_helps_with_an_example(
    names: tuple[str, ...], plainsight: Callable[..., Said]
) -> None:
    for option in ("--help", "-h"):
        said = plainsight(*names, option)
        assert said.code == 0
        assert f"Example: plainsight {' '.join(names)}" in " ".join(said.out.split())


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_example_is_a_command_line_that_is_understood(names: tuple[str, ...]) -> None:
    help_text = " ".join((COMMANDS[names].help or "").split())
    [example] = re.findall(r"Example: plainsight (.*?)$", help_text)
    words = shlex.split(example.partition(" > ")[0])
    assert tuple(words[: len(names)]) == names
    arguments = [str(stand_in(word)) for word in words[len(names) :]]
    parent = click.Context(cli.cli, help_option_names=["-h", "--help"])
    with COMMANDS[names].make_context(names[-1], arguments, parent=parent):
        pass


def stand_in(word: str) -> str | Path:
    """Something that is there, for what the example takes for granted on the disk."""
    if word == "results/audit.jsonl":
        return ROOT / "README.md"
    return ROOT if word.endswith(".zip") or word == "results" else word


def test_the_version_is_the_packages(plainsight: Callable[..., Said]) -> None:
    assert re.fullmatch(r"plainsight \d+\.\d+\.\d+\n", plainsight("--version").out)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_from_nothing_to_a_result(
    kind: str,
    plainsight: Callable[..., Said],
    batch: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if kind == "postgres":
        url: URL = request.getfixturevalue("new_postgres")()
        shown = url.render_as_string(hide_password=False)
        monkeypatch.setenv("PLAINSIGHT_DATABASE_URL", shown.replace("+pg8000", ""))
    assert plainsight("db", "upgrade").out.startswith("The database is ready: ")
    added = plainsight("researcher", "add", "ada@example.org", "--json").object
    assert added["email"] == "ada@example.org"
    assert len(added["password"]) >= 12
    checked = plainsight("batch", "check", batch, "--json").object
    assert (checked["ok"], checked["cases"], checked["pairs"]) == (True, 3, 3)
    imported = plainsight("batch", "import", batch, "--json").object
    assert imported == {"batch": 1}
    created = plainsight(
        "study", "create", "--batch", 1, "--title", "Linf 2", "--sets", 2, "--json"
    ).object
    assert (created["study"], created["presentations"]) == (1, 12)
    invited = plainsight("study", "invite", "Linf 2", "--json").object
    assert invited["reader"] == "R01"
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/r/[0-9a-f]{32}", invited["url"])
    [listed] = plainsight("study", "list", "--json").object["studies"]
    assert (listed["state"], listed["readers"], listed["finished"]) == ("ready", 1, 0)
    sealed = plainsight("study", "export", 1, "--out", tmp_path / "early")
    sealed.assert_refused("stay sealed until it is unblinded")
    assert not (tmp_path / "early").exists()
    opened = plainsight("study", "unblind", 1, "--yes", "--json").object
    assert opened == {"study": 1, "state": "unblinded"}
    exported = plainsight("study", "export", 1, "--out", tmp_path / "out", "--json").object
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == set(exported["files"])
    assert {"presentations.csv", "study.json", "audit.jsonl", "SHA256SUMS"} < written
    assert (home / "plainsight.db").exists() == (kind == "sqlite")


def test_a_person_is_told_the_same_in_words(equipped: Callable[..., Said]) -> None:
    assert "ready" not in equipped("study", "list").out
    assert re.search(r"Reader link: http://\S+/r/[0-9a-f]{32}", equipped("study", "invite", 1).out)
    assert "0 of 1 readers finished  Linf 2" in equipped("study", "list").out


def test_a_study_is_started_once_and_its_protocol_can_be_checked(
    equipped: Callable[..., Said], home: Path, tmp_path: Path
) -> None:
    equipped("study", "protocol", 1, "--out", tmp_path / "early.json").assert_refused(
        "plainsight study start"
    )
    started = equipped("study", "start", 1, "--scan-reason", "Made for a test.", "--json").object
    equipped("study", "start", 1).assert_refused("A study that is ready cannot be used to start it")
    out = tmp_path / "protocol.json"
    said = equipped("study", "protocol", 1, "--out", out, "--json").object
    assert said["protocol_hashes"] == [started["protocol_hash"]]
    assert hashlib.sha256(out.read_bytes()).hexdigest() == started["protocol_hash"]
    assert equipped("study", "invite", 1).code == 0
    equipped("study", "protocol", 1, "--out", out).assert_refused("choose a new file")
    with closing(sqlite3.connect(home / "plainsight.db")) as connection:
        connection.execute("UPDATE study SET margin_tp = 0.3")
        connection.commit()
    equipped("study", "protocol", 1, "--out", tmp_path / "later.json").assert_refused(
        "The study is not what its protocol says.",
        "plan.margin_tp is 0.3; the protocol says 0.1.",
    )


@contextmanager
def looking(home: Path) -> Iterator[Session]:
    database = Database(Settings(home=home).database)
    with database.reading() as session:
        yield session
    database.close()


def newest(session: Session) -> Study:
    return session.scalars(select(Study).order_by(Study.id.desc()).limit(1)).one()


EVERY_OPTION: dict[str, Any] = {
    "waves": 2,
    "washout_days": 7,
    "undo": Undo.ALL,
    "break_after_images": 0,
    "break_after_minutes": 30,
    "feedback": True,
    "confidence": True,
    "few_cells": True,
    "cannot_assess": True,
    "masking": True,
    "pair_task": PairTask.COMPARE,
    "not_sure": True,
    "catch_least": 0.9,
}


def test_every_choice_of_a_design_is_an_option(
    equipped: Callable[..., Said], make_batch: Make, tmp_path: Path, home: Path
) -> None:
    other = make_batch(tmp_path / "other", cases=5, conditions=3, size=16, seed=7, name="Other")
    equipped("batch", "import", other)
    flags = ["feedback", "confidence", "few-cells", "cannot-assess", "masking", "not-sure"]
    made = equipped(
        *("study", "create", "--batch", "Other", "--title", "All", "--json"),
        *("--sets", 2, "--cases", 3, "--condition", "linf-4", "--waves", 2, "--washout-days", 7),
        *("--practice", 2, "--practice-batch", 1, "--undo", "all"),
        *("--catch", 1, "--catch-batch", 1, "--catch-least", 0.9),
        *("--break-after-images", 0, "--break-after-minutes", 30),
        *("--pairs", "same_different", "--pair-condition", "linf-2", "--pair-condition", "linf-6"),
        *(f"--{flag}" for flag in flags),
    )
    assert made.code == 0, made.err
    facts = made.object
    assert (facts["presentations"], facts["practice"], facts["pairs"]) == (13, 2, 12)
    assert facts["catch"] == 1
    with looking(home) as session:
        study = newest(session)
        assert {name: getattr(study, name) for name in EVERY_OPTION} == EVERY_OPTION
        shown = {
            part: {each.condition.name if each.condition else "" for each in study.stimuli_of(part)}
            for part in Part
        }
    assert shown == {
        Part.PRACTICE: {""},
        Part.READING: {"", "linf-4"},
        Part.PAIRS: {"", "linf-2", "linf-6"},
    }


def test_what_is_not_chosen_takes_the_usual_value(
    equipped: Callable[..., Said], home: Path
) -> None:
    assert equipped("study", "list").code == 0
    usual = NewStudy("Linf 2", "Reading study of tissue images")
    with looking(home) as session:
        study = newest(session)
        for name in EVERY_OPTION:
            assert getattr(study, name) == getattr(usual, name), name


def expiries(home: Path) -> list[datetime | None]:
    with looking(home) as session:
        return list(session.scalars(select(Reader.expires_at).order_by(Reader.id)))


def test_a_link_expires_at_the_end_of_its_last_day(
    equipped: Callable[..., Said], home: Path
) -> None:
    for last_day in ("2099-12-31", datetime.now(UTC).strftime("%Y-%m-%d")):
        assert equipped("study", "invite", 1, "--expires", last_day).code == 0
    [first, second] = expiries(home)
    assert first == datetime(2100, 1, 1, tzinfo=UTC)
    assert second
    assert timedelta(0) < second - datetime.now(UTC) <= timedelta(days=1)


def test_a_link_is_withdrawn_and_made_anew(equipped: Callable[..., Said], home: Path) -> None:
    first = equipped("study", "invite", 1, "--expires", "2099-12-31", "--json").object
    revoked = equipped("study", "revoke", 1, "r01", "--json").object
    assert revoked == {"reader": "R01", "revoked": True}
    assert "is withdrawn" in equipped("study", "revoke", 1, "R01").out
    again = equipped("study", "reissue", 1, "R01", "--json").object
    assert again["reader"] == "R01"
    assert again["url"] != first["url"]
    assert expiries(home) == [None]


def test_a_password_comes_from_the_standard_input_and_is_not_shown(
    plainsight: Callable[..., Said],
) -> None:
    plainsight("db", "upgrade")
    said = plainsight(
        "researcher", "add", "ada@example.org", "--password-stdin", stdin="long enough secret\n"
    )
    assert said.code == 0
    assert "long enough secret" not in said.out + said.err


def test_a_wrong_batch_is_told_in_full(plainsight: Callable[..., Said], batch: Path) -> None:
    for image in sorted(batch.rglob("*.png"))[:2]:
        image.write_bytes(b"")
    as_json = plainsight("batch", "check", batch, "--json")
    as_json.assert_refused("there are 2 problems")
    assert as_json.object["ok"] is False
    assert len(as_json.object["problems"]) == 2
    in_words = plainsight("batch", "check", batch)
    in_words.assert_refused()
    assert in_words.err.count("\n  - ") == 2
    assert in_words.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "list"], "run: plainsight db upgrade"),
        (["nonsense"], "No such command"),
        (["study", "nonsense"], "No such command"),
        (["study", "create"], "Missing option"),
        (["batch", "check", "/no/such/file"], "does not exist"),
        (["serve", "--port", "99999"], "is not in the range"),
        (["serve"], "run: plainsight db upgrade"),
        (["study", "invite", "1", "--expires", "tomorrow"], "does not match the format"),
        ([*CREATE, "--undo", "some"], "is not one of 'none', 'one', 'all'"),
        ([*CREATE, "--pairs", "triangle"], "is not one of 'choice', 'same_different'"),
        ([*CREATE, "--practice", "-1"], "is not in the range"),
        (["study", "list", "--database", "nonsense"], "PLAINSIGHT_DATABASE_URL"),
        (["study", "list", "--database", "postgresql://x@127.0.0.1:1/y"], "cannot be opened"),
        (["db", "upgrade", "--database", "postgresql://x@127.0.0.1:1/y"], "database"),
        (["db", "upgrade", "--database", "sqlite:////no/such/folder/x.db"], "database"),
        (["db", "upgrade", "--database", "sqlite:////dev/null"], "database"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], words: str, plainsight: Callable[..., Said]
) -> None:
    plainsight(*arguments).assert_refused(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["researcher", "add", "ada"], "not an email address"),
        (["researcher", "add", "ada@example.org"], "already a researcher"),
        (["batch", "import", "DELIVERED"], "imported before, as number 1"),
        (["batch", "import", "HOME"], "batch.json is missing"),
        (["study", "create", "--batch", "9", "--title", "B"], "There is no such batch"),
        (["study", "create", "--batch", "B", "--title", "B"], "There is no batch 'B'"),
        (["study", "create", "--batch", "1", "--title", "Linf 2"], "already a study"),
        (["study", "create", "--batch", "1", "--title", "B", "--sets", "0"], "at least 1 set"),
        (["study", "create", "--batch", "1", "--title", "B", "--gap", "9"], "choose 2 to 3"),
        (["study", "create", "--batch", "1", "--title", "B", "--condition", "C"], "it has linf-2"),
        (
            ["study", "create", "--batch", "1", "--title", "B", "--public-title", "An attack"],
            "'attack'",
        ),
        (["study", "create", "--batch", "1", "--title", "B", "--researcher", "e@x"], "add one"),
        (["study", "invite", "9"], "There is no study '9'"),
        (["study", "invite", "9" * 30], "There is no study"),
        (["study", "invite", "1", "--expires", "2020-12-31"], "2020-12-31 is over"),
        (["study", "revoke", "1", "R01"], "The study has no reader 'R01'"),
        (["study", "reissue", "1", "R01"], "The study has no reader 'R01'"),
        ([*CREATE, "--waves", "3"], "2 sets can be read in 1 to 2 sittings, not in 3"),
        ([*CREATE, "--waves", "0"], "2 sets can be read in 1 to 2 sittings, not in 0"),
        ([*CREATE, "--washout-days", "-1"], "The washout is 0 to 365 days"),
        ([*CREATE, "--cases", "1"], "choose 2 to 3 of them"),
        ([*CREATE, "--cases", "4"], "choose 2 to 3 of them"),
        ([*CREATE, "--practice", "1"], "name another batch for practice"),
        ([*CREATE, "--practice", "1", "--practice-batch", "9"], "There is no such batch"),
        ([*CREATE, "--practice", "1001"], "practice images is 0 to 1000"),
        ([*CREATE, "--pairs", "choice", "--pair-condition", "C"], "it has linf-2"),
        (["study", "create", "--batch", "9" * 30, "--title", "B"], "There is no"),
        (["study", "unblind", "1", "--yes"], "is draft"),
        (["study", "export", "1", "--out", "NEW"], "stay sealed"),
        (["study", "export", "B", "--out", "NEW"], "There is no study 'B'"),
    ],
)
def test_a_refusal_is_one_sentence_and_changes_nothing(
    arguments: list[str], words: str, equipped: Callable[..., Said], batch: Path, home: Path
) -> None:
    before = equipped("study", "list", "--json").object
    places = {"DELIVERED": batch, "HOME": home / "images", "NEW": home / "new"}
    equipped(*(places.get(word, word) for word in arguments)).assert_refused(words)
    assert equipped("study", "list", "--json").object == before


def test_many_readers_get_their_links_in_a_file_of_the_operators_own(
    equipped: Callable[..., Said], tmp_path: Path
) -> None:
    file = tmp_path / "links.csv"
    said = equipped("study", "invite", 1, "--count", 3, "--csv", file, "--json").object
    assert said == {"readers": ["R01", "R02", "R03"], "csv": str(file)}
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    assert head == "reader,link,last_day"
    assert [line[:3] for line in lines] == said["readers"]
    assert all(re.search(r",http://\S+/r/[0-9a-f]{32},$", line) for line in lines)
    assert file.stat().st_mode & 0o777 == 0o600
    equipped("study", "invite", 1, "--csv", file).assert_refused("choose a new file")
    other = tmp_path / "other.csv"
    equipped("study", "invite", 1, "--count", 201, "--csv", other).assert_refused("1 to 200")
    assert not other.exists()
    assert "of 3 readers finished" in equipped("study", "list").out


def test_unblinding_asks_for_the_title(equipped: Callable[..., Said]) -> None:
    equipped("study", "invite", 1)
    equipped("study", "unblind", 1, stdin="Linf\n").assert_refused("nothing was unblinded")
    assert equipped("study", "unblind", 1, stdin="").code == 130
    assert equipped("study", "list", "--json").object["studies"][0]["state"] == "ready"
    done = equipped("study", "unblind", 1, "--json", stdin="Linf 2\n")
    assert done.object == {"study": 1, "state": "unblinded"}


def test_an_export_never_writes_over_anything(equipped: Callable[..., Said], home: Path) -> None:
    equipped("study", "invite", 1)
    equipped("study", "unblind", 1, "--yes")
    (home / "results").mkdir()
    (home / "file").write_text("kept", encoding="utf-8")
    equipped("study", "export", 1, "--out", home / "results").assert_refused("choose a new folder")
    equipped("study", "export", 1, "--out", home / "file" / "x").assert_refused()
    assert (home / "file").read_text(encoding="utf-8") == "kept"
    assert list((home / "results").iterdir()) == []


def test_an_unsafe_setting_is_one_sentence(
    plainsight: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAINSIGHT_PUBLIC_URL", "http://study.example")
    plainsight("serve").assert_refused("would send answers in the clear")


def test_a_setting_of_the_wrong_kind_is_one_sentence_with_its_name(
    plainsight: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAINSIGHT_SESSION_HOURS", "many")
    plainsight("study", "list").assert_refused("SESSION_HOURS")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_served(url: str, server: "subprocess.Popen[str]") -> None:
    for _ in range(300):
        assert server.poll() is None, server.communicate()
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 (our own)
                assert response.status == 200
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise TimeoutError(url)


def test_the_server_serves_until_ctrl_c_and_leaves_without_a_trace(
    plainsight: Callable[..., Said],
) -> None:
    plainsight("db", "upgrade")
    port = free_port()
    server = subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_served(f"http://127.0.0.1:{port}/healthz", server)
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=20)
    finally:
        server.kill()
        server.wait()
    assert server.returncode in {0, 130}
    assert "Traceback" not in out + err


def test_a_port_that_is_taken_is_told_without_a_trace(plainsight: Callable[..., Said]) -> None:
    plainsight("db", "upgrade")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "serve", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_server_loads_no_part_of_ml() -> None:
    code = (
        "import sys, app.main, app.cli; "
        "print([m for m in ('torch', 'torchvision', 'matplotlib', 'ml') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr


def test_ctrl_c_while_the_command_is_being_loaded_is_no_traceback() -> None:
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'sqlalchemy':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from app.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
