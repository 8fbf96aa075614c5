"""Accounts, tokens and collaborators in real Chromium: by keyboard, and in every theme."""

from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.researchers.service import add_researcher
from app.web.identity import now
from tests.browser.looks import shown_to_axe
from tests.browser.server import PASSWORD, Server, Study

Computer = Callable[..., BrowserContext]


@pytest.fixture
def head(server: Server) -> Iterator[str]:
    """The email of an administrator, while the test lasts."""
    email = f"head-{token_hex(4)}@example.org"
    employ(server, email, is_administrator=True)
    yield email
    server.change("UPDATE researcher SET is_administrator = FALSE WHERE email = ?", email)


def employ(server: Server, email: str, *, is_administrator: bool = False) -> None:
    database = server.database()
    with database.writing() as session:
        add_researcher(session, email, PASSWORD, now(), is_administrator=is_administrator)
    database.close()


def signed_in(
    context: BrowserContext, server: Server, email: str, password: str = PASSWORD
) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies")
    return page


def go_on(page: Page, name: str) -> None:
    """Press a button by keyboard."""
    page.get_by_role("button", name=name).focus()
    page.keyboard.press("Enter")


def test_a_new_researcher_signs_in_changes_the_password_and_makes_a_token(
    computer: Computer, server: Server, head: str
) -> None:
    page = signed_in(computer(), server, head)
    page.get_by_role("link", name="Account", exact=True).click()
    page.get_by_role("link", name="All accounts").click()
    shown_to_axe(page, "accounts")
    page.get_by_role("link", name="What was done").click()
    shown_to_axe(page, "account-record")
    page.go_back()
    email = f"new-{token_hex(4)}@example.org"
    page.get_by_label("Email").fill(email)
    go_on(page, "Add the account")
    password = page.locator("code.copy").inner_text()
    shown_to_axe(page, "new-account")

    page = signed_in(computer(), server, email, password)
    page.get_by_role("link", name="Account", exact=True).click()
    page.get_by_label("Present password").fill(password)
    page.get_by_label("New password").fill("a wholly new one")
    go_on(page, "Change the password")
    expect(page.get_by_role("status")).to_contain_text("The password is changed.")
    page.get_by_label("Name of the token").fill("Cluster")
    go_on(page, "Make a token")
    expect(page.get_by_role("status")).to_contain_text("shown only now")
    shown_to_axe(page, "account")
    go_on(page, "Revoke Cluster")
    expect(page.get_by_text("You have no token.")).to_be_visible()
    signed_in(computer(), server, email, "a wholly new one")


def test_the_owner_names_a_collaborator_who_then_sees_the_study(
    computer: Computer, server: Server, study: Callable[..., Study], head: str
) -> None:
    made = study()
    email = f"guest-{token_hex(4)}@example.org"
    employ(server, email)
    owner = signed_in(computer(), server, head)  # administrators may all that owners may
    owner.goto(f"{server.url}/studies/{made.number}")
    owner.get_by_label("Email of a researcher").fill(email)
    owner.get_by_label("They may").select_option("manage")
    go_on(owner, "Name a collaborator")
    expect(owner.get_by_role("rowheader", name=email)).to_be_visible()
    shown_to_axe(owner, "study-with-collaborators")
    guest = signed_in(computer(), server, email)
    guest.goto(f"{server.url}/studies/{made.number}")
    expect(guest.get_by_role("heading", name="Collaborators")).to_be_visible()
    expect(guest.get_by_role("button", name="Name a collaborator")).to_have_count(0)
    go_on(owner, f"Remove {email}")
    expect(owner.get_by_text("Nobody else works on it.")).to_be_visible()
    guest.reload()
    expect(guest.get_by_text("There is no such study.")).to_be_visible()


def test_who_must_wait_to_sign_in_is_told_so_kindly(computer: Computer, server: Server) -> None:
    page = computer().new_page()
    page.goto(f"{server.url}/sign-in")
    email = f"nobody-{token_hex(4)}@example.org"
    for _ in range(6):
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill("wrong")
        with page.expect_navigation():
            page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Wait 30 seconds, then try again.")
    shown_to_axe(page, "sign-in-wait")
    server.change("DELETE FROM sign_in_failure")
