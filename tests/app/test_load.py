"""Very many readers at once: everybody is answered, nobody waits for ever."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn
from sqlalchemy import text

from app.main import create_app
from app.readers.domain import CheckRecord
from app.readers.service import (
    CONSENT_VERSION,
    Consent,
    note_check,
    reader_of_link,
    take_place,
)
from app.reading.service import begin, room_of, window
from app.reading.visitor import READER_COOKIE, VISIT_HEADER
from app.settings import Settings
from app.storage.session import Database
from app.web.identity import now

AT_ONCE = 50
"""More than the 40 threads that FastAPI has, and than the connections of the pool."""


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """A real server: only there all requests share one event loop and its threads."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    [listening] = server.servers[0].sockets
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def all_at_once(calls: list[Callable[[], int]]) -> Counter[int]:
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], int]) -> int:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(run, calls))


@pytest.fixture
def ask(address: str) -> Iterator[Callable[..., Callable[[], int]]]:
    """`ask(method, path, ...)` is a call that tells the status, or 0 when nobody answers."""
    limits = httpx2.Limits(max_connections=None)
    with httpx2.Client(base_url=address, limits=limits, timeout=25) as client:

        def prepare(
            method: str, path: str, link: str = "", visit: str = "", **what: Any
        ) -> Callable[[], int]:
            headers = {"cookie": f"{READER_COOKIE}={link}", VISIT_HEADER: visit}

            def call() -> int:
                try:
                    return client.request(method, path, headers=headers, **what).status_code
                except httpx2.TimeoutException:
                    return 0

            return call

        yield prepare


@dataclass(frozen=True)
class Place:
    """The link's token, the visit, and the token of the first image."""

    link: str
    visit: str
    token: str


@pytest.fixture
def places(
    ready: Callable[..., Any], check_record: dict[str, Any], database: Database
) -> list[Place]:
    """Of many readers who are in the room."""
    links = ready(readers=AT_ONCE, cases=2, sets=1).links
    consent = Consent(CONSENT_VERSION, "en", "0" * 64)
    begun = []
    with database.writing() as session:
        for link in (each.rpartition("/")[2] for each in links):
            reader = reader_of_link(session, link)
            begin(session, reader, consent, now())
            note_check(session, reader, CheckRecord.model_validate(check_record), now())
            visit = take_place(reader)
            [first, *_] = window(session, reader, room_of(session, reader, now())).tokens
            begun.append(Place(link, visit, first))
    return begun


def test_many_readers_answer_and_look_at_the_same_moment(
    ask: Callable[..., Callable[[], int]],
    places: list[Place],
    answer: Callable[..., Any],
    database: Database,
) -> None:
    gets = [ask("GET", f"/reading/images/{each.token}", each.link, each.visit) for each in places]
    posts = [
        ask("POST", "/reading/responses", each.link, each.visit, json=answer(each.token))
        for each in places
    ]
    assert all_at_once(gets) == {200: AT_ONCE}
    assert all_at_once(posts) == {200: AT_ONCE}
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM response")) == AT_ONCE


def test_many_strangers_cannot_stop_the_server(
    ask: Callable[..., Callable[[], int]], ready: Callable[..., Any], answer: Callable[..., Any]
) -> None:
    """They need no secret for this: each takes the lock of those who write."""
    ready()
    strangers = [ask("POST", "/reading/responses", json=answer("0" * 32)) for _ in range(AT_ONCE)]
    links = [ask("GET", "/r/" + "0" * 32) for _ in range(AT_ONCE // 2)]
    assert all_at_once(strangers + links) == {403: AT_ONCE + AT_ONCE // 2}
    assert ask("GET", "/healthz")() == 200
