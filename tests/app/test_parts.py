"""From the first link to the receipt: practice, sittings, questions and pairs, in this order."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.reading import room, routes, visitor
from app.reading.domain import Facts, Place, Step, opening, place
from app.storage.models import Case, Presentation, Reader, Response, Stimulus
from app.storage.session import Database
from app.vocabulary import Answer, PairTask, Part, Undo
from app.web.identity import now

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Enter = Callable[[TestClient], dict[str, Any]]
AnswerTo = Callable[..., dict[str, Any]]
Read = Callable[..., int]


def where(reader: TestClient) -> str:
    """The step to which the reader is led."""
    return reader.get("/reading").headers.get("location", "").rpartition("/")[2]


def of_part(database: Database, part: Part) -> list[Presentation]:
    with database.reading() as session:
        query = select(Presentation).where(Presentation.part == part)
        return list(session.scalars(query.order_by(Presentation.position)))


def test_a_reader_meets_every_part_in_its_order(
    browser: Browser, ready: Ready, begin: Begin, enter: Enter, read: Read, database: Database
) -> None:
    made = ready(
        cases=8,
        at_most=4,
        practice=3,
        waves=2,
        washout_days=0,
        pair_task=PairTask.CHOICE,
        masking=True,
    )
    reader = browser()
    begin(reader, made.links[0])
    assert (where(reader), read(reader)) == ("room", 3)
    assert (where(reader), enter(reader)["total"], read(reader)) == ("room", 8, 8)
    assert (where(reader), enter(reader)["total"], read(reader)) == ("room", 8, 8)
    assert where(reader) == "questions"
    told = reader.post("/reading/questions", data={"saw_repeats": "unsure", "odd": "Nothing."})
    assert (told.status_code, where(reader)) == (303, "pairs")
    assert reader.post("/reading/pairs").status_code == 303
    assert (where(reader), enter(reader)["total"]) == ("room", 4)
    assert read(reader, lambda _token: "left") == 4
    assert where(reader) == "done"
    with database.reading() as session:
        counts = Counter(session.scalars(select(Presentation.part).join(Response)))
        assert session.scalars(select(Reader.finished_at)).one() is not None
    assert counts == {Part.PRACTICE: 3, Part.READING: 16, Part.PAIRS: 4}


def test_practice_is_of_cases_that_are_never_read(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    begin(browser(), ready(cases=9, at_most=5, practice=4).links[0])
    with database.reading() as session:
        cases = {
            part: set(
                session.scalars(
                    select(Stimulus.case_id)
                    .join(Presentation, Presentation.stimulus_id == Stimulus.id)
                    .where(Presentation.part == part)
                )
            )
            for part in (Part.PRACTICE, Part.READING)
        }
    assert (len(cases[Part.PRACTICE]), len(cases[Part.READING])) == (4, 5)
    assert cases[Part.PRACTICE].isdisjoint(cases[Part.READING])


@pytest.mark.parametrize("feedback", [True, False])
def test_the_right_answer_is_told_in_practice_only_and_only_if_the_study_says_so(
    feedback: bool,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: AnswerTo,
    enter: Enter,
    database: Database,
) -> None:
    made = ready(
        cases=8, at_most=4, practice=4, feedback=feedback, truths=(1, 0) * 4, undo=Undo.ALL
    )
    reader = browser()
    begin(reader, made.links[0])
    told = {}
    for _ in range(4):
        token = reader.get("/reading/window").json()["tokens"][0]
        answered = reader.post("/reading/responses", json=answer(token)).json()
        told[token] = answered["feedback"]
        assert (answered["undoable"] is None) is feedback
    with database.reading() as session:
        truths = session.execute(
            select(Presentation.token, Case.truth)
            .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
            .join(Case)
        )
        right = {token: "tumour" if truth else "non_tumour" for token, truth in truths}
    assert told == {token: right[token] if feedback else None for token in told}
    token = enter(reader)["tokens"][0]
    answered = reader.post("/reading/responses", json=answer(token)).json()
    assert answered["feedback"] is None


def test_the_next_sitting_opens_on_its_day_and_not_before(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    enter: Enter,
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = browser()
    begin(reader, ready(waves=2, washout_days=14).links[0])
    read(reader)
    assert where(reader) == "later"
    page = reader.get("/reading/later")
    assert "Your second part opens on" in page.text
    refused = reader.post("/reading/arrive", headers={"accept": "application/json"})
    assert refused.status_code == 409
    opens_at = opening(now(), 14)

    def turn_clock_to(moment: datetime) -> None:
        for module in (routes, room, visitor):
            monkeypatch.setattr(module, "now", lambda: moment)

    turn_clock_to(opens_at - timedelta(seconds=1))
    assert where(reader) == "later"
    turn_clock_to(opens_at)
    assert where(reader) == "room"
    assert enter(reader)["done"] == 0


def test_each_sitting_holds_its_sets(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    begin(browser(), ready(cases=4, sets=3, waves=2).links[0])
    found = {(each.sitting, each.set_number) for each in of_part(database, Part.READING)}
    assert found == {(1, 1), (1, 2), (2, 3)}


@pytest.mark.parametrize("task", PairTask)
def test_the_pairs_are_of_the_cases_that_were_read(
    task: PairTask,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    enter: Enter,
    read: Read,
    answer: AnswerTo,
    database: Database,
) -> None:
    reader = browser()
    begin(reader, ready(cases=4, conditions=2, pair_task=task, not_sure=True).links[0])
    read(reader)
    reader.post("/reading/questions")
    assert reader.get("/reading/room").headers["location"] == "/reading"
    reader.post("/reading/pairs")
    tokens = enter(reader)["tokens"]
    pairs = of_part(database, Part.PAIRS)
    assert len(pairs) == (8 if task is PairTask.CHOICE else 16)
    same = [pair for pair in pairs if pair.stimulus_id == pair.beside_id]
    assert len(same) == (0 if task is PairTask.CHOICE else 8)
    left, right = (reader.get(f"/reading/images/{tokens[0]}{side}") for side in ("", "/right"))
    assert (left.status_code, right.status_code) == (200, 200)
    assert len(left.content) == len(right.content)
    assert left.content != right.content
    wrong = reader.post("/reading/responses", json=answer(tokens[0], "tumour"))
    assert wrong.status_code == 422
    right_answer = "left" if task is PairTask.CHOICE else "same"
    assert read(reader, lambda _token: right_answer, at_most=2) == 2
    assert read(reader, lambda _token: "not_sure") == len(pairs) - 2


def test_nothing_of_the_pairs_is_reachable_before_the_images_are_read(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    reader = browser()
    begin(reader, ready(pair_task=PairTask.CHOICE).links[0])
    assert reader.get("/reading/pairs").headers["location"] == "/reading"
    reader.post("/reading/pairs")
    assert of_part(database, Part.PAIRS) == []
    assert where(reader) == "room"


def facts(**changes: Any) -> Facts:
    usual = {
        "has_consented": True,
        "has_checked": True,
        "left": {},
        "opens_at": {1: None},
        "has_told": True,
        "has_pairs": False,
        "has_begun_pairs": False,
    }
    return Facts(**{**usual, **changes})


def test_the_place_of_a_reader_follows_from_what_is_left() -> None:
    later = now() + timedelta(days=1)
    practice, first, second = (Part.PRACTICE, 1), (Part.READING, 1), (Part.READING, 2)
    for given, expected in [
        (facts(has_consented=False, left={first: 3}), Place(Step.CONSENT)),
        (facts(has_checked=False, left={first: 3}), Place(Step.CHECK)),
        (facts(left={practice: 1, first: 3}), Place(Step.ROOM, Part.PRACTICE)),
        (facts(left={second: 3, first: 3}), Place(Step.ROOM, Part.READING, 1)),
        (facts(left={second: 3}, opens_at={2: later}), Place(Step.LATER, Part.READING, 2, later)),
        (facts(left={second: 3}, opens_at={2: now()}), Place(Step.ROOM, Part.READING, 2)),
        (facts(has_told=False, has_pairs=True), Place(Step.QUESTIONS)),
        (facts(has_pairs=True), Place(Step.PAIRS, Part.PAIRS)),
        (
            facts(has_pairs=True, has_begun_pairs=True, left={(Part.PAIRS, 1): 2}),
            Place(Step.ROOM, Part.PAIRS),
        ),
        (facts(has_pairs=True, has_begun_pairs=True), Place(Step.DONE)),
        (facts(), Place(Step.DONE)),
    ]:
        assert place(given, now() + timedelta(seconds=1)) == expected


def test_answers_of_practice_and_pairs_are_in_no_result(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    enter: Enter,
    read: Read,
    office: Callable[..., TestClient],
) -> None:
    made = ready(cases=6, at_most=4, practice=2, pair_task=PairTask.COMPARE, is_demo=True)
    reader = browser()
    begin(reader, made.links[0])
    read(reader, lambda _token: "non_tumour")
    enter(reader)
    read(reader)
    reader.post("/reading/questions")
    reader.post("/reading/pairs")
    enter(reader)
    read(reader, lambda _token: "same")
    lines = office().get(f"/studies/{made.study}/presentations.csv").text.splitlines()
    assert len(lines) == 1 + 16
    assert not any(f",{said}," in line for line in lines for said in ("non_tumour", "same"))


@pytest.mark.parametrize("answers", [("few_cells",), ("cannot_assess",), ()])
def test_only_the_answers_that_the_study_offers_are_taken(
    answers: tuple[str, ...], browser: Browser, ready: Ready, begin: Begin, answer: AnswerTo
) -> None:
    reader = browser()
    begin(reader, ready(**dict.fromkeys(answers, True)).links[0])
    page = reader.get("/reading/room").text
    for each in Answer:
        offered = each in {"tumour", "non_tumour", *answers}
        token = reader.get("/reading/window").json()["tokens"][0]
        given = reader.post("/reading/responses", json=answer(token, each.value))
        assert given.status_code == (200 if offered else 422)
        assert (f'data-answer="{each}"' in page) is offered


def test_a_study_that_asks_for_confidence_takes_no_answer_without_it(
    browser: Browser, ready: Ready, begin: Begin, answer: AnswerTo, database: Database
) -> None:
    reader = browser()
    begin(reader, ready(confidence=True, cannot_assess=True).links[0])
    token = reader.get("/reading/window").json()["tokens"][0]
    assert reader.post("/reading/responses", json=answer(token)).status_code == 422
    sure = answer(token, confidence=4)
    for wrong in (0, 6, "high", 2.5):
        given = reader.post("/reading/responses", json={**sure, "confidence": wrong})
        assert given.status_code == 422
    following = reader.post("/reading/responses", json=sure).json()["tokens"][0]
    no_answer = reader.post("/reading/responses", json=answer(following, "cannot_assess"))
    assert no_answer.status_code == 200
    with database.reading() as session:
        assert session.execute(text("SELECT confidence FROM response ORDER BY id")).all() == [
            (4,),
            (None,),
        ]


@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET {} = {}"])
@pytest.mark.parametrize(
    ("table", "column"), [("response", "answer"), ("undone", "undone_at"), ("event", "kind")]
)
def test_what_was_said_and_done_can_not_be_changed_in_the_database(
    change: str,
    table: str,
    column: str,
    browser: Browser,
    ready: Ready,
    begin: Begin,
    answer: AnswerTo,
    database: Database,
) -> None:
    reader = browser()
    begin(reader, ready().links[0])
    token = reader.get("/reading/window").json()["tokens"][0]
    reader.post("/reading/responses", json=answer(token))
    assert reader.post("/reading/undo", json={"token": token, "attempt": 0}).status_code == 200
    with (
        pytest.raises(DBAPIError, match="rows are only ever added"),
        database.writing() as session,
    ):
        session.execute(text(change.format(table, column, column)))
