"""The results page in Chromium: flipped images change in place, by key, and never by themselves
where the system asks for rest; every theme is right."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.looks import SCREENSHOTS, shown_to_axe
from tests.browser.server import EMAIL, PASSWORD, Server, Study

SHOWN = """
    SELECT p.set_number, c.name, s.condition_id IS NOT NULL
    FROM presentation p JOIN reader d ON d.id = p.reader_id
    JOIN stimulus s ON s.id = p.stimulus_id JOIN "case" c ON c.id = s.case_id
    WHERE d.study_id = ? AND p.part = 'reading' ORDER BY p.position
"""


def answers(server: Server, study: Study) -> Sequence[str]:
    """Every fourth perturbed image is missed in both sets, and one original in the first."""
    return [
        "non_tumour"
        if (is_perturbed and int(case[1:]) % 4 == 0) or (case == "c07" and set_number == 1)
        else "tumour"
        for set_number, case, is_perturbed in server.rows(SHOWN, study.number)
    ]


@pytest.fixture(scope="module")
def read(server: Server) -> Study:
    made = server.add_study(
        title="Linf 2, results", is_demo=True, conditions=("linf-2",), break_after_images=0
    )
    server.begin(made)
    server.read(made, answers(server, made))
    return made


@pytest.fixture
def results(
    server: Server, read: Study, computer: Callable[..., BrowserContext]
) -> Callable[..., Page]:
    """`results(reduced_motion="reduce")`: the page, by a researcher who is signed in."""

    def open_page(**options: Any) -> Page:
        page = computer(**options).new_page()
        page.goto(f"{server.url}/sign-in")
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Studies")).to_be_visible()
        page.goto(f"{server.url}/studies/{read.number}/results")
        return page

    return open_page


def shows(figure: Locator, place: str) -> None:
    """One image in one place."""
    other = {"first": "second", "second": "first"}[place]
    expect(figure.locator(f"img.{place}")).to_have_css("visibility", "visible")
    expect(figure.locator(f"img.{other}")).to_have_css("visibility", "hidden")


def picture(page: Page, figure: Locator) -> None:
    if SCREENSHOTS:
        figure.scroll_into_view_if_needed()
        page.screenshot(path=Path(SCREENSHOTS) / "office-results-flips-en-light-1280.png")


def test_every_theme_is_right(results: Callable[..., Page]) -> None:
    page = results()
    for details in page.locator("details").all():
        details.evaluate("(one) => { one.open = true; }")
    shown_to_axe(page, "office-results-whole")


def test_a_flipped_image_changes_in_place_by_button_and_by_key(
    results: Callable[..., Page],
) -> None:
    page = results()
    first, second = page.locator(".blink").all()[:2]
    shows(first, "first")
    original, perturbed = (first.locator(f"img.{place}") for place in ("first", "second"))
    assert original.bounding_box() == perturbed.bounding_box()
    first.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.blink img.first').naturalWidth > 0")
    assert original.evaluate("(one) => [one.width, one.naturalWidth]") == [128, 128]

    button = first.get_by_role("button", name="Perturbed")
    button.focus()
    page.keyboard.press("Enter")
    shows(first, "second")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")
    shows(first, "first")
    shows(second, "first")
    page.get_by_role("link", name="Plainsight").focus()
    page.keyboard.press("b")
    shows(first, "second")
    shows(second, "second")
    picture(page, first)
    page.get_by_label("Methods and results").fill("b")
    shows(first, "second")


def test_images_change_by_themselves_only_when_asked_to(results: Callable[..., Page]) -> None:
    page = results()
    figure = page.locator(".blink").first
    page.wait_for_timeout(1200)
    shows(figure, "first")
    page.get_by_label("once a second").check()
    shows(figure, "second")
    shows(figure, "first")


def test_nothing_moves_where_the_system_asks_for_rest(results: Callable[..., Page]) -> None:
    page = results(reduced_motion="reduce")
    expect(page.get_by_label("once a second")).to_be_hidden()
    expect(page.get_by_role("button", name="Perturbed").first).to_be_visible()


def test_without_scripts_both_images_stand_side_by_side(results: Callable[..., Page]) -> None:
    page = results(java_script_enabled=False)
    figure = page.locator(".blink").first
    for place in ("first", "second"):
        expect(figure.locator(f"img.{place}")).to_have_css("visibility", "visible")
    expect(figure.get_by_role("button")).to_have_count(0)


def test_every_file_of_every_chart_is_there(results: Callable[..., Page], server: Server) -> None:
    page = results()
    files = [link.get_attribute("href") for link in page.locator(".files a").all()]
    assert len(files) >= 12
    for file in files:
        response = page.request.get(f"{server.url}{file}")
        assert response.status == 200, file
        assert response.body(), file
