"""A dress rehearsal: robots read a copy of a study through the whole server, and it can all go."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.errors import Invalid
from app.main import create_app
from app.rehearsal import worker as working
from app.rehearsal.domain import ROBOTS, Seen, crew, decide, restored, stored
from app.rehearsal.service import take_places
from app.rehearsal.worker import Rehearser
from app.settings import Settings
from app.storage.jobs import StoppedError
from app.storage.models import (
    Base,
    Presentation,
    Reader,
    Rehearsal,
    Response,
    ScreenCheck,
    Sitting,
    Stimulus,
    Study,
)
from app.storage.session import Database
from app.studies.members import set_member
from app.studies.service import find_study
from app.vocabulary import Answer, PairTask, Part, RehearsalState, RobotKind, StudyState, Undo
from app.web.identity import now

Office = Callable[..., TestClient]
Ready = Callable[..., Any]
NOBODY = {kind.value: 0 for kind in RobotKind}
WHOLE = {
    "cases": 6,
    "at_most": 4,
    "truths": (1, 0, 1, 0, 1, 0),
    "waves": 2,
    "washout_days": 14,
    "practice": 2,
    "confidence": True,
    "pair_task": PairTask.CHOICE,
    "undo": Undo.ONE,
}


def rehearser_of(desk: TestClient) -> Rehearser:
    found: Rehearser = desk.app.state.rehearser  # type: ignore[attr-defined]
    return found


def begin(desk: TestClient, study: int, **form: object) -> str:
    """The page of a new rehearsal that waits for its robots."""
    sent = desk.post(f"/studies/{study}/rehearsals", data=form)
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


def rehearse(desk: TestClient, study: int, **form: object) -> int:
    """The number of a rehearsal that was read."""
    page = begin(desk, study, **form)
    rehearser_of(desk).work_off()
    shown = desk.get(page).text
    assert "Read: " in shown, re.findall(r"<p>(Robot.*|Something.*)</p>", shown)
    return int(page.rpartition("/")[2])


def everything(database: Database) -> dict[str, list[Any]]:
    with database.reading() as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table))))
            for table in Base.metadata.sorted_tables
        }


def given(database: Database, study: int) -> list[tuple[Any, ...]]:
    """Every answer of a study that was given, also those that were taken back, and its time."""
    with database.reading() as session:
        rows = session.execute(
            select(
                *(Reader.label, Presentation.part, Presentation.position, Stimulus.file),
                *(Presentation.set_number, Response.answer, Response.confidence),
                Response.reading_time_ms,
            )
            .join(Presentation, Presentation.reader_id == Reader.id)
            .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
            .join(Response, Response.presentation_id == Presentation.id)
            .where(Reader.study_id == study)
            .order_by(Reader.id, Presentation.part, Presentation.position, Response.attempt)
        )
        return [tuple(row) for row in rows]


# From the button to the results, and away


def test_all_robots_read_every_part_and_the_results_are_theirs(
    office: Office, ready: Ready, database: Database
) -> None:
    study = ready(**WHOLE).study
    desk = office()
    before = everything(database)
    number = rehearse(desk, study, seed=7)
    found = desk.get(f"/studies/{number}/analysis.json").json()
    assert found["study"]["readers"] == [f"R0{place}" for place in range(1, 7)]
    shares = {
        (line["reader"], line["truth"]): (line["original"], line["perturbed"])
        for line in found["table"]["lines"]
        if line["set"] == 1
    }
    assert [side["tumour"] for side in shares["R01", 0]] == [0, 0], "perfect: no false positive"
    assert all(side["tumour"] == side["n"] > 0 for side in shares["R01", 1])
    assert all(side["tumour"] == side["n"] > 0 for side in shares["R03", 0]), "always tumour"
    assert shares["R06", 0][0]["tumour"] == 0
    assert shares["R06", 0][1]["tumour"] == shares["R06", 0][1]["n"], "every perturbation is seen"
    [flips] = found["flips"]
    of_reader = {each["reader"]: each["d_op"] for each in flips["by_reader"]}
    assert (of_reader["R01"], of_reader["R06"]) == (0, 1)
    assert "R05" not in of_reader, "the quitter has no whole unit"
    left = [each for each in found["missing"]["lines"] if each["not_answered"]]
    assert {each["reader"] for each in left} == {"R05"}
    assert sum(each["not_answered"] for each in left) == found["missing"]["not_answered"] == 8
    [choice] = found["detection"]["choice"]
    right = {each["reader"]: (each["right"], each["n"]) for each in choice["readers"]}
    assert right["R06"] == (4, 4)
    with database.reading() as session:
        copy = session.get_one(Study, number)
        assert copy.state is StudyState.UNBLINDED
        assert {sitting.number for sitting in session.scalars(select(Sitting))} == {1, 2}
        assert len(session.scalars(select(ScreenCheck)).all()) >= 6
        assert session.get_one(Study, study).state is StudyState.READY
    after = everything(database)
    assert all(set(rows) <= set(after[table]) for table, rows in before.items()), "nothing changed"
    gone = desk.post(f"/studies/{study}/rehearsals/{number}/delete")
    assert gone.headers["location"] == f"/studies/{study}"
    assert everything(database) == before, "nothing of it remains"


def test_a_draft_can_be_rehearsed_and_stays_a_draft(
    office: Office, ready: Ready, database: Database
) -> None:
    study = ready().study
    desk = office()
    with database.writing() as session:
        session.execute(text("UPDATE study SET state = 'draft', protocol = NULL"))
        session.execute(text("DELETE FROM reader"))
    number = rehearse(desk, study, **{**NOBODY, "perfect": 1})
    page = desk.get(f"/studies/{study}").text
    assert f'href="/studies/{number}/results"' in page
    assert "Rehearsal 1 of Linf 2" in page
    assert desk.post(f"/studies/{study}/delete").status_code == 409, "its rehearsals come first"
    with database.reading() as session:
        assert session.get_one(Study, study).state is StudyState.DRAFT


def test_a_rehearsal_is_in_no_list_and_its_page_is_with_its_study(
    office: Office, ready: Ready
) -> None:
    study = ready().study
    desk = office()
    number = rehearse(desk, study, **{**NOBODY, "noisy": 1})
    listed = desk.get("/studies").text
    assert f'href="/studies/{study}' in listed
    assert f'"/studies/{number}' not in listed
    assert "Rehearsal" not in listed
    page = desk.get(f"/studies/{number}").headers["location"]
    assert page == f"/studies/{study}/rehearsals/{number}"
    told = desk.get(page).text
    assert "answers of robots" in told
    assert "says tumour to 85 % of tumours" in told.lower()


def test_the_washout_is_left_out_and_the_page_says_so(office: Office, ready: Ready) -> None:
    study = ready(waves=2, washout_days=28).study
    desk = office()
    number = rehearse(desk, study, **{**NOBODY, "always_tumour": 1})
    assert "Readers wait 28 days." in desk.get(f"/studies/{study}/rehearsals/{number}").text


# The same again


def test_the_same_seed_gives_the_same_orders_answers_and_times(
    office: Office, ready: Ready, database: Database
) -> None:
    study = ready(confidence=True).study
    desk = office()
    robots = {**NOBODY, "noisy": 2}
    first, again, other = (rehearse(desk, study, seed=seed, **robots) for seed in (3, 3, 4))
    assert given(database, first) == given(database, again) != given(database, other)
    page = desk.get(f"/studies/{study}/rehearsals/{first}").text
    assert re.search(r"<dt>Seed</dt>\s*<dd>\s*3:", page)


def test_a_rehearsal_that_was_stopped_goes_on_where_it_was_and_old_links_are_good_no_more(
    office: Office,
    ready: Ready,
    database: Database,
    settings: Settings,
    browser: Callable[[], TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = ready(confidence=True, waves=2).study
    desk = office()
    robots = {**NOBODY, "perfect": 1, "quitter": 1, "noisy": 1}
    whole = rehearse(desk, study, seed=5, **robots)
    page = begin(desk, study, seed=5, **robots)
    number = int(page.rpartition("/")[2])
    links: list[str] = []

    def noted(*args: Any) -> Any:
        places = take_places(*args)
        links.extend(place.link for place in places)
        return places

    monkeypatch.setattr(working, "take_places", noted)
    rehearser = rehearser_of(desk)
    one_more = working.Course.one_more

    def stop_in_the_middle(course: working.Course) -> None:
        one_more(course)
        if course.done == 21:
            rehearser.stopping.set()

    with monkeypatch.context() as patch:
        patch.setattr(working.Course, "one_more", stop_in_the_middle)
        with pytest.raises(StoppedError):
            rehearser.work_off()
    shown = desk.get(page).text
    assert "Robots read: " in shown
    assert f'hx-get="{page}"' in shown
    assert desk.post(f"{page}/delete").status_code == 409
    assert desk.post(f"/studies/{study}/rehearsals").status_code == 409, "one at a time"
    old = links[:]
    next_server = create_app(settings)
    next_server.state.rehearser.work_off()
    next_server.state.database.close()
    assert "Read: " in desk.get(page).text
    assert given(database, number) == given(database, whole), "as if nothing had happened"
    statuses = [browser().get(f"/r/{link}").headers.get("location") for link in old]
    assert set(statuses) == {None}, "no link of the first server leads anywhere"


def test_a_running_server_reads_by_itself(
    settings: Settings, ready: Ready, sign_in: Callable[..., None]
) -> None:
    study = ready(cases=2).study
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as desk:
        desk.headers["accept"] = "text/html"
        sign_in(desk)
        page = begin(desk, study, **{**NOBODY, "perfect": 1})
        for _ in range(600):
            if "Read: " in desk.get(page).text:
                break
            app.state.rehearser.news.wait(0.05)
        assert "Read: 8 answers." in desk.get(page).text
    assert not app.state.rehearser.thread.is_alive()


# What goes wrong


def test_what_would_stop_a_reader_stops_the_robots_and_is_told(
    office: Office, ready: Ready, database: Database
) -> None:
    study = ready().study
    with database.writing() as session:
        session.execute(text("UPDATE study SET scan_reason = ''"))
        session.execute(text("""UPDATE batch SET scan = '{"verdict": "amber"}'"""))
    desk = office()
    page = begin(desk, study)
    rehearser_of(desk).work_off()
    told = desk.get(page).text
    assert "The robots could not read to the end" in told
    assert "The blinding scan of this batch is amber" in told
    before = desk.get(f"/studies/{study}").text
    assert "Was not read to its end" in before
    assert desk.post(f"{page}/delete").status_code == 303


def test_an_image_that_is_damaged_while_it_is_read_is_found(
    office: Office,
    ready: Ready,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = ready().study
    desk = office()
    page = begin(desk, study, **{**NOBODY, "perfect": 1})

    def damaged(*args: Any) -> Any:
        places = take_places(*args)
        for file in settings.images.rglob("*.png"):
            file.write_bytes(b"no image")
        return places

    monkeypatch.setattr(working, "take_places", damaged)
    rehearser_of(desk).work_off()
    with database.reading() as session:
        assert session.scalars(select(Rehearsal.state)).one() is RehearsalState.FAILED
    assert "could not read to the end" in desk.get(page).text
    capsys.readouterr()


@pytest.mark.parametrize(
    "form", [NOBODY, {"perfect": 6}, {"seed": "7x"}, {"seed": "9999999999"}, {"hit_percent": 101}]
)
def test_an_impossible_rehearsal_is_refused(
    form: dict[str, object], office: Office, ready: Ready, database: Database
) -> None:
    study = ready().study
    sent = office().post(f"/studies/{study}/rehearsals", data=form)
    assert sent.status_code == 422
    with database.reading() as session:
        assert session.scalars(select(Rehearsal)).all() == []


# Who may


def test_nobody_but_robots_reads_or_moves_a_rehearsal(office: Office, ready: Ready) -> None:
    study = ready().study
    desk = office()
    number = rehearse(desk, study, **{**NOBODY, "perfect": 1})
    for action in ("readers", "lock", "unblind", "start", "delete", "rehearsals", "amend"):
        refused = desk.post(f"/studies/{number}/{action}", data={"typed": "x"})
        assert refused.status_code == 403, action
    assert "Only robots read a rehearsal" in desk.post(f"/studies/{number}/lock").text


def test_who_sees_a_study_sees_its_rehearsals_and_others_do_not(
    office: Office, ready: Ready, database: Database, employ: Callable[[str], str]
) -> None:
    study = ready().study
    number = rehearse(office(), study, **{**NOBODY, "perfect": 1})
    for email in ("viewer@example.org", "manager@example.org", "other@example.org"):
        employ(email)
    with database.writing() as session:
        found = find_study(session, study)
        set_member(session, found, "viewer@example.org", False, "ada@example.org", now())
        set_member(session, found, "manager@example.org", True, "ada@example.org", now())
    pages = (f"/studies/{study}/rehearsals/{number}", f"/studies/{number}/results")
    for email, status in (("viewer", 200), ("manager", 200), ("other", 404)):
        desk = office(f"{email}@example.org")
        assert [desk.get(page).status_code for page in pages] == [status, status]
    viewer = office("viewer@example.org")
    assert "Delete this rehearsal" not in viewer.get(pages[0]).text
    assert viewer.post(f"{pages[0]}/delete").status_code == 403
    assert "Choose the robots" not in viewer.get(f"/studies/{study}").text
    assert office("manager@example.org").post(f"{pages[0]}/delete").status_code == 303


def test_a_rehearsal_is_found_with_its_own_study_only(office: Office, ready: Ready) -> None:
    first, second = ready().study, ready(title="Other", email="bob@example.org").study
    number = int(begin(office(), first).rpartition("/")[2])
    bob = office("bob@example.org")
    assert bob.get(f"/studies/{second}/rehearsals/{number}").status_code == 404
    assert bob.post(f"/studies/{second}/rehearsals/{number}/delete").status_code == 404


def test_answers_of_people_cannot_be_deleted_beside_a_rehearsal(
    office: Office, ready: Ready, read: Any, begin: Any, browser: Any, database: Database
) -> None:
    made = ready()
    reader = browser()
    begin(reader, made.links[0])
    read(reader, at_most=2)
    desk = office()
    number = rehearse(desk, made.study, **{**NOBODY, "perfect": 1})
    for table in ("response", "event"):
        with pytest.raises(DBAPIError, match="only ever added"), database.writing() as session:
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608
    assert desk.post(f"/studies/{made.study}/rehearsals/{number}/delete").status_code == 303
    with database.reading() as session:
        assert len(session.scalars(select(Response)).all()) == 2


# The mark


def test_nobody_takes_a_rehearsal_for_a_study(office: Office, ready: Ready) -> None:
    study = ready(truths=(1, 0, 1, 0)).study
    desk = office()
    number = rehearse(desk, study, **{**NOBODY, "perfect": 1, "noisy": 1})
    base, mark = f"/studies/{number}", "Rehearsal: answers of robots"
    for page in (f"{base}/results", f"{base}/report", f"{base}/charts/over-time.svg"):
        assert mark in desk.get(page).text, page
    assert mark in desk.get(f"{base}/charts/over-time.csv").text
    plain = desk.get(f"{base}/export.zip")
    assert 'filename="rehearsal-' in plain.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(plain.content)) as archive:
        assert '"is_rehearsal": true' in archive.read("study.json").decode()
    for file in ("presentations.csv", "analysis.json", "report.pdf"):
        name = desk.get(f"{base}/{file}").headers["content-disposition"]
        assert 'filename="rehearsal-' in name, file


# The robots


def image(truth: int, condition: str | None = None, position: int = 1) -> Seen:
    return Seen(Part.READING, position, 1000, f"c{position}", truth, condition, 1)


def share_of_tumour(kind: RobotKind, truth: int, condition: str | None = None) -> float:
    said = [
        decide(ROBOTS[kind], 1, "R01", True, image(truth, condition, position), False)
        for position in range(1, 501)
    ]
    return sum(each is not None and each.answers[-1] is Answer.TUMOUR for each in said) / 500


@pytest.mark.parametrize(
    ("kind", "hits", "alarms"),
    [
        (RobotKind.PERFECT, 1, 0),
        (RobotKind.ALWAYS_TUMOUR, 1, 1),
        (RobotKind.NOISY, pytest.approx(0.85, abs=0.05), pytest.approx(0.10, abs=0.05)),
        (RobotKind.BIASED, pytest.approx(0.967, abs=0.03), pytest.approx(0.315, abs=0.06)),
    ],
)
def test_a_robot_reads_at_its_rates_whatever_the_arm(
    kind: RobotKind, hits: float, alarms: float
) -> None:
    for condition in (None, "linf-2"):
        assert share_of_tumour(kind, 1, condition) == hits
        assert share_of_tumour(kind, 0, condition) == alarms


def test_a_criterion_that_is_shifted_changes_both_rates_and_not_what_can_be_told_apart() -> None:
    biased, noisy = ROBOTS[RobotKind.BIASED], ROBOTS[RobotKind.NOISY]
    assert biased.rate(1) > noisy.rate(1)
    assert biased.rate(0) > noisy.rate(0)
    assert replace(biased, shift=0).rate(1) == pytest.approx(noisy.rate(1))


def test_a_slip_is_made_only_where_it_can_be_taken_back() -> None:
    slipping = replace(ROBOTS[RobotKind.PERFECT], slip_rate=1.0)
    taken_back = decide(slipping, 1, "R01", True, image(1), True)
    final = decide(slipping, 1, "R01", True, image(1), False)
    assert taken_back is not None
    assert final is not None
    assert taken_back.answers == [Answer.NO_TUMOUR, Answer.TUMOUR]
    assert final.answers == [Answer.TUMOUR]


def test_a_quitter_leaves_in_the_middle_and_sees_no_pair() -> None:
    quitter = ROBOTS[RobotKind.QUITTER]
    assert decide(quitter, 1, "R01", True, image(1, position=500), False) is not None
    assert decide(quitter, 1, "R01", True, image(1, position=501), False) is None
    pair = Seen(Part.PAIRS, 1, 9, "c1", 1, None, None, PairTask.CHOICE, "linf-2")
    assert decide(quitter, 1, "R01", True, pair, False) is None


def test_who_sees_every_perturbation_is_right_in_every_pair() -> None:
    sees = ROBOTS[RobotKind.SEES_ALL]
    for task, left, right, answer in [
        (PairTask.CHOICE, None, "linf-2", Answer.RIGHT),
        (PairTask.CHOICE, "linf-2", None, Answer.LEFT),
        (PairTask.COMPARE, "linf-2", None, Answer.DIFFERENT),
        (PairTask.COMPARE, "linf-2", "linf-2", Answer.SAME),
    ]:
        pair = Seen(Part.PAIRS, 1, 9, "c1", 1, left, None, task, right)
        said = decide(sees, 1, "R01", True, pair, False)
        assert said is not None
        assert said.answers == [answer]


def test_times_and_confidence_are_plausible() -> None:
    said = [
        decide(ROBOTS[RobotKind.NOISY], 1, "R01", True, image(n % 2, position=n), False)
        for n in range(1, 301)
    ]
    times = sorted(each.reading_time_ms for each in said if each)
    assert 450 <= times[0] < 2500 < times[150] < 6000 < times[-1] < 30_000
    assert {each.confidence for each in said if each} == {1, 2, 3, 4, 5}


def test_settings_come_back_as_they_were_kept() -> None:
    for robot in crew(dict.fromkeys(RobotKind, 1), 0.7, 0.2):
        assert restored(stored(robot)) == robot


@pytest.mark.parametrize(
    ("counts", "hits"),
    [({}, 0.5), ({RobotKind.PERFECT: 6}, 0.5), ({RobotKind.NOISY: -1}, 0.5), ({}, 1.5)],
)
def test_a_crew_that_cannot_be_is_refused(counts: dict[RobotKind, int], hits: float) -> None:
    with pytest.raises(Invalid):
        crew(counts, hits, 0.1)
