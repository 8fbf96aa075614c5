"""`make demo` as a newcomer meets it: from nothing to a study that can be read, and again."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import pytest

ROOT = Path(__file__).parents[2]
LINES = (
    r"Network: AUC (\d\.\d+)",
    r"Attack: Linf .* proven on the PNG",
    r"Reader link: (http\S+)",
    r"Researcher page: (http\S+)",
    r"Researcher sign-in: (\S+) (\S+)",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Demo:
    """The process, and its lines as they come: a thread reads them, so that waiting can end."""

    process: "subprocess.Popen[str]"
    lines: "SimpleQueue[str]" = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        threading.Thread(target=self.listen).start()

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.process.stdout.close()

    def read(self, seconds: float) -> list[re.Match[str]]:
        """The five lines in their order, each on a line of its own."""
        found: list[re.Match[str]] = []
        deadline = time.monotonic() + seconds
        while len(found) < len(LINES):
            line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            if match := re.match(LINES[len(found)], line):
                found.append(match)
        return found

    def interrupt(self) -> int:
        """What Ctrl-C does: the signal goes to the command and all that it started."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    """`demo(home, *options)` starts tools/demo.py, and it is gone after the test."""
    running: list[Demo] = []

    def start(home: Path, *options: str) -> Demo:
        command = [sys.executable, str(ROOT / "tools/demo.py"), "--home", str(home), *options]
        process = subprocess.Popen(
            [*command, "--port", str(free_port())],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(Demo(process))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


@pytest.mark.timeout(1200)
def test_the_demo_goes_from_nothing_to_a_study_and_is_there_at_once_the_next_time(
    demo: Callable[..., Demo], tmp_path: Path
) -> None:
    first = demo(tmp_path / "demo", "--quick")
    time.sleep(15)
    assert first.interrupt() == 0, "Ctrl-C in the middle of the work"

    second = demo(tmp_path / "demo", "--quick")
    auc, _attack, link, page, _sign_in = second.read(1100)
    assert float(auc[1]) >= 0.95
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    browser.addheaders = [("Accept", "text/html")]
    with browser.open(link[1], timeout=30) as start, browser.open(page[1], timeout=30) as sign_in:
        assert "I agree and begin" in start.read().decode()
        assert "Sign in" in sign_in.read().decode()
    assert second.interrupt() == 0

    batch = json.loads((tmp_path / "demo/batch/batch.json").read_text(encoding="utf-8"))
    assert len(batch["cases"]) == 12
    assert all(image["success"] for case in batch["cases"] for image in case["perturbed"])
    assert {each["file"] for each in batch["evidence"]["files"]} >= {"evidence/minimal.csv"}

    third = demo(tmp_path / "demo", "--quick")
    again = third.read(60)
    assert again[2][1].rpartition("/")[2] == link[1].rpartition("/")[2]
    assert third.interrupt() == 0


def test_a_folder_with_something_else_in_it_is_left_alone(
    demo: Callable[..., Demo], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert demo(tmp_path, "--fresh").process.wait(timeout=60) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
