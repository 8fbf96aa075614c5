"""From the link in a mail to the last image: what a reader meets, and what stays closed."""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.readers.domain import keys_swapped
from app.readers.service import CONSENT_VERSION, find_reader, invite, reissue, revoke
from app.reading.pages import start_page
from app.reading.service import AHEAD
from app.reading.visitor import READER_COOKIE
from app.storage.models import Presentation, Reader, Response, ScreenCheck, Sitting
from app.storage.session import Database
from app.studies.domain import receipt as receipt_of
from app.studies.service import find_study, lock_study, unblind_study
from app.web.identity import now
from app.web.templating import html

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Enter = Callable[[TestClient], dict[str, Any]]
Read = Callable[..., int]
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
TABLET = "Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15"


@pytest.fixture
def begun(browser: Browser, ready: Ready, begin: Begin) -> TestClient:
    """A reader who is in the reading room of a study of 16 presentations."""
    reader = browser()
    begin(reader, ready().links[0])
    return reader


def due(reader: TestClient) -> list[str]:
    tokens: list[str] = reader.get("/reading/window").json()["tokens"]
    return tokens


def tokens_in_order(database: Database, label: str = "R01") -> list[str]:
    with database.reading() as session:
        return list(
            session.scalars(
                select(Presentation.token)
                .join(Reader, Reader.id == Presentation.reader_id)
                .where(Reader.label == label)
                .order_by(Presentation.position)
            )
        )


def test_a_link_is_exchanged_for_a_cookie_and_leaves_the_address_bar(
    browser: Browser, ready: Ready
) -> None:
    link, reader = ready().links[0], browser()
    response = reader.get(link)
    assert (response.status_code, response.headers["location"]) == (303, "/reading")
    assert response.headers["referrer-policy"] == "no-referrer"
    secret = link.rpartition("/")[2]
    assert reader.cookies[READER_COOKIE] == secret
    assert "httponly" in response.headers["set-cookie"].lower()
    assert secret not in reader.get("/reading").text


def test_whoever_has_begun_is_welcomed_back(
    browser: Browser, ready: Ready, begin: Begin, read: Read
) -> None:
    link, reader = ready().links[0], browser()
    begin(reader, link)
    read(reader, at_most=5)
    later = browser()
    assert later.get(link).headers["location"] == "/reading/welcome"
    page = " ".join(later.get("/reading/welcome").text.split())
    assert "Welcome back" in page
    assert "5 of 16" in page


def snapshot(database: Database) -> list[dict[str, Any]]:
    with database.reading() as session:
        rows = session.execute(select(Reader.__table__).order_by(Reader.id)).mappings().all()
        return [dict(row) for row in rows]


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_program_that_looks_into_mails_changes_nothing(
    has_begun: bool,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: Callable[..., Any],
    database: Database,
) -> None:
    """It follows every link, and every link on the pages that these lead to."""
    link, reader = ready().links[0], browser()
    if has_begun:
        begin(reader, link)
    before = snapshot(database)
    scanner = browser()
    for path in (link, "/reading", "/reading/welcome", "/reading/room", "/reading/check", link):
        assert scanner.get(path).status_code in {200, 303}
    assert scanner.head(link).status_code == 405
    assert snapshot(database) == before
    if has_begun:
        [token, *_] = due(reader)
        assert reader.post("/reading/responses", json=answer(token)).status_code == 200


@pytest.mark.parametrize(
    "agent",
    [
        PHONE,
        "Mozilla/5.0 (iPod touch; CPU iPhone OS 12_0 like Mac OS X)",
        "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile",
        "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1) Edge/15",
    ],
)
def test_on_a_phone_the_link_is_kept_for_a_computer(
    agent: str, browser: Browser, ready: Ready, database: Database
) -> None:
    link, reader = ready().links[0], browser()
    before = snapshot(database)
    page = reader.get(link, headers={"user-agent": agent})
    assert page.status_code == 200
    assert link.rpartition("/")[2] in page.text
    assert "set-cookie" not in page.headers
    assert snapshot(database) == before


def test_a_tablet_and_a_computer_are_no_phone(browser: Browser, ready: Ready) -> None:
    link = ready().links[0]
    for agent in (TABLET, "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36", ""):
        assert browser().get(link, headers={"user-agent": agent}).status_code == 303


def change(database: Database, study: int, what: Callable[..., Any], *args: Any) -> Any:
    """Do something to the first reader, as a researcher."""
    with database.writing() as session:
        return what(session, find_reader(session, find_study(session, study), "R01"), *args)


def assert_closed(reader: TestClient, link: str, words: str) -> None:
    """The link, every page and every call say the same, and the queue is told to stop: 403."""
    pages = [link, "/reading", "/reading/room", "/reading/check", "/reading/window"]
    for path in pages:
        closed = reader.get(path)
        assert closed.status_code == 403, path
        assert words in closed.text, path
    for path in ("begin", "check", "arrive", "responses", "display", "questions", "pairs"):
        refused = reader.post(f"/reading/{path}", headers={"accept": "application/json"})
        assert refused.status_code in {403, 422}, path


def test_a_revoked_link_says_so_kindly_and_nothing_more_is_stored(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: Callable[..., Any],
    read: Read,
    database: Database,
) -> None:
    made, reader = ready(), browser()
    begin(reader, made.links[0])
    read(reader, at_most=2)
    [token, *_] = due(reader)
    change(database, made.study, revoke, "ada", now())
    refused = reader.post("/reading/responses", json=answer(token))
    assert (refused.status_code, "withdrawn" in refused.text) == (403, True)
    assert reader.post("/reading/arrive").status_code == 403
    assert_closed(reader, made.links[0], "This link was withdrawn")
    assert len(answered(database)) == 2


def answered(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Presentation.token).join(Response)))


def test_an_expired_link_says_so_kindly_from_that_moment_on(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any], database: Database
) -> None:
    made, reader = ready(), browser()
    begin(reader, made.links[0])
    [token, *_] = due(reader)

    def expire(_session: Any, row: Reader, at: Any) -> None:
        row.expires_at = at

    change(database, made.study, expire, now() + timedelta(hours=1))
    assert reader.get("/reading/room").status_code == 200
    change(database, made.study, expire, now())
    refused = reader.post("/reading/responses", json=answer(token))
    assert (refused.status_code, "expired" in refused.text) == (403, True)
    assert_closed(reader, made.links[0], "This link has expired")


def test_a_new_link_goes_on_where_the_reader_was_and_the_old_one_is_no_more(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    enter: Enter,
    read: Read,
    answer: Callable[..., Any],
    database: Database,
) -> None:
    made, old, new = ready(), browser(), browser()
    begin(old, made.links[0])
    read(old, at_most=3)
    tokens = due(old)
    change(database, made.study, revoke, "ada", now())
    link = change(database, made.study, reissue, "ada", now()).url("http://127.0.0.1")
    assert old.post("/reading/responses", json=answer(tokens[0])).status_code == 403
    assert old.get(made.links[0]).status_code == 403
    assert "not valid" in old.get("/reading").text
    assert new.get(link).headers["location"] == "/reading/welcome"
    assert (enter(new)["tokens"], enter(new)["done"]) == (tokens, 3)
    assert new.post("/reading/responses", json=answer(tokens[0])).status_code == 200


def test_a_new_link_may_expire_too(browser: Browser, ready: Ready, database: Database) -> None:
    made = ready()
    link = change(database, made.study, reissue, "ada", now(), now()).url("http://127.0.0.1")
    assert "This link has expired" in browser().get(link).text


def test_the_first_page_says_what_to_expect(browser: Browser, ready: Ready) -> None:
    reader = browser()
    reader.get(ready().links[0])
    page = " ".join(reader.get("/reading").text.split())
    shown = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "You are invited by ada@example.org to read images of tissue." in shown
    assert "Images 16 Time about 2 minutes" in shown
    assert "Tumour: five or more tumour cells." in shown
    assert "Some images may or may not recur." in shown


def test_a_link_that_nobody_was_given_leads_to_a_friendly_page(
    browser: Browser, ready: Ready
) -> None:
    ready()
    reader = browser()
    for link in ["/r/0", "/r/" + "0" * 32, "/r/%00", "/r/..%2f.."]:
        response = reader.get(link)
        assert response.status_code in {403, 404}
        assert "set-cookie" not in response.headers
        assert "<h1>" in response.text
        assert reader.get("/reading").status_code == 403


def test_reading_on_a_second_computer_parks_the_first(
    browser: Browser, ready: Ready, begin: Begin, enter: Enter, answer: Callable[..., Any]
) -> None:
    link = ready().links[0]
    first, second = browser(), browser()
    begin(first, link)
    tokens = due(first)
    second.get(link)
    assert due(first) == tokens
    enter(second)
    given = {"json": answer(tokens[0])}
    for method, path, what in [
        ("GET", "window", {}),
        ("GET", f"images/{tokens[0]}", {}),
        ("POST", "responses", given),
        ("POST", "undo", {"json": {"token": tokens[0], "attempt": 0}}),
        ("POST", "problems", {"json": {"token": tokens[0], "kind": "unclear"}}),
    ]:
        parked = first.request(method, f"/reading/{path}", **what)
        assert parked.status_code == 403, path
        assert "You continued elsewhere" in parked.text
        assert "open your personal link again" in parked.text
    assert due(second) == tokens
    enter(first)
    assert due(first) == tokens
    assert second.get("/reading/window").status_code == 403


def test_a_call_without_its_visit_is_parked_too(begun: TestClient) -> None:
    for visit in ("", "0" * 32, "\u00e9"):
        headers = [(b"plainsight-visit", visit.encode())]
        assert begun.get("/reading/window", headers=headers).status_code == 403


def test_two_readers_on_one_computer_have_queues_of_their_own(
    browser: Browser, ready: Ready, begin: Begin, enter: Enter
) -> None:
    made = ready(readers=2)
    queues = []
    for link in made.links:
        reader = browser()
        begin(reader, link)
        queues.append(enter(reader)["queue"])
        assert enter(reader)["queue"] == queues[-1]
        assert link.rpartition("/")[2] not in queues
    assert len(set(queues)) == 2


def test_without_a_link_there_is_nothing_to_read(browser: Browser, ready: Ready) -> None:
    ready()
    pages = [
        "",
        "/room",
        "/window",
        "/done",
        "/welcome",
        "/check",
        "/later",
        "/questions",
        "/pairs",
    ]
    for path in (f"/reading{page}" for page in pages):
        stranger = browser()
        assert stranger.get(path).status_code == 403
        stranger.cookies.set("plainsight_reader", "0" * 32, path="/reading")
        assert stranger.get(path).status_code == 403


def test_nothing_is_shown_before_consent(browser: Browser, ready: Ready) -> None:
    reader = browser()
    reader.get(ready().links[0])
    for page in ("room", "check", "welcome", "later", "questions", "pairs", "done"):
        assert reader.get(f"/reading/{page}").headers["location"] == "/reading", page
    assert reader.post("/reading/arrive").status_code == 409
    assert reader.get("/reading/window").status_code == 403


def test_beginning_needs_consent_to_the_present_text(
    browser: Browser, ready: Ready, database: Database
) -> None:
    reader = browser()
    reader.get(ready().links[0])
    for data in [{}, {"consent": ""}, {"consent": "yes"}, {"consent": "x" * 50}]:
        assert reader.post("/reading/begin", data=data).status_code == 422
        with database.reading() as session:
            row = session.scalars(select(Reader)).one()
            assert (row.consent_version, row.consent_sha256, row.began_at) == (None, None, None)
            assert session.scalars(select(Sitting)).all() == []
        assert tokens_in_order(database) == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_very_text_that_was_agreed_to_is_on_record(
    language: str, browser: Browser, ready: Ready, database: Database
) -> None:
    reader = browser()
    reader.get(ready().links[0])
    assert reader.get(f"/reading/language/{language}").headers["location"] == "/reading"
    assert f'lang="{language}"' in reader.get("/reading").text
    reader.post("/reading/begin", data={"consent": CONSENT_VERSION})
    with database.reading() as session:
        row = session.scalars(select(Reader)).one()
        text = html("reader/consent.html", start_page(row), language)
        assert (row.consent_version, row.language) == (CONSENT_VERSION, language)
        assert row.consent_sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert row.began_at is not None


def test_agreeing_in_another_language_later_changes_nothing(
    begun: TestClient, database: Database
) -> None:
    before = snapshot(database)
    begun.get("/reading/language/de")
    begun.post("/reading/begin", data={"consent": CONSENT_VERSION})
    assert snapshot(database) == before


def test_there_are_no_other_languages(begun: TestClient) -> None:
    for code in ("fr", "EN", "%2e%2e", "x" * 1000):
        assert begun.get(f"/reading/language/{code}").status_code == 404


def checks(database: Database) -> list[ScreenCheck]:
    with database.reading() as session:
        return list(session.scalars(select(ScreenCheck).order_by(ScreenCheck.id)))


def test_the_screen_check_is_stored_and_read_back_before_the_room_opens(
    browser: Browser, ready: Ready, check_record: dict[str, Any], database: Database
) -> None:
    reader = browser()
    reader.get(ready().links[0])
    reader.post("/reading/begin", data={"consent": CONSENT_VERSION})
    assert reader.get("/reading").headers["location"] == "/reading/check"
    assert reader.get("/reading/check/saved").status_code == 404
    assert reader.post("/reading/arrive").status_code == 409
    assert reader.post("/reading/check", json=check_record).json() == {"code": check_record["code"]}
    assert reader.get("/reading/check/saved").json() == {"code": check_record["code"]}
    assert reader.get("/reading").headers["location"] == "/reading/room"
    [row] = checks(database)
    assert {name: getattr(row, name) for name in check_record} == check_record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "nothing hexadecimal"),
        ("is_silent", True),
        ("pointer", "nose"),
        ("letters_read", "ABCDEFGHIJK"),
        ("letters_read", "A\x00"),
        ("device_pixel_ratio", 0),
        ("screen_width", -1),
        ("more", 1),
    ],
)
def test_a_screen_check_that_makes_no_sense_is_refused(
    field: str, value: object, begun: TestClient, check_record: dict[str, Any], database: Database
) -> None:
    refused = begun.post("/reading/check", json={**check_record, field: value})
    assert refused.status_code == 422
    assert len(checks(database)) == 1


def test_another_screen_is_noted_silently_and_the_same_one_is_not(
    begun: TestClient, display_record: dict[str, Any], database: Database
) -> None:
    def send(**changes: object) -> int:
        shown = {**display_record, **changes}
        assert begun.post("/reading/display", json=shown).status_code == 200
        return len(checks(database))

    assert send() == 1
    assert send(viewport_width=900) == 1
    assert send(device_pixel_ratio=2.0) == 2
    assert send(device_pixel_ratio=2.0) == 2
    assert send(browser_zoom=1.5) == 3
    assert send(screen_width=3840, browser_zoom=1.5) == 4
    assert [row.is_silent for row in checks(database)] == [False, True, True, True]


def test_keys_are_swapped_for_one_of_every_two_readers(ready: Ready, database: Database) -> None:
    made = ready(readers=8)
    with database.reading() as session:
        swapped = list(session.scalars(select(Reader.keys_swapped).order_by(Reader.id)))
    assert [sum(swapped[place : place + 2]) for place in range(0, 8, 2)] == [1] * 4
    with database.writing() as session:
        study = find_study(session, made.study)
        [found] = [session.scalars(select(Reader.keys_swapped).order_by(Reader.id.desc())).first()]
        assert found is keys_swapped(study.secret, 8)
        invite(session, study, "ada", now())


def test_which_of_two_readers_has_the_keys_swapped_is_chance() -> None:
    secrets = [f"{number:064x}" for number in range(200)]
    assert 70 < sum(keys_swapped(secret, 1) for secret in secrets) < 130
    assert all(keys_swapped(secret, 1) is not keys_swapped(secret, 2) for secret in secrets)


def test_the_page_offers_each_reader_their_own_keys(
    browser: Browser, ready: Ready, begin: Begin
) -> None:
    made = ready(readers=2)
    first_answers = []
    for link in made.links:
        reader = browser()
        begin(reader, link)
        page = reader.get("/reading/room").text
        places = {each: page.index(f'data-answer="{each}"') for each in ("tumour", "non_tumour")}
        first_answers.append(min(places, key=lambda each: places[each]))
    assert sorted(first_answers) == ["non_tumour", "tumour"]


def test_beginning_twice_keeps_the_one_order(begun: TestClient, database: Database) -> None:
    order = tokens_in_order(database)
    with database.reading() as session:
        began_at = session.scalars(select(Reader.began_at)).one()
    again = begun.post("/reading/begin", data={"consent": CONSENT_VERSION})
    assert again.headers["location"] == "/reading"
    assert tokens_in_order(database) == order
    assert len(order) == 16
    with database.reading() as session:
        assert session.scalars(select(Reader.began_at)).one() == began_at


def test_the_window_holds_the_next_twelve(
    begun: TestClient, database: Database, read: Read
) -> None:
    """Enough for ten answers without a network."""
    order = tokens_in_order(database)
    assert AHEAD == 12
    undoable = None
    for done in range(7):
        window = begun.get("/reading/window").json()
        tokens = order[done : done + 12]
        assert window == {
            "tokens": tokens,
            "attempts": [0] * len(tokens),
            "undoable": undoable,
            "done": done,
            "total": 16,
            "feedback": None,
        }
        read(begun, at_most=1)
        undoable = {"token": order[done], "attempt": 0}


def test_only_the_images_that_are_due_are_served(
    begun: TestClient, database: Database, read: Read
) -> None:
    order = tokens_in_order(database)
    read(begun, at_most=2)
    served = [begun.get(f"/reading/images/{token}").status_code for token in order]
    assert served == [404] * 2 + [200] * 12 + [404] * 2


def test_beside_a_single_image_there_is_none(begun: TestClient) -> None:
    [token, *_] = due(begun)
    assert begun.get(f"/reading/images/{token}/right").status_code == 404


def test_another_readers_images_do_not_exist(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any], database: Database
) -> None:
    made = ready(readers=2)
    first, second = browser(), browser()
    for reader, link in zip((first, second), made.links, strict=True):
        begin(reader, link)
    [token, *_] = due(first)
    missing = second.get("/reading/images/" + "0" * 32)
    others = second.get(f"/reading/images/{token}")
    assert (others.status_code, others.content) == (404, missing.content)
    assert second.post("/reading/responses", json=answer(token)).status_code == 404
    assert due(first)[0] == token
    orders = [tokens_in_order(database, label) for label in ("R01", "R02")]
    assert not set(orders[0]) & set(orders[1])


def test_a_reader_goes_on_where_they_stopped(
    browser: Browser, ready: Ready, begin: Begin, enter: Enter, read: Read, database: Database
) -> None:
    link = ready().links[0]
    reader = browser()
    begin(reader, link)
    read(reader, at_most=5)
    later = browser()
    later.get(link)
    assert later.get("/reading").headers["location"] == "/reading/room"
    assert later.get("/reading/room").status_code == 200
    assert enter(later)["tokens"] == tokens_in_order(database)[5:]


def finish(reader: TestClient) -> None:
    reader.post("/reading/questions", data={"saw_repeats": "no", "odd": ""})


def test_after_the_questions_every_page_leads_to_the_thanks(begun: TestClient, read: Read) -> None:
    assert begun.get("/reading/done").headers["location"] == "/reading"
    assert read(begun) == 16
    assert begun.get("/reading").headers["location"] == "/reading/questions"
    finish(begun)
    assert begun.get("/reading").headers["location"] == "/reading/done"
    for page in ("room", "check", "questions", "pairs", "welcome"):
        assert begun.get(f"/reading/{page}").headers["location"] == "/reading", page
    assert "Thank you" in begun.get("/reading/done").text


def test_a_finished_reader_may_come_back_by_the_link_for_the_receipt(
    browser: Browser, ready: Ready, begin: Begin, read: Read, database: Database
) -> None:
    made = ready(readers=2)
    receipts = []
    for link in made.links:
        reader = browser()
        begin(reader, link)
        read(reader)
        finish(reader)
        later = browser()
        assert later.get(link).headers["location"] == "/reading"
        assert later.get("/reading").headers["location"] == "/reading/done"
        [receipt] = re.findall(r"\b[0-9A-F]{4}-[0-9A-F]{4}\b", later.get("/reading/done").text)
        receipts.append(receipt)
    with database.reading() as session:
        secret = find_study(session, made.study).secret
    assert receipts == [receipt_of(secret, label) for label in ("R01", "R02")]
    assert len(set(receipts)) == 2


def test_the_thanks_stay_readable_after_the_study_is_locked(
    begun: TestClient, read: Read, database: Database
) -> None:
    read(begun)
    finish(begun)
    with database.writing() as session:
        lock_study(session, find_study(session, 1), "ada", now())
    assert begun.get("/reading/done").status_code == 200


@pytest.mark.parametrize("unblind", [False, True])
def test_a_closed_study_says_so_kindly(
    unblind: bool, browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    made = ready()
    reader = browser()
    begin(reader, made.links[0])
    [token, *_] = due(reader)
    with database.writing() as session:
        study = find_study(session, made.study)
        lock_study(session, study, "ada", now())
        if unblind:
            unblind_study(session, study, "ada", now())
    for path in ("", "/room", "/window", f"/images/{token}"):
        closed = reader.get(f"/reading{path}")
        assert closed.status_code == 403
        assert "This study is closed" in closed.text
    assert reader.post("/reading/begin", data={"consent": CONSENT_VERSION}).status_code == 403


def test_the_seed_of_an_order_cannot_be_guessed_and_gives_the_order_again(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    for link in (made := ready(readers=2)).links:
        begin(browser(), link)
    with database.reading() as session:
        study = find_study(session, made.study)
        seeds = [sitting.seed for reader in study.readers for sitting in reader.sittings]
        assert len(set(seeds)) == 2
        assert all(seed and len(seed) == 64 and seed != study.secret for seed in seeds)
        shown = [order_shown(session, reader.id) for reader in study.readers]
    assert shown[0] != shown[1]


def order_shown(session: Any, reader: int) -> list[int]:
    return list(
        session.scalars(
            select(Presentation.stimulus_id)
            .where(Presentation.reader_id == reader)
            .order_by(Presentation.position)
        )
    )
