"""How a page looks: in every theme for axe, with large text, and in pictures for people."""

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SCREENSHOTS = os.environ.get("PLAINSIGHT_SCREENSHOTS")
SIZES = ((1280, 800), (1920, 1080))
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "forced_colors": "none"},
    "dark": {"color_scheme": "dark", "forced_colors": "none"},
    "forced": {"color_scheme": "light", "forced_colors": "active"},
}
# With text of twice the size: what sticks out of the page, or out of a box that hides it.
LOST = """() => {
  document.documentElement.style.fontSize = "200%";
  const shown = [...document.querySelectorAll("body *")].filter(
    (one) => one.checkVisibility() && getComputedStyle(one).clipPath === "none");
  const lost = shown.filter((one) => {
    const { left, right } = one.getBoundingClientRect();
    const hides = getComputedStyle(one).overflowX !== "visible" && one.localName !== "input";
    return left < 0 || right > innerWidth || (hides && one.scrollWidth > one.clientWidth);
  });
  document.documentElement.style.fontSize = "";
  return lost.map((one) => one.outerHTML.slice(0, 200));
}"""
axe = Axe()


def looks_right(page: Page, name: str) -> None:
    """In every theme for axe, and at twice the size of the text."""
    shown_to_axe(page, name)
    lost = page.evaluate(LOST)
    assert lost == [], f"{name}: {lost}"


def shown_to_axe(page: Page, name: str) -> None:
    """In every theme; with PLAINSIGHT_SCREENSHOTS, a folder, pictures of each in two sizes."""
    language = page.locator("html").get_attribute("lang")
    size = page.viewport_size
    for look, media in LOOKS.items():
        page.emulate_media(**media)
        results = axe.run(page)
        assert results.violations_count == 0, f"{name} {look}: {results.generate_report()}"
        for width, height in SIZES if SCREENSHOTS else ():
            page.set_viewport_size({"width": width, "height": height})
            path = Path(str(SCREENSHOTS)) / f"{name}-{language}-{look}-{width}.png"
            page.screenshot(path=path, full_page=True)
    page.emulate_media(**LOOKS["light"])
    if size:
        page.set_viewport_size(size)


def picture(page: Page, name: str) -> None:
    """What a window of common size shows of it, for the README."""
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
