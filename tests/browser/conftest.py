"""One way to start the browser and the server, for every test that needs real ones."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.browser.reader import Reader, Watch
from tests.browser.server import Server, Study, with_tissue

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1000,720",
)
VIEWPORT = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Callable[..., Browser]]:
    """`chromium(scale=1)`: Debian's, on a screen of that many device pixels a CSS pixel."""
    with ExitStack() as stack:

        @cache
        def start(scale: float = 1) -> Browser:
            # Playwright's emulated scale reports the canvas box in CSS pixels: hence the flag.
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[*ARGUMENTS, f"--force-device-scale-factor={scale}"],
            )
            return stack.enter_context(browser)

        yield start


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, make_batch: Callable[..., Path]
) -> Iterator[Server]:
    """One for all; tests bring the studies."""
    made = with_tissue(tmp_path_factory.mktemp("served"), make_batch)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def study(server: Server) -> Callable[..., Study]:
    """`study(cases=4, sets=1, ...)`: see Server.add_study; without breaks unless it says so."""

    def add(**options: Any) -> Study:
        usual = {"conditions": ("linf-2",), "break_after_images": 0}
        return server.add_study(**{**usual, **options})

    return add


@pytest.fixture
def watch(server: Server) -> Iterator[Watch]:
    """Over every page of the test: none asked another host, and no script failed."""
    watching = Watch(server.url)
    yield watching
    assert watching.problems == []


@pytest.fixture
def computer(chromium: Callable[..., Browser], watch: Watch) -> Iterator[Callable[..., Any]]:
    """`computer()` is a browser of its own, without cookies and without anything kept."""
    with ExitStack() as stack:

        def open_context(**options: Any) -> BrowserContext:
            usual: dict[str, Any] = {"viewport": VIEWPORT}
            context = chromium().new_context(**{**usual, **options})
            return watch.over(stack.enter_context(context))

        yield open_context


@pytest.fixture
def reader(computer: Callable[..., BrowserContext]) -> Reader:
    """At a computer of their own."""
    return Reader(computer().new_page())
