"""The results and the report of a rich study in Chromium: three readers, four conditions in two
norms, pairs, confidence, and answers that are missing."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.browser.conducted import Conducted, conduct, write_rich_batch
from tests.browser.looks import LOOKS, SCREENSHOTS
from tests.browser.server import EMAIL, PASSWORD, Server

TRUTHS = (1, 1, 0, 1, 0, 1)
KINDS = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8"}
NUMBERS = """one => [...one.querySelectorAll("tr")].map(
    row => [...row.cells].map(cell => cell.textContent.trim()))"""
DRAWN = "[...document.querySelectorAll('.blink img')].every(one => one.naturalWidth > 0)"


@pytest.fixture(scope="module")
def conducted(
    server: Server, make_batch: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Conducted:
    folder = tmp_path_factory.mktemp("rich") / "batch"
    batch = server.add_batch(write_rich_batch(folder, make_batch, TRUTHS))
    return conduct(server, batch)


@pytest.fixture
def desk(server: Server, conducted: Conducted, computer: Callable[..., BrowserContext]) -> Page:
    """A researcher who is signed in and looks at the results."""
    page = computer().new_page()
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()
    page.goto(f"{server.url}/studies/{conducted.study}/results")
    return page


def pieces(page: Page, name: str) -> None:
    """What a person looks at, window by window."""
    if SCREENSHOTS:
        height = page.evaluate("document.documentElement.scrollHeight")
        for number, top in enumerate(range(0, height, 760)):
            page.evaluate(f"scrollTo(0, {top})")
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{number:02d}.png")


def test_the_results_are_right_in_every_theme_and_fit_a_narrow_window(desk: Page) -> None:
    desk.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    for look, media in LOOKS.items():
        desk.emulate_media(**media)
        found = Axe().run(desk)
        assert found.violations_count == 0, f"{look}: {found.generate_report()}"
        pieces(desk, f"results-{look}")
    desk.set_viewport_size({"width": 390, "height": 800})
    assert desk.evaluate("document.documentElement.scrollWidth") == 390


def test_flipped_images_are_drawn_before_anybody_scrolls_to_them(desk: Page) -> None:
    assert desk.evaluate("scrollY") == 0
    assert desk.locator(".blink img").count() >= 6
    desk.wait_for_function(DRAWN)


def test_a_caption_stays_in_sight_while_its_table_scrolls(desk: Page) -> None:
    desk.set_viewport_size({"width": 390, "height": 800})
    table = desk.get_by_role("region", name="True positives")
    before = table.locator("caption .stays").bounding_box()
    table.evaluate("one => { one.scrollLeft = 120; }")
    assert table.evaluate("one => one.scrollLeft") > 0
    after = table.locator("caption .stays").bounding_box()
    assert before
    assert after
    assert (before["x"], before["width"]) == (after["x"], after["width"])
    assert after["x"] + after["width"] <= 390


def test_each_chart_has_its_files_and_its_table_the_same_numbers(
    desk: Page, server: Server
) -> None:
    charts = desk.locator("figure.chart").all()
    names = [each.locator("h3").inner_text() for each in charts]
    for expected in (
        "Original minus perturbed, in right answers",
        "What readers see: pgd, norm l2",
    ):
        assert expected in names
    assert sum(name.startswith("ROC curve") for name in names) >= 16
    for chart in charts:
        links = [str(each.get_attribute("href")) for each in chart.locator(".files a").all()]
        files = {link.rsplit(".", 1)[1]: desk.request.get(f"{server.url}{link}") for link in links}
        assert {kind: each.headers["content-type"] for kind, each in files.items()} == KINDS
        drawing = ElementTree.fromstring(files["svg"].text())  # noqa: S314 (our own)
        title, description = (drawing[place].text for place in (0, 1))
        assert title == chart.locator("h3").inner_text()
        assert description
        image = Image.open(io.BytesIO(files["png"].body()))
        assert image.size == tuple(2 * int(drawing.get(side, "")) for side in ("width", "height"))
        header, *rows = csv.reader(io.StringIO(files["csv"].text()))
        shown_header, *shown = chart.locator("table").evaluate(NUMBERS)
        assert shown_header == [name.replace("_", " ") for name in header]
        assert len(rows) == len(shown)
        assert rows
        for row, told in zip(rows, shown, strict=True):
            assert all(map(same, row, told)), (title, row, told)


def same(written: str, shown: str) -> bool:
    """The page rounds to four digits."""
    try:
        return float(shown) == pytest.approx(float(written), rel=5e-4, abs=1e-12)
    except ValueError:
        return written == shown


def test_the_report_is_one_file_that_opens_from_disk_in_both_themes(
    desk: Page,
    server: Server,
    conducted: Conducted,
    chromium: Callable[..., Browser],
    tmp_path: Path,
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(desk.request.get(f"{server.url}/studies/{conducted.study}/report").body())
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        context = chromium().new_context(color_scheme=scheme, offline=True)
        page, asked = context.new_page(), Asked()
        page.on("request", asked.note)
        page.goto(path.as_uri())
        assert asked.addresses == [path.as_uri()]
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        pieces(page, f"report-{scheme}")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        context.close()


class Asked:
    def __init__(self) -> None:
        self.addresses: list[str] = []

    def note(self, request: Request) -> None:
        self.addresses.append(request.url)


def test_paper_loses_nothing_of_the_report(
    desk: Page, server: Server, conducted: Conducted
) -> None:
    desk.goto(f"{server.url}/studies/{conducted.study}/report")
    desk.emulate_media(media="print")
    desk.set_viewport_size({"width": 680, "height": 960})
    cut = "[...document.querySelectorAll('.scroll')].filter(x => x.scrollWidth > x.clientWidth + 1)"
    told = "one => [one.getAttribute('aria-label'), one.scrollWidth, one.clientWidth]"
    assert desk.evaluate(f"{cut}.map({told})") == []


def test_the_pdf_has_title_language_outline_and_numbered_pages(
    desk: Page, server: Server, conducted: Conducted
) -> None:
    answer = desk.request.get(f"{server.url}/studies/{conducted.study}/report.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    content = answer.body()
    for part in (rb"/Title ", rb"/Lang \(en\)", rb"/Outlines \d+ 0 R", rb"/Author \(Plainsight\)"):
        assert re.search(part, content), part
    pages = len(re.findall(rb"/Type /Page\b", content))
    assert pages > 10
    headings = re.findall(rb"/Dest \[ (\d+) 0 R", content)
    assert len(headings) > 10
    assert len(set(headings)) > 5, "headings are on pages of their own"
    assert b"/Subtype /Image" not in content, "charts are lines and words"


def test_what_is_written_has_no_nothing_in_it(desk: Page) -> None:
    """No number without words, no words without a number."""
    said: Any = desk.locator("main").inner_text() + desk.locator("textarea").input_value()
    for wrong in ("None", "nan", "inf ", "{", "p 0.000", "..", " ,", "-0"):
        assert wrong not in said, wrong
    assert "Three readers labelled" in said
    assert "R02 found odd" in said
