"""The `plainsight` command: examples that help, errors in one sentence, and the whole chain."""

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import click
import pytest
from sqlalchemy import URL

from app import ROOT, cli

Make = Callable[..., Path]
COMMAND = [sys.executable, "-m", "app"]


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
    words = shlex.split(example)
    assert tuple(words[: len(names)]) == names
    arguments = [str(ROOT) if word.endswith(".zip") else word for word in words[len(names) :]]
    parent = click.Context(cli.cli, help_option_names=["-h", "--help"])
    with COMMANDS[names].make_context(names[-1], arguments, parent=parent):
        pass


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
    assert (
        written
        == set(exported["files"])
        == {
            "presentations.csv",
            "data_dictionary.csv",
            "study.json",
        }
    )
    assert (home / "plainsight.db").exists() == (kind == "sqlite")


def test_a_person_is_told_the_same_in_words(equipped: Callable[..., Said]) -> None:
    assert "ready" not in equipped("study", "list").out
    assert re.search(r"Reader link: http://\S+/r/[0-9a-f]{32}", equipped("study", "invite", 1).out)
    assert "0 of 1 readers finished  Linf 2" in equipped("study", "list").out


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
