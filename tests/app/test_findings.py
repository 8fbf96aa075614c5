"""What a results page is made from is computed once, and again when an answer has changed."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.analysis.findings import Cache, Findings, findings_of, stamp_of
from app.analysis.sections.rows import Rows
from app.storage.models import Presentation, Response, Study, Undone
from app.storage.session import Database
from app.studies.service import find_study, record
from app.web.identity import now


@pytest.fixture
def half_read(
    ready: Callable[..., Any],
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    read: Callable[..., int],
) -> tuple[int, Callable[[], int]]:
    """A demo, whose key is open, and what reads two more presentations of it."""
    made = ready(is_demo=True, cases=3)
    reader = browser()
    begin(reader, made.links[0])
    read(reader, at_most=2)
    return made.study, lambda: read(reader, at_most=2)


def test_the_stamp_changes_with_answers_undoing_and_the_plan_and_with_nothing_else(
    half_read: tuple[int, Callable[[], int]], database: Database
) -> None:
    study, read_on = half_read

    def stamp() -> str:
        with database.reading() as session:
            return stamp_of(session, find_study(session, study))

    stamps = [stamp()]
    with database.writing() as session:
        record(session, find_study(session, study), "ada", "looked at it", now(), "twice")
    assert stamp() == stamps[0]

    read_on()
    stamps.append(stamp())
    with database.writing() as session:
        answered = session.scalars(select(Response).join(Presentation)).first()
        assert answered
        session.add(Undone(response_id=answered.id, undone_at=now()))
    stamps.append(stamp())
    with database.writing() as session:
        session.execute(update(Study).where(Study.id == study).values(minimum_time_ms=500))
    stamps.append(stamp())

    assert len(set(stamps)) == len(stamps)


def test_findings_are_the_same_until_an_answer_comes(
    half_read: tuple[int, Callable[[], int]], database: Database
) -> None:
    study, read_on = half_read

    def found() -> Findings:
        with database.reading() as session:
            return findings_of(session, find_study(session, study), now())

    first = found()
    assert found() is first
    read_on()
    assert found().analysis["missing"]["labelled"] == first.analysis["missing"]["labelled"] + 2


def test_many_who_ask_at_once_wait_for_one_computation() -> None:
    cache, made, got = Cache(), [], []

    def make() -> Findings:
        made.append(1)
        time.sleep(0.2)
        return Findings(Rows((), (), None, {}), {})

    threads = [
        threading.Thread(target=lambda: got.append(cache.of("stamp", make))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(made), len(got)) == (1, 5)


def test_a_computation_that_fails_is_tried_again() -> None:
    cache = Cache()

    def breaks() -> Findings:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.of("stamp", breaks)
    made = Findings(Rows((), (), None, {}), {})
    assert cache.of("stamp", lambda: made) is made
