"""One way to start the browser, for every test that needs a real one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1000,720",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Browser]]:
    """`chromium(scale=1)`: Debian's, on a screen of that many device pixels a CSS pixel."""
    with sync_playwright() as playwright, ExitStack() as stack:

        @cache
        def start(scale: float = 1) -> Browser:
            # Playwright's emulated scale reports the canvas box in CSS pixels: hence the flag.
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium",
                args=[*ARGUMENTS, f"--force-device-scale-factor={scale}"],
            )
            return stack.enter_context(browser)

        yield start
