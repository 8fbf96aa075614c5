"""Other sites, huge bodies, stolen databases and curious strangers get nowhere."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.profiles import RFC_9106_LOW_MEMORY
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import select, text

from app import ROOT
from app.errors import Conflict, Invalid
from app.main import create_app
from app.researchers.service import add_researcher
from app.settings import Settings
from app.storage.models import Reader, Researcher, ResearcherSession
from app.storage.session import Database
from app.web.identity import RESEARCHER_COOKIE, now
from app.web.security import HEADERS

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Office = Callable[..., TestClient]
WRONG = {"email": "ada@example.org", "password": "not the password"}


def test_what_another_site_sends_is_refused(office: Office, ready: Ready) -> None:
    study = ready().study
    desk = office()
    for headers in [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
        {"sec-fetch-site": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": "http://127.0.0.1:81"},
        {"origin": "http://127.0.0.1@evil.example"},
        {"origin": ""},
    ]:
        refused = desk.post(f"/studies/{study}/lock", headers=headers)
        assert refused.status_code == 403, headers
        assert "Ready" in desk.get(f"/studies/{study}").text


def test_what_our_own_pages_send_is_accepted(browser: Browser) -> None:
    for headers in [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"origin": "http://127.0.0.1"},
    ]:
        assert browser().post("/sign-in", data=WRONG, headers=headers).status_code == 401


def test_links_from_other_sites_may_lead_here(browser: Browser, ready: Ready) -> None:
    """A personal link in a web mail is such a link."""
    link = ready().links[0]
    assert browser().get(link, headers={"sec-fetch-site": "cross-site"}).status_code == 303


def test_a_body_of_unknown_length_is_refused(browser: Browser) -> None:
    for path in ["/sign-in", "/reading/responses", "/batches", "/nowhere"]:
        stream = (piece for piece in [b"{", b"}"])
        refused = browser().post(path, content=stream, headers={"content-type": "application/json"})
        assert refused.status_code == 411, path


def test_a_length_that_need_not_be_true_is_refused(browser: Browser) -> None:
    headers = {"content-length": "1", "transfer-encoding": "chunked"}
    assert browser().post("/sign-in", content=b"x", headers=headers).status_code == 411


def test_a_length_that_is_none_is_refused(browser: Browser) -> None:
    for length in ["", "-1", "1e3", "0x10", "1,1"]:
        refused = browser().post("/sign-in", content=b"", headers={"content-length": length})
        assert refused.status_code == 411, length


def test_a_body_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, max_upload_mib=1)
    created = Database(settings.database)
    created.upgrade()
    created.close()
    app = create_app(settings)
    client = TestClient(app, base_url="http://127.0.0.1")
    refused = client.post("/batches", content=b"", headers={"content-length": str(2**20 + 1)})
    assert refused.status_code == 413
    assert "1 MiB" in refused.text
    client.close()
    app.state.database.close()


def test_only_uploads_may_be_large(browser: Browser) -> None:
    """Else anybody could fill the memory: a body is read before it is asked who sends it."""
    for path in ["/sign-in", "/reading/responses", "/reading/begin", "/studies"]:
        refused = browser().post(path, content=b"", headers={"content-length": str(2 * 2**20)})
        assert refused.status_code == 413, path


def statuses(browser: Browser, ready: Ready) -> dict[int, Any]:
    made, visitor = ready(), browser()
    answers = [
        visitor.get("/sign-in"),
        visitor.get("/studies"),
        visitor.get("/nowhere"),
        visitor.get("/reading"),
        visitor.post("/sign-in", data={}),
        visitor.post("/sign-in", data=WRONG),
        visitor.head("/sign-in"),
        visitor.get(made.links[0]),
        visitor.get("/static/plainsight.css"),
        visitor.post("/sign-in", data=WRONG, headers={"sec-fetch-site": "cross-site"}),
    ]
    return dict(enumerate(answers))


def test_every_answer_carries_the_security_headers(browser: Browser, ready: Ready) -> None:
    answers = statuses(browser, ready)
    assert {answer.status_code for answer in answers.values()} == {
        200,
        303,
        404,
        403,
        422,
        401,
        405,
    }
    for answer in answers.values():
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_an_error_of_ours_carries_the_security_headers_and_no_trace(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("app.researchers.routes.check_password", fail)
    for accept in ("text/html", "application/json"):
        answer = browser().post("/sign-in", data=WRONG, headers={"accept": accept})
        assert answer.status_code == 500
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"Traceback|secret detail|RuntimeError|\.py", answer.text)


def test_no_page_may_run_foreign_code_or_be_framed() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_no_page_holds_inline_code_or_another_host() -> None:
    """The policy would block it."""
    for template in ROOT.glob("templates/**/*.html"):
        html = template.read_text(encoding="utf-8")
        if template.name == "report.html":  # one file that can be sent: its style goes by a hash
            html = html.replace("<style>{{ page.style }}</style>", "")
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|https?://", html), template
        data = r'type="application/json"'  # no code: the texts that a script shows
        assert not re.search(rf"<script(?![^>]*(\bsrc=|{data}))", html), template
        assert "|safe" not in html.replace(" ", "")


@pytest.mark.parametrize(("public_url", "secure"), [("https://study.example", True), ("", False)])
def test_cookies_are_for_this_site_only(
    public_url: str,
    secure: bool,
    settings: Settings,
    ready: Ready,
) -> None:
    made = ready()
    own = settings.model_copy(update={"public_url": public_url or settings.public_url})
    app = create_app(own)
    client = TestClient(app, base_url="https://127.0.0.1", follow_redirects=False)
    reader = client.get(made.links[0]).headers["set-cookie"]
    researcher = client.post(
        "/sign-in", data={"email": "ada@example.org", "password": "correct horse battery"}
    ).headers["set-cookie"]
    for cookie in (reader, researcher):
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax"} <= parts
        assert ("secure" in parts) is secure
        assert not any(part.startswith("domain") for part in parts)
    assert "path=/reading" in reader.lower()
    client.close()
    app.state.database.close()


def test_signing_in_never_leads_to_another_site(browser: Browser, ready: Ready) -> None:
    ready()
    visitor = browser()
    for away in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "evil.example",
        "javascript:alert(1)",
        "",
        "///evil.example",
    ]:
        signed = visitor.post(
            "/sign-in",
            data={"email": "ada@example.org", "password": "correct horse battery", "next": away},
        )
        assert signed.headers["location"] == "/studies", away
        page = visitor.get("/sign-in", params={"next": away}).text
        assert 'name="next" value="/studies"' in page


def test_signing_in_leads_back_to_where_one_was(browser: Browser, ready: Ready) -> None:
    made = ready()
    visitor = browser()
    asked = visitor.get(f"/studies/{made.study}").headers["location"]
    assert f'value="/studies/{made.study}"' in visitor.get(asked).text
    credentials = {"email": " ADA@example.org ", "password": "correct horse battery"}
    signed = visitor.post("/sign-in", data={**credentials, "next": f"/studies/{made.study}"})
    assert visitor.get(signed.headers["location"]).status_code == 200


def test_passwords_are_kept_as_argon2_hashes(
    database: Database, employ: Callable[[str], str], real_hasher: PasswordHasher
) -> None:
    employ("bob@example.org")
    with database.reading() as session:
        kept = session.scalars(select(Researcher)).one()
    assert kept.password_hash.startswith("$argon2id$")
    assert "correct" not in str(vars(kept))
    recommended = RFC_9106_LOW_MEMORY
    assert real_hasher.memory_cost >= recommended.memory_cost
    assert real_hasher.time_cost >= recommended.time_cost


def test_a_wrong_password_and_an_unknown_email_are_told_the_same(
    browser: Browser, ready: Ready
) -> None:
    ready()
    visitor = browser()
    for email, password in [
        ("ada@example.org", "Correct horse batter"),
        ("ada@example.org", " "),
        ("eve@example.org", "correct horse battery"),
        ("' OR 1=1 --", "correct horse battery"),
        ("%", "%"),
    ]:
        refused = visitor.post("/sign-in", data={"email": email, "password": password})
        assert refused.status_code == 401, email
        assert "The email or the password is not right." in refused.text
        assert password.strip() == "" or password == "%" or password not in refused.text
        assert "set-cookie" not in refused.headers


def test_a_zero_byte_is_refused(browser: Browser) -> None:
    for field in ["email", "password"]:
        refused = browser().post("/sign-in", data={**WRONG, field: "a\x00b"})
        assert refused.status_code in {401, 422}


def test_a_zero_byte_in_a_title_is_refused(office: Office, ready: Ready) -> None:
    form = {
        "batch": str(ready().batch),
        "internal_title": "New",
        "public_title": "Tissue",
        "question": "Tumour?",
        "sets": "1",
    }
    desk = office()
    for field in ("internal_title", "public_title", "question"):
        assert desk.post("/studies", data={**form, field: "a\x00b"}).status_code == 422, field


def test_an_account_that_will_not_do_is_refused(database: Database) -> None:
    for email, password, problem in [
        ("ada", "correct horse battery", "not an email address"),
        ("ada@example org", "correct horse battery", "not an email address"),
        ("ada@example.org", "short", "at least 12 characters"),
    ]:
        with pytest.raises(Invalid, match=problem), database.writing() as session:
            add_researcher(session, email, password, now())


def test_one_email_is_one_account(employ: Callable[[str], str]) -> None:
    employ("bob@example.org")
    with pytest.raises(Conflict, match="already a researcher"):
        employ(" BOB@example.org")


def test_signing_out_ends_the_session_on_the_server(
    office: Office, browser: Browser, ready: Ready, database: Database
) -> None:
    ready()
    desk, thief = office(), browser()
    thief.cookies.set(RESEARCHER_COOKIE, desk.cookies[RESEARCHER_COOKIE], path="/")
    assert thief.get("/studies").status_code == 200
    assert desk.post("/sign-out").headers["location"] == "/sign-in"
    assert RESEARCHER_COOKIE not in desk.cookies
    assert thief.get("/studies").status_code == 303
    with database.reading() as session:
        assert session.scalars(select(ResearcherSession)).all() == []


def test_signing_out_leaves_other_browsers_signed_in(office: Office, ready: Ready) -> None:
    ready()
    first, second = office(), office()
    first.post("/sign-out")
    assert second.get("/studies").status_code == 200


def test_a_session_ends_by_itself(office: Office, ready: Ready, database: Database) -> None:
    ready()
    desk = office()
    with database.writing() as session:
        row = session.scalars(select(ResearcherSession)).one()
        assert timedelta(hours=11) < row.expires_at - now() <= timedelta(hours=12)
        row.expires_at = now() - timedelta(seconds=1)
    assert desk.get("/studies").headers["location"].startswith("/sign-in")
    office()
    with database.reading() as session:
        assert len(session.scalars(select(ResearcherSession)).all()) == 1


def test_a_stolen_database_opens_no_session_and_no_link(
    office: Office, browser: Browser, ready: Ready, database: Database
) -> None:
    made = ready()
    desk, reader, thief = office(), browser(), browser()
    reader.get(made.links[0])
    with database.reading() as session:
        session_row = session.scalars(select(ResearcherSession)).one()
        reader_row = session.scalars(select(Reader)).one()
    secrets = [
        desk.cookies[RESEARCHER_COOKIE],
        reader.cookies["plainsight_reader"],
        made.links[0].rpartition("/")[2],
    ]
    kept = f"{vars(session_row)} {vars(reader_row)}"
    assert not any(secret in kept for secret in secrets)
    thief.cookies.set(RESEARCHER_COOKIE, session_row.token_digest, path="/")
    assert thief.get("/studies").status_code == 303
    assert thief.get(f"/r/{reader_row.link_digest}").status_code == 403


def test_what_a_person_types_is_shown_as_text(office: Office, ready: Ready) -> None:
    title = "<script>alert(1)</script>"
    made = ready(title=title)
    desk = office()
    for page in (f"/studies/{made.study}", "/studies"):
        assert "<script>alert" not in desk.get(page).text
        assert "&lt;script&gt;alert" in desk.get(page).text


@pytest.mark.parametrize(
    "public_url", ["http://study.example", "http://10.0.0.1", "ftp://127.0.0.1", "127.0.0.1", ""]
)
def test_an_address_that_would_send_answers_in_the_clear_is_refused(public_url: str) -> None:
    with pytest.raises(ValidationError, match="PLAINSIGHT_PUBLIC_URL"):
        Settings(public_url=public_url)


@pytest.mark.parametrize(
    "public_url",
    ["https://study.example", "http://127.0.0.1:8000", "http://localhost", "http://[::1]:80"],
)
def test_an_address_that_is_safe_is_accepted(public_url: str) -> None:
    assert Settings(public_url=public_url).is_https == public_url.startswith("https")


def test_http_on_a_network_that_one_trusts_must_be_asked_for() -> None:
    assert not Settings(public_url="http://study.local", allow_http=True).is_https


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://host/name", "://", "postgresql", "oracle://x"]
)
def test_a_database_that_we_cannot_use_is_refused_in_words(url: str) -> None:
    with pytest.raises(ValidationError, match="PLAINSIGHT_DATABASE_URL"):
        Settings(database_url=url)


def test_the_password_of_the_database_is_in_no_message() -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings(database_url="mysql://me:hunter2@host/name")
    assert "hunter2" not in refusal.value.errors()[0]["msg"]


def test_the_server_lives_as_long_as_its_database_answers(
    browser: Browser, database: Database
) -> None:
    assert browser().get("/healthz").json() == {"status": "ok"}
    with database.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1
