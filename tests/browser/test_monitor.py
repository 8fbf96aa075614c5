"""The monitor in real Chromium: it goes on by itself, loses nothing typed, and stops at the end."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.looks import shown_to_axe
from tests.browser.server import EMAIL, PASSWORD, Server, Study

Make = Callable[..., Study]
TURN_MS = 20_000


@pytest.fixture
def open_study(
    computer: Callable[..., BrowserContext], server: Server
) -> Callable[[Study, str], Page]:
    """The page of a study, for a researcher whose clock stands still until it is turned on."""

    def open_page(made: Study, path: str = "") -> Page:
        page = computer().new_page()
        page.clock.install()
        page.goto(f"{server.url}/sign-in?next=/studies/{made.number}{path}")
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/studies/{made.number}{path}")
        return page

    return open_page


def turn(page: Page) -> None:
    """20 seconds pass, and the answer of the server is there."""
    with page.expect_response(lambda response: "/studies/" in response.url):
        page.clock.run_for(TURN_MS)
    page.clock.run_for(1000)


def row(page: Page, label: str) -> str:
    return " ".join(page.locator(f"tr:has(#reader_{label})").inner_text().split())


def test_the_monitor_goes_on_by_itself_and_keeps_what_is_typed_and_where_the_focus_is(
    server: Server, study: Make, open_study: Callable[[Study], Page]
) -> None:
    made = study(cases=3, sets=1, readers=2)
    server.begin(made)
    server.read(made, ["tumour"])
    page = open_study(made)
    assert "1 of 6" in row(page, "R01")
    page.get_by_label("Readers to invite").fill("17")
    server.read(made, ["tumour", "non_tumour"])
    turn(page)
    expect(page.locator("tr:has(#reader_R01)")).to_contain_text("3 of 6")
    assert page.get_by_label("Readers to invite").input_value() == "17"
    expect(page.get_by_label("Readers to invite")).to_be_focused()

    page.locator("#reader_R02").focus()
    server.read(made, ["tumour"])
    turn(page)
    expect(page.locator("tr:has(#reader_R01)")).to_contain_text("4 of 6")
    expect(page.locator("#reader_R02")).to_be_focused()


def test_the_page_of_the_list_and_its_sort_stay_while_it_goes_on(
    server: Server, study: Make, open_study: Callable[[Study], Page]
) -> None:
    made = study(cases=2, sets=1, readers=52)
    server.begin(made)
    page = open_study(made)
    page.get_by_role("link", name="Images read").click()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of 2, 52 in all")).to_be_visible()
    expect(page.locator("#reader_R01")).to_have_count(0)
    server.read(made, ["tumour"])
    turn(page)
    expect(page.locator("tr:has(#reader_R01)")).to_contain_text("1 of 4")
    expect(page.get_by_text("Page 2 of 2, 52 in all")).to_be_visible()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Images read")


def test_the_monitor_stops_when_the_study_is_closed(
    server: Server, study: Make, open_study: Callable[[Study], Page]
) -> None:
    made = study(cases=2, sets=1)
    page = open_study(made)
    server.lock(made)
    turn(page)
    expect(page.get_by_text("1 reader: 1 not finished.")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(5 * TURN_MS)
    page.wait_for_timeout(300)
    assert asked == []


def test_a_server_that_is_away_for_a_moment_takes_nothing_from_the_page(
    server: Server, study: Make, open_study: Callable[[Study], Page]
) -> None:
    made = study(cases=2, sets=1)
    server.begin(made)
    page = open_study(made)
    failing = f"**/studies/{made.number}?*"
    page.route(failing, lambda route: route.fulfill(status=502, body="<p>a proxy's words</p>"))
    turn(page)
    assert "0 of 4" in row(page, "R01")
    page.unroute(failing)
    server.read(made, ["tumour"])
    turn(page)
    expect(page.locator("tr:has(#reader_R01)")).to_contain_text("1 of 4")


def test_the_pages_around_the_monitor_are_right_in_every_theme(
    server: Server, study: Make, open_study: Callable[..., Page]
) -> None:
    made = study(cases=6, sets=2, waves=2, readers=4, practice=4, practice_batch=server.batches[1])
    server.begin(made)
    server.read(made, ["tumour"] * 9)
    server.change("UPDATE reader SET last_seen_at = '2020-01-01' WHERE study_id = ?", made.number)
    page = open_study(made)
    expect(page.locator("tr:has(#reader_R01)")).to_contain_text("stalled")
    paths = ("", "/readers/R01", "/record", "/problems")
    for url in (*(f"/studies/{made.number}{path}" for path in paths), "/studies?sort=title"):
        page.goto(f"{server.url}{url}")
        shown_to_axe(page, f"monitor{re.sub(r'[^a-z]+', '-', url)}")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url
        page.set_viewport_size({"width": 1280, "height": 800})


def test_a_new_link_keeps_its_last_day_and_a_withdrawn_one_lets_nobody_in(
    server: Server, study: Make, open_study: Callable[..., Page]
) -> None:
    made = study(cases=2, sets=1)
    server.change("UPDATE reader SET expires_at = '2099-06-02' WHERE study_id = ?", made.number)
    page = open_study(made)
    page.locator("#reader_R01").click()
    expect(page.get_by_label("Last day of a new link")).to_have_value("2099-06-01")
    page.get_by_role("button", name="Make a new link").click()
    expect(page.get_by_text("Its last day is 2099-06-01")).to_be_visible()
    link = page.locator("#url").inner_text()
    page.get_by_role("link", name="Back to the study").click()
    page.locator("#reader_R01").click()
    page.get_by_role("button", name="Withdraw the link").click()
    expect(page.get_by_text("Link withdrawn")).to_be_visible()
    expect(page.get_by_role("button", name="Withdraw the link")).to_have_count(0)
    page.goto(link)
    expect(page.get_by_role("heading", name="You cannot go on here")).to_be_visible()
