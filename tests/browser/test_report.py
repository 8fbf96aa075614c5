"""The report of a run in a real Chromium: from a file, without a network."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

IMAGES_ARE_DRAWN = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_shows_all_in_light_and_dark_and_asks_nobody(
    scheme: str, chromium: Callable[..., Browser], drawn_run: Path
) -> None:
    context = chromium().new_context(color_scheme=scheme, offline=True)  # type: ignore[arg-type]
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((drawn_run / "report.html").as_uri())
    assert page.evaluate(IMAGES_ARE_DRAWN)
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()


def test_the_report_fits_a_narrow_window(chromium: Callable[..., Browser], drawn_run: Path) -> None:
    context = chromium().new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto((drawn_run / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
