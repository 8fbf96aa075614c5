"""Accounts: who has one, their passwords, and tokens for programs."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.errors import Conflict
from app.researchers.accounts import make_administrator, unmake_administrator
from app.researchers.service import add_researcher, find_researcher, researcher_of_token
from app.researchers.tokens import MOST, make_token
from app.storage.models import AccountEvent, ApiToken, Researcher, ResearcherSession
from app.storage.session import Database
from app.web.identity import RESEARCHER_COOKIE, digest, now

PASSWORD = "correct horse battery"
ADA, BOB = "ada@example.org", "bob@example.org"
Browser = Callable[[], TestClient]
Office = Callable[..., TestClient]
Employ = Callable[[str], str]


@pytest.fixture
def head(employ: Employ, office: Office, database: Database) -> TestClient:
    """The browser of ada, who is an administrator; bob is a researcher."""
    for email in (ADA, BOB):
        employ(email)
    with database.writing() as session:
        make_administrator(find_researcher(session, ADA))
    return office(ADA)


def number_of(database: Database, email: str) -> int:
    with database.reading() as session:
        return find_researcher(session, email).id


def code_of(page: str) -> str:
    """The secret that the page shows."""
    [secret] = re.findall(r'<code class="copy">([^<]+)</code>', page)
    return str(secret)


def signs_in(browser: Browser, email: str, password: str) -> bool:
    answer = browser().post("/sign-in", data={"email": email, "password": password})
    return answer.status_code == 303


def test_an_administrator_adds_a_researcher_whose_password_is_shown_once(
    head: TestClient, browser: Browser
) -> None:
    added = head.post("/accounts", data={"email": " Eve@Example.org"})
    password = code_of(added.text)
    assert len(password) >= 16
    assert added.headers["cache-control"] == "no-store"
    assert password not in head.get("/accounts").text
    assert signs_in(browser, "eve@example.org", password)


def test_an_administrator_may_add_another_one(head: TestClient, browser: Browser) -> None:
    form = {"email": "eve@example.org", "is_administrator": "true"}
    password = code_of(head.post("/accounts", data=form).text)
    eve = browser()
    eve.post("/sign-in", data={"email": "eve@example.org", "password": password})
    assert eve.get("/accounts").status_code == 200


def test_an_account_that_will_not_do_comes_back_with_what_was_typed(head: TestClient) -> None:
    for email, status, problem in [
        ("eve", 422, "is not an email address"),
        (BOB, 409, "There is already a researcher bob@example.org."),
    ]:
        refused = head.post("/accounts", data={"email": email})
        assert refused.status_code == status
        assert problem in refused.text
        assert f'value="{email}"' in refused.text


def test_a_new_password_ends_what_was_opened_with_the_old_one(
    head: TestClient, office: Office, browser: Browser, database: Database
) -> None:
    desk = office(BOB)
    renewed = head.post(f"/accounts/{number_of(database, BOB)}/password")
    assert desk.get("/studies").status_code == 303
    assert not signs_in(browser, BOB, PASSWORD)
    assert signs_in(browser, BOB, code_of(renewed.text))


def test_who_is_deactivated_is_out_at_once_and_told_what_strangers_are_told(
    head: TestClient, office: Office, browser: Browser, database: Database
) -> None:
    desk = office(BOB)
    assert desk.get("/studies").status_code == 200
    head.post(f"/accounts/{number_of(database, BOB)}/deactivate")
    assert desk.get("/studies").headers["location"].startswith("/sign-in?")
    right = browser().post("/sign-in", data={"email": BOB, "password": PASSWORD})
    wrong = browser().post("/sign-in", data={"email": BOB, "password": "wrong"})
    assert (right.status_code, right.text) == (wrong.status_code, wrong.text)
    with database.reading() as session:
        left = select(ResearcherSession).join(Researcher).where(Researcher.email == BOB)
        assert session.scalars(left).all() == []


def test_a_session_that_is_left_over_opens_nothing_for_who_is_deactivated(
    head: TestClient, office: Office, database: Database
) -> None:
    """Such as one that was begun in the very moment."""
    desk = office(BOB)
    number = number_of(database, BOB)
    head.post(f"/accounts/{number}/deactivate")
    cookie = desk.cookies[RESEARCHER_COOKIE]
    with database.writing() as session:
        session.add(
            ResearcherSession(
                token_digest=digest(cookie),
                researcher_id=number,
                expires_at=now() + timedelta(hours=1),
            )
        )
    assert desk.get("/studies").status_code == 303


def test_who_is_reactivated_signs_in_again_with_the_same_password(
    head: TestClient, browser: Browser, database: Database
) -> None:
    account = f"/accounts/{number_of(database, BOB)}"
    head.post(f"{account}/deactivate")
    assert "deactivated" in head.get("/accounts").text
    head.post(f"{account}/reactivate")
    assert signs_in(browser, BOB, PASSWORD)


def test_the_last_administrator_stays_one_and_stays_active(
    head: TestClient, database: Database
) -> None:
    ada, bob = (f"/accounts/{number_of(database, email)}" for email in (ADA, BOB))
    for act in ("unmake-administrator", "deactivate"):
        refused = head.post(f"{ada}/{act}")
        assert refused.status_code == 409
        assert "ada@example.org is the only administrator who can sign in" in refused.text
    head.post(f"{bob}/make-administrator")
    head.post(f"{bob}/deactivate")
    assert head.post(f"{ada}/unmake-administrator").status_code == 409
    head.post(f"{bob}/reactivate")
    assert head.post(f"{ada}/unmake-administrator").status_code == 303
    assert head.get("/accounts").status_code == 403


def test_two_administrators_cannot_take_the_right_from_each_other_at_once(
    head: TestClient, database: Database
) -> None:
    head.post(f"/accounts/{number_of(database, BOB)}/make-administrator")
    together = threading.Barrier(2)
    refused: list[str] = []

    def unmake(email: str) -> None:
        together.wait()
        try:
            with database.writing() as session:
                unmake_administrator(session, find_researcher(session, email))
        except Conflict:
            refused.append(email)

    both = [threading.Thread(target=unmake, args=(email,)) for email in (ADA, BOB)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(refused) == 1
    with database.reading() as session:
        left = [each.email for each in session.scalars(select(Researcher)) if each.is_administrator]
    assert left == refused


def test_what_is_done_to_accounts_is_recorded_with_who_did_it(
    head: TestClient, office: Office, database: Database
) -> None:
    bob = f"/accounts/{number_of(database, BOB)}"
    office(BOB).post("/account/tokens", data={"name": "Cluster"})
    for act in ("make-administrator", "unmake-administrator", "password", "deactivate"):
        head.post(f"{bob}/{act}")
    head.post("/accounts", data={"email": "eve@example.org"})
    head.post(f"/accounts/{number_of(database, ADA)}/deactivate")  # is refused
    with database.reading() as session:
        events = session.scalars(select(AccountEvent).order_by(AccountEvent.id))
        told = [(event.actor, event.kind, event.email) for event in events]
    assert told == [
        (BOB, "made a token", BOB),
        (ADA, "made an administrator", BOB),
        (ADA, "administrator no more", BOB),
        (ADA, "given a new password", BOB),
        (ADA, "deactivated", BOB),
        (ADA, "added", "eve@example.org"),
    ]
    page = head.get("/accounts/record").text
    assert page.index("eve@example.org") < page.index("deactivated") < page.index("made a token")


@pytest.mark.parametrize(
    "change", ["UPDATE account_event SET actor = 'x'", "DELETE FROM account_event"]
)
def test_the_record_of_accounts_cannot_be_changed(
    change: str, head: TestClient, database: Database
) -> None:
    head.post("/account/tokens", data={"name": "Cluster"})
    with pytest.raises(DBAPIError, match="only ever added"), database.writing() as session:
        session.execute(text(change))


def test_who_is_no_administrator_is_told_so_in_one_sentence(
    head: TestClient, office: Office
) -> None:
    refused = office(BOB).get("/accounts")
    assert refused.status_code == 403
    assert "Only administrators look after accounts." in refused.text
    assert 'href="/accounts"' in head.get("/account").text
    assert 'href="/accounts"' not in office(BOB).get("/account").text


def test_an_account_that_is_not_there_is_not_found(head: TestClient) -> None:
    for act in ("password", "deactivate", "reactivate", "make-administrator"):
        assert head.post(f"/accounts/999/{act}").status_code == 404


# One's own account


def test_one_changes_ones_own_password_and_other_browsers_are_out(
    head: TestClient, office: Office, browser: Browser
) -> None:
    here, elsewhere = office(BOB), office(BOB)
    changed = here.post("/account/password", data={"present": PASSWORD, "new": "a wholly new one"})
    assert "The password is changed." in changed.text
    assert here.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303
    assert signs_in(browser, BOB, "a wholly new one")
    assert head.get("/account").status_code == 200


def test_a_password_is_changed_only_by_who_knows_it_and_to_one_that_is_long_enough(
    head: TestClient, browser: Browser
) -> None:
    wrong = head.post("/account/password", data={"present": "no", "new": "a wholly new one"})
    short = head.post("/account/password", data={"present": PASSWORD, "new": "short"})
    assert (wrong.status_code, short.status_code) == (422, 422)
    assert "The present password is not right" in wrong.text
    assert "at least 12 characters" in short.text
    assert signs_in(browser, ADA, PASSWORD)


def test_who_finds_a_browser_signed_in_may_not_guess_the_password_there(head: TestClient) -> None:
    form = {"present": "no", "new": "a wholly new one"}
    statuses = [head.post("/account/password", data=form).status_code for _ in range(6)]
    assert statuses == [422] * 5 + [429]


def test_a_token_is_shown_once_and_works_until_it_is_revoked(
    head: TestClient, database: Database
) -> None:
    token = code_of(head.post("/account/tokens", data={"name": "Cluster"}).text)
    page = head.get("/account").text
    assert "Cluster" in page
    assert "never" in page
    assert token not in page
    with database.writing() as session:
        found = researcher_of_token(session, token)
        assert found is not None
        assert found.email == ADA
    assert "never" not in head.get("/account").text
    revoked = head.post(f"/account/tokens/{digest(token)}/revoke")
    assert revoked.headers["location"] == "/account#tokens"
    with database.writing() as session:
        assert researcher_of_token(session, token) is None
    assert "Cluster" not in head.get("/account").text


def test_a_token_needs_a_name_and_nobody_has_more_than_they_can_watch(
    head: TestClient, database: Database
) -> None:
    nameless = head.post("/account/tokens", data={"name": " "})
    assert nameless.status_code == 422
    with database.writing() as session:
        for number in range(MOST):
            make_token(session, find_researcher(session, ADA), f"{number}", now())
    assert head.post("/account/tokens", data={"name": "One more"}).status_code == 409


def test_nobody_revokes_the_token_of_another(
    head: TestClient, office: Office, database: Database
) -> None:
    token = code_of(office(BOB).post("/account/tokens", data={"name": "Mine"}).text)
    assert head.post(f"/account/tokens/{digest(token)}/revoke").status_code == 404
    with database.writing() as session:
        assert researcher_of_token(session, token) is not None


def test_the_tokens_of_who_is_deactivated_are_refused(
    head: TestClient, office: Office, browser: Browser, database: Database
) -> None:
    token = code_of(office(BOB).post("/account/tokens", data={"name": "Mine"}).text)
    program = browser()
    program.headers |= {"authorization": f"Bearer {token}", "accept": "application/json"}
    assert program.get(f"/api/v1/deliveries/{'0' * 32}").status_code == 404
    head.post(f"/accounts/{number_of(database, BOB)}/deactivate")
    assert program.get(f"/api/v1/deliveries/{'0' * 32}").status_code == 401


def test_a_token_opens_no_page(head: TestClient, browser: Browser) -> None:
    """It is for programs: a stolen one must not read results or unblind."""
    token = code_of(head.post("/account/tokens", data={"name": "Cluster"}).text)
    program = browser()
    program.headers["authorization"] = f"Bearer {token}"
    program.cookies.set(RESEARCHER_COOKIE, token, path="/")
    for path in ("/studies", "/account", "/accounts"):
        assert program.get(path).status_code == 303


def test_a_stolen_database_holds_no_token(head: TestClient, database: Database) -> None:
    token = code_of(head.post("/account/tokens", data={"name": "Cluster"}).text)
    with database.reading() as session:
        assert token not in str([vars(row) for row in session.scalars(select(ApiToken))])


def test_nobody_is_signed_in_by_the_empty_token(database: Database, browser: Browser) -> None:
    visitor = browser()
    visitor.cookies.set(RESEARCHER_COOKIE, "", path="/")
    assert visitor.get("/account").status_code == 303
    with database.writing() as session:
        add_researcher(session, ADA, PASSWORD, now())
        assert researcher_of_token(session, "") is None


def account_row(head: TestClient, email: str) -> str:
    page: str = head.get("/accounts").text
    [row] = [each for each in page.split("<tr>") if email in each]
    return row


def test_the_list_tells_role_and_state_of_every_account(
    head: TestClient, database: Database
) -> None:
    assert "Administrator" in account_row(head, ADA)
    assert "(you)" in account_row(head, ADA)
    assert "Researcher" in account_row(head, BOB)
    head.post(f"/accounts/{number_of(database, BOB)}/deactivate")
    assert "Reactivate" in account_row(head, BOB)


def command_line(*words: str) -> Any:
    """What `plainsight` says to these words."""
    from click.testing import CliRunner

    from app.cli import cli

    return CliRunner().invoke(cli, list(words), catch_exceptions=False)


def test_the_first_account_is_an_administrators_and_later_ones_are_not(
    database: Database, database_url: str
) -> None:
    for email in (ADA, BOB):
        command_line("researcher", "add", email, "--database", database_url)
    command_line(
        "researcher", "add", "eve@example.org", "--administrator", "--database", database_url
    )
    with database.reading() as session:
        found = {each.email: each.is_administrator for each in session.scalars(select(Researcher))}
    assert found == {ADA: True, BOB: False, "eve@example.org": True}


def test_the_command_line_makes_an_administrator_who_can_sign_in(
    database: Database, database_url: str, employ: Employ
) -> None:
    employ(BOB)
    with database.writing() as session:
        find_researcher(session, BOB).deactivated_at = now()
    done = command_line("researcher", "administrator", BOB, "--database", database_url)
    assert done.output == "bob@example.org is an administrator.\n"
    with database.reading() as session:
        bob = find_researcher(session, BOB)
        assert (bob.is_administrator, bob.deactivated_at) == (True, None)
