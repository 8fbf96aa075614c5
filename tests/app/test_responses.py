"""An answer is stored once, for good, before anybody says that it is saved."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.orm import Session

from app import ROOT
from app.readers.service import CONSENT_VERSION, reader_at
from app.reading.routes import READER_COOKIE
from app.responses.domain import GivenAnswer
from app.responses.service import record_response
from app.settings import Settings
from app.storage.models import Reader, Response
from app.storage.session import Database
from app.studies.service import find_study, lock_study
from app.vocabulary import Answer
from app.web.identity import now

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Read = Callable[..., int]
AnswerTo = Callable[..., dict[str, object]]
URL = "/reading/responses"


@pytest.fixture
def reader(browser: Browser, ready: Ready, begin: Begin) -> TestClient:
    opened = browser()
    begin(opened, ready().links[0])
    return opened


def first_due(reader: TestClient) -> str:
    token: str = reader.get("/reading/window").json()["tokens"][0]
    return token


def stored(database: Database) -> list[Response]:
    with database.reading() as session:
        return list(session.scalars(select(Response)))


def test_an_answer_is_stored_as_it_was_given(
    reader: TestClient, answer: AnswerTo, database: Database
) -> None:
    before = now()
    given = answer(first_due(reader), "non_tumour", reading_time_ms=777, hidden_ms=5, scale=3)
    window = reader.post(URL, json=given).json()
    assert (window["done"], window["total"]) == (1, 16)
    [row] = stored(database)
    assert {name: getattr(row, name) for name in given if name != "token"} == {
        name: value for name, value in given.items() if name != "token"
    }
    assert before <= row.answered_at <= now()


def test_every_answer_that_the_page_can_send_is_understood(
    reader: TestClient, answer: AnswerTo
) -> None:
    script = (ROOT / "static/reading/answers.js").read_text(encoding="utf-8")
    [pairs] = re.findall(r"ANSWERS = \{([^}]*)\}", script)
    answers = re.findall(r'"(\w+)"', pairs)
    assert set(answers) == {each.value for each in Answer}
    for each in answers:
        assert reader.post(URL, json=answer(first_due(reader), each)).status_code == 200


def test_the_same_answer_again_is_harmless_and_keeps_the_first_times(
    reader: TestClient, answer: AnswerTo, database: Database
) -> None:
    token = first_due(reader)
    first = reader.post(URL, json=answer(token, reading_time_ms=100))
    [row] = stored(database)
    again = reader.post(URL, json=answer(token, reading_time_ms=900))
    assert (again.status_code, again.json()) == (200, first.json())
    [kept] = stored(database)
    assert (kept.reading_time_ms, kept.answered_at) == (100, row.answered_at)


def test_an_answer_is_final(reader: TestClient, answer: AnswerTo, database: Database) -> None:
    token = first_due(reader)
    reader.post(URL, json=answer(token, "tumour"))
    changed = reader.post(URL, json=answer(token, "non_tumour"))
    assert changed.status_code == 409
    assert "an answer is final" in changed.text
    assert [row.answer for row in stored(database)] == [Answer.TUMOUR]


def test_an_answer_is_final_long_after(
    reader: TestClient, answer: AnswerTo, read: Read, database: Database
) -> None:
    token = first_due(reader)
    read(reader)
    assert reader.post(URL, json=answer(token, "tumour")).json()["done"] == 16
    assert reader.post(URL, json=answer(token, "non_tumour")).status_code == 409
    assert len(stored(database)) == 16


def test_the_three_that_are_due_may_be_answered_in_any_order(
    reader: TestClient, answer: AnswerTo
) -> None:
    tokens = reader.get("/reading/window").json()["tokens"]
    done = [reader.post(URL, json=answer(token)).json()["done"] for token in reversed(tokens)]
    assert done == [1, 2, 3]


def test_what_is_not_due_cannot_be_answered(
    reader: TestClient, answer: AnswerTo, database: Database
) -> None:
    with database.reading() as session:
        tokens = session.scalars(text("SELECT token FROM presentation ORDER BY position")).all()
    for token in (tokens[3], tokens[-1], "0" * 32, "nonsense"):
        assert reader.post(URL, json=answer(token)).status_code == 404
    assert stored(database) == []


WRONG_FIELDS: list[tuple[str, object]] = [
    ("answer", "perhaps"),
    ("answer", "Tumour"),
    ("answer", None),
    ("answer", 1),
    ("reading_time_ms", -1),
    ("reading_time_ms", 1.5),
    ("reading_time_ms", 10**12),
    ("hidden_ms", "soon"),
    ("device_pixel_ratio", 0),
    ("device_pixel_ratio", 101),
    ("viewport_width", -1),
    ("viewport_height", 10**9),
    ("display_width", None),
    ("display_height", "512px"),
    ("scale", 0),
    ("scale", 1.5),
    ("pixel_exact", "perhaps"),
    ("token", ""),
    ("token", "0" * 41),
    ("token", "../1"),
    ("token", "\x00"),
    ("set", 1),
]


def test_a_wrong_field_is_refused_by_its_name(
    reader: TestClient, answer: AnswerTo, database: Database
) -> None:
    token = first_due(reader)
    for field, value in WRONG_FIELDS:
        refused = reader.post(
            URL, json={**answer(token), field: value}, headers={"accept": "application/json"}
        )
        assert (refused.status_code, refused.json()) == (
            422,
            {"message": f"Please check: {field}."},
        ), (field, value)
    assert stored(database) == []


def test_a_missing_field_is_refused_by_its_name(reader: TestClient, answer: AnswerTo) -> None:
    given = answer(first_due(reader))
    for field in given:
        rest = {name: value for name, value in given.items() if name != field}
        refused = reader.post(URL, json=rest)
        assert refused.status_code == 422
        assert f"Please check: {field}." in refused.text


def test_what_is_no_answer_at_all_is_refused(reader: TestClient) -> None:
    for body in ["", "{", "[]", "null", '"text"', "NaN", '{"token": "\\ud800"}']:
        headers = {"content-type": "application/json"}
        refused = reader.post(URL, content=body, headers=headers)
        assert refused.status_code == 422
        assert "Please check" in refused.text


def test_a_number_that_is_none_is_refused(reader: TestClient, answer: AnswerTo) -> None:
    given = answer(first_due(reader), device_pixel_ratio=12345)
    body = json.dumps(given).replace("12345", "NaN")
    headers = {"content-type": "application/json"}
    assert reader.post(URL, content=body, headers=headers).status_code == 422


def test_no_answer_is_taken_after_the_lock(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: AnswerTo,
    database: Database,
) -> None:
    made, reader = ready(), browser()
    begin(reader, made.links[0])
    token = first_due(reader)
    reader.post(URL, json=answer(token))
    with database.writing() as session:
        lock_study(session, find_study(session, made.study), "ada", now())
    for answered in (token, "0" * 32):
        refused = reader.post(URL, json=answer(answered))
        assert refused.status_code == 403
        assert "This study is closed" in refused.text
    assert len(stored(database)) == 1


def finished(database: Database) -> list[bool]:
    with database.reading() as session:
        ends = session.scalars(select(Reader.finished_at).order_by(Reader.id)).all()
    return [end is not None for end in ends]


def test_a_reader_has_finished_with_the_last_answer_and_not_before(
    reader: TestClient, read: Read, database: Database
) -> None:
    read(reader, at_most=15)
    assert finished(database) == [False]
    read(reader)
    assert finished(database) == [True]
    assert reader.get("/reading/window").json() == {"tokens": [], "done": 16, "total": 16}


def test_coming_again_does_not_move_the_end(
    reader: TestClient, read: Read, answer: AnswerTo, database: Database
) -> None:
    token = first_due(reader)
    read(reader)
    with database.reading() as session:
        end = session.scalars(select(Reader.finished_at)).one()
    reader.post(URL, json=answer(token))
    with database.reading() as session:
        assert session.scalars(select(Reader.finished_at)).one() == end


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(10)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def twins(browser: Browser, reader: TestClient, count: int) -> list[TestClient]:
    """Tabs of one browser: they share its cookie."""
    tabs = [browser() for _ in range(count)]
    for tab in tabs:
        tab.cookies.set(READER_COOKIE, reader.cookies[READER_COOKIE], path="/reading")
    return tabs


def test_a_double_press_is_one_answer(
    reader: TestClient, browser: Browser, answer: AnswerTo, database: Database
) -> None:
    tabs, given = twins(browser, reader, 6), answer(first_due(reader))
    statuses = at_once(6, lambda n: tabs[n].post(URL, json=given).status_code)
    assert statuses == [200] * 6
    assert len(stored(database)) == 1


def test_of_two_different_answers_at_once_one_stands_and_one_is_refused(
    reader: TestClient, browser: Browser, answer: AnswerTo, database: Database
) -> None:
    tabs, token = twins(browser, reader, 6), first_due(reader)
    choices = ["tumour", "non_tumour"] * 3
    statuses = at_once(6, lambda n: tabs[n].post(URL, json=answer(token, choices[n])).status_code)
    [standing] = [row.answer for row in stored(database)]
    assert statuses == [200 if choice == standing else 409 for choice in choices]


def test_two_last_answers_at_once_finish_the_reading(
    reader: TestClient, read: Read, answer: AnswerTo, database: Database
) -> None:
    """Each must wait for the other: else neither sees that it was the last."""
    read(reader, at_most=14)
    tokens = reader.get("/reading/window").json()["tokens"]
    cookie = reader.cookies[READER_COOKIE]
    stored_one = threading.Event()

    def first() -> None:
        with database.writing() as session:
            record(session, cookie, answer(tokens[0]))
            stored_one.set()
            threading.Event().wait(0.3)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        assert stored_one.wait(10)
        with database.writing() as session:
            record(session, cookie, answer(tokens[1]))
        running.result(10)
    assert len(stored(database)) == 16
    assert finished(database) == [True]
    assert reader.get("/reading").headers["location"] == "/reading/done"


def record(session: Session, cookie: str, given: dict[str, object]) -> None:
    record_response(session, reader_at(session, cookie), GivenAnswer.model_validate(given), now())


def test_readers_answer_at_the_same_time(
    browser: Browser, ready: Ready, begin: Begin, read: Read, database: Database
) -> None:
    links = ready(readers=4, cases=2).links
    readers = [browser() for _ in links]
    for reader, link in zip(readers, links, strict=True):
        begin(reader, link)
    assert at_once(4, lambda n: read(readers[n])) == [8] * 4
    assert finished(database) == [True] * 4
    with database.reading() as session:
        counts = session.execute(
            text(
                "SELECT reader_id, count(*) FROM response JOIN presentation "
                "ON presentation.id = response.presentation_id GROUP BY reader_id"
            )
        ).all()
    assert Counter(count for _, count in counts) == {8: 4}


@pytest.fixture
def failing_commit() -> Any:
    """While this is on, no transaction that wrote can be committed."""

    def fail(_session: Session) -> None:
        raise OSError("the disk is full")

    class Switch:
        def on(self) -> None:
            event.listen(Session, "before_commit", fail)

        def off(self) -> None:
            if event.contains(Session, "before_commit", fail):
                event.remove(Session, "before_commit", fail)

    switch = Switch()
    yield switch
    switch.off()


def test_when_the_commit_fails_nobody_says_that_it_is_saved(
    reader: TestClient, answer: AnswerTo, database: Database, failing_commit: Any
) -> None:
    token = first_due(reader)
    failing_commit.on()
    refused = reader.post(URL, json=answer(token))
    failing_commit.off()
    assert refused.status_code == 500
    assert "tokens" not in refused.text
    assert stored(database) == []
    assert reader.post(URL, json=answer(token)).status_code == 200
    assert len(stored(database)) == 1


def test_a_begin_that_is_not_committed_is_not_a_begin(
    browser: Browser, ready: Ready, database: Database, failing_commit: Any
) -> None:
    reader = browser()
    reader.get(ready().links[0])
    failing_commit.on()
    refused = reader.post("/reading/begin", data={"consent": CONSENT_VERSION})
    failing_commit.off()
    assert refused.status_code == 500
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM presentation")) == 0


def test_an_acknowledged_answer_is_seen_by_everybody(
    reader: TestClient, answer: AnswerTo, settings: Settings
) -> None:
    other = create_engine(settings.database)
    for done in (1, 2, 3):
        assert reader.post(URL, json=answer(first_due(reader))).status_code == 200
        with other.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(Response)) == done
    other.dispose()


def test_another_process_may_write_at_the_same_time(
    ready: Ready, database: Database, settings: Settings
) -> None:
    """As the command line does beside the server: it waits for its turn and does not fail."""
    study = ready().study
    other, wrote = Database(settings.database), threading.Event()

    def first() -> None:
        with other.writing() as session:
            find_study(session, study).minimum_gap += 1
            session.flush()
            wrote.set()
            threading.Event().wait(0.3)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        assert wrote.wait(10)
        with database.writing() as session:
            before = session.scalar(text("SELECT count(*) FROM event"))
            find_study(session, study).public_title = f"{before} events"
        running.result(10)
    other.close()
    with database.reading() as session:
        found = find_study(session, study)
        assert (found.minimum_gap, found.public_title) == (3, "2 events")


def test_a_commit_waits_for_the_disk(database: Database) -> None:
    """In the words of each database; SQLite's 2 is FULL."""
    asked: dict[str, object] = {"SHOW synchronous_commit": "on"}
    if database.is_sqlite:
        asked = {"PRAGMA synchronous": 2, "PRAGMA journal_mode": "wal", "PRAGMA foreign_keys": 1}
    with database.reading() as session:
        assert {question: session.scalar(text(question)) for question in asked} == asked
