"""Every page of a reader: how it looks, and that it works for everyone."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.vocabulary import PairTask
from tests.browser.looks import looks_right
from tests.browser.reader import TUMOUR, Reader
from tests.browser.server import Server, Study

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)
CHECKED = """
    SELECT c.letters_shown, c.letters_read, c.keys_tried, c.storage_works, c.is_silent,
        c.viewport_width, c.viewport_height, c.browser_zoom, c.pointer
    FROM screen_check c JOIN reader r ON r.id = c.reader_id
    WHERE r.study_id = ? AND NOT c.is_silent ORDER BY c.id
"""


def press_through(page: Page) -> None:
    """The one button of the page, by keyboard."""
    button = page.locator("main").locator("button[type=submit], a.button").last
    button.focus()
    page.keyboard.press("Enter")


def checks_of(server: Server, study: Study) -> list[tuple[Any, ...]]:
    return server.rows(CHECKED, study.number)


def at_check(reader: Reader, made: Study) -> Page:
    reader.agree(made.link)
    expect(reader.page.locator("#storage")).to_have_attribute("data-state", "good")
    return reader.page


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_every_page_is_right_in_every_theme_and_language(
    locale: str,
    server: Server,
    study: Callable[..., Study],
    computer: Callable[..., BrowserContext],
) -> None:
    made = study(
        cases=2,
        sets=2,
        waves=2,
        few_cells=True,
        cannot_assess=True,
        pair_task=PairTask.CHOICE,
        pair_conditions=("linf-2",),
        not_sure=True,
    )
    page = computer(locale=locale).new_page()
    reader = Reader(page)

    page.goto(made.link)
    looks_right(page, "start")
    press_through(page)
    page.wait_for_url("**/reading/check")
    expect(page.locator("#storage")).to_have_attribute("data-state", "good")
    looks_right(page, "check")
    press_through(page)
    page.wait_for_url("**/reading/room")
    reader.look_at(1)
    looks_right(page, "room")
    reader.answer(1, TUMOUR)
    expect(page.locator("#position")).to_have_text("2")

    page.goto(made.link)
    page.wait_for_url("**/reading/welcome")
    looks_right(page, "welcome")
    press_through(page)
    page.wait_for_url("**/reading/room")
    reader.answer_all([TUMOUR] * 3, 2)
    page.wait_for_url("**/reading/later")
    looks_right(page, "later")
    server.change("UPDATE sitting SET opens_at = '2026-01-01' WHERE number = 2")
    page.goto(f"{server.url}/reading")
    reader.answer_all([TUMOUR] * 4)

    page.wait_for_url("**/reading/questions")
    looks_right(page, "questions")
    press_through(page)
    page.wait_for_url("**/reading/pairs")
    looks_right(page, "pairs")
    press_through(page)
    page.wait_for_url("**/reading/room")
    reader.look_at(1)
    looks_right(page, "room-pairs")
    for position in (1, 2):
        reader.answer(position, "not_sure")
    page.wait_for_url("**/reading/done")
    looks_right(page, "done")

    page.goto(f"{server.url}/reading/nowhere")
    looks_right(page, "error")
    page.goto(f"{server.url}/r/0123")
    looks_right(page, "closed")
    phone = computer(locale=locale, user_agent=PHONE).new_page()
    phone.goto(made.link)
    looks_right(phone, "phone")


def test_the_screen_is_checked_by_keyboard_alone(
    server: Server, study: Callable[..., Study], reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    page = at_check(reader, made)
    reader.press("f")
    expect(page.locator(".tried:visible")).to_have_count(1)
    expect(page.get_by_role("status")).to_contain_text("Pressed: F")
    reader.press("j")
    expect(page.locator(".tried:visible")).to_have_count(2)
    expect(page.locator("#letters")).to_be_focused()
    expect(page.locator("#letters")).to_have_value("")
    page.keyboard.type("krfj")
    reader.press("Enter")
    page.wait_for_url("**/reading/room")

    ((shown, *found),) = checks_of(server, made)
    assert len(set(shown)) == 6
    assert found == ["KRFJ", 1, 1, 0, 1280, 800, 1.0, "fine"]


def test_nobody_fails_the_check(
    server: Server, study: Callable[..., Study], reader: Reader
) -> None:
    """Keys that were not tried, no letter seen and a small window are noted, and that is all."""
    made = study(cases=2, sets=1)
    page = at_check(reader, made)
    advice = page.get_by_text("Please enlarge the window")
    expect(advice).to_be_hidden()
    page.set_viewport_size({"width": 860, "height": 560})
    expect(advice).to_be_visible()
    expect(page.locator("#window")).to_contain_text(re.compile("860 . 560"))
    page.locator("#letters").focus()
    reader.press("f", "j", "Backspace", "Backspace")
    expect(page.locator(".tried:visible")).to_have_count(0)
    reader.press("Enter")
    page.wait_for_url("**/reading/room")

    ((_, *found),) = checks_of(server, made)
    assert found == ["", 0, 1, 0, 860, 560, 1.0, "fine"]


def test_a_reader_who_cannot_save_waits_at_the_check_until_it_works(
    server: Server, study: Callable[..., Study], reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    page = at_check(reader, made)
    page.context.set_offline(True)
    reader.press("f", "j", "Enter")
    expect(page.locator("#saving")).to_contain_text("Trying again")
    assert checks_of(server, made) == []
    page.context.set_offline(False)
    page.wait_for_url("**/reading/room")
    assert len(checks_of(server, made)) == 1


def test_an_answer_that_is_not_the_servers_does_not_pass_for_saved(
    study: Callable[..., Study], reader: Reader
) -> None:
    """Such as that of a hospital's login portal."""
    made = study(cases=2, sets=1)
    page = at_check(reader, made)
    portal = page.context
    portal.route("**/reading/check/saved", lambda route: route.fulfill(json={"code": "0000"}))
    reader.press("f", "j", "Enter")
    expect(page.locator("#saving")).to_contain_text("Trying again")
    portal.unroute("**/reading/check/saved")
    page.wait_for_url("**/reading/room")


def test_a_reader_who_is_shut_out_at_the_check_is_told_so(
    server: Server, study: Callable[..., Study], reader: Reader
) -> None:
    made = study(cases=2, sets=1)
    page = at_check(reader, made)
    server.lock(made)
    reader.press("f", "j", "Enter")
    expect(page.locator("#saving")).to_contain_text("This study is closed.")


def test_a_phone_is_refused_and_helps_to_carry_the_link_to_a_computer(
    study: Callable[..., Study], computer: Callable[..., BrowserContext]
) -> None:
    made = study(cases=2, sets=1)
    phone = computer(user_agent=PHONE, viewport={"width": 390, "height": 844}, has_touch=True)
    page = phone.new_page()
    page.goto(made.link)
    link = page.get_by_label("Your personal link")
    expect(link).to_have_value(made.link)
    assert page.evaluate("getSelection().toString()") == made.link
    mail = page.get_by_role("link", name="Send this link to my computer").get_attribute("href")
    assert mail
    assert mail.startswith("mailto:?subject=My%20link")
    assert made.link.rpartition("/")[2] in mail
    phone.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == made.link
    assert phone.cookies() == []


def test_without_scripts_a_reader_is_told_what_to_do(
    study: Callable[..., Study], computer: Callable[..., BrowserContext]
) -> None:
    page = computer(java_script_enabled=False).new_page()
    page.goto(study(cases=2, sets=1).link)
    advice = page.locator("noscript p")
    expect(advice).to_be_visible()
    press_through(page)
    page.wait_for_url("**/reading/check")
    expect(advice).to_be_visible()
    expect(advice).to_contain_text("The images need JavaScript.")


def test_the_language_is_chosen_on_the_page_and_stays(
    study: Callable[..., Study], reader: Reader
) -> None:
    page = reader.page
    page.goto(study(cases=2, sets=1).link)
    reader.press_button("Deutsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    reader.press_button("Ich stimme zu und beginne")
    page.wait_for_url("**/reading/check")
    expect(page.get_by_role("heading", name="Ein kurzer Blick")).to_be_visible()
    reader.press_button("English")
    expect(page.get_by_role("heading", name="A short check")).to_be_visible()
