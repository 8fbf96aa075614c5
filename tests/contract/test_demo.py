"""`make demo` as a newcomer meets it: from nothing to a study that can be read, and again."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (
    r"Network: AUC (\d\.\d+)",
    r"Attack: Linf .* proven on the PNG",
    r"Reader link: (http\S+)",
    r"Researcher page: (http\S+)",
    r"Researcher sign-in: (\S+) (\S+)",
)
Started = tuple["subprocess.Popen[str]", list[re.Match[str]]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def read_lines(demo: "subprocess.Popen[str]", seconds: float) -> list[re.Match[str]]:
    """The five lines in their order, each on a line of its own."""
    assert demo.stdout
    found: list[re.Match[str]] = []
    deadline = time.monotonic() + seconds
    while len(found) < len(LINES):
        ready, _, _ = select.select([demo.stdout], [], [], deadline - time.monotonic())
        assert ready, f"the demo did not say: {LINES[len(found)]}"
        line = demo.stdout.readline()
        assert line, "the demo ended"
        if match := re.match(LINES[len(found)], line):
            found.append(match)
    return found


@pytest.fixture
def demo() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """`demo(home, *options)` starts tools/demo.py, and it is gone after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(home: Path, *options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(ROOT / "tools/demo.py"), "--home", str(home), *options]
        running.append(
            subprocess.Popen(
                [*command, "--port", str(free_port())],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        )
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()


def interrupt(process: "subprocess.Popen[str]") -> int:
    """What Ctrl-C does: the signal goes to the command and all that it started."""
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(timeout=60)


@pytest.mark.timeout(1200)
def test_the_demo_goes_from_nothing_to_a_study_and_is_there_at_once_the_next_time(
    demo: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    first = demo(tmp_path / "demo", "--quick")
    time.sleep(15)
    assert interrupt(first) == 0, "Ctrl-C in the middle of the work"

    second = demo(tmp_path / "demo", "--quick")
    auc, _attack, link, page, _sign_in = read_lines(second, 1100)
    assert float(auc[1]) >= 0.95
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(link[1], timeout=30) as start, browser.open(page[1], timeout=30) as sign_in:
        assert "Begin" in start.read().decode()
        assert "Sign in" in sign_in.read().decode()
    assert interrupt(second) == 0

    batch = json.loads((tmp_path / "demo/batch/batch.json").read_text(encoding="utf-8"))
    assert len(batch["cases"]) == 12
    assert all(image["success"] for case in batch["cases"] for image in case["perturbed"])

    third = demo(tmp_path / "demo", "--quick")
    again = read_lines(third, 60)
    assert again[2][1].rpartition("/")[2] == link[1].rpartition("/")[2]
    assert interrupt(third) == 0


def test_a_folder_with_something_else_in_it_is_left_alone(
    demo: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert demo(tmp_path, "--fresh").wait(timeout=60) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
