"""The reading room in a real Chromium: true pixels, and no answer lost, doubled or out of order."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, expect

from app.reading.domain import Choice
from app.reading.pages import RoomPage
from app.web.security import HEADERS
from app.web.templating import html
from tests.browser.reader import Reader, Watch
from tests.browser.server import Server
from tests.browser.server import Study as ServedStudy

ROOT = Path(__file__).parents[2]
SCALES = (1, 1.1, 1.25, 1.5, 1.75, 2)
CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Pixels = npt.NDArray[np.uint8]


# Images


def noise(seed: int, side: int = 96) -> Pixels:
    """Every pixel differs from its neighbours, so that any resampling shows."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def tissue(seed: int, side: int = 256) -> Pixels:
    """Pink ground with violet nuclei and faint noise: the colours and the contrast of H&E."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), (226.0, 178.0, 205.0))
    rows, columns = np.mgrid[:side, :side]
    for row, column, radius in rng.uniform((0, 0, 4), (side, side, 11), (60, 3)):
        image[np.hypot(rows - row, columns - column) < radius] = (92, 60, 138)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def enlarged(pixels: Pixels, scale: int) -> Pixels:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


# A study server made of a list

CHOICES = (Choice("non_tumour", "f", "No tumour"), Choice("tumour", "j", "Tumour"))
AFTER = b"<!doctype html><html lang='en'><title>Next</title><h1>The next page</h1></html>"


def room(**changes: Any) -> RoomPage:
    page = RoomPage(
        title="Breast tissue",
        part="reading",
        question="Does this image show tumour?",
        criterion="Tumour: 5 or more tumour cells. No tumour: no tumour cell.",
        total=80,
        choices=CHOICES,
        confidence=False,
        undo="one",
        break_after_images=0,
        break_after_minutes=0,
        card=False,
    )
    return replace(page, **changes)


@dataclass
class Study:
    """What the server would know, with a gate and a list of failures to make trouble with.

    With `pairs` as well there are two images a presentation, and these are the right ones.
    """

    images: list[Pixels]
    pairs: list[Pixels] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    visits: int = 0

    def __post_init__(self) -> None:
        self.tokens = [f"{number:032x}" for number in range(1, len(self.images) + 1)]
        self.gate.set()

    def page(self) -> RoomPage:
        return room(total=len(self.tokens), part="pairs" if self.pairs else "reading")

    def window(self) -> dict[str, object]:
        done = len(self.stored)
        tokens = self.tokens[done : done + 12]
        return {
            "tokens": tokens,
            "attempts": [0] * len(tokens),
            "undoable": {"token": self.tokens[done - 1], "attempt": 0} if done else None,
            "done": done,
            "total": len(self.tokens),
            "feedback": None,
        }

    def arrive(self) -> dict[str, object]:
        self.visits += 1
        return self.window() | {"visit": f"visit {self.visits}", "queue": "queue"}

    def store(self, response: dict[str, Any]) -> tuple[int, dict[str, object]]:
        self.attempts.append(response["token"])
        assert self.gate.wait(timeout=60)
        if self.failures:
            return self.failures.pop(0), {"message": "You continued elsewhere."}
        if response["token"] not in [known["token"] for known in self.stored]:
            self.stored.append(response)
        return 200, self.window()

    def answers(self) -> list[tuple[str, str]]:
        return [(response["token"], response["answer"]) for response in self.stored]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    study: Study

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["reading", "window"]:
                self.answer_json(200, self.study.window())
            case ["reading", "images", token]:
                self.answer(
                    200, "image/png", png(self.study.images[self.study.tokens.index(token)])
                )
            case ["reading", "images", token, "right"]:
                self.answer(200, "image/png", png(self.study.pairs[self.study.tokens.index(token)]))
            case ["reading", "room"]:
                self.answer(200, "text/html", html("reader/room.html", self.study.page()).encode())
            case ["reading"]:
                self.answer(200, "text/html", AFTER)
            case ["static", *parts]:
                path = ROOT.joinpath("static", *parts)
                self.answer(200, CONTENT_TYPES[path.suffix], path.read_bytes())
            case _:
                self.answer(404, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.path:
            case "/reading/arrive":
                self.answer_json(200, self.study.arrive())
            case "/reading/display":
                self.answer_json(200, self.study.window())
            case _ if self.headers["Plainsight-Visit"] != f"visit {self.study.visits}":
                self.answer_json(403, {"message": "You continued elsewhere."})
            case _:
                self.answer_json(*self.study.store(json.loads(body)))

    def answer_json(self, status: int, content: dict[str, object]) -> None:
        self.answer(status, "application/json", json.dumps(content).encode())

    def answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", HEADERS["Content-Security-Policy"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The test's output is not a server log."""


@contextmanager
def serving(study: Study) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"study": study}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        study.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


# The browser


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Browser]) -> Browser:
    return chromium()


def is_our_fault(complaint: str) -> bool:
    """Neither advice on getImageData, which only the tests call, nor the planned failures."""
    return "Canvas2D" not in complaint and "Failed to load resource" not in complaint


@contextmanager
def visiting(browser: Browser, study: Study, script: str = "") -> Iterator[Page]:
    """Enters the reading room, and fails if it calls another host or breaks the content policy."""
    with serving(study) as address, browser.new_context(no_viewport=True) as context:
        requested: list[str] = []
        complaints: list[str] = []
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.add_init_script(script)
        page.goto(f"{address}/reading/room")
        yield page
        assert [url for url in requested if not url.startswith(address)] == []
        assert [text for text in complaints if is_our_fault(text)] == []


@pytest.fixture
def enter(browser: Browser) -> Iterator[Callable[[Study], Page]]:
    """Enters the reading room of a study."""
    with ExitStack() as stack:
        yield lambda study: stack.enter_context(visiting(browser, study))


def look_at(page: Page, position: int) -> None:
    """Waits until this image is on the screen and an answer to it is accepted."""
    expect(page.locator("#position")).to_have_text(str(position))
    page.evaluate(
        "() => new Promise(done =>"
        " requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 170))))"
    )


def resize(page: Page, width: int, height: int) -> None:
    session = page.context.new_cdp_session(page)
    window = session.send("Browser.getWindowForTarget")["windowId"]
    bounds = {"width": width, "height": height}
    session.send("Browser.setWindowBounds", {"windowId": window, "bounds": bounds})
    session.detach()
    page.wait_for_timeout(300)


def kept(page: Page) -> list[dict[str, Any]]:
    """Everything in all of the page's databases."""
    records: list[dict[str, Any]] = page.evaluate(
        """async () => {
          const settled = (request) => new Promise((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
          const found = [];
          for (const { name } of await indexedDB.databases()) {
            const database = await settled(indexedDB.open(name));
            for (const store of database.objectStoreNames)
              found.push(...await settled(database.transaction(store).objectStore(store).getAll()));
            database.close();
          }
          return found;
        }"""
    )
    return records


# What is on the screen


def backing_store(page: Page, canvas: int = 0) -> Pixels:
    """The pixels the page has drawn, (height, width, 3)."""
    size, encoded = page.evaluate(
        """number => {
          const canvas = document.querySelectorAll("canvas")[number];
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          let text = "";
          for (let i = 0; i < data.length; i += 8192)
            text += String.fromCharCode(...data.subarray(i, i + 8192));
          return [[height, width, 4], btoa(text)];
        }""",
        canvas,
    )
    return np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(size)[..., :3]


def screenshot(page: Page) -> Pixels:
    """The pixels the browser has put on the screen, (height, width, 3).

    Not `page.screenshot`, which resizes the page by a device pixel at a scale factor of 1.1.
    """
    session = page.context.new_cdp_session(page)
    captured = session.send("Page.captureScreenshot", {"format": "png"})["data"]
    session.detach()
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(captured))).convert("RGB"))


def canvas_corner(page: Page, canvas: int = 0) -> tuple[int, int]:
    """Row and column of the first device pixel of the canvas on the screen."""
    top, left = page.evaluate(
        """number => {
          const { top, left } = document.querySelectorAll("canvas")[number].getBoundingClientRect();
          return [Math.round(top * devicePixelRatio), Math.round(left * devicePixelRatio)];
        }""",
        canvas,
    )
    return top, left


def assert_exact(page: Page, pixels: Pixels, canvas: int = 0, zoom: int = 1, right: int = 0) -> int:
    """Every pixel of the file is a whole block of device pixels; returns the size of the block.

    `right`: by how many device pixels the reader has moved on to the right.
    """
    drawn = backing_store(page, canvas)
    height, width, _ = drawn.shape
    scale: int = zoom * min(height // pixels.shape[0], width // pixels.shape[1])
    expected = enlarged(pixels, scale)
    row, column = (height - expected.shape[0]) // 2, (width - expected.shape[1]) // 2
    if column < 0:
        column = min(max(column - right, width - expected.shape[1]), 0)
    seen = expected[max(-row, 0) :, max(-column, 0) :][:height, :width]
    row, column = max(row, 0), max(column, 0)
    assert_same(drawn, seen, row, column)
    top, left = canvas_corner(page, canvas)
    assert_same(screenshot(page), seen, top + row, left + column)
    return scale


def assert_same(picture: Pixels, expected: Pixels, row: int, column: int) -> None:
    height, width, _ = expected.shape
    found = picture[row : row + height, column : column + width].astype(int)
    assert found.shape == expected.shape
    assert int(np.abs(found - expected).max()) == 0


@pytest.mark.parametrize("scale", SCALES)
def test_every_pixel_of_the_file_is_on_the_screen(
    chromium: Callable[..., Browser], scale: float
) -> None:
    images = [noise(1), tissue(2), noise(3, side=251)]
    study = Study(images)
    with visiting(chromium(scale), study) as page:
        for position, pixels in enumerate(images, start=1):
            look_at(page, position)
            assert assert_exact(page, pixels) >= 1
            # Now the edges of the stage fall between device pixels; those of the image must not.
            page.evaluate("document.querySelector('main').style.padding = '10.3px 7.7px'")
            page.wait_for_timeout(100)
            assert_exact(page, pixels)
            page.evaluate("document.querySelector('main').style.padding = ''")
            page.keyboard.press("f")
        page.wait_for_url("**/reading")
    for response, pixels in zip(study.stored, images, strict=True):
        assert response["device_pixel_ratio"] == pytest.approx(scale)
        assert response["display_width"] == response["scale"] * pixels.shape[1]
        assert response["display_height"] == response["scale"] * pixels.shape[0]
        assert response["pixel_exact"] is True


@pytest.mark.parametrize("is_pair", [False, True])
@pytest.mark.parametrize("scale", [1, 1.1, 1.25, 1.5, 2])
def test_every_zoom_shows_every_pixel(
    chromium: Callable[..., Browser], scale: float, is_pair: bool
) -> None:
    shown = [[noise(1, side=96), tissue(2, side=96)], [noise(3, side=96), tissue(4, side=96)]]
    lefts, rights = zip(*shown, strict=True)
    study = Study(list(lefts), list(rights) if is_pair else [])
    with visiting(chromium(scale), study) as page:
        for position, images in enumerate(shown, start=1):
            look_at(page, position)
            for zoom in (1, 2, 3, 4):
                for canvas, pixels in enumerate(images if is_pair else images[:1]):
                    assert_exact(page, pixels, canvas, zoom)
                page.keyboard.press("+")
            page.keyboard.press("ArrowRight")
            for canvas, pixels in enumerate(images if is_pair else images[:1]):
                assert_exact(page, pixels, canvas, 4, right=round(64 * scale))
            expect(page.locator("#zoom")).to_have_text("4\N{MULTIPLICATION SIGN}")
            page.keyboard.press("f")
        page.wait_for_url("**/reading")
    assert [response["zoom"] for response in study.stored] == [4, 4]
    assert all(response["pixel_exact"] for response in study.stored)
    assert all(response["display_width"] == response["scale"] * 96 for response in study.stored)


@pytest.mark.parametrize("scale", [1.25, 1.5])
def test_what_the_batch_delivered_is_what_the_real_server_brings_to_the_screen(
    chromium: Callable[..., Browser],
    server: Server,
    study: Callable[..., ServedStudy],
    watch: Watch,
    scale: float,
) -> None:
    made = study(cases=2, sets=1)
    with chromium(scale).new_context(no_viewport=True) as context:
        reader = Reader(watch.over(context).new_page())
        reader.enter(made.link)
        for position in (1, 2):
            reader.look_at(position)
            pixels = server.delivered(made, position)
            assert_exact(reader.page, pixels)
            reader.press("+")
            assert_exact(reader.page, pixels, zoom=2)
            reader.answer(position, "tumour")
        reader.look_at(3)
        reader.is_saved()
    stored = server.rows("SELECT zoom, pixel_exact FROM response ORDER BY id DESC LIMIT 2")
    assert stored == [(2, 1), (2, 1)]


def test_the_wheel_zooms_towards_the_pointer_and_dragging_moves(
    enter: Callable[[Study], Page],
) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    top, left = canvas_corner(page)
    height, width, _ = backing_store(page).shape
    scale = assert_exact(page, study.images[0])
    # In an image pixel a little left of the middle and above it.
    x = left + (width - 96 * scale) // 2 + 40 * scale + scale // 2
    y = top + (height - 96 * scale) // 2 + 45 * scale + scale // 2
    before = screenshot(page)[y, x]
    page.mouse.move(x, y)
    for zoom in (2, 3):
        page.mouse.wheel(0, -120)
        expect(page.locator("#zoom")).to_have_text(f"{zoom}\N{MULTIPLICATION SIGN}")
        page.wait_for_timeout(50)
        assert (screenshot(page)[y, x] == before).all()
    page.mouse.down()
    page.mouse.move(x + 40, y + 30)
    page.mouse.up()
    page.wait_for_timeout(50)
    assert (screenshot(page)[y + 30, x + 40] == before).all()
    page.mouse.wheel(0, 500)
    expect(page.locator("#zoom")).to_have_text("2\N{MULTIPLICATION SIGN}")
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text("1\N{MULTIPLICATION SIGN}")
    assert_exact(page, study.images[0])
    page.keyboard.press("f")
    look_at(page, 2)
    assert_exact(page, study.images[1])


def test_resampling_on_the_way_to_the_screen_would_be_seen(
    chromium: Callable[..., Browser],
) -> None:
    study = Study([noise(1)])
    with visiting(chromium(1.25), study) as page:
        look_at(page, 1)
        assert_exact(page, study.images[0])
        page.evaluate("document.querySelector('canvas').style.transform = 'scale(1.001)'")
        with pytest.raises(AssertionError):
            assert_exact(page, study.images[0])


@pytest.mark.parametrize("scale", [1, 1.25])
def test_a_new_window_size_is_drawn_exactly(chromium: Callable[..., Browser], scale: float) -> None:
    study = Study([tissue(1)])
    with visiting(chromium(scale), study) as page:
        look_at(page, 1)
        before = assert_exact(page, study.images[0])
        resize(page, 1333, 1111)
        assert assert_exact(page, study.images[0]) > before


def test_a_window_too_small_for_the_image_takes_no_answer(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1, side=256), noise(2, side=256)])
    page = enter(study)
    look_at(page, 1)
    resize(page, 900, 420)
    expect(page.locator("#message")).to_contain_text("Please enlarge the window")
    page.keyboard.press("f")
    page.wait_for_timeout(300)
    assert study.attempts == []
    resize(page, 1000, 720)
    expect(page.locator("#message")).to_be_empty()
    page.keyboard.press("f")
    look_at(page, 2)
    expect(page.locator("#saving")).to_have_text("Saved")
    assert study.stored[0]["hidden_ms"] >= 300


# Answers


def test_the_next_image_is_shown_before_the_answer_is_stored(
    enter: Callable[[Study], Page],
) -> None:
    study = Study([noise(seed) for seed in range(4)])
    page = enter(study)
    look_at(page, 1)
    study.gate.clear()
    page.keyboard.press("j")
    look_at(page, 2)
    assert_exact(page, study.images[1])
    assert study.stored == []
    expect(page.locator("#saving")).to_have_text("Saving")
    study.gate.set()
    expect(page.locator("#saving")).to_have_text("Saved")
    assert study.answers() == [(study.tokens[0], "tumour")]


def test_a_failing_server_loses_and_doubles_nothing(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(seed) for seed in range(4)], failures=[503, 503, 503])
    page = enter(study)
    for position, key in enumerate("fj", start=1):
        look_at(page, position)
        page.keyboard.press(key)
    expect(page.locator("#saving")).to_have_text("Offline - 2 answers kept on this computer")
    expect(page.locator("#saving")).to_have_text("Saved")
    assert study.answers() == [(study.tokens[0], "non_tumour"), (study.tokens[1], "tumour")]
    assert study.attempts == [study.tokens[0]] * 4 + [study.tokens[1]]


def test_a_refusal_ends_the_reading_with_a_way_back(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(seed) for seed in range(4)], failures=[403])
    page = enter(study)
    look_at(page, 1)
    page.keyboard.press("f")
    expect(page.locator("#message")).to_have_text("You continued elsewhere.")
    expect(page.get_by_role("link", name="Go on here")).to_have_attribute("href", "/reading")
    page.keyboard.press("j")
    page.wait_for_timeout(300)
    assert study.attempts == study.tokens[:1]
    assert len(np.unique(backing_store(page))) == 1


def test_after_the_last_answer_is_stored_comes_the_next_page(
    enter: Callable[[Study], Page],
) -> None:
    study = Study([noise(seed) for seed in range(5)])
    page = enter(study)
    for position, answer in enumerate(["F", "J", "F", "J", "J"], start=1):
        look_at(page, position)
        page.get_by_role("button", name=answer).click()
    page.wait_for_url("**/reading")
    expect(page.get_by_role("heading")).to_have_text("The next page")
    assert [token for token, _ in study.answers()] == study.tokens


@pytest.mark.parametrize("is_kept", [True, False])
def test_only_an_unsent_answer_that_the_browser_cannot_keep_is_warned_about(
    browser: Browser, is_kept: bool
) -> None:
    study = Study([noise(1), noise(2)])
    warnings: list[str] = []

    def stay(dialog: Dialog) -> None:
        warnings.append(dialog.type)
        dialog.dismiss()

    with visiting(browser, study, "" if is_kept else "delete IDBFactory.prototype.open") as page:
        page.on("dialog", stay)
        look_at(page, 1)
        study.gate.clear()
        page.keyboard.press("f")
        look_at(page, 2)
        page.close(run_before_unload=True)
        if is_kept:
            page.wait_for_event("close")
        else:
            page.wait_for_timeout(500)
        assert warnings == ([] if is_kept else ["beforeunload"])


# Keys and time


def test_a_held_key_answers_once(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    for _ in range(4):
        # Playwright marks every further "down" of the same key as a repeat, as a keyboard does.
        page.keyboard.down("f")
        look_at(page, 2)
    assert len(study.attempts) == 1


def test_a_held_enter_on_a_button_answers_once(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    page.get_by_role("button", name="Tumour").last.focus()
    for _ in range(4):
        page.keyboard.down("Enter")
        look_at(page, 2)
    assert len(study.attempts) == 1


def test_a_double_click_answers_once(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    page.get_by_role("button", name="No tumour").dblclick(delay=190)
    look_at(page, 2)
    assert len(study.attempts) == 1


def test_a_key_with_a_modifier_is_no_answer(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    for modifier in ("Control", "Alt", "Shift", "Meta"):
        page.keyboard.press(f"{modifier}+j")
    page.wait_for_timeout(200)
    assert study.attempts == []


def test_a_key_is_ignored_until_the_image_has_been_seen(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    # Pressed by the page itself, because only then are the three presses surely that early.
    page.evaluate(
        """() => {
          const press = () =>
            document.dispatchEvent(new KeyboardEvent("keydown", { key: "f", code: "KeyF" }));
          press();
          press();
          requestAnimationFrame(() => {
            press();
            requestAnimationFrame(press);
          });
        }"""
    )
    look_at(page, 2)
    assert study.attempts == study.tokens[:1]
    page.keyboard.press("j")
    page.wait_for_url("**/reading")
    assert study.stored[1]["reading_time_ms"] >= 150


def test_hidden_time_is_counted_apart(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(1), noise(2)])
    page = enter(study)
    look_at(page, 1)
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(1500)
    page.evaluate(hide, False)
    page.wait_for_timeout(200)
    started, ended = page.evaluate("[performance.timeOrigin, Date.now()]")
    page.keyboard.press("f")
    expect(page.locator("#saving")).to_have_text("Saved")
    [response] = study.stored
    assert response["hidden_ms"] >= 1500
    assert 150 <= response["reading_time_ms"] < ended - started - 1000


# Blinding and accessibility


def test_the_page_is_the_same_for_every_image(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(seed) for seed in range(4)])
    page = enter(study)
    seen = set()
    for position in range(1, 4):
        look_at(page, position)
        if position > 1:
            expect(page.locator("#saving")).to_have_text("Saved")
            content = page.content().replace(f'"position">{position}<', "")
            seen.add(content.replace(f"Image {position} of", ""))
        assert page.evaluate(
            "async () => [history.length, location.search + location.hash, document.title,"
            " localStorage.length + sessionStorage.length, (await caches.keys()).length]"
        ) == [2, "", "Image reading", 0, 0]
        assert kept(page) == []
        page.keyboard.press("f")
    assert len(seen) == 1
    assert not any(token in content for token in study.tokens for content in seen)


def test_the_browser_keeps_what_is_unsent_and_nothing_else(enter: Callable[[Study], Page]) -> None:
    study = Study([noise(seed) for seed in range(4)])
    page = enter(study)
    look_at(page, 1)
    study.gate.clear()
    page.keyboard.press("f")
    look_at(page, 2)
    [record] = kept(page)
    assert (record["queue"], record["kind"]) == ("queue", "response")
    study.gate.set()
    expect(page.locator("#saving")).to_have_text("Saved")
    assert [record["body"]] == study.stored
    assert kept(page) == []


def test_axe_finds_nothing(enter: Callable[[Study], Page]) -> None:
    page = enter(Study([tissue(1)]))
    look_at(page, 1)
    assert Axe().run(page).response["violations"] == []
