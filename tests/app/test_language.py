"""Readers are spoken to in their language, and no language tells them what is studied."""

import re
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from babel.messages.catalog import Message as Entry
from babel.messages.pofile import read_po
from fastapi.testclient import TestClient
from starlette.requests import Request

from app.readers.domain import CLOSED, ELSEWHERE, EXPIRED, NO_LINK, REVOKED
from app.reading.domain import PAIR_QUESTIONS, image_choices
from app.reading.pages import (
    CheckPage,
    DonePage,
    LaterPage,
    PairsPage,
    PhonePage,
    QuestionsPage,
    RoomPage,
    StartPage,
    WelcomePage,
)
from app.studies.domain import QUESTION, REVEALING
from app.vocabulary import Part, Undo
from app.web.language import KNOWN, LANGUAGES, day, language_of, translate
from app.web.templating import Message, Page, html
from tools import texts

TRANSLATED = [language for language in LANGUAGES if language != "en"]
PAIR_BLOCK = "templates/reader/pairs.html"
PLACES = re.compile(r"%\(\w+\)s|%%")


def entries(language: str) -> Iterator[Entry]:
    with texts.catalogues()[language].open("rb") as file:
        for entry in read_po(file, locale=language):
            if entry.id:
                yield entry


def forms(words: str | tuple[str, ...] | list[str] | None) -> list[str]:
    """A sentence, or its singular and plural."""
    return [words or ""] if isinstance(words, str | None) else list(words)


def places(text: str) -> list[str]:
    """Everything in a sentence that is filled in later."""
    braces = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    return sorted([*PLACES.findall(text), *braces])


def request_with(**headers: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def start_page(**changes: object) -> StartPage:
    facts: dict[str, object] = {
        "title": "Tissue images",
        "researcher": "ada@example.org",
        "minutes": 12,
        "total": 80,
        "question": QUESTION,
        "criterion": "Tumour: five or more tumour cells.",
        "instructions": "",
        "choices": image_choices(swapped=False, few_cells=True, cannot_assess=True),
        "practice": 4,
        "sittings": 2,
        "washout_days": 14,
        "undo": "one",
        "confidence": True,
        "consent_version": "2026-11",
    }
    return StartPage(**{**facts, **changes})  # type: ignore[arg-type]


def reading_pages() -> list[tuple[str, Page]]:
    """Every page that is seen before the last image is read, in all its variants."""
    title, choices = "Tissue images", start_page().choices
    when = datetime(2026, 12, 7, tzinfo=UTC)
    rooms = [
        RoomPage(title, part, QUESTION, "Five cells.", 80, choices, True, undo, 40, 20, True)
        for part in (Part.PRACTICE, Part.READING)
        for undo in Undo
    ]
    return [
        *[("start", start_page(undo=undo, sittings=n)) for undo in Undo for n in (1, 2)],
        ("welcome", WelcomePage(title, 3, 80)),
        ("check", CheckPage(title, choices[:2])),
        *[("room", room) for room in rooms],
        *[("later", LaterPage(title, number, when)) for number in (2, 3)],
        ("questions", QuestionsPage(title)),
        ("done", DonePage(title, "7F3A-91C2")),
        ("phone", PhonePage(title, "http://127.0.0.1/r/0123")),
        ("closed", Message("", "This study is closed.")),
        ("error", Message("", "There is no such page.")),
    ]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str) -> None:
    missing = [entry.id for entry in entries(language) if not all(forms(entry.string))]
    fuzzy = [entry.id for entry in entries(language) if entry.fuzzy]
    assert (missing, fuzzy) == ([], [])


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_fill_in_the_same_as_the_original(language: str) -> None:
    for entry in entries(language):
        for said in forms(entry.string):
            assert places(said) in [places(meant) for meant in forms(entry.id)], said


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_catalogue_has_the_sentences_of_the_sources_and_no_others(language: str) -> None:
    in_sources = {entry.id for entry in texts.extracted() if entry.id}
    in_catalogue = {entry.id for entry in entries(language)}
    assert in_catalogue == in_sources, "run: make texts"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_stays_as_it_is_when_no_sentence_has_changed(language: str) -> None:
    path = texts.catalogues()[language]
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    catalogue.update(texts.extracted(), no_fuzzy_matching=True)
    assert texts.written(catalogue) == path.read_bytes(), "run: make texts"


def test_a_language_without_a_catalogue_is_not_offered() -> None:
    assert sorted(texts.catalogues()) == sorted(TRANSLATED)


def test_the_usual_question_of_a_study_is_translated() -> None:
    assert QUESTION in KNOWN
    assert translate("de", QUESTION) == "Zeigt dieses Bild Tumor?"
    assert translate("de", "What a researcher wrote") == "What a researcher wrote"
    assert translate("de", "") == ""


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr,en;q=0.5,de;q=0.7", "de"),
        ("en-GB,de", "en"),
        ("DE", "de"),
        ("fr", "en"),
        ("de;q=0", "en"),
        ("de;q=much, en;q=0.1", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_the_browser_says_which_language_is_wanted(header: str, language: str) -> None:
    assert language_of(request_with(**{"accept-language": header})) == language


def test_what_the_reader_chose_counts_more_and_an_unknown_choice_nothing() -> None:
    german = {"accept-language": "de"}
    assert language_of(request_with(cookie="plainsight_language=en", **german)) == "en"
    assert language_of(request_with(cookie="plainsight_language=xx", **german)) == "de"
    assert language_of(request_with()) == "en"


def test_days_are_written_as_the_language_does() -> None:
    when = datetime(2026, 12, 7, tzinfo=UTC)
    assert (day("en", when), day("de", when)) == ("7 December", "7. Dezember")
    page = LaterPage("Tissue images", 2, when)
    assert "Your second part opens on 7 December" in html("reader/later.html", page)
    assert "Ihr zweiter Teil öffnet am 7. Dezember" in html("reader/later.html", page, "de")


@pytest.mark.parametrize(
    ("language", "one", "many"),
    [("en", "about 1 minute<", "about 2 minutes<"), ("de", "etwa 1 Minute<", "etwa 2 Minuten<")],
)
def test_one_and_many_are_told_apart(language: str, one: str, many: str) -> None:
    def shown(minutes: int) -> str:
        page = PairsPage("Tissue images", "choice", 3 - minutes, minutes, start_page().choices)
        return re.sub(r"\s+<", "<", html("reader/pairs.html", page, language))

    assert one in shown(1)
    assert many in shown(2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_of_a_study_are_shown_as_text(language: str) -> None:
    """They are neither HTML nor patterns to fill in."""
    typed = "<b>100% %(tumour)s</b>"
    shown = html("reader/start.html", start_page(question=typed, criterion=typed), language)
    assert shown.count("&lt;b&gt;100% %(tumour)s&lt;/b&gt;") == 2
    assert "<b>" not in shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "page"), [pytest.param(*each, id=each[0]) for each in reading_pages()]
)
def test_no_page_before_the_pairs_tells_what_is_studied(
    name: str, page: Page, language: str
) -> None:
    shown = html(f"reader/{name}.html", page, language)
    assert f'<html lang="{language}">' in shown
    assert not REVEALING.findall(shown)


@pytest.mark.parametrize("language", TRANSLATED)
def test_only_the_sentences_of_the_pair_block_tell_what_is_studied(language: str) -> None:
    for entry in entries(language):
        files = {file for file, _ in entry.locations}
        if files == {PAIR_BLOCK} or entry.id in PAIR_QUESTIONS.values():
            continue
        for said in (*forms(entry.id), *forms(entry.string)):
            assert not REVEALING.search(said), said


@pytest.mark.parametrize(
    "text",
    ["Wurde das Bild angegriffen?", "Manipulierte Bilder", "verändert", "Doppelte Bilder", "Netze"],
)
def test_german_words_that_tell_what_is_studied_are_known(text: str) -> None:
    assert REVEALING.search(text)
    assert not REVEALING.search("Zeigt dieses Bild der Netzhaut entzündliche Veränderungen?")


def test_a_chosen_language_is_remembered(
    browser: Callable[[], TestClient], ready: Callable[..., Any]
) -> None:
    (link,) = ready().links
    reader = browser()
    reader.get(link)
    assert "I agree and begin" in reader.get("/reading").text
    assert reader.get("/reading/language/de").headers["location"] == "/reading"
    page = reader.get("/reading", headers={"accept-language": "en"})
    assert "Ich stimme zu und beginne" in page.text
    assert page.headers["content-language"] == "de"
    assert reader.get("/reading/language/xx").status_code == 404


def test_errors_are_in_the_readers_language(browser: Callable[[], TestClient]) -> None:
    reader = browser()
    reader.headers["accept-language"] = "de"
    assert "Diese Seite gibt es nicht." in reader.get("/reading/nowhere").text
    wrong = reader.post("/reading/begin", data={})
    assert "Bitte prüfen Sie: consent." in wrong.text
    unknown = reader.get("/r/0123")
    assert "Dieser Link ist nicht gültig." in unknown.text
    refused = reader.post("/reading/arrive", headers={"accept": "application/json"})
    assert refused.status_code == 403
    assert refused.json()["message"].startswith("Dieser Link ist nicht gültig.")


def test_pages_for_researchers_stay_english(browser: Callable[[], TestClient]) -> None:
    page = browser().get("/nowhere", headers={"accept-language": "de"})
    assert "There is no such page." in page.text
    assert page.headers["content-language"] == "en"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_room_knows_from_the_first_words_that_a_reader_only_reads_elsewhere(
    language: str,
) -> None:
    """static/reading/room.js offers the way on by them; every other refusal is an end."""
    begins = translate(language, "You continued elsewhere.")
    assert translate(language, ELSEWHERE).startswith(begins)
    for end in (CLOSED, REVOKED, EXPIRED, NO_LINK):
        assert not translate(language, end).startswith(begins)
