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

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.batches.service import find_batch, import_batch
from app.errors import Conflict, Invalid, NotAllowed
from app.readers.service import CONSENT_VERSION, invite
from app.reading.service import begin as begin_reading
from app.researchers.service import add_researcher
from app.storage.images import ImageStore
from app.storage.models import Event, Reader, Study
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
from app.vocabulary import StudyState
from app.web.identity import now

Browser = Callable[[], TestClient]
Office = Callable[..., TestClient]
Ready = Callable[..., Any]
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


def test_a_new_study_is_a_draft_that_the_first_invitation_makes_ready(
    office: Office, ready: Ready, database: Database
) -> None:
    batch = ready().batch
    desk = office()
    page = desk.post("/studies", data=form(batch)).headers["location"]
    study = int(page.rpartition("/")[2])
    assert state_of(database, study) is StudyState.DRAFT
    assert "Linf 4 on breast" in desk.get(page).text
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
    "readers": {"draft": 200, "ready": 200, "reading": 200, "locked": 409, "unblinded": 409},
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
            response.status_code == 409 or (action == "readers" and state != "draft")
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
    page = desk.get(f"/studies/{made.study}").text
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


def test_an_impossible_design_is_refused_with_a_reason(office: Office, ready: Ready) -> None:
    batch, desk = ready().batch, office()
    designs: list[tuple[dict[str, Any], int]] = [
        ({"sets": 0}, 422),
        ({"sets": 11}, 422),
        ({"public_title": " "}, 422),
        ({"internal_title": " "}, 422),
        ({"minimum_gap": "5"}, 422),
        ({"minimum_gap": "1"}, 422),
        ({"minimum_gap": "two"}, 422),
        ({"internal_title": "Linf 2"}, 409),
        ({"internal_title": "  Linf 2 "}, 409),
        ({"batch": 99}, 404),
    ]
    for changes, status in designs:
        response = desk.post("/studies", data={**form(batch), **changes})
        assert response.status_code == status, changes
        assert desk.get("/studies").text.count('class="card"') == 1


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
        begin_reading(session, first_reader(session), CONSENT_VERSION, now())

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
        begin_reading(session, first_reader(session), CONSENT_VERSION, now())
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
