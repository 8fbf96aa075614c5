"""A researcher gets personal links once, in every form in which they can be passed on."""

import base64
import csv
import io
import re
from collections.abc import Callable
from datetime import date
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.readers.pages import neutral_text
from app.storage.models import Reader
from app.storage.session import Database
from app.studies.domain import REVEALING
from app.studies.service import find_study
from app.web.identity import digest

Office = Callable[..., TestClient]
Ready = Callable[..., Any]
LINK = re.compile(r"http://127\.0\.0\.1:8000/r/[0-9a-f]{32}")


def csv_on(page: str) -> list[dict[str, str]]:
    [encoded] = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    return list(csv.DictReader(io.StringIO(base64.b64decode(unescape(encoded)).decode())))


def count_readers(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Reader)) or 0


def test_one_invitation_shows_its_link_its_code_its_last_day_and_a_text_in_every_language(
    office: Office, ready: Ready
) -> None:
    made, desk = ready(readers=0), office()
    shown = desk.post(f"/studies/{made.study}/readers", data={"last_day": "2099-12-31"}).text
    assert len(set(LINK.findall(shown))) == 1
    assert len(LINK.findall(shown)) == 3  # to copy, and in two texts
    assert "<svg" in shown
    assert "style=" not in shown
    assert "Its last day is 2099-12-31, until its end in UTC." in " ".join(shown.split())
    for words in (
        "You are invited by ada@example.org to “Tissue images”.",
        "ada@example.org lädt Sie zu „Tissue images“ ein.",
        "until the end of 31 December 2099 (UTC)",
        "bis zum Ende des 31. Dezember 2099 (UTC)",
    ):
        assert words in shown
    assert LINK.search(desk.get(f"/studies/{made.study}").text) is None


def test_many_readers_are_invited_at_once_and_each_has_a_line_of_the_csv(
    office: Office, ready: Ready, browser: Callable[[], TestClient]
) -> None:
    made, desk = ready(readers=1), office()
    data = {"count": "3", "last_day": "2099-12-31"}
    shown = desk.post(f"/studies/{made.study}/readers", data=data).text
    lines = csv_on(shown)
    assert [line["reader"] for line in lines] == ["R02", "R03", "R04"]
    assert {line["last_day"] for line in lines} == {"2099-12-31"}
    assert [line["link"] for line in lines] == LINK.findall(shown)
    for line in lines:
        path = line["link"].removeprefix("http://127.0.0.1:8000")
        assert browser().get(path).headers["location"] == "/reading"
    values = [value for line in lines for value in line.values()]
    assert not any(value.startswith(("=", "+", "-", "@")) for value in values)


def test_only_digests_of_links_are_kept(office: Office, ready: Ready, database: Database) -> None:
    made, desk = ready(readers=0), office()
    lines = csv_on(desk.post(f"/studies/{made.study}/readers", data={"count": "2"}).text)
    with database.reading() as session:
        kept = session.scalars(select(Reader.link_digest).order_by(Reader.id)).all()
    assert kept == [digest(line["link"].rpartition("/")[2]) for line in lines]


@pytest.mark.parametrize("count", ["0", "-1", "201", "9" * 30, "many"])
def test_a_number_that_makes_no_sense_invites_nobody(
    count: str, office: Office, ready: Ready, database: Database
) -> None:
    made, desk = ready(readers=0), office()
    refused = desk.post(f"/studies/{made.study}/readers", data={"count": count})
    assert refused.status_code == 422
    assert count_readers(database) == 0


def test_the_text_for_a_mail_gives_nothing_away_and_takes_titles_as_they_are(
    ready: Ready, database: Database
) -> None:
    made = ready(readers=0)
    with database.reading() as session:
        study = find_study(session, made.study)
        study.public_title = "Images {of} <tissue>"
        for language in ("en", "de"):
            text = neutral_text(study, date(2099, 12, 31), None, language)
            assert REVEALING.search(text) is None
            assert "Images {of} <tissue>" in text
            assert "link]" in text.lower()
            assert "Linf" not in text
        session.rollback()
