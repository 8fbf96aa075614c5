"""A whole study in a real Chromium against the real server: by keyboard, and through a crash."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect
from playwright.sync_api import Error as PlaywrightError

from ml.data import load_patches
from ml.phantom import write_phantom

BIN = Path(sys.executable).parent
SCREENSHOTS = os.environ.get("PLAINSIGHT_SCREENSHOTS")
EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
TITLE = "Linf 2 on generated tissue"
SHOWN = """
    SELECT p.token, p.position, p.set_number, c.name, s.condition_id IS NOT NULL
    FROM presentation p JOIN stimulus s ON s.id = p.stimulus_id JOIN "case" c ON c.id = s.case_id
    ORDER BY p.position
"""


@dataclass
class Server:
    """`plainsight serve` as a process of its own, with its folder and one reader's link."""

    home: Path
    port: int
    link: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        own = {"PLAINSIGHT_HOME": str(self.home), "PLAINSIGHT_PUBLIC_URL": self.url}
        return {**os.environ, "PLAINSIGHT_DATABASE_URL": "", **own}

    def run(self, *words: str, text: str | None = None) -> dict[str, Any]:
        done = subprocess.run(
            [str(BIN / "plainsight"), *words, "--json"],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    def start(self) -> None:
        command = [str(BIN / "plainsight"), "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self.environment)
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):  # noqa: S310
                    return
            except urllib.error.URLError:
                time.sleep(0.1)
        raise TimeoutError("the server did not start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        assert self.process
        self.process.send_signal(how)
        return self.process.wait(timeout=30)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.home / "plainsight.db") as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Generated patches with tumour, which the pictures of the README can show."""
    folder = tmp_path_factory.mktemp("tissue") / "phantom"
    write_phantom(folder, patches_per_fold=48, folds=1, size=128, seed=7)
    patches = load_patches(folder)
    return [patches.image(i) for i in range(len(patches)) if patches.labels[i] == 1]


@pytest.fixture
def server(
    tmp_path: Path, make_batch: Callable[..., Path], tissue: list[Any]
) -> Iterator[Callable[..., Server]]:
    """`server(cases=20, is_demo=True)` makes a study with one reader and serves it."""
    started: list[Server] = []

    def start(cases: int, *, is_demo: bool = True) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            made = Server(tmp_path / "home", probe.getsockname()[1])
        subprocess.run(
            [str(BIN / "plainsight"), "db", "upgrade"],
            env=made.environment,
            check=True,
            capture_output=True,
        )
        batch = make_batch(tmp_path / "batch", cases=cases, truths=[1] * cases, images=tissue)
        made.run("researcher", "add", EMAIL, "--password-stdin", text=PASSWORD)
        made.run("batch", "import", str(batch))
        demo = ["--demo"] if is_demo else []
        made.run("study", "create", "--batch", "1", "--sets", "2", "--title", TITLE, *demo)
        made.link = made.run("study", "invite", "1")["url"]
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def page(chromium: Callable[..., Browser]) -> Iterator[Page]:
    """A page that may only talk to this machine, and in which no script fails."""
    context = chromium().new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    foreign: list[str] = []
    failures: list[str] = []
    page.on("request", lambda request: foreign.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert not [url for url in foreign if not url.startswith(("http://127.0.0.1:", "blob:"))]
    assert not failures


def begin(page: Page, server: Server) -> None:
    """From the link to the reading room, by keyboard."""
    page.goto(server.link)
    assert server.link.rpartition("/")[2] not in page.url
    page.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#position")).to_have_text("1")


def press_for(page: Page, position: int, key: str) -> None:
    """Press until the image at `position` is answered: an early key is ignored."""
    expect(page.locator("#position")).to_have_text(str(position), timeout=30_000)
    deadline = time.monotonic() + 60
    while is_at(page, position):
        assert time.monotonic() < deadline, f"image {position} takes no answer"
        page.keyboard.press(key)
        page.wait_for_timeout(60)


def is_at(page: Page, position: int) -> bool:
    try:
        shown = page.evaluate("document.getElementById('position')?.textContent")
    except PlaywrightError:  # the page is just leaving for the thank you
        return False
    return bool(shown == str(position))


def sign_in(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/studies")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()


def axe_finds_nothing(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def says_tumour(case: str, is_perturbed: bool, set_number: int) -> bool:
    """A reader who misses some originals, and more perturbed images, differently in each set."""
    number = int(case.removeprefix("c"))
    return number % (4 if is_perturbed else 6) >= set_number


def test_the_table_shows_what_a_reader_of_a_whole_study_answered(
    server: Callable[..., Server], page: Page
) -> None:
    running = server(cases=20)
    begin(page, running)
    shown = running.rows(SHOWN)
    assert len(shown) == 80
    expected: Counter[tuple[int, bool]] = Counter()
    for _, position, set_number, case, is_perturbed in shown:
        answer = says_tumour(case, bool(is_perturbed), set_number)
        expected[set_number, bool(is_perturbed)] += answer
        if position == 3:
            picture(page, "reading-room")
        press_for(page, position, "j" if answer else "f")
    page.wait_for_url("**/reading/done")
    axe_finds_nothing(page)

    sign_in(page, running)
    page.goto(f"{running.url}/studies/1/results")
    expect(page.get_by_text("Demo: results are shown live")).to_be_visible()
    for set_number in (1, 2):
        line = page.get_by_role("row").filter(has_text=f"Set {set_number}")
        cells = [re.sub(r"\s+", " ", cell) for cell in line.get_by_role("cell").all_inner_texts()]
        assert cells[1].startswith(f"{expected[set_number, False]} of 20 ")
        assert cells[2].startswith(f"{expected[set_number, True]} of 20 ")
    assert len({*expected.values()}) == 4, "the four counts must not be alike"
    axe_finds_nothing(page)
    picture(page, "results")


def test_a_killed_server_loses_no_acknowledged_answer(
    server: Callable[..., Server], page: Page
) -> None:
    running = server(cases=6)
    acknowledged: set[str] = set()

    def note(response: Response) -> None:
        if response.url.endswith("/reading/responses") and response.status == 200:
            acknowledged.add(json.loads(response.request.post_data or "{}")["token"])

    page.on("response", note)
    begin(page, running)
    for position in range(1, 8):
        press_for(page, position, "j")
    page.wait_for_timeout(20)
    running.stop(signal.SIGKILL)
    stored = {
        token
        for (token,) in running.rows(
            "SELECT token FROM presentation JOIN response ON presentation_id = id"
        )
    }
    assert acknowledged
    assert acknowledged <= stored

    press_for(page, 8, "f")
    expect(page.locator("#saving")).to_contain_text("Not saved yet")
    running.start()
    expect(page.locator("#saving")).to_have_text("Saved", timeout=30_000)
    for position in range(9, 25):
        press_for(page, position, "j")
    page.wait_for_url("**/reading/done", timeout=30_000)
    assert running.rows("SELECT count(*) FROM response") == [(24,)]
    assert acknowledged <= {token for token, *_ in running.rows(SHOWN)}


def test_a_reader_who_closes_the_page_goes_on_where_they_were(
    server: Callable[..., Server], page: Page
) -> None:
    running = server(cases=4)
    begin(page, running)
    for position in (1, 2, 3):
        press_for(page, position, "f")
    expect(page.locator("#saving")).to_have_text("Saved")
    page.goto("about:blank")
    page.goto(running.link)
    expect(page.locator("#position")).to_have_text("4")
    page.go_back()
    page.go_forward()
    expect(page.locator("#position")).to_have_text("4")


def test_a_researcher_goes_from_invitation_to_the_unblinded_table(
    server: Callable[..., Server], page: Page
) -> None:
    running = server(cases=2, is_demo=False)
    sign_in(page, running)
    axe_finds_nothing(page)
    page.get_by_role("link", name=TITLE).click()
    axe_finds_nothing(page)
    page.get_by_role("button", name="Invite a reader").click()
    link = page.locator("code").inner_text()
    assert link.startswith(f"{running.url}/r/")
    axe_finds_nothing(page)
    page.goto(f"{running.url}/studies/1/results")
    expect(page.get_by_text("sealed")).to_be_visible()

    page.goto(f"{running.url}/studies/1")
    page.get_by_role("button", name="Lock the study").click()
    page.get_by_label("Type the title").fill("Another study")
    page.get_by_role("button", name="Unblind").click()
    expect(page.get_by_role("alert")).to_contain_text("not the title")
    page.get_by_label("Type the title").fill(TITLE)
    page.get_by_role("button", name="Unblind").click()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    axe_finds_nothing(page)
    for path in ("batches", "batches/1", "studies/new", "sign-in", "no-such-page"):
        page.goto(f"{running.url}/{path}")
        axe_finds_nothing(page)


def test_a_wrong_batch_is_explained_on_the_upload_page(
    server: Callable[..., Server], page: Page, tmp_path: Path
) -> None:
    running = server(cases=2)
    sign_in(page, running)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"not a zip")
    page.goto(f"{running.url}/batches")
    page.get_by_label("Zip file").set_input_files(broken)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was imported")
    axe_finds_nothing(page)
