"""An answer is stored once, for good, before anybody says that it is saved."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.orm import Session

from app.readers.service import CONSENT_VERSION, reader_of_link
from app.reading.visitor import READER_COOKIE, VISIT_HEADER
from app.responses.domain import GivenAnswer
from app.responses.service import record_response
from app.settings import Settings
from app.storage.models import (
    Debrief,
    Presentation,
    ProblemReport,
    Reader,
    Response,
    Undone,
)
from app.storage.session import Database
from app.studies.service import find_study, lock_study
from app.vocabulary import Answer, PairTask, Part, Problem, Undo
from app.web.identity import now

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Read = Callable[..., int]
AnswerTo = Callable[..., dict[str, Any]]
URL = "/reading/responses"
UNDO = "/reading/undo"
PROBLEMS = "/reading/problems"


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
        return list(session.scalars(select(Response).order_by(Response.id)))


def test_an_answer_is_stored_as_it_was_given(
    reader: TestClient, answer: AnswerTo, database: Database
) -> None:
    before = now()
    times = {"reading_time_ms": 777, "hidden_ms": 5, "idle_ms": 6}
    given = answer(first_due(reader), "non_tumour", **times, scale=3, zoom=4)
    window = reader.post(URL, json=given).json()
    assert (window["done"], window["total"]) == (1, 16)
    [row] = stored(database)
    kept = {name: value for name, value in given.items() if name not in {"token", "given_at"}}
    assert {name: getattr(row, name) for name in kept} == kept
    assert row.given_at == datetime.fromtimestamp(given["given_at"] / 1000, UTC)
    assert before <= row.answered_at <= now()


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
    assert "answered already" in changed.text
    assert [row.answer for row in stored(database)] == [Answer.TUMOUR]


def test_an_answer_is_final_long_after(
    reader: TestClient, answer: AnswerTo, read: Read, database: Database
) -> None:
    token = first_due(reader)
    read(reader)
    assert reader.post(URL, json=answer(token, "tumour")).json()["done"] == 16
    assert reader.post(URL, json=answer(token, "non_tumour")).status_code == 409
    assert len(stored(database)) == 16


def test_what_is_due_may_be_answered_in_any_order(reader: TestClient, answer: AnswerTo) -> None:
    """Answers that waited for the network arrive as they can."""
    tokens = reader.get("/reading/window").json()["tokens"]
    done = [reader.post(URL, json=answer(token)).json()["done"] for token in reversed(tokens)]
    assert done == list(range(1, 13))


def test_what_is_not_due_cannot_be_answered(
    reader: TestClient, answer: AnswerTo, database: Database
) -> None:
    with database.reading() as session:
        tokens = session.scalars(text("SELECT token FROM presentation ORDER BY position")).all()
    for token in (tokens[12], tokens[-1], "0" * 32, "nonsense"):
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
    ("zoom", 0),
    ("zoom", 5),
    ("zoom", 1.5),
    ("attempt", -1),
    ("attempt", None),
    ("attempt", 10**9),
    ("confidence", 0),
    ("confidence", 6),
    ("given_at", 0),
    ("given_at", 10**15),
    ("given_at", "2026-12-01"),
    ("idle_ms", -1),
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
    assert reader.get("/reading").headers["location"] == "/reading/questions"


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
    """As if the one tab sent several things at once: its cookie and its visit."""
    tabs = [browser() for _ in range(count)]
    for tab in tabs:
        tab.cookies.set(READER_COOKIE, reader.cookies[READER_COOKIE], path="/reading")
        tab.headers[VISIT_HEADER] = reader.headers[VISIT_HEADER]
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
    assert reader.get("/reading").headers["location"] == "/reading/questions"


def record(session: Session, cookie: str, given: dict[str, object]) -> None:
    found = reader_of_link(session, cookie)
    record_response(session, found, GivenAnswer.model_validate(given), now())


@pytest.fixture
def reading(browser: Browser, ready: Ready, begin: Begin) -> Callable[..., TestClient]:
    """`reading(undo=Undo.ALL, ...)` is a reader in the room of such a study."""

    def start(**options: Any) -> TestClient:
        opened = browser()
        begin(opened, ready(**options).links[0])
        return opened

    return start


def take_back(reader: TestClient, token: str, attempt: int = 0) -> Any:
    wanted = {"token": token, "attempt": attempt}
    return reader.post(UNDO, json=wanted, headers={"accept": "application/json"})


def history(database: Database) -> list[tuple[int, Answer, bool]]:
    """Of every answer ever given: its attempt, what it was, and whether it stands."""
    with database.reading() as session:
        rows = session.execute(
            select(Response.attempt, Response.answer, Undone.response_id)
            .outerjoin(Undone, Undone.response_id == Response.id)
            .order_by(Response.id)
        )
        return [(attempt, answer, undone is None) for attempt, answer, undone in rows]


def test_an_answer_that_is_taken_back_stays_in_the_record_and_the_next_one_stands(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    reader = reading()
    token = first_due(reader)
    reader.post(URL, json=answer(token, "tumour"))
    window = take_back(reader, token).json()
    assert (window["tokens"][0], window["attempts"][0], window["done"]) == (token, 1, 0)
    window = reader.post(URL, json=answer(token, "non_tumour", attempt=1)).json()
    assert (window["done"], window["undoable"]) == (1, {"token": token, "attempt": 1})
    assert history(database) == [(0, Answer.TUMOUR, False), (1, Answer.NO_TUMOUR, True)]


def test_taking_back_twice_is_taking_back_once(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    reader = reading(undo=Undo.ALL)
    first, second, *_ = reader.get("/reading/window").json()["tokens"]
    for token in (first, second):
        reader.post(URL, json=answer(token))
    once = take_back(reader, second)
    again = take_back(reader, second)
    assert (again.status_code, again.json()) == (200, once.json())
    assert [stands for *_, stands in history(database)] == [True, False]


def test_an_answer_that_comes_late_does_not_bring_back_what_was_taken_back(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    """The first 200 was lost on its way; the browser sends the answer once more."""
    reader = reading()
    token = first_due(reader)
    reader.post(URL, json=answer(token, "tumour"))
    take_back(reader, token)
    late = reader.post(URL, json=answer(token, "tumour"))
    assert (late.status_code, late.json()["done"]) == (200, 0)
    assert history(database) == [(0, Answer.TUMOUR, False)]
    assert reader.post(URL, json=answer(token, "non_tumour")).status_code == 409
    reader.post(URL, json=answer(token, "non_tumour", attempt=1))
    assert take_back(reader, token).status_code == 200
    assert history(database)[-1] == (1, Answer.NO_TUMOUR, True)


def test_an_attempt_comes_after_the_one_before(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    reader = reading()
    token = first_due(reader)
    assert reader.post(URL, json=answer(token, attempt=1)).status_code == 409
    reader.post(URL, json=answer(token))
    assert reader.post(URL, json=answer(token, attempt=1)).status_code == 409
    assert take_back(reader, token, attempt=1).status_code == 404
    assert len(stored(database)) == 1


def test_without_undo_an_answer_is_final(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    reader = reading(undo=Undo.NONE)
    token = first_due(reader)
    assert reader.post(URL, json=answer(token)).json()["undoable"] is None
    refused = take_back(reader, token)
    assert refused.status_code == 409
    assert refused.json() == {"message": "This answer can no longer be taken back."}
    assert history(database) == [(0, Answer.TUMOUR, True)]


def answer_some(reader: TestClient, answer: AnswerTo, count: int) -> list[str]:
    tokens = []
    for _ in range(count):
        tokens.append(first_due(reader))
        assert reader.post(URL, json=answer(tokens[-1])).status_code == 200
    return tokens


def test_one_step_back_is_one_step(reading: Callable[..., TestClient], answer: AnswerTo) -> None:
    """The last answer only, and not twice without an answer in between."""
    reader = reading(undo=Undo.ONE)
    tokens = answer_some(reader, answer, 3)
    assert take_back(reader, tokens[1]).status_code == 409
    window = take_back(reader, tokens[2]).json()
    assert window["undoable"] is None
    assert take_back(reader, tokens[1]).status_code == 409
    reader.post(URL, json=answer(tokens[2], attempt=1))
    assert take_back(reader, tokens[2], attempt=1).status_code == 200


def test_with_all_a_reader_may_go_back_to_the_first_image(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    reader = reading(undo=Undo.ALL)
    tokens = answer_some(reader, answer, 4)
    for token in reversed(tokens):
        window = reader.get("/reading/window").json()
        assert window["undoable"] == {"token": token, "attempt": 0}
        assert take_back(reader, token).status_code == 200
    window = reader.get("/reading/window").json()
    assert (window["done"], window["undoable"]) == (0, None)
    assert (window["tokens"][:4], window["attempts"][:5]) == (tokens, [1, 1, 1, 1, 0])
    assert [stands for *_, stands in history(database)] == [False] * 4


def test_what_ends_a_sitting_is_final(
    reading: Callable[..., TestClient], read: Read, database: Database
) -> None:
    """Whoever has finished has finished: the next page is another one."""
    reader = reading(undo=Undo.ALL, cases=2)
    read(reader)
    with database.reading() as session:
        last = session.scalars(
            select(Presentation.token).order_by(Presentation.position.desc())
        ).first()
    assert last
    assert take_back(reader, last).status_code == 409
    assert finished(database) == [True]


def test_nothing_is_taken_back_after_the_lock(
    reading: Callable[..., TestClient], answer: AnswerTo, database: Database
) -> None:
    reader = reading()
    [token] = answer_some(reader, answer, 1)
    with database.writing() as session:
        lock_study(session, find_study(session, 1), "ada", now())
    assert take_back(reader, token).status_code == 403
    assert history(database) == [(0, Answer.TUMOUR, True)]


def test_another_readers_answer_cannot_be_taken_back(
    browser: Browser, ready: Ready, begin: Begin, answer: AnswerTo, database: Database
) -> None:
    readers = []
    for link in ready(readers=2).links:
        readers.append(browser())
        begin(readers[-1], link)
    [token] = answer_some(readers[0], answer, 1)
    assert take_back(readers[1], token).status_code == 404
    assert history(database) == [(0, Answer.TUMOUR, True)]


def test_undone_at_many_places_at_once_it_is_undone_once(
    reader: TestClient, browser: Browser, answer: AnswerTo, database: Database
) -> None:
    [token] = answer_some(reader, answer, 1)
    tabs = twins(browser, reader, 6)
    assert at_once(6, lambda n: take_back(tabs[n], token).status_code) == [200] * 6
    assert history(database) == [(0, Answer.TUMOUR, False)]


def test_of_two_tabs_the_one_that_was_opened_last_writes(
    reader: TestClient, browser: Browser, answer: AnswerTo, database: Database
) -> None:
    """The other one is told so by a 403, stores nothing, and may take the place again."""
    [other] = twins(browser, reader, 1)
    [done] = answer_some(reader, answer, 1)
    token = first_due(reader)
    other.headers[VISIT_HEADER] = other.post("/reading/arrive").json()["visit"]
    for path, body in [
        (URL, answer(token)),
        (UNDO, {"token": done, "attempt": 0}),
        (PROBLEMS, {"token": token, "kind": "unclear"}),
    ]:
        refused = reader.post(path, json=body)
        assert (refused.status_code, "continued elsewhere" in refused.text) == (403, True)
    assert history(database) == [(0, Answer.TUMOUR, True)]
    assert problems(database) == []
    assert other.post(URL, json=answer(token)).status_code == 200
    reader.headers[VISIT_HEADER] = reader.post("/reading/arrive").json()["visit"]
    assert first_due(reader) != token
    assert other.post(URL, json=answer(first_due(reader))).status_code == 403


def problems(database: Database) -> list[tuple[str, Problem]]:
    with database.reading() as session:
        rows = session.execute(
            select(Presentation.token, ProblemReport.kind)
            .join(ProblemReport)
            .order_by(ProblemReport.id)
        )
        return [(token, kind) for token, kind in rows]


def test_a_problem_is_kept_once_and_the_image_stays_due(
    reader: TestClient, database: Database
) -> None:
    token = first_due(reader)
    for kind in ("unclear", "unclear", "not_shown", "unclear"):
        window = reader.post(PROBLEMS, json={"token": token, "kind": kind})
        assert (window.status_code, window.json()["tokens"][0]) == (200, token)
    assert problems(database) == [(token, Problem.UNCLEAR), (token, Problem.NOT_SHOWN)]


def test_a_problem_that_is_reported_many_times_at_once_is_kept_once(
    reader: TestClient, browser: Browser, database: Database
) -> None:
    tabs, report = twins(browser, reader, 6), {"token": first_due(reader), "kind": "other"}
    assert at_once(6, lambda n: tabs[n].post(PROBLEMS, json=report).status_code) == [200] * 6
    assert len(problems(database)) == 1


def test_a_problem_with_something_else_is_refused(reader: TestClient, database: Database) -> None:
    token = first_due(reader)
    for report, status in [
        ({"token": "0" * 32, "kind": "unclear"}, 404),
        ({"token": token, "kind": "ugly"}, 422),
        ({"token": token, "kind": "unclear", "text": "see c01.png"}, 422),
        ({"token": token}, 422),
    ]:
        assert reader.post(PROBLEMS, json=report).status_code == status, report
    assert problems(database) == []


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


def test_beginning_at_many_places_at_once_makes_one_order(
    browser: Browser, ready: Ready, database: Database
) -> None:
    link = ready(cases=6, at_most=4, practice=2).links[0]
    places = [browser() for _ in range(5)]
    for place in places:
        place.get(link)
    agreed = {"consent": CONSENT_VERSION}
    assert (
        at_once(5, lambda n: places[n].post("/reading/begin", data=agreed).status_code) == [303] * 5
    )
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Presentation)) == 2 + 16


def test_beginning_the_pairs_at_once_makes_one_order_of_them(
    reading: Callable[..., TestClient], browser: Browser, read: Read, database: Database
) -> None:
    reader = reading(sets=1, pair_task=PairTask.CHOICE)
    read(reader)
    reader.post("/reading/questions")
    tabs = twins(browser, reader, 5)
    assert at_once(5, lambda n: tabs[n].post("/reading/pairs").status_code) == [303] * 5
    with database.reading() as session:
        pairs = select(func.count()).where(Presentation.part == Part.PAIRS)
        assert session.scalar(pairs) == 4


def test_the_questions_are_answered_once(
    reading: Callable[..., TestClient], browser: Browser, read: Read, database: Database
) -> None:
    reader = reading(sets=1)
    told = {"saw_repeats": "yes", "odd": "Some looked alike."}
    reader.post("/reading/questions", data=told)
    with database.reading() as session:
        assert session.scalars(select(Debrief)).all() == []
    read(reader)
    for wrong in ({"saw_repeats": "maybe"}, {"odd": "x" * 1001}, {"odd": "\x00"}):
        assert reader.post("/reading/questions", data=wrong).status_code == 422
    tabs = twins(browser, reader, 4)
    posted = at_once(4, lambda n: tabs[n].post("/reading/questions", data=told).status_code)
    assert posted == [303] * 4
    reader.post("/reading/questions", data={"saw_repeats": "no"})
    with database.reading() as session:
        [kept] = session.scalars(select(Debrief)).all()
    assert (kept.saw_repeats, kept.odd) == ("yes", "Some looked alike.")


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
        events = session.scalar(text("SELECT count(*) FROM event"))
        assert (found.minimum_gap, found.public_title) == (3, f"{events} events")


def test_a_commit_waits_for_the_disk(database: Database) -> None:
    """In the words of each database; SQLite's 2 is FULL."""
    asked: dict[str, object] = {"SHOW synchronous_commit": "on"}
    if database.is_sqlite:
        asked = {"PRAGMA synchronous": 2, "PRAGMA journal_mode": "wal", "PRAGMA foreign_keys": 1}
    with database.reading() as session:
        assert {question: session.scalar(text(question)) for question in asked} == asked
