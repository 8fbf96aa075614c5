"""Long lists page and sort, and no row is lost or shown twice."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, inspect, select

from app.researchers.accounts import make_administrator
from app.researchers.service import find_researcher
from app.storage.models import Batch, Case, Reader, Researcher, Study
from app.storage.session import Database
from app.studies.cards import CARDS_A_PAGE
from app.vocabulary import StudyState
from app.web.identity import now
from app.web.listing import Columns, listed

MANY = 1000
COLUMNS: Columns = {
    "email": Researcher.email,
    "role": Researcher.is_administrator,
    "number": Researcher.id,
}


def fill(database: Database, count: int) -> list[str]:
    emails = [f"{number:03}@example.org" for number in range(count)]
    with database.writing() as session:
        session.add_all(
            Researcher(email=email, password_hash="x", created_at=now()) for email in emails
        )
    return emails


def test_the_pages_of_a_list_hold_every_row_once_also_when_all_sort_equal(
    database: Database,
) -> None:
    emails = fill(database, 23)
    for sort in ("email", "-email", "role", "-role"):
        seen: list[str] = []
        for page in (1, 2, 3):
            with database.reading() as session:
                rows, listing = listed(
                    session, select(Researcher), COLUMNS, "/x", page, sort, per_page=10
                )
                seen += [row.email for row in rows]
            assert (listing.page, listing.pages, listing.total) == (page, 3, 23)
        assert sorted(seen) == emails
        if sort.endswith("email"):
            assert seen == sorted(emails, reverse=sort.startswith("-"))


def test_a_page_beyond_the_last_is_the_last_and_an_unknown_column_is_the_first(
    database: Database,
) -> None:
    fill(database, 3)
    with database.reading() as session:
        rows, listing = listed(
            session, select(Researcher), COLUMNS, "/x", 99, "-nothing", per_page=2
        )
        assert [row.email for row in rows] == ["002@example.org"]
    assert (listing.page, listing.pages, listing.sort) == (2, 2, "email")


def test_an_empty_list_has_one_page(database: Database) -> None:
    with database.reading() as session:
        rows, listing = listed(session, select(Researcher), COLUMNS, "/x")
    assert (list(rows), listing.pages, listing.total) == ([], 1, 0)


def test_a_press_on_a_head_sorts_and_another_one_turns_it(
    database: Database, employ: Callable[[str], str], office: Callable[..., TestClient]
) -> None:
    head = employ("head@example.org")
    with database.writing() as session:
        make_administrator(find_researcher(session, head))
    fill(database, 60)
    desk = office(head)
    first = desk.get("/accounts").text
    assert 'href="/accounts?sort=-email&amp;page=1"' in first
    assert 'aria-sort="ascending"' in first
    assert "Page 1 of 2, 61 in all" in first
    assert first.index("000@example.org") < first.index("049@example.org")
    assert "head@example.org" not in first
    assert "head@example.org" in desk.get("/accounts?sort=email&page=2").text
    turned = desk.get("/accounts?sort=-email&page=1").text
    assert 'aria-sort="descending"' in turned
    assert turned.index("head@example.org") < turned.index("059@example.org")
    assert desk.get("/accounts?sort=role&page=9").status_code == 200
    assert desk.get("/accounts?sort=%27--&page=1").status_code == 200


Ask = Callable[[str], int]


@pytest.fixture
def ask(office: Callable[..., TestClient], ready: Callable[..., Any]) -> Ask:
    """`ask(path)`: how many statements one request needs, of the owner of a study."""
    ready()
    desk = office()
    seen: list[str] = []
    engine = desk.app.state.database.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2]))

    def count(path: str) -> int:
        seen.clear()
        assert desk.get(path).status_code == 200
        return len(seen)

    return count


def add_many(database: Database) -> None:
    """1,000 studies, with a batch and five readers each, of the one researcher there is."""
    copied = [column.key for column in inspect(Study).columns if column.key != "id"]
    with database.writing() as session:
        first = session.scalars(select(Study)).one()
        like = {name: getattr(first, name) for name in copied}
        batch = session.get_one(Batch, first.batch_id)
        batches = [
            Batch(
                name=f"Batch {number}",
                digest=f"{number:064}",
                criterion="",
                network=batch.network,
                provenance={},
                researcher_id=first.researcher_id,
                imported_at=now(),
                cases=[
                    Case(
                        name="c1",
                        truth=1,
                        data_set="",
                        fold="",
                        index_in_fold=0,
                        micrometres_per_pixel=0,
                    )
                ],
            )
            for number in range(MANY)
        ]
        session.add_all(batches)
        session.flush()
        session.add_all(
            Study(
                **{**like, "internal_title": f"Study {number:04}", "batch_id": batches[number].id},
                readers=[
                    Reader(
                        label=f"R0{at}",
                        link_digest=f"{number}-{at}",
                        keys_swapped=False,
                        invited_at=now(),
                    )
                    for at in range(1, 6)
                ],
            )
            for number in range(MANY)
        )


def test_a_thousand_studies_and_batches_need_no_more_queries_than_one(
    ask: Ask, database: Database
) -> None:
    paths = ["/studies", "/studies?sort=state&page=3", "/batches", "/batches?sort=name"]
    few = [ask(path) for path in paths]
    add_many(database)
    assert [ask(path) for path in paths] == few
    assert ask("/studies/new") < 20, "a batch to choose needs no query of its own"


def test_studies_page_and_sort_and_each_leads_on(
    office: Callable[..., TestClient], ready: Callable[..., Any], database: Database
) -> None:
    ready(title="Ready")
    desk = office()
    with database.writing() as session:
        first = session.scalars(select(Study)).one()
        copied = [column.key for column in inspect(Study).columns if column.key != "id"]
        like = {name: getattr(first, name) for name in copied}
        session.add_all(
            Study(**{**like, "internal_title": f"Study {number:02}", "state": StudyState.DRAFT})
            for number in range(CARDS_A_PAGE)
        )
    newest = desk.get("/studies").text
    assert f"Page 1 of 2, {CARDS_A_PAGE + 1} in all" in newest
    assert newest.index(f"Study {CARDS_A_PAGE - 1}") < newest.index("Study 05")
    assert 'aria-label="Invite readers: Ready"' not in newest
    second = desk.get("/studies?sort=-created&page=2").text
    assert 'aria-label="Invite readers: Ready"' in second
    by_title = desk.get("/studies?sort=title").text
    assert by_title.index("Ready</a>") < by_title.index("Study 00</a>")
    assert 'href="/studies?sort=-title&amp;page=1"' in by_title
    by_state = desk.get("/studies?sort=-state").text  # the furthest first
    assert by_state.index("Ready</a>") < by_state.index("Study 00</a>")


def test_every_list_says_what_to_do_when_it_is_empty(
    office: Callable[..., TestClient], employ: Callable[[str], str], ready: Callable[..., Any]
) -> None:
    nobody = office(employ("new@example.org"))
    for path, said in {
        "/studies": "A study needs images first",
        "/batches": "No batch yet",
        "/deliveries": "Nothing was delivered yet",
    }.items():
        assert said in words_of(nobody.get(path).text), path
    study = ready(readers=0).study
    desk = office()
    for path, said in {
        "": "Nobody is invited yet. Invite readers above",
        "/problems": "No reader reported a problem",
    }.items():
        assert said in words_of(desk.get(f"/studies/{study}{path}").text), path


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())
