"""Long lists page and sort, and no row is lost or shown twice."""

from collections.abc import Callable

from fastapi.testclient import TestClient
from sqlalchemy import select

from app.researchers.accounts import make_administrator
from app.researchers.service import find_researcher
from app.storage.models import Researcher
from app.storage.session import Database
from app.web.identity import now
from app.web.listing import Columns, listed

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
