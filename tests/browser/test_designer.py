"""The form of a study in real Chromium: what a design can show, live, by keyboard and without."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.server import EMAIL, PASSWORD, Server

Computer = Callable[..., BrowserContext]
PANEL = "#reckoned"


def at_the_desk(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/studies")
    return page


def at_the_form(context: BrowserContext, server: Server) -> Page:
    """With the batch of twenty tumours chosen."""
    page = at_the_desk(context, server)
    page.goto(f"{server.url}/studies/new")
    page.get_by_label("Batch", exact=True).select_option(str(server.batches[0]))
    return page


def test_the_panel_follows_what_is_typed(computer: Computer, server: Server) -> None:
    page = at_the_form(computer(), server)
    panel = page.locator(PANEL)
    expect(panel).to_contain_text("With 0 flips in 20 you could claim that at most 13.9 % flip")
    expect(panel).to_contain_text("20 tumour images cannot show ±0.1, even when every answer")
    page.get_by_label("Cases at most").focus()
    page.keyboard.type("10")
    expect(panel).to_contain_text("With 0 flips in 10 you could claim that at most 25.9 % flip")
    page.keyboard.press("Backspace")
    expect(panel.get_by_role("status")).to_have_text(
        "The batch has 20 such cases; choose 2 to 20 of them."
    )
    page.keyboard.press("Backspace")
    page.get_by_label("Margin for true positives").fill("0.15")
    expect(panel).to_contain_text("16 for a margin of ±0.15")
    expect(panel).not_to_contain_text("tumour images cannot show")


def test_a_study_is_designed_and_started_by_keyboard(computer: Computer, server: Server) -> None:
    page = at_the_form(computer(), server)
    page.get_by_label("Title for researchers").focus()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    page.keyboard.type("Tissue images")
    page.get_by_label("How sure, from 1 to 5").focus()
    page.keyboard.press("Space")
    expect(page.locator(PANEL)).to_contain_text("20 cases")
    expect(page.locator(PANEL)).not_to_contain_text("no ROC curves")
    page.get_by_role("button", name="Create the study").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Change the design").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Title for researchers")).to_have_value("By keyboard")
    expect(page.locator(PANEL)).to_contain_text("20 cases")
    page.get_by_label("Sets", exact=True).fill("1")
    expect(page.locator(PANEL)).to_contain_text("Choose two sets.")
    page.get_by_role("button", name="Save the draft").press("Enter")
    page.get_by_role("button", name="Lock and start").press("Enter")
    expect(page.locator("#protocol ~ * code")).to_have_text(re.compile("^[0-9a-f]{64}$"))
    expect(page.get_by_role("button", name="Invite readers")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download version 1").click()
    assert '"sets":1' in download.value.path().read_text(encoding="utf-8")


def test_without_scripts_a_button_reckons(computer: Computer, server: Server) -> None:
    page = at_the_form(computer(java_script_enabled=False), server)
    page.get_by_label("Cases at most").fill("12")
    page.get_by_label("Readers you plan").fill("3")
    page.get_by_role("button", name="Reckon").click()
    expect(page.locator(PANEL)).to_contain_text("With 0 flips in 12")
    expect(page.locator(PANEL)).to_contain_text("with 3 readers")
    expect(page.get_by_label("Cases at most")).to_have_value("12")
    expect(page.get_by_label("Batch", exact=True)).to_have_value(str(server.batches[0]))


def test_whoever_is_signed_out_while_typing_loses_nothing(
    computer: Computer, server: Server
) -> None:
    page = at_the_form(computer(), server)
    page.get_by_label("Title for researchers").fill("Typed for an hour")
    server.change("DELETE FROM researcher_session")
    page.get_by_label("Cases at most").fill("12")
    panel = page.locator(PANEL)
    expect(panel.get_by_role("status")).to_contain_text("You are signed out")
    require_accessible(page)
    with page.expect_popup() as opened:
        panel.get_by_role("link", name="Sign in in a new tab").press("Enter")
    beside = opened.value
    beside.get_by_label("Email").fill(EMAIL)
    beside.get_by_label("Password").fill(PASSWORD)
    beside.keyboard.press("Enter")
    beside.wait_for_url("**/studies")
    page.get_by_label("Cases at most").fill("13")
    expect(panel).to_contain_text("With 0 flips in 13")
    expect(page.get_by_label("Title for researchers")).to_have_value("Typed for an hour")


def test_a_batch_leads_to_a_study_of_it(computer: Computer, server: Server) -> None:
    page = at_the_desk(computer(), server)
    for number in server.batches[:2]:
        page.goto(f"{server.url}/batches/{number}")
        page.get_by_role("link", name="Design a study").click()
        expect(page.get_by_label("Batch", exact=True)).to_have_value(str(number))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_of_it_hinders_anybody(scheme: str, computer: Computer, server: Server) -> None:
    page = at_the_form(computer(color_scheme=scheme), server)
    expect(page.locator(PANEL)).to_contain_text("20 cases")
    page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    require_accessible(page)
    page.get_by_label("Title for researchers").fill(f"In {scheme}")
    page.get_by_label("Title for readers").fill("Tissue images")
    page.get_by_role("button", name="Create the study").click()
    require_accessible(page)
    page.get_by_role("button", name="Lock and start").click()
    require_accessible(page)
    page.get_by_role("link", name="Amend the plan").click()
    require_accessible(page)


def require_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_form_fits_a_narrow_window(computer: Computer, server: Server) -> None:
    page = at_the_form(computer(viewport={"width": 390, "height": 800}), server)
    expect(page.locator(PANEL)).to_contain_text("20 cases")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    table = page.get_by_role("region", name="Table of what is needed")
    assert table.evaluate("(one) => one.scrollWidth <= one.clientWidth")
