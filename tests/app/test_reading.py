"""From the link in a mail to the last image: what a reader meets, and what stays closed."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.readers.service import CONSENT_VERSION
from app.reading.service import AHEAD
from app.storage.models import Presentation, Reader
from app.storage.session import Database
from app.studies.service import find_study, lock_study, unblind_study
from app.web.identity import now

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Read = Callable[..., int]


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
    assert secret not in response.headers["set-cookie"]
    assert secret not in reader.get("/reading").text


def test_the_first_page_says_what_to_expect(browser: Browser, ready: Ready) -> None:
    reader = browser()
    reader.get(ready().links[0])
    page = " ".join(reader.get("/reading").text.split())
    assert "You are invited by ada@example.org to read 16 images" in page
    assert "Tumour: five or more tumour cells." in page
    assert "It takes about 2 minutes" in page


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


def test_opening_the_link_on_a_second_computer_parks_the_first(
    browser: Browser, ready: Ready, begin: Begin, answer: Callable[..., Any]
) -> None:
    link = ready().links[0]
    first, second = browser(), browser()
    begin(first, link)
    tokens = due(first)
    second.get(link)
    for page in ("/reading", "/reading/room", "/reading/done"):
        parked = first.get(page)
        assert parked.status_code == 403
        assert "You continued elsewhere" in parked.text
    refused = first.post("/reading/responses", json=answer(tokens[0]))
    assert refused.status_code == 403
    assert "open your personal link again" in refused.text
    assert first.get(f"/reading/images/{tokens[0]}").status_code == 403
    assert due(second) == tokens
    first.get(link)
    assert due(first) == tokens


def test_without_a_link_there_is_nothing_to_read(browser: Browser, ready: Ready) -> None:
    ready()
    for path in ["/reading", "/reading/room", "/reading/window", "/reading/done"]:
        stranger = browser()
        assert stranger.get(path).status_code == 403
        stranger.cookies.set("plainsight_reader", "0" * 32, path="/reading")
        assert stranger.get(path).status_code == 403


def test_nothing_is_shown_before_consent(browser: Browser, ready: Ready) -> None:
    reader = browser()
    reader.get(ready().links[0])
    assert reader.get("/reading/room").headers["location"] == "/reading"
    assert reader.get("/reading/window").json() == {"tokens": [], "done": 0, "total": 0}


def test_beginning_needs_consent_to_the_present_text(
    browser: Browser, ready: Ready, database: Database
) -> None:
    reader = browser()
    reader.get(ready().links[0])
    for data in [{}, {"consent": ""}, {"consent": "yes"}, {"consent": "x" * 50}]:
        assert reader.post("/reading/begin", data=data).status_code == 422
        with database.reading() as session:
            row = session.scalars(select(Reader)).one()
            assert (row.consent_version, row.began_at, row.seed) == (None, None, None)
        assert tokens_in_order(database) == []


def test_beginning_twice_keeps_the_one_order(begun: TestClient, database: Database) -> None:
    order = tokens_in_order(database)
    with database.reading() as session:
        began_at = session.scalars(select(Reader.began_at)).one()
    again = begun.post("/reading/begin", data={"consent": CONSENT_VERSION})
    assert again.headers["location"] == "/reading/room"
    assert tokens_in_order(database) == order
    assert len(order) == 16
    with database.reading() as session:
        assert session.scalars(select(Reader.began_at)).one() == began_at


def test_the_window_holds_the_next_three(begun: TestClient, database: Database, read: Read) -> None:
    order = tokens_in_order(database)
    assert AHEAD == 3
    for done in range(4):
        window = begun.get("/reading/window").json()
        assert window == {"tokens": order[done : done + 3], "done": done, "total": 16}
        read(begun, at_most=1)
    read(begun, at_most=10)
    assert begun.get("/reading/window").json() == {"tokens": order[14:], "done": 14, "total": 16}


def test_only_the_images_that_are_due_are_served(
    begun: TestClient, database: Database, read: Read
) -> None:
    order = tokens_in_order(database)
    read(begun, at_most=2)
    served = [begun.get(f"/reading/images/{token}").status_code for token in order]
    assert served == [404] * 2 + [200] * 3 + [404] * 11


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
    browser: Browser, ready: Ready, begin: Begin, read: Read, database: Database
) -> None:
    link = ready().links[0]
    reader = browser()
    begin(reader, link)
    read(reader, at_most=5)
    later = browser()
    later.get(link)
    assert later.get("/reading").headers["location"] == "/reading/room"
    assert later.get("/reading/room").status_code == 200
    assert due(later) == tokens_in_order(database)[5:8]


def test_after_the_last_image_every_page_leads_to_the_thanks(begun: TestClient, read: Read) -> None:
    assert begun.get("/reading/done").headers["location"] == "/reading"
    assert read(begun) == 16
    assert begun.get("/reading").headers["location"] == "/reading/done"
    assert begun.get("/reading/room").headers["location"] == "/reading"
    assert "Thank you" in begun.get("/reading/done").text


def test_a_finished_reader_may_come_back_by_the_link(
    browser: Browser, ready: Ready, begin: Begin, read: Read
) -> None:
    link = ready().links[0]
    reader = browser()
    begin(reader, link)
    read(reader)
    later = browser()
    later.get(link)
    assert later.get("/reading").headers["location"] == "/reading/done"


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
        seeds = [reader.seed for reader in study.readers]
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
