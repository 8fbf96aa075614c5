"""The monitor tells where readers are and how they fare, and nothing that could tell an arm."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from app.readers.service import SEEN_AGAIN_AFTER, find_reader, invite, note_seen
from app.storage.models import (
    Case,
    Condition,
    Presentation,
    Reader,
    Response,
    Sitting,
    Stimulus,
    Study,
)
from app.storage.session import Database
from app.studies import routes
from app.studies.monitor import STALLED_AFTER, Standing, Watched, tally, watch
from app.studies.monitor_pages import ENOUGH_FOR_PACE, ago
from app.studies.service import find_study, lock_study
from app.vocabulary import Answer, PairTask, Part
from app.web.identity import now

Browser = Callable[[], TestClient]
Office = Callable[..., TestClient]
Ready = Callable[..., Any]
Begin = Callable[..., None]
Read = Callable[..., int]
NOON = datetime(2030, 1, 15, 12, tzinfo=UTC)
OTHER = {Answer.TUMOUR: Answer.NO_TUMOUR, Answer.NO_TUMOUR: Answer.TUMOUR}


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The time on every page of a study, for as long as the test lasts."""
    monkeypatch.setattr(routes, "now", lambda: NOON)
    return NOON


def watched(database: Database, study: int, at: datetime, sort: str = "reader") -> list[Watched]:
    with database.reading() as session:
        return watch(session, find_study(session, study), at, "/x", 1, sort)[0]


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def row_of(page: str, label: str) -> str:
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    [row] = [row for row in rows if f'id="reader_{label}"' in row]
    return words_of(row)


def change_readers(database: Database, study: int, **by_label: dict[str, Any]) -> None:
    with database.writing() as session:
        for label, values in by_label.items():
            reader = find_reader(session, find_study(session, study), label)
            for name, value in values.items():
                setattr(reader, name, value)


def next_token(reader: TestClient) -> str:
    return str(reader.get("/reading/window").json()["tokens"][0])


def give(reader: TestClient, **facts: Any) -> None:
    """Answer what is due."""
    given = {
        "token": next_token(reader),
        "attempt": 0,
        "answer": "tumour",
        "confidence": None,
        "given_at": 1_790_000_000_000,
        "hidden_ms": 0,
        "idle_ms": 0,
        "reading_time_ms": 1234,
        "device_pixel_ratio": 1.25,
        "viewport_width": 1280,
        "viewport_height": 800,
        "display_width": 512,
        "display_height": 512,
        "scale": 2,
        "zoom": 1,
        "pixel_exact": True,
        **facts,
    }
    assert reader.post("/reading/responses", json=given).status_code == 200


# What a researcher sees


def test_progress_is_told_by_part_and_sitting(
    browser: Browser, office: Office, ready: Ready, begin: Begin, read: Read
) -> None:
    made, reader = (
        ready(cases=6, at_most=4, sets=2, waves=2, practice=2, pair_task=PairTask.CHOICE),
        browser(),
    )
    begin(reader, made.links[0])
    read(reader)  # practice
    reader.post("/reading/arrive")
    begun = row_of(office().get(f"/studies/{made.study}").text, "R01")
    assert "0 of 16" in begun
    assert "Practice: 2 of 2 Sitting 1: 0 of 8 Sitting 2: 0 of 8 Pairs: 0 of 4" in begun


def test_an_answer_that_was_taken_back_is_not_counted(
    browser: Browser, ready: Ready, begin: Begin, read: Read, database: Database
) -> None:
    made, reader = ready(), browser()
    begin(reader, made.links[0])
    read(reader, at_most=3)
    wanted = reader.get("/reading/window").json()["undoable"]
    assert reader.post("/reading/undo", json=wanted).status_code == 200
    [row] = watched(database, made.study, now())
    assert (row.done[Part.READING, 1], row.total[Part.READING, 1]) == (2, 16)
    assert (row.timed, row.answers) == (2, 2)


@pytest.mark.parametrize(
    ("times", "median"),
    [([5000], 5000), ([1000, 9000], 5000), ([9000, 1000, 2000], 2000), ([4, 3, 2, 1], 2.5)],
)
def test_pace_is_the_median_of_each_reader_also_when_times_are_equal(
    times: list[int],
    median: float,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    database: Database,
) -> None:
    made = ready(readers=2)
    for link, shown in zip(made.links, (times, [7000] * 4), strict=True):
        reader = browser()
        begin(reader, link)
        for ms in shown:
            give(reader, reading_time_ms=ms)
    first, second = watched(database, made.study, now())
    assert (first.median_ms, first.timed) == (median, len(times))
    assert (second.median_ms, second.timed) == (7000, 4)


def test_pace_is_told_of_many_answers_only_and_in_whole_seconds(
    browser: Browser, office: Office, ready: Ready, begin: Begin
) -> None:
    made, reader, desk = ready(), browser(), office()
    begin(reader, made.links[0])
    for _ in range(ENOUGH_FOR_PACE - 1):
        give(reader, reading_time_ms=4321)
    before = row_of(desk.get(f"/studies/{made.study}").text, "R01")
    give(reader, reading_time_ms=4321)
    after = row_of(desk.get(f"/studies/{made.study}").text, "R01")
    assert " s " not in before
    assert " 4 s 1 min " in after


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({}, Standing.NOT_BEGUN),
        ({"began_at": NOON, "last_seen_at": NOON}, Standing.HERE),
        ({"began_at": NOON, "last_seen_at": NOON - timedelta(hours=1)}, Standing.UNDER_WAY),
        ({"began_at": NOON - STALLED_AFTER, "last_seen_at": None}, Standing.STALLED),
        ({"began_at": NOON, "last_seen_at": NOON - STALLED_AFTER}, Standing.STALLED),
        ({"began_at": NOON, "expires_at": NOON}, Standing.EXPIRED),
        ({"began_at": NOON, "revoked_at": NOON, "expires_at": NOON}, Standing.WITHDRAWN),
        ({"began_at": NOON, "finished_at": NOON, "revoked_at": NOON}, Standing.FINISHED),
    ],
)
def test_where_a_reader_is(
    changes: dict[str, Any], standing: Standing, ready: Ready, database: Database
) -> None:
    study = ready(readers=2).study
    change_readers(database, study, R01=changes)
    first, second = watched(database, study, NOON)
    assert (first.standing, second.standing) == (standing, Standing.NOT_BEGUN)
    with database.reading() as session:
        counts = tally(session, find_study(session, study), NOON)
    assert sum(counts.values()) == 2
    assert counts[standing] == (2 if standing is Standing.NOT_BEGUN else 1)


@pytest.mark.parametrize(
    ("opens_at", "standing"),
    [
        (NOON + timedelta(hours=1), Standing.WAITING),
        (NOON - timedelta(days=1), Standing.UNDER_WAY),
        (NOON - 2 * STALLED_AFTER, Standing.STALLED),
    ],
)
def test_who_waits_for_a_sitting_or_could_begin_it_only_lately_has_not_stalled(
    opens_at: datetime,
    standing: Standing,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    read: Read,
    database: Database,
) -> None:
    made, reader = ready(waves=2), browser()
    begin(reader, made.links[0])
    read(reader)
    long_ago = NOON - timedelta(days=30)
    change_readers(database, made.study, R01={"began_at": long_ago, "last_seen_at": long_ago})
    with database.writing() as session:
        session.execute(update(Sitting).where(Sitting.number == 2).values(opens_at=opens_at))
    [row] = watched(database, made.study, NOON)
    assert (row.standing, row.opens_at) == (standing, opens_at)


def test_of_a_closed_study_it_is_told_who_finished_and_nothing_is_asked_for_again(
    office: Office, ready: Ready, database: Database
) -> None:
    study, desk = ready(readers=2).study, office()
    assert 'hx-trigger="every 20s"' in desk.get(f"/studies/{study}").text
    change_readers(database, study, R01={"began_at": now(), "finished_at": now()})
    with database.writing() as session:
        lock_study(session, find_study(session, study), "ada", now())
    page = desk.get(f"/studies/{study}").text
    assert "2 readers: 1 not finished, 1 finished." in words_of(page)
    assert "hx-trigger" not in page[page.index('id="monitor"') :]


def test_a_screen_that_is_not_one_to_one_is_warned_of(
    browser: Browser,
    office: Office,
    ready: Ready,
    begin: Begin,
    answer: Callable[..., dict[str, object]],
    display_record: dict[str, Any],
) -> None:
    made, reader, desk = ready(), browser(), office()
    begin(reader, made.links[0])
    page = desk.get(f"/studies/{made.study}").text
    assert "1280 by 720, pixel ratio 1.25, zoom 100 %" in row_of(page, "R01")
    assert "were not drawn 1:1" not in page
    reader.post("/reading/display", json={**display_record, "browser_zoom": 1.1})
    for exact in (True, False):
        token = reader.get("/reading/window").json()["tokens"][0]
        given = answer(token, pixel_exact=exact, device_pixel_ratio=1.375)
        assert reader.post("/reading/responses", json=given).status_code == 200
    page = desk.get(f"/studies/{made.study}").text
    assert "1280 by 800, pixel ratio 1.375, zoom 110 % 1 of 2 answers 1:1!" in row_of(page, "R01")
    assert "were not drawn 1:1" in page
    own = words_of(desk.get(f"/studies/{made.study}/readers/R01").text)
    assert "whole blocks of screen pixels: details may be lost. The zoom of the browser" in own


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=119), "just now"),
        (timedelta(minutes=2), "2 minutes ago"),
        (timedelta(hours=47), "47 hours ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_how_long_ago_a_reader_was_seen(passed: timedelta, said: str) -> None:
    assert ago(NOON - passed, NOON) == said
    assert ago(None, NOON) == "never"


# When a reader was seen


def test_a_reader_is_seen_on_arrival_and_with_every_answer(
    browser: Browser, ready: Ready, begin: Begin, read: Read, enter: Any, database: Database
) -> None:
    made, reader = ready(), browser()

    def seen() -> datetime | None:
        with database.reading() as session:
            return session.scalars(select(Reader.last_seen_at)).one()

    reader.get(made.links[0])
    assert seen() is None
    start = now()
    begin(reader, made.links[0])
    assert (seen() or start) > start
    long_ago = now() - timedelta(days=1)
    for act in (lambda: enter(reader), lambda: read(reader, at_most=1)):
        change_readers(database, made.study, R01={"last_seen_at": long_ago})
        act()
        assert (seen() or long_ago) > start


def test_it_is_written_once_a_minute_at_most() -> None:
    reader = Reader(last_seen_at=None)
    for passed, expected in ((0, 0), (59, 0), (60, 60), (90, 60), (121, 121)):
        note_seen(reader, NOON + timedelta(seconds=passed))
        assert reader.last_seen_at == NOON + timedelta(seconds=expected)
    assert timedelta(minutes=1) == SEEN_AGAIN_AFTER


def test_an_answer_within_the_minute_writes_the_answer_alone(
    browser: Browser, ready: Ready, begin: Begin, read: Read, database: Database
) -> None:
    made, reader = ready(), browser()
    begin(reader, made.links[0])
    engine = reader.app.state.database.engine  # type: ignore[attr-defined]
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            written.append(statement.split(" SET ")[0].split(" (")[0])

    event.listen(engine, "before_cursor_execute", note)
    read(reader, at_most=1)
    assert written == ["INSERT INTO response"]
    change_readers(database, made.study, R01={"last_seen_at": NOON - timedelta(days=9999)})
    written.clear()
    read(reader, at_most=1)
    assert sorted(written) == ["INSERT INTO response", "UPDATE reader"]


# Nothing by arm


PAGES = ("", "?sort=-read", "/readers/R01", "/readers/R02", "/problems", "/record")


def pages_of(desk: TestClient, study: int) -> dict[str, bytes]:
    found = {path: desk.get(f"/studies/{study}{path}") for path in PAGES}
    assert {page.status_code for page in found.values()} == {200}
    return {path: page.content for path, page in found.items()} | {
        "/studies": desk.get("/studies").content
    }


@pytest.fixture
def read_study(browser: Browser, ready: Ready, begin: Begin) -> int:
    """Two readers have read it, in part, and reported problems."""
    made = ready(
        readers=2,
        cases=4,
        truths=(1, 0, 1, 0),
        confidence=True,
        undo="all",
        pair_task=PairTask.COMPARE,
    )
    for number, link in enumerate(made.links):
        reader = browser()
        begin(reader, link)
        for place in range(12 - 3 * number):
            give(
                reader,
                answer="tumour" if place % 3 else "non_tumour",
                confidence=1 + place % 5,
                reading_time_ms=1013 + 700 * place,
                pixel_exact=place != 4,
            )
        reader.post("/reading/problems", json={"token": next_token(reader), "kind": "unclear"})
    return int(made.study)


@contextmanager
def rewriting(database: Database) -> Iterator[Session]:
    """A transaction that may change answers, which the database refuses otherwise."""
    with database.writing() as session:
        if database.is_sqlite:
            query = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for name in session.scalars(query).all():
                session.execute(text(f"DROP TRIGGER {name}"))
            yield session
        else:
            session.execute(text("ALTER TABLE response DISABLE TRIGGER USER"))
            yield session
            session.flush()
            session.execute(text("ALTER TABLE response ENABLE TRIGGER USER"))


def exchange_arms(database: Database) -> None:
    """What was original is perturbed, and the other way round, in every part."""
    with database.writing() as session:
        stimuli = session.scalars(select(Stimulus)).all()
        twin = {
            one.id: other.id
            for one in stimuli
            for other in stimuli
            if one.case_id == other.case_id and one is not other
        }
        shown = session.scalars(select(Presentation)).all()
        places = {each.id: (twin[each.stimulus_id], each.set_number) for each in shown}
        for each in shown:
            each.stimulus_id, each.set_number = twin[each.stimulus_id], (each.set_number or 0) + 100
        session.flush()
        for each in shown:
            each.set_number = places[each.id][1]


def exchange_answers(database: Database) -> None:
    with rewriting(database) as session:
        for response in session.scalars(select(Response)):
            response.answer = OTHER[response.answer]
            response.confidence = 6 - (response.confidence or 0)


def exchange_truths(database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Case).values(truth=1 - Case.truth))


def exchange_times(database: Database) -> None:
    """Each reader's times are the same, at other images."""
    with rewriting(database) as session:
        for reader in session.scalars(select(Reader)):
            given = session.scalars(
                select(Response).join(Presentation).where(Presentation.reader_id == reader.id)
            ).all()
            times = [each.reading_time_ms for each in given]
            for each, time in zip(given, reversed(times), strict=True):
                each.reading_time_ms = time


def exchange_budgets(database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Condition).values(epsilon="77", attack="other", norm="l2"))
        session.execute(update(Stimulus).values(linf=77, success=False, p_positive=0.5))


@pytest.mark.parametrize(
    "exchange",
    [exchange_arms, exchange_answers, exchange_truths, exchange_times, exchange_budgets],
)
def test_no_byte_of_any_page_tells_arms_answers_truths_or_single_times(
    exchange: Callable[[Database], None],
    read_study: int,
    noon: datetime,
    office: Office,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert noon == NOON
    monkeypatch.setattr("app.readers.routes.now", lambda: NOON)
    desk = office()
    before = pages_of(desk, read_study)
    exchange(database)
    assert pages_of(desk, read_study) == before


def test_the_pages_of_the_monitor_name_no_file_case_answer_or_time(
    read_study: int, office: Office, database: Database
) -> None:
    with database.reading() as session:
        files = set(session.scalars(select(Stimulus.file)))
        cases = set(session.scalars(select(Case.name)))
        digests = set(session.scalars(select(Stimulus.sha256)))
        times = {f"{ms}" for ms in session.scalars(select(Response.reading_time_ms))}
        tokens = set(session.scalars(select(Presentation.token)))
    for path, content in pages_of(office(), read_study).items():
        page = content.decode()
        assert not [secret for secret in files | digests if secret in page], path
        assert not re.search(r"Set 1|\blinf-2\b", page), path
        words = set(re.findall(r"[\w.-]+", words_of(page)))
        assert not words & (cases | times), path
        seen = tokens & set(re.findall(r"[0-9a-f]{32}", page))
        assert len(seen) <= 2, path  # of what was reported as a problem


# However many there are


@pytest.fixture
def statements(office: Office, ready: Ready) -> tuple[int, Callable[[str], int]]:
    """A study, and how many statements one request of a path needs."""
    study = ready(readers=3).study
    desk = office()
    seen: list[str] = []
    engine = desk.app.state.database.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2]))

    def ask(path: str) -> int:
        seen.clear()
        assert desk.get(path).status_code == 200
        return len(seen)

    return study, ask


def test_a_thousand_readers_need_no_more_queries_than_a_few(
    database: Database, statements: tuple[int, Callable[[str], int]]
) -> None:
    study, ask = statements
    paths = [f"/studies/{study}{rest}" for rest in ("", "?sort=-read&page=2", "/record")]
    few = [ask(path) for path in paths]
    with database.writing() as session:
        found = session.get_one(Study, study)
        for _ in range(60):
            invite(session, found, "ada", now())
        session.add_all(
            Reader(
                study_id=study,
                label=f"R{number}",
                link_digest=f"{number:064}",
                keys_swapped=False,
                invited_at=now(),
                last_seen_at=now() if number % 2 else None,
            )
            for number in range(100, 1100)
        )
    assert [ask(path) for path in paths] == few
