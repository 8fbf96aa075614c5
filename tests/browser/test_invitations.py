"""New personal links in real Chromium: copied, downloaded, and right in every theme."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.looks import looks_right
from tests.browser.server import EMAIL, PASSWORD, Server, Study


def test_links_are_copied_and_downloaded_from_the_page_that_shows_them(
    computer: Callable[..., BrowserContext], server: Server, study: Callable[..., Study]
) -> None:
    made = study(readers=0)
    context = computer()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{server.url}/sign-in?next=/studies/{made.number}")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Invite readers").click()
    page.get_by_role("button", name="Copy the link").click()
    expect(page.locator("#copied_url")).to_have_text("The link is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#url").inner_text()
    expect(page.get_by_role("img", name="QR code of the link of R01")).to_be_visible()
    looks_right(page, "invitation")
    page.get_by_role("link", name="Back to the study").click()
    page.get_by_label("Readers to invite").fill("3")
    page.get_by_role("button", name="Invite readers").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "links.csv"
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[1:] == [
        f"{label},{link},"
        for label, link in zip(
            ("R02", "R03", "R04"), page.locator(".card code").all_inner_texts(), strict=True
        )
    ]
    expect(page.get_by_role("img", name="QR code of the link of R03")).to_be_visible()
    page.get_by_role("button", name="Copy the link of R03").click()
    expect(page.locator("#copied_url_R03")).to_have_text("The link of R03 is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#url_R03").inner_text()
    looks_right(page, "invitations")
