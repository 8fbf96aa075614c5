"""Bringing a batch in a real Chromium, over lines that drop, to a server that is killed."""

import base64
import http.client
import io
import json
import re
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Request, Route, expect
from sqlalchemy import select

from app.storage.models import ApiToken, Researcher
from app.web.identity import digest, now
from tests.browser.server import EMAIL, PASSWORD, Server

Make = Callable[..., Path]
MIB = 2**20
SLOW_MS = 60_000
PIECES = re.compile(r"/deliveries/\w+/bytes")


def sign_in(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/studies")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()


@pytest.fixture
def desk(computer: Callable[..., BrowserContext], server: Server) -> Page:
    """A researcher's browser, at the page for new batches."""
    page = computer().new_page()
    sign_in(page, server)
    page.goto(f"{server.url}/batches/new")
    return page


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One that a test may kill."""
    made = Server.new(tmp_path / "home")
    made.start()
    yield made
    made.stop(signal.SIGKILL)


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def large(make_batch: Make, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A zip of three pieces."""
    name = request.node.name
    seed = sum(name.encode())
    path = zipped(make_batch(tmp_path / name[:40], cases=10, size=512, seed=seed, name=name))
    assert 2 * 4 * MIB < path.stat().st_size <= 3 * 4 * MIB
    return path


def pieces_of(page: Page) -> list[int]:
    """The offset of every piece that this page sends from now on."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PUT":
            offsets.append(int(request.url.partition("offset=")[2]))

    page.on("request", note)
    return offsets


@contextmanager
def dropping(page: Page, *numbers: int) -> Iterator[list[int]]:
    """A line on which the pieces of these numbers are lost, counted from 1."""
    sent: list[int] = []

    def pass_on(route: Route) -> None:
        if route.request.method == "PUT":
            sent.append(len(sent) + 1)
        if route.request.method == "PUT" and sent[-1] in numbers:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(PIECES, pass_on)
    yield sent
    page.unroute(PIECES)


def deliver(page: Page, label: str, path: Path) -> None:
    page.get_by_label(label, exact=True).set_input_files(path)
    page.get_by_role("button", name="Deliver").click()


def imported(page: Page) -> None:
    page.wait_for_url(re.compile(r"/batches/\d+$"), timeout=SLOW_MS)
    expect(page.get_by_role("heading", name="Blinding scan")).to_be_visible()


def test_a_zip_arrives_in_pieces_over_a_line_that_drops(
    desk: Page, large: Path, server: Server
) -> None:
    offsets = pieces_of(desk)
    with dropping(desk, 2, 3):
        deliver(desk, "Batch", large)
        imported(desk)
    assert offsets == [0, 4 * MIB, 4 * MIB, 4 * MIB, 8 * MIB]
    [[name]] = server.rows("SELECT name FROM batch ORDER BY id DESC LIMIT 1")
    assert name in desk.title()


def test_a_piece_that_arrived_without_its_answer_is_not_sent_again(desk: Page, large: Path) -> None:
    offsets = pieces_of(desk)
    lost: list[str] = []

    def lose_answer(route: Route) -> None:
        if route.request.method == "PUT" and not lost:
            lost.append(route.fetch().text())
            route.abort("connectionreset")
        else:
            route.continue_()

    desk.route(PIECES, lose_answer)
    deliver(desk, "Batch", large)
    imported(desk)
    assert json.loads(lost[0])["received_bytes"] == 4 * MIB
    assert offsets == [0, 0, 4 * MIB, 8 * MIB]


def test_after_a_reload_the_same_file_goes_on_where_it_was(
    desk: Page, large: Path, server: Server
) -> None:
    with dropping(desk, *range(2, 1000)):
        deliver(desk, "Batch", large)
        expect(desk.get_by_text("The line is down")).to_be_visible(timeout=SLOW_MS)
        desk.goto(f"{server.url}/batches")
    expect(desk.get_by_role("row").filter(has_text=large.name)).to_contain_text("4.0 of")
    desk.get_by_role("link", name=large.name).click()
    desk.get_by_role("link", name="Go on").click()
    offsets = pieces_of(desk)
    deliver(desk, "Batch", large)
    imported(desk)
    assert offsets == [4 * MIB, 8 * MIB]


def test_another_file_of_the_same_name_and_size_begins_anew(
    desk: Page, large: Path, server: Server
) -> None:
    original = large.read_bytes()
    large.write_bytes(bytes([original[0] ^ 1]) + original[1:])
    with dropping(desk, *range(2, 1000)):
        deliver(desk, "Batch", large)
        expect(desk.get_by_text("The line is down")).to_be_visible(timeout=SLOW_MS)
        desk.goto(f"{server.url}/batches/new")
    large.write_bytes(original)
    offsets = pieces_of(desk)
    deliver(desk, "Batch", large)
    imported(desk)
    assert offsets == [0, 4 * MIB, 8 * MIB]


def test_a_broken_batch_shows_every_fault(desk: Page, make_batch: Make, tmp_path: Path) -> None:
    folder = make_batch(tmp_path / "broken", cases=4, size=16)
    manifest = json.loads((folder / "batch.json").read_text(encoding="utf-8"))
    first, second, *_ = manifest["cases"]
    (folder / first["original"]["file"]).write_bytes(b"no image")
    (folder / second["perturbed"][0]["file"]).unlink()
    deliver(desk, "Batch", zipped(folder))
    expect(desk.get_by_role("heading", name="Nothing was imported: 2 problems.")).to_be_visible()
    for words in ("case c01, original", "copy the batch again", "case c02, condition linf-2"):
        expect(desk.get_by_role("table")).to_contain_text(words)
    finds_nothing(desk)
    desk.get_by_role("button", name="Discard").click()
    expect(desk.get_by_role("heading", name="Batches")).to_be_visible()
    expect(desk.get_by_text("broken.zip")).to_have_count(0)


@pytest.fixture
def folders(make_batch: Make, tmp_path: Path) -> tuple[Path, Path]:
    """Originals and perturbed images of equal names, as another tool leaves them."""
    made = make_batch(tmp_path / "made", cases=3, size=64, seed=99)
    manifest = json.loads((made / "batch.json").read_text(encoding="utf-8"))
    sides = tmp_path / "clean", tmp_path / "fgsm"
    for side in sides:
        side.mkdir()
    for case in manifest["cases"]:
        for side, image in zip(sides, (case["original"], case["perturbed"][0]), strict=True):
            (side / f"{case['id']}.png").write_bytes((made / image["file"]).read_bytes())
    return sides


def say_the_rest(page: Page, name: str, epsilon: str) -> None:
    page.get_by_label("Name of the batch").fill(name)
    page.get_by_label("Truth").select_option("tumour")
    page.get_by_label("Attack").fill("fgsm")
    page.get_by_label("Epsilon").fill(epsilon)


def test_two_folders_become_a_batch(desk: Page, folders: tuple[Path, Path]) -> None:
    desk.get_by_role("link", name="Two folders of images").click()
    say_the_rest(desk, "From folders", "2")
    desk.get_by_label("Originals, as a folder").set_input_files(folders[0])
    expect(desk.get_by_text("3 files")).to_have_count(1)
    desk.get_by_label("Perturbed images, as a folder").set_input_files(folders[1])
    finds_nothing(desk)
    desk.get_by_role("button", name="Deliver").click()
    imported(desk)
    expect(desk.get_by_role("heading", name="From folders")).to_be_visible()
    for words in ("fgsm-linf-2", "SSIM", "not stated"):
        expect(desk.get_by_role("region", name="Table of pairs")).to_contain_text(words)
    finds_nothing(desk)


def test_what_is_forgotten_is_told_before_anything_is_sent(
    desk: Page, folders: tuple[Path, Path]
) -> None:
    desk.get_by_role("link", name="Two folders of images").click()
    say_the_rest(desk, "Half", "")
    desk.get_by_role("button", name="Deliver").click()
    for label in ("Originals", "Perturbed images"):
        expect(desk.get_by_text(f"Choose a zip or a folder: {label}.")).to_be_visible()
    desk.get_by_label("Originals, as a folder").set_input_files(folders[0])
    desk.get_by_label("Perturbed images, as a folder").set_input_files(folders[1])
    desk.get_by_role("button", name="Deliver").click()
    expect(desk.get_by_text("The norm linf needs an epsilon")).to_be_visible()
    expect(desk.get_by_label("Name of the batch")).to_have_value("Half")


DROP = """async ([zone, base64, name]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  zone.dispatchEvent(new DragEvent("dragover", { dataTransfer: transfer, bubbles: true }));
  zone.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


def test_a_zip_can_be_dropped(desk: Page, make_batch: Make, tmp_path: Path) -> None:
    path = zipped(make_batch(tmp_path / "dropped", cases=2, size=32, seed=77))
    zone = desk.locator("[data-picker]").element_handle()
    content = base64.b64encode(path.read_bytes()).decode()
    desk.evaluate(DROP, [zone, content, path.name])
    expect(desk.get_by_text("dropped.zip")).to_be_visible()
    desk.get_by_role("button", name="Deliver").click()
    imported(desk)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("batch", "cells.tiff", "cells.tiff holds no batch.json: choose what plainsight-ml batch"),
        ("folders", "cells.jpg", "cells.jpg holds no PNG: save the images as 8-bit RGB PNG"),
        ("manifest", "cells.xlsx", "cells.xlsx holds no manifest.csv: put the table beside"),
    ],
)
def test_a_wrong_file_is_told_as_soon_as_it_is_dropped(
    kind: str, name: str, words: str, desk: Page, server: Server
) -> None:
    desk.goto(f"{server.url}/batches/new?kind={kind}")
    zone = desk.locator("[data-picker]").first.element_handle()
    desk.evaluate(DROP, [zone, base64.b64encode(b"no batch").decode(), name])
    expect(desk.locator("output").first).to_contain_text(words)
    finds_nothing(desk)


def test_a_file_beyond_the_limit_is_refused_before_anything_is_sent(
    desk: Page, tmp_path: Path
) -> None:
    path = tmp_path / "huge.zip"
    with path.open("wb") as file:
        file.truncate(2049 * MIB)
    sent: list[str] = []
    desk.on("request", lambda request: sent.append(request.method))
    deliver(desk, "Batch", path)
    words = "This has 2049.0 MiB, and at most 2048 MiB are taken. Deliver it in two parts"
    expect(desk.get_by_role("alert")).to_contain_text(words)
    expect(desk.get_by_role("alert")).to_be_focused()
    assert not {"POST", "PUT"} & set(sent)


def test_a_page_that_waits_leads_to_sign_in_when_the_session_ends(
    desk: Page, large: Path, server: Server
) -> None:
    """And comes back to what it waited for."""
    with dropping(desk, *range(2, 1000)):
        deliver(desk, "Batch", large)
        expect(desk.get_by_text("The line is down")).to_be_visible(timeout=SLOW_MS)
        server.change("UPDATE delivery SET state = 'running' WHERE name = ?", large.name)
        [[token]] = server.rows("SELECT token FROM delivery WHERE name = ?", large.name)
        desk.goto(f"{server.url}/deliveries/{token}")
    server.change("DELETE FROM researcher_session")
    desk.wait_for_url(re.compile(r"/sign-in\?next="))
    desk.get_by_label("Email").fill(EMAIL)
    desk.get_by_label("Password").fill(PASSWORD)
    desk.keyboard.press("Enter")
    desk.wait_for_url(f"**/deliveries/{token}")
    server.change("UPDATE delivery SET state = 'receiving' WHERE name = ?", large.name)


def test_the_pairs_are_shown_at_their_own_pixels(desk: Page, server: Server) -> None:
    desk.goto(f"{server.url}/batches/{server.batches[0]}")
    shown = desk.evaluate(
        """() => [...document.querySelectorAll("td img")].slice(0, 3).map((image) => {
          const box = image.getBoundingClientRect();
          return [box.width, box.height, image.width, image.height];
        })"""
    )
    assert shown == [[128, 128, 128, 128]] * 3


def test_without_scripts_the_form_is_enough(
    computer: Callable[..., BrowserContext], server: Server, make_batch: Make, tmp_path: Path
) -> None:
    page = computer(java_script_enabled=False).new_page()
    sign_in(page, server)
    page.goto(f"{server.url}/batches/new")
    path = zipped(make_batch(tmp_path / "plain", cases=2, size=32, seed=78))
    expect(page.get_by_label("Batch, as a folder")).to_be_hidden()
    deliver(page, "Batch", path)
    for _ in range(100):
        if re.search(r"/batches/\d+$", page.url):
            break
        time.sleep(0.1)
        page.get_by_role("link", name="Look again").click()
    expect(page.get_by_role("heading", name="Blinding scan")).to_be_visible()


def test_a_server_that_is_killed_imports_once_what_it_had_begun(
    own_server: Server,
    computer: Callable[..., BrowserContext],
    make_batch: Make,
    tmp_path: Path,
    watch: Any,
) -> None:
    page = computer().new_page()
    sign_in(page, own_server)
    page.goto(f"{own_server.url}/batches/new")
    path = zipped(make_batch(tmp_path / "many", cases=150, size=128, seed=5))
    deliver(page, "Batch", path)
    images = own_server.home / "images"
    for _ in range(600):
        if len(list(images.rglob("*.png"))) > 20:
            break
        time.sleep(0.02)
    own_server.stop(signal.SIGKILL)
    assert own_server.rows("SELECT state FROM delivery") == [("running",)]
    assert own_server.rows("SELECT id FROM batch") == []
    page.close()
    watch.problems.clear()  # the page asked a server that was not there
    own_server.start()
    for _ in range(600):
        if own_server.rows("SELECT state FROM delivery") == [("done",)]:
            break
        time.sleep(0.05)
    assert own_server.rows("SELECT count(*) FROM batch") == [(1,)]
    assert own_server.rows("SELECT count(*) FROM stimulus") == [(300,)]
    stored = {str(path.relative_to(images)) for path in images.rglob("*.png")}
    assert stored == {name for (name,) in own_server.rows("SELECT file FROM stimulus")}
    left = own_server.home / "deliveries"
    assert [each.name for each in left.iterdir()] == ["worker.lock"]


class Zeros(io.RawIOBase):
    """A body of so many zero bytes, of which hardly any are in memory."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        size = min(self.left, size if size >= 0 else self.left)
        self.left -= size
        return bytes(size)


def most_memory(server: Server) -> int:
    """What the process held at its largest, in MiB."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    [kib] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) // 1024


def test_a_huge_body_is_received_in_constant_memory(own_server: Server) -> None:
    database = own_server.database()
    with database.writing() as session:
        owner = session.scalars(select(Researcher.id)).one()
        session.add(
            ApiToken(token_digest=digest("t"), researcher_id=owner, name="script", created_at=now())
        )
    database.close()
    before = most_memory(own_server)
    connection = http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=300)
    size = 400 * MIB
    headers = {"Authorization": "Bearer t", "Content-Length": str(size)}
    connection.request("POST", "/api/v1/batches", Zeros(size), headers)
    assert connection.getresponse().status == 202
    connection.close()
    assert own_server.rows("SELECT total_bytes FROM delivery") == [(size,)]
    assert most_memory(own_server) - before < 60


def finds_nothing(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
