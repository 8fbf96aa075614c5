"""Who guesses passwords waits longer and longer, and learns nothing by it."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.researchers import service as researchers
from app.researchers.domain import WINDOW, in_words, network_of, wait_after
from app.researchers.throttle import attempt, forgive
from app.storage.models import SignInFailure
from app.storage.session import Database
from app.web.identity import now

PASSWORD = "correct horse battery"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Browser = Callable[[], TestClient]


def seconds_before(*seconds: float) -> list[datetime]:
    return [NOON - timedelta(seconds=each) for each in seconds]


def test_the_first_five_attempts_are_free_and_then_the_wait_doubles() -> None:
    waits = [wait_after([NOON] * count, NOON).total_seconds() for count in range(14)]
    assert waits == [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900, 900]


def test_the_wait_runs_from_the_last_failure_and_ends() -> None:
    assert wait_after(seconds_before(500, 400, 300, 200, 10), NOON) == timedelta(seconds=20)
    assert wait_after(seconds_before(500, 400, 300, 200, 30), NOON) == timedelta()


def test_failures_older_than_the_window_are_forgotten() -> None:
    old = WINDOW.total_seconds()
    assert wait_after(seconds_before(old, 0, 0, 0, 0), NOON) == timedelta()
    assert wait_after(seconds_before(old - 1, 0, 0, 0, 0), NOON) == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("wait", "words"),
    [(0.2, "1 second"), (29.1, "30 seconds"), (60, "60 seconds"), (61, "2 minutes")],
)
def test_the_wait_is_told_in_words_and_never_too_short(wait: float, words: str) -> None:
    assert in_words(timedelta(seconds=wait)) == words


def test_all_addresses_of_one_ipv6_line_count_together() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9")
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("testclient") == "testclient"


def guess(browser: TestClient, email: str, word: str = "wrong") -> tuple[int, str]:
    answer = browser.post("/sign-in", data={"email": email, "password": word})
    return answer.status_code, answer.text


def let_pass(database: Database, wait: timedelta) -> None:
    """As if so much time had passed."""
    with database.writing() as session:
        for failure in session.scalars(select(SignInFailure)):
            failure.at -= wait


def test_the_sixth_attempt_waits_also_with_the_right_password_and_says_how_long(
    browser: Browser, employ: Callable[[str], str], database: Database
) -> None:
    email, visitor = employ("bob@example.org"), browser()
    for _ in range(5):
        assert guess(visitor, email)[0] == 401
    refused = visitor.post("/sign-in", data={"email": email, "password": PASSWORD})
    assert refused.status_code == 429
    assert "too many attempts to sign in. Wait 30 seconds, then try again." in refused.text
    assert 25 <= int(refused.headers["retry-after"]) <= 30
    assert f'value="{email}"' in refused.text
    let_pass(database, timedelta(seconds=30))
    assert guess(visitor, email)[0] == 401
    assert "Wait 60 seconds" in guess(visitor, email)[1]
    let_pass(database, timedelta(seconds=60))
    assert guess(visitor, email, PASSWORD)[0] == 303


def test_an_attempt_that_is_made_while_one_waits_does_not_lengthen_the_wait(
    browser: Browser, employ: Callable[[str], str], database: Database
) -> None:
    email, visitor = employ("bob@example.org"), browser()
    for _ in range(20):
        guess(visitor, email)
    let_pass(database, timedelta(seconds=30))
    assert guess(visitor, email, PASSWORD)[0] == 303


def test_an_email_that_nobody_has_waits_as_one_that_somebody_has(
    browser: Browser, employ: Callable[[str], str], database: Database
) -> None:
    employ("bob@example.org")
    told = {}
    for email in ("bob@example.org", "eve@example.org"):
        told[email] = [guess(browser(), email)[0] for _ in range(6)]
        let_pass(database, WINDOW)
    assert told["bob@example.org"] == told["eve@example.org"] == [401] * 5 + [429]


def test_many_emails_from_one_address_wait_too(browser: Browser) -> None:
    visitor = browser()
    asked = [guess(visitor, f"{number}@example.org")[0] for number in range(6)]
    assert asked == [401] * 5 + [429]


def test_one_email_from_many_addresses_waits_too_and_other_emails_do_not(
    database: Database,
) -> None:
    with database.writing() as session:
        waits = [
            attempt(session, "ada@example.org", f"192.0.2.{number}", NOON).total_seconds()
            for number in range(6)
        ]
        other = attempt(session, "bob@example.org", "192.0.2.99", NOON)
    assert (waits, other) == ([0, 0, 0, 0, 0, 30], timedelta())


def test_signing_in_forgives_the_email_and_not_the_others_at_its_address(
    database: Database,
) -> None:
    home = "192.0.2.1"
    with database.writing() as session:
        for second in range(3):
            attempt(session, "ada@example.org", home, NOON + timedelta(seconds=second))
        forgive(session, "ADA@example.org ", home, NOON + timedelta(seconds=2))
        for second in range(3, 6):
            attempt(session, "eve@example.org", home, NOON + timedelta(seconds=second))
        at_home = attempt(session, "bob@example.org", home, NOON + timedelta(seconds=6))
        elsewhere = attempt(session, "ada@example.org", "192.0.2.2", NOON + timedelta(seconds=6))
    assert (at_home.total_seconds(), elsewhere.total_seconds()) == (29, 0)


def test_of_many_guesses_at_once_no_more_than_the_free_ones_are_checked(
    database: Database,
) -> None:
    free = []

    def guess_once() -> None:
        with database.writing() as session:
            if not attempt(session, "ada@example.org", "192.0.2.1", now()):
                free.append(1)

    guessers = [threading.Thread(target=guess_once) for _ in range(20)]
    for each in guessers:
        each.start()
    for each in guessers:
        each.join()
    assert len(free) == 5


def test_what_was_typed_is_not_kept(browser: Browser, database: Database) -> None:
    guess(browser(), "my secret password instead of an email")
    with database.reading() as session:
        kept = session.scalars(select(SignInFailure)).all()
    assert len(kept) == 2
    assert not any("secret" in str(vars(row)) for row in kept)


def test_old_failures_are_swept(browser: Browser, database: Database) -> None:
    guess(browser(), "ada@example.org")
    with database.writing() as session:
        session.execute(update(SignInFailure).values(at=now() - WINDOW))
    guess(browser(), "bob@example.org")
    with database.reading() as session:
        assert len(session.scalars(select(SignInFailure)).all()) == 2


def test_an_unknown_email_and_a_closed_account_take_as_long_as_a_wrong_password(
    database: Database, real_hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hasher of the server, whose time is far above that of everything else."""
    monkeypatch.setattr(researchers, "hasher", real_hasher)
    researchers._nobodys_hash.cache_clear()
    with database.writing() as session:
        researchers.add_researcher(session, "ada@example.org", PASSWORD, now())
        closed = researchers.add_researcher(session, "bob@example.org", PASSWORD, now())
        closed.deactivated_at = now()
    cases = {
        "wrong": ("ada@example.org", "not this one"),
        "unknown": ("eve@example.org", PASSWORD),
        "closed": ("bob@example.org", PASSWORD),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(7):
        for name, (email, password) in cases.items():
            with database.reading() as session:
                began = time.perf_counter()
                assert researchers.check_password(session, email, password) is None
                taken[name].append(time.perf_counter() - began)
    researchers._nobodys_hash.cache_clear()
    usual = median(taken["wrong"])
    assert all(0.5 < median(times) / usual < 2 for times in taken.values()), taken
