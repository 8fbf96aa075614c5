"""The evidence of a batch in Chromium: right in every theme."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.looks import shown_to_axe
from tests.browser.server import EMAIL, PASSWORD, Server


@pytest.fixture(scope="module")
def batch(
    server: Server, make_batch: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> int:
    folder = tmp_path_factory.mktemp("evidence") / "batch"
    return server.add_batch(make_batch(folder, cases=3, size=64, seed=99, evidence=True))


@pytest.fixture
def desk(server: Server, computer: Callable[..., BrowserContext]) -> Page:
    page = computer().new_page()
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()
    return page


def test_the_batch_leads_from_its_evidence_to_the_curves(
    server: Server, batch: int, desk: Page
) -> None:
    desk.goto(f"{server.url}/batches/{batch}")
    for details in desk.locator("details").all():
        details.evaluate("(one) => { one.open = true; }")
    expect(desk.get_by_role("img", name="Where the network looks")).to_have_count(6)
    shown_to_axe(desk, "office-batch-evidence")

    desk.get_by_role("link", name="Success curves as charts").click()
    expect(desk.get_by_role("img", name="What fools the network: Linf")).to_be_visible()
    shown_to_axe(desk, "office-network")
    with desk.expect_download() as download:
        desk.get_by_text("numbers and files").first.click()
        desk.get_by_role("link", name="What fools the network: L2 as CSV").click()
    assert download.value.suggested_filename == "network-l2.csv"
