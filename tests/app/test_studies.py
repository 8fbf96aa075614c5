"""A study moves from draft to unblinded, one way, and stays sealed until the end."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app import ROOT
from app.batches.service import find_batch, import_batch
from app.cli_design import OPTIONS
from app.designer.service import start_study
from app.errors import Conflict, Invalid, NotAllowed
from app.readers.service import CONSENT_VERSION, Consent, invite
from app.reading.service import begin as begin_reading
from app.researchers.service import add_researcher
from app.storage.images import ImageStore
from app.storage.models import Event, Reader, Stimulus, Study
from app.storage.session import Database
from app.studies.domain import REVEALING, refuse_revealing
from app.studies.service import (
    NewStudy,
    create_study,
    design_of,
    find_study,
    lock_study,
    unblind_study,
)
from app.vocabulary import Estimand, PairTask, Part, StudyState, Undo
from app.web.identity import now

Browser = Callable[[], TestClient]
Office = Callable[..., TestClient]
Ready = Callable[..., Any]
CONSENT = Consent(CONSENT_VERSION, "en", "0" * 64)
SEALED = ["results", "presentations.csv", "export.zip"]
STATES = list(StudyState)
PAUSE_S = 0.3


def state_of(database: Database, study: int) -> StudyState:
    with database.reading() as session:
        return find_study(session, study).state


@pytest.fixture
def bring(database: Database) -> Callable[[int, StudyState], int]:
    """`bring(study, state)` moves a ready study on, or back to the draft that it was."""

    def move(study: int, state: StudyState) -> int:
        with database.writing() as session:
            found = find_study(session, study)
            if state in {StudyState.DRAFT, StudyState.READY, StudyState.READING}:
                found.state = state
            if state in {StudyState.LOCKED, StudyState.UNBLINDED}:
                found.state = StudyState.READY
                lock_study(session, found, "ada", now())
            if state is StudyState.UNBLINDED:
                unblind_study(session, found, "ada", now())
        return study

    return move


def form(batch: int, **changes: object) -> dict[str, Any]:
    return {
        "batch": batch,
        "internal_title": "Linf 4 on breast",
        "public_title": "Tissue images",
        "question": "Does this image show tumour?",
        "sets": 2,
        **changes,
    }


def test_a_new_study_is_a_draft_until_it_is_started_and_invites_nobody_before(
    office: Office, ready: Ready, database: Database, store: ImageStore
) -> None:
    batch = ready().batch
    desk = office()
    page = desk.post("/studies", data=form(batch)).headers["location"]
    study = int(page.rpartition("/")[2])
    assert state_of(database, study) is StudyState.DRAFT
    assert "Linf 4 on breast" in desk.get(page).text
    assert desk.post(f"{page}/readers").status_code == 409
    with database.writing() as session:
        start_study(session, store, find_study(session, study), "ada", now())
    invitation = desk.post(f"{page}/readers")
    assert re.search(r"http://127\.0\.0\.1:8000/r/[0-9a-f]{32}", invitation.text)
    assert state_of(database, study) is StudyState.READY


def test_a_link_is_shown_once_and_kept_nowhere(
    office: Office, ready: Ready, database: Database
) -> None:
    desk, study = office_of(office, ready)
    link = re.findall(r"/r/([0-9a-f]{32})", desk.post(f"/studies/{study}/readers").text)[0]
    assert link not in desk.get(f"/studies/{study}").text
    with database.reading() as session:
        kept = session.scalars(select(Reader)).all()
        assert all(link not in str(vars(reader)) for reader in kept)


def office_of(office: Office, ready: Ready, **design: Any) -> tuple[TestClient, int]:
    study = ready(**design).study
    return office(), study


def test_a_reader_who_begins_makes_it_reading(
    browser: Browser, ready: Ready, begin: Callable[..., None], database: Database
) -> None:
    made = ready()
    begin(browser(), made.links[0])
    assert state_of(database, made.study) is StudyState.READING


ACTIONS = {
    "readers": {"draft": 409, "ready": 200, "reading": 200, "locked": 409, "unblinded": 409},
    "lock": {"draft": 409, "ready": 303, "reading": 303, "locked": 409, "unblinded": 409},
    "unblind": {"draft": 409, "ready": 409, "reading": 409, "locked": 303, "unblinded": 409},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_every_step_is_possible_in_its_states_only(
    action: str, office: Office, ready: Ready, bring: Callable[..., int], database: Database
) -> None:
    email = "ada@example.org"
    for state in STATES:
        study = bring(ready(title=state, email=email).study, state)
        before = state_of(database, study)
        response = office(email).post(f"/studies/{study}/{action}", data={"typed": state})
        assert response.status_code == ACTIONS[action][state], state
        assert (state_of(database, study) is before) == (
            response.status_code == 409 or action == "readers"
        )
        email = f"{state}@example.org"


def test_unblinding_needs_the_whole_title(
    office: Office, ready: Ready, bring: Callable[..., int], database: Database
) -> None:
    desk, study = office_of(office, ready)
    bring(study, StudyState.LOCKED)
    for typed in ["", "Linf", "linf 2", "yes"]:
        refused = desk.post(f"/studies/{study}/unblind", data={"typed": typed})
        assert refused.status_code == 422
        assert state_of(database, study) is StudyState.LOCKED
        assert desk.get(f"/studies/{study}/results").status_code == 409


def test_the_typed_title_unblinds_and_leads_to_the_results(
    office: Office, ready: Ready, bring: Callable[..., int]
) -> None:
    desk, study = office_of(office, ready)
    bring(study, StudyState.LOCKED)
    opened = desk.post(f"/studies/{study}/unblind", data={"typed": " Linf 2 "})
    assert opened.headers["location"] == f"/studies/{study}/results"
    assert desk.get(opened.headers["location"]).status_code == 200


def test_results_are_sealed_in_every_state_but_the_last(
    office: Office, ready: Ready, bring: Callable[..., int]
) -> None:
    desk, study = office_of(office, ready)
    for state, path in product(STATES, SEALED):
        if state is not StudyState.UNBLINDED:
            bring(study, state)
        elif path == SEALED[0]:
            unblind(desk, study)
        response = desk.get(f"/studies/{study}/{path}")
        is_open = state is StudyState.UNBLINDED
        assert response.status_code == (200 if is_open else 409), (state, path)
        assert is_open or f"The study is {state}: its results stay sealed" in response.text


def unblind(desk: TestClient, study: int) -> None:
    assert desk.post(f"/studies/{study}/unblind", data={"typed": "Linf 2"}).status_code == 303


def test_a_study_page_shows_progress_and_nothing_by_arm_before_unblinding(
    office: Office,
    browser: Browser,
    ready: Ready,
    begin: Callable[..., None],
    read: Callable[..., int],
) -> None:
    made = ready()
    reader, desk = browser(), office()
    begin(reader, made.links[0])
    read(reader, at_most=5)
    page = sealed_part(desk.get(f"/studies/{made.study}").text)
    assert "5 of 16" in page
    assert not re.search(r"perturbed|Set 1|positives|difference|/results", page, re.IGNORECASE)
    pages = [page, desk.get("/studies").text]
    read(reader, decide=lambda _: "non_tumour", at_most=1)
    assert "6 of 16" in desk.get(f"/studies/{made.study}").text
    assert pages[1] == desk.get("/studies").text


def test_a_demo_shows_results_live_in_every_state(
    office: Office, ready: Ready, bring: Callable[..., int]
) -> None:
    desk, study = office_of(office, ready, is_demo=True)
    for state in (StudyState.DRAFT, StudyState.READING, StudyState.LOCKED):
        bring(study, state)
        for path in SEALED:
            assert desk.get(f"/studies/{study}/{path}").status_code == 200, (state, path)


def test_live_results_of_a_demo_are_marked_on_every_page(
    office: Office, ready: Ready, bring: Callable[..., int]
) -> None:
    desk, study = office_of(office, ready, is_demo=True)
    for page in (f"/studies/{study}", f"/studies/{study}/results", "/studies"):
        assert 'class="demo-mark"' in desk.get(page).text
    bring(study, StudyState.UNBLINDED)
    assert 'class="demo-mark"' in desk.get(f"/studies/{study}").text


def test_a_study_that_is_no_demo_has_no_such_mark(
    office: Office, ready: Ready, bring: Callable[..., int]
) -> None:
    desk, study = office_of(office, ready)
    bring(study, StudyState.UNBLINDED)
    for page in (f"/studies/{study}", f"/studies/{study}/results", "/studies"):
        assert "demo-mark" not in desk.get(page).text


def test_somebody_elses_study_does_not_exist(
    office: Office, ready: Ready, employ: Callable[[str], str], database: Database
) -> None:
    study = ready().study
    stranger = office(employ("eve@example.org"))
    for path in ("", *(f"/{sealed}" for sealed in SEALED)):
        assert stranger.get(f"/studies/{study}{path}").status_code == 404
    for action in ACTIONS:
        response = stranger.post(f"/studies/{study}/{action}", data={"typed": "Linf 2"})
        assert response.status_code == 404
    assert "Linf 2" not in stranger.get("/studies").text
    assert state_of(database, study) is StudyState.READY


REVEALING_TEXTS = [
    "Adversarial images",
    "images under attack",
    "PERTURBED tissue",
    "original and other images",
    "Can you be fooled?",
    "neural networks",
    "Are these images altered?",
    "repeated reading",
    "perceptibility",
    "robustness of reading",
    "duplicates",
    "deep learning",
]


@pytest.mark.parametrize("text", REVEALING_TEXTS)
def test_a_text_that_tells_readers_what_is_studied_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="use a neutral word"):
        refuse_revealing(title=text)


@pytest.mark.parametrize(
    "text", ["Tissue images", "Does this image show tumour?", "Tumour: five or more cells", ""]
)
def test_neutral_texts_are_accepted(text: str) -> None:
    refuse_revealing(title=text)


def test_a_revealing_text_comes_back_with_the_form_filled_in(office: Office, ready: Ready) -> None:
    batch, desk = ready().batch, office()
    for field in ["public_title", "question"]:
        refused = desk.post("/studies", data=form(batch, **{field: "Spot the attack"}))
        assert refused.status_code == 422
        assert "&#39;attack&#39;" in refused.text
        assert 'value="Spot the attack"' in refused.text
        assert 'value="Linf 4 on breast"' in refused.text
        assert "Linf 4 on breast" not in desk.get("/studies").text


def test_a_revealing_criterion_is_refused_too(database: Database, ready: Ready) -> None:
    with pytest.raises(Invalid, match="criterion says 'Original'"):
        create(database, ready().batch, criterion="Original tumour")


def create(database: Database, batch: int, **new: Any) -> tuple[int, int, int]:
    """The new study's number, its cases, and its images."""
    with database.writing() as session:
        researcher = find_study(session, 1).researcher
        wanted = NewStudy(**{"internal_title": "New", "public_title": "Tissue", **new})
        study = create_study(session, researcher, find_batch(session, batch), wanted, now())
        return study.id, design_of(study.stimuli, study.sets).cases, len(study.stimuli)


def test_an_impossible_design_is_refused_with_its_form_filled_in(
    office: Office, ready: Ready
) -> None:
    batch, desk = ready().batch, office()
    designs: list[tuple[dict[str, Any], int]] = [
        ({"batch": ""}, 422),
        ({"batch": "one"}, 422),
        ({"cases": "1"}, 422),
        ({"cases": "5"}, 422),
        ({"cases": "9" * 10}, 422),
        ({"conditions": "linf-3"}, 422),
        ({"waves": "3"}, 422),
        ({"waves": "0"}, 422),
        ({"waves": "-1"}, 422),
        ({"washout_days": "366"}, 422),
        ({"practice": "1"}, 422),
        ({"practice": "1001"}, 422),
        ({"practice": "\u0661"}, 422),
        ({"practice_batch": "99"}, 404),
        ({"break_after_images": "many"}, 422),
        ({"break_after_minutes": "1.5"}, 422),
        ({"pair_task": "choice", "pair_conditions": "linf-3"}, 422),
        ({"sets": 0}, 422),
        ({"sets": 11}, 422),
        ({"public_title": " "}, 422),
        ({"internal_title": " "}, 422),
        ({"minimum_gap": "5"}, 422),
        ({"minimum_gap": "1"}, 422),
        ({"minimum_gap": "two"}, 422),
        ({"margin_flips": "5 %"}, 422),
        ({"margin_flips": "0"}, 422),
        ({"margin_tp": "0.6"}, 422),
        ({"alpha": "nan"}, 422),
        ({"alpha": "0.5"}, 422),
        ({"minimum_time_ms": "0"}, 422),
        ({"minimum_time_ms": "500", "maximum_time_ms": "400"}, 422),
        ({"internal_title": "Linf 2"}, 409),
        ({"internal_title": "  Linf 2 "}, 409),
        ({"batch": 99}, 404),
    ]
    for changes, status in designs:
        response = desk.post("/studies", data={**form(batch), **changes})
        assert response.status_code == status, changes
        assert 'role="alert"' in response.text, changes
        assert 'value="Tissue images"' in response.text or "public_title" in changes
        assert desk.get("/studies").text.count('class="card"') == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("undo", "some"), ("pair_task", "triangle"), ("masking", "perhaps"), ("sets", "9" * 11)],
)
def test_what_the_form_cannot_send_is_refused(
    field: str, value: str, office: Office, ready: Ready
) -> None:
    batch, desk = ready().batch, office()
    refused = desk.post("/studies", data=form(batch, **{field: value}))
    assert (refused.status_code, field in refused.text) == (422, True)


def choices_on(html: str) -> dict[str, str]:
    """The form as a browser would send it again: what is ticked, typed and chosen."""
    typed = {
        name: value
        for tag in re.findall(r"<input[^>]*>", html)
        if 'type="checkbox"' not in tag or re.search(r"\bchecked\b", tag)
        for name in re.findall(r'name="(\w+)"', tag)
        for value in re.findall(r'value="([^"]*)"', tag) or ["on"]
    }
    chosen = {
        name: value
        for name, options in re.findall(
            r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', html, re.DOTALL
        )
        for value in re.findall(r'<option value="(\w*)"\s+selected', options)
    }
    written = {
        name: value.strip()
        for name, value in re.findall(
            r'<textarea[^>]*name="(\w+)"[^>]*>(.*?)</textarea>', html, re.DOTALL
        )
    }
    return typed | chosen | written


def test_every_choice_of_a_design_is_in_the_form_and_comes_back_with_an_error(
    office: Office, ready: Ready, database: Database
) -> None:
    batch, desk = ready(cases=6, conditions=3).batch, office()
    design = form(
        batch,
        criterion="Five or more cells",
        cases="4",
        negatives="0",
        conditions="linf-2, linf-6",
        minimum_gap="3",
        masking="on",
        is_demo="on",
        confidence="on",
        few_cells="on",
        cannot_assess="on",
        undo="all",
        waves="2",
        washout_days="7",
        break_after_images="0",
        break_after_minutes="15",
        practice="2",
        practice_batch=str(batch),
        catch="0",
        catch_batch=str(batch),
        catch_least="0.8",
        feedback="on",
        pair_task="same_different",
        pair_conditions="linf-4",
        not_sure="on",
        estimand="tp_difference",
        margin_flips="0.08",
        margin_tp="0.15",
        alpha="0.025",
        minimum_time_ms="200",
        maximum_time_ms="600000",
        instructions="Look at the whole image.",
        planned_readers="3",
    )
    wrong = desk.post("/studies", data={**design, "minimum_gap": "99"})
    assert wrong.status_code == 422
    assert choices_on(wrong.text) == {k: str(v) for k, v in {**design, "minimum_gap": "99"}.items()}
    made = desk.post("/studies", data=design).headers["location"]
    with database.reading() as session:
        study = find_study(session, int(made.rpartition("/")[2]))
        assert (study.criterion, study.minimum_gap, study.undo) == (
            "Five or more cells",
            3,
            Undo.ALL,
        )
        assert (study.waves, study.washout_days, study.pair_task) == (2, 7, PairTask.COMPARE)
        assert (study.break_after_images, study.break_after_minutes) == (0, 15)
        ticked = ("masking", "is_demo", "confidence", "few_cells", "cannot_assess", "feedback")
        assert all(getattr(study, name) for name in (*ticked, "not_sure"))
        assert (study.margin_flips, study.margin_tp, study.alpha) == (0.08, 0.15, 0.025)
        assert (study.minimum_time_ms, study.maximum_time_ms) == (200, 600_000)
        assert study.estimand is Estimand.TP_DIFFERENCE
        shown = [len(study.stimuli_of(part)) for part in (Part.PRACTICE, Part.READING, Part.PAIRS)]
        assert shown == [2, 12, 8]
    page = " ".join(desk.get(made).text.split())
    for fact in (
        "24 images, each in one of its flips and rotations: 4 cases, 2 sets; about 5 minutes",
        "tumour, no tumour, 1 to 4 tumour cells, cannot assess, and how sure, 1 to 5",
        "answers can be taken back one after another",
        "2, at least 7 days apart",
        "offered after 15 minutes",
        "2 images of cases that are not read; the right answer is told",
        "8 after reading: whether two images are the same or different, with “not sure”",
        "as many tumours are found under every condition",
        "excess flips 0.08, sensitivity ±0.15; alpha 0.025",
        "answers that took less than 200 ms or more than 600000 ms",
        "Look at the whole image.",
    ):
        assert fact in page, fact


def test_an_empty_form_has_the_usual_values(office: Office, ready: Ready) -> None:
    ready()
    shown = choices_on(office().get("/studies/new").text)
    expected = {"sets": "2", "undo": "one", "waves": "1", "washout_days": "14", "practice": "0"}
    assert {name: shown[name] for name in expected} == expected
    assert (shown["break_after_images"], shown["break_after_minutes"]) == ("40", "20")
    assert "masking" not in shown


def link_on(page: str) -> str:
    [link, *_] = re.findall(r"/r/[0-9a-f]{32}", page)
    return str(link)


def sealed_part(page: str) -> str:
    """Of a study's page without the robots of a rehearsal, which are told alike for every study."""
    return re.sub(r'<section[^>]*labelledby="rehearsals".*?</section>', "", page, flags=re.DOTALL)


def reader_line(page: str, label: str) -> str:
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    [line] = [row for row in rows if f'id="reader_{label}"' in row]
    return " ".join(re.sub(r"<[^>]*>", " ", line).split())


def test_a_link_is_withdrawn_and_made_anew_on_the_page_of_its_reader(
    office: Office, browser: Browser, ready: Ready, database: Database
) -> None:
    made, desk = ready(readers=2), office()
    study = f"/studies/{made.study}"
    assert "open" in reader_line(desk.get(study).text, "R01")
    withdrawn = desk.post(f"{study}/readers/R01/revoke")
    assert withdrawn.headers["location"] == f"{study}/readers/R01"
    page = desk.get(study).text
    assert "withdrawn" in reader_line(page, "R01")
    assert "withdrawn" not in reader_line(page, "R02")
    assert f"{study}/readers/R01/revoke" not in desk.get(f"{study}/readers/R01").text
    assert f"{study}/readers/R02/revoke" in desk.get(f"{study}/readers/R02").text
    assert browser().get(made.links[0]).status_code == 403
    again = desk.post(f"{study}/readers/R01/reissue")
    assert "New link for R01" in again.text
    assert browser().get(link_on(again.text)).status_code == 303
    assert "open" in reader_line(desk.get(study).text, "R01")
    with database.reading() as session:
        kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert kinds[-2:] == ["revoked R01", "reissued R01"]


def test_a_link_with_a_last_day_shows_it(office: Office, ready: Ready) -> None:
    made, desk = ready(readers=1), office()
    study = f"/studies/{made.study}"
    invited = desk.post(f"{study}/readers", data={"last_day": "2099-12-31"})
    assert "Its last day is 2099-12-31, until its end in UTC." in " ".join(invited.text.split())
    assert "until 2099-12-31" in reader_line(desk.get(study).text, "R02")
    for last_day in ("2020-01-01", "tomorrow"):
        for path in ("readers", "readers/R01/reissue"):
            refused = desk.post(f"{study}/{path}", data={"last_day": last_day})
            assert refused.status_code == 422
    assert desk.post(f"{study}/readers", data={"last_day": ""}).status_code == 200
    assert desk.get(study).text.count("until 2099") == 1


def test_the_study_page_tells_which_links_have_expired(
    office: Office, ready: Ready, database: Database
) -> None:
    made, desk = ready(readers=1), office()
    with database.writing() as session:
        first_reader(session).expires_at = now()
    assert "expired 20" in reader_line(desk.get(f"/studies/{made.study}").text, "R01")


def test_a_researcher_recognises_the_receipt_of_who_has_finished(
    office: Office,
    browser: Browser,
    ready: Ready,
    begin: Callable[..., None],
    read: Callable[..., int],
) -> None:
    made, reader = ready(readers=2), browser()
    begin(reader, made.links[0])
    read(reader)
    reader.post("/reading/questions")
    [receipt] = re.findall(r"[0-9A-F]{4}-[0-9A-F]{4}", reader.get("/reading/done").text)
    page = office().get(f"/studies/{made.study}").text
    assert receipt in reader_line(page, "R01")
    assert not re.search(r"[0-9A-F]{4}-[0-9A-F]{4}", reader_line(page, "R02"))


def test_a_reader_that_the_study_does_not_have_is_not_found(office: Office, ready: Ready) -> None:
    desk, study = office_of(office, ready)
    for action in ("revoke", "reissue"):
        assert desk.post(f"/studies/{study}/readers/R02/{action}").status_code == 404
        for label in ("nobody", "R" * 30, "%00"):
            refused = desk.post(f"/studies/{study}/readers/{label}/{action}")
            assert refused.status_code in {404, 422}


def test_a_closed_study_makes_no_new_link(
    office: Office, ready: Ready, bring: Callable[..., int]
) -> None:
    desk, study = office_of(office, ready)
    bring(study, StudyState.LOCKED)
    assert desk.post(f"/studies/{study}/readers/R01/reissue").status_code == 409
    assert "reissue" not in desk.get(f"/studies/{study}").text


def test_problems_are_told_by_token_and_nothing_by_arm(
    office: Office, browser: Browser, ready: Ready, begin: Callable[..., None]
) -> None:
    made, reader = ready(), browser()
    begin(reader, made.links[0])
    token = reader.get("/reading/window").json()["tokens"][0]
    desk = office()
    before = desk.get(f"/studies/{made.study}").text
    reader.post("/reading/problems", json={"token": token, "kind": "unclear"})
    page = sealed_part(desk.get(f"/studies/{made.study}").text)
    assert token not in before
    assert "R01 Reading The image is unclear" in " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert token in page
    assert not re.search(r"perturbed|original|linf|\bc0\d\b|\.png", page)


def test_practice_takes_no_pixels_that_are_read_not_even_from_another_batch(
    database: Database,
    store: ImageStore,
    ready: Ready,
    make_batch: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The same tissue in a second delivery is still the same tissue."""
    batch = ready(cases=2).batch
    with database.reading() as session:
        drawn = [each.file for each in session.scalars(select(Stimulus).order_by(Stimulus.id))]
        read = set(session.scalars(select(Stimulus.sha256)))
    again = [np.asarray(Image.open(store.root / file).convert("RGB")) for file in drawn[::2]]
    again += [np.full((24, 24, 3), 100 + number, np.uint8) for number in range(3)]
    path = make_batch(tmp_path / "again", cases=5, images=again, size=24, name="Again", seed=9)
    other = import_batch(path, database, store, now())
    for count, possible in ((3, True), (4, False)):
        with database.writing() as session:
            source = find_batch(session, other)
            new = NewStudy(f"P{count}", "Tissue", practice=count, practice_batch=source)
            researcher = find_study(session, 1).researcher
            if not possible:
                with pytest.raises(Invalid, match=r"needs 4 cases .* has 3"):
                    create_study(session, researcher, find_batch(session, batch), new, now())
                continue
            study = create_study(session, researcher, find_batch(session, batch), new, now())
            practised = study.stimuli_of(Part.PRACTICE)
            assert len(practised) == 3
            assert read.isdisjoint(stimulus.sha256 for stimulus in practised)
            assert all(stimulus.condition_id is None for stimulus in practised)


def test_practice_shows_both_truths_in_turn(database: Database, ready: Ready) -> None:
    batch = ready(cases=12, truths=(1,) * 6 + (0,) * 6).batch
    study, *_ = create(database, batch, cases=4, practice=4)
    with database.reading() as session:
        practised = find_study(session, study).stimuli_of(Part.PRACTICE)
        assert sorted(stimulus.case.truth for stimulus in practised)[1:3] == [0, 1]


def test_of_many_cases_some_are_drawn_at_random(database: Database, ready: Ready) -> None:
    batch = ready(cases=8).batch
    drawn = set()
    for number in range(4):
        study, cases, images = create(database, batch, cases=4, internal_title=f"n{number}")
        assert (cases, images) == (4, 8)
        with database.reading() as session:
            stimuli = find_study(session, study).stimuli
            drawn.add(tuple(sorted({stimulus.case.name for stimulus in stimuli})))
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"practice": -1}, "practice images is 0 to 1000"),
        ({"break_after_images": -1}, "before a break is 0 to 1000"),
        ({"break_after_minutes": 10**6}, "before a break is 0 to 1000"),
        ({"waves": 3}, "1 to 2 sittings, not in 3"),
        ({"washout_days": 400}, "0 to 365 days"),
        ({"sets": 0}, "at least 1 set"),
    ],
)
def test_counts_that_make_no_sense_are_refused_whoever_asks(
    wrong: dict[str, Any], words: str, database: Database, ready: Ready
) -> None:
    batch = ready().batch
    with pytest.raises(Invalid, match=words):
        create(database, batch, **wrong)


def test_pairs_need_images_under_their_conditions(
    database: Database, store: ImageStore, ready: Ready, tmp_path: Path, make_batch: Any
) -> None:
    ready()
    path = make_batch(tmp_path / "batch", cases=4, conditions=2, truths=[1] * 4, size=16)
    manifest = json.loads((path / "batch.json").read_text(encoding="utf-8"))
    for case in manifest["cases"]:
        (path / case["perturbed"].pop()["file"]).unlink()
    (path / "batch.json").write_text(json.dumps(manifest), encoding="utf-8")
    batch = import_batch(path, database, store, now())
    options = {"conditions": ("linf-2",), "pair_task": PairTask.CHOICE}
    with pytest.raises(Invalid, match="no image of these cases under the conditions for pairs"):
        create(database, batch, **options, pair_conditions=("linf-4",))


def test_a_possible_gap_is_accepted(office: Office, ready: Ready) -> None:
    batch, desk = ready().batch, office()
    for minimum_gap in ("", " ", "2", "4"):
        design = form(batch, minimum_gap=minimum_gap, internal_title=f"gap {minimum_gap!r}")
        assert desk.post("/studies", data=design).status_code == 303, minimum_gap


def test_a_study_shows_the_chosen_conditions_only(database: Database, ready: Ready) -> None:
    batch = ready(cases=3, conditions=3).batch
    _, cases, images = create(database, batch, conditions=("linf-2", "linf-6"))
    assert (cases, images) == (3, 9)
    _, cases, images = create(database, batch, internal_title="All")
    assert (cases, images) == (3, 12)


def test_an_unknown_condition_is_refused_with_those_that_there_are(
    database: Database, ready: Ready
) -> None:
    batch = ready(conditions=2).batch
    with pytest.raises(Invalid, match="no condition 'linf-3'; it has linf-2, linf-4"):
        create(database, batch, conditions=("linf-3",))


def test_a_batch_of_one_case_is_refused(
    database: Database,
    store: ImageStore,
    ready: Ready,
    make_batch: Callable[..., Path],
    tmp_path: Path,
) -> None:
    ready()
    lonely = import_batch(make_batch(tmp_path / "one", cases=1), database, store, now())
    with pytest.raises(Invalid, match="at least 2 cases"):
        create(database, lonely)


def test_everything_that_happens_is_recorded_with_its_actor(
    office: Office,
    browser: Browser,
    ready: Ready,
    begin: Callable[..., None],
    database: Database,
) -> None:
    made = ready(readers=2)
    for link in made.links:
        begin(browser(), link)
    desk = office()
    desk.post(f"/studies/{made.study}/lock")
    unblind(desk, made.study)
    with database.reading() as session:
        events = session.scalars(select(Event).order_by(Event.id)).all()
    ada = "ada@example.org"
    assert [(event.actor, event.kind) for event in events] == [
        (ada, "created"),
        (ada, "started"),
        (ada, "invited R01"),
        (ada, "invited R02"),
        ("R01", "reading began"),
        (ada, "locked"),
        (ada, "unblinded"),
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)


@contextmanager
def held_back(database: Database, change: Callable[[Any], object]) -> Iterator[None]:
    """Another transaction that has made its change, and commits a little later than it could."""
    changed = threading.Event()

    def run() -> None:
        with database.writing() as session:
            change(session)
            session.flush()
            changed.set()
            threading.Event().wait(PAUSE_S)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run)
        assert changed.wait(10)
        yield
        other.result(10)


def lock_now(database: Database, study: int) -> None:
    with database.writing() as session:
        lock_study(session, find_study(session, study), "ada", now())


def first_reader(session: Any) -> Reader:
    reader: Reader = session.scalars(select(Reader)).one()
    return reader


def test_a_reader_who_begins_meanwhile_does_not_open_a_locked_study(
    database: Database, ready: Ready
) -> None:
    study = ready().study

    def begin(session: Any) -> None:
        begin_reading(session, first_reader(session), CONSENT, now())

    with held_back(database, begin):
        lock_now(database, study)
    assert state_of(database, study) is StudyState.LOCKED


def test_nobody_begins_while_the_study_is_being_locked(database: Database, ready: Ready) -> None:
    study = ready().study

    def lock(session: Any) -> None:
        lock_study(session, find_study(session, study), "ada", now())

    with (
        held_back(database, lock),
        pytest.raises(NotAllowed, match="closed"),
        database.writing() as session,
    ):
        begin_reading(session, first_reader(session), CONSENT, now())
    assert state_of(database, study) is StudyState.LOCKED


def test_two_invitations_at_once_are_two_readers(database: Database, ready: Ready) -> None:
    study = ready(readers=1).study

    def one_more(session: Any) -> object:
        return invite(session, find_study(session, study), "ada", now())

    with held_back(database, one_more), database.writing() as session:
        one_more(session)
    with database.reading() as session:
        labels = session.scalars(select(Reader.label).order_by(Reader.id)).all()
    assert labels == ["R01", "R02", "R03"]


def test_two_unblindings_at_once_are_one(database: Database, ready: Ready) -> None:
    study = ready().study
    lock_now(database, study)

    def open_key(session: Any) -> None:
        unblind_study(session, find_study(session, study), "ada", now())

    with (
        held_back(database, open_key),
        pytest.raises(Conflict),
        database.writing() as session,
    ):
        open_key(session)
    with database.reading() as session:
        kinds = session.scalars(select(Event.kind)).all()
    assert kinds.count("unblinded") == 1


def test_the_database_refuses_an_unblinded_study_without_a_time(
    database: Database, ready: Ready
) -> None:
    study = ready().study
    with pytest.raises(DBAPIError, match="ck_study_unblinded"), database.writing() as session:
        session.get_one(Study, study).state = StudyState.UNBLINDED


def test_the_words_that_reveal_are_whole_words() -> None:
    assert REVEALING.search("the attachment") is None
    assert REVEALING.search("fool's gold") is not None


def test_a_case_on_which_the_attack_failed_is_not_shown(
    database: Database, store: ImageStore, tmp_path: Path, make_batch: Callable[..., Path]
) -> None:
    path = make_batch(tmp_path / "batch", cases=4, truths=[1] * 4, size=16)
    manifest = json.loads((path / "batch.json").read_text(encoding="utf-8"))
    manifest["cases"][0]["perturbed"][0] |= {"success": False, "p_positive": 0.9}
    (path / "batch.json").write_text(json.dumps(manifest), encoding="utf-8")
    batch = import_batch(path, database, store, now())
    with database.writing() as session:
        researcher = add_researcher(session, "ada@example.org", "correct horse battery", now())
        new = NewStudy("Only what succeeded", "Tissue images")
        study = create_study(session, researcher, find_batch(session, batch), new, now())
        assert {stimulus.case.name for stimulus in study.stimuli} == {"c02", "c03", "c04"}


def test_the_protocol_tells_every_option_of_a_design() -> None:
    told = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    options = {"--demo", "--batch"} | {name for each in OPTIONS for name in named(each)}
    assert {name for name in options if f"`{name}`" not in told} == set()
    assert set(re.findall(r"`(--[a-z-]+)`", told)) == options


def named(option: Callable[..., Any]) -> list[str]:
    """What a click option is called on the command line."""
    decorated = option(lambda: None)
    [parameter] = decorated.__click_params__
    return [name for name in parameter.opts if name.startswith("--")]
