"""What a design can show is reckoned exactly, and what is weak about it is said in words."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError

from app.analysis.statistics.planning import tost_power, units_for_flips
from app.designer.panel import (
    POWER,
    reckon,
    tumours_needed,
    units_needed,
    unstable_at_most,
)
from app.designer.planned import Planned, minutes_of_sittings
from app.designer.warnings import RULES
from app.storage.models import Event, Study, StudyStimulus
from app.storage.session import Database
from app.studies.domain import Design
from app.vocabulary import PairTask, StudyState

Office = Callable[..., TestClient]
Ready = Callable[..., Any]

PAPER = Planned(Design(cases=20, versions=2, sets=2), tumours=20, minimum_gap=10)
SOUND = Planned(
    Design(cases=80, versions=2, sets=2, practice=4, pairs=40),
    tumours=40,
    minimum_gap=10,
    waves=2,
    readers=3,
    confidence=True,
    masking=True,
    pair_task=PairTask.COMPARE,
)


def words(planned: Planned) -> str:
    return " ".join(reckon(planned).warnings)


@pytest.mark.parametrize(
    ("cases", "share"), [(10, "25.9 %"), (20, "13.9 %"), (60, "4.9 %"), (100, "3 %")]
)
def test_without_a_flip_it_says_how_many_there_still_may_be(cases: int, share: str) -> None:
    planned = replace(PAPER, design=replace(PAPER.design, cases=cases))
    said = dict(reckon(planned).facts)["If nothing flips"]
    assert said == (
        f"With 0 flips in {cases} you could claim that at most {share} flip (95 % confidence)."
    )


@pytest.mark.parametrize(("margin", "fewest"), [(0.05, 52), (0.10, 25), (0.15, 16), (0.20, 11)])
def test_below_the_fewest_images_the_power_is_nothing_however_steady_the_reader(
    margin: float, fewest: int
) -> None:
    """The numbers of statistics.md 2.3."""
    planned = replace(PAPER, margin_tp=margin, tumours=fewest)
    assert planned.fewest_for_tp == fewest
    assert dict(reckon(planned).facts)["Fewest tumour images"].startswith(f"{fewest} for a margin")
    assert tost_power(fewest - 1, 0, 0, margin) == 0
    assert tost_power(fewest, 0, 0, margin) == 1
    assert {row.power for row in reckon(replace(planned, tumours=fewest - 1)).rows} == {0}


@pytest.mark.parametrize(
    ("tumours", "margin", "powers"),
    [
        (20, 0.20, [0.835, 0.568, 0.219, 0.070]),
        (60, 0.10, [0.746, 0.441, 0.076, 0.003]),
        (120, 0.15, [1, 0.998, 0.944, 0.818]),
        (200, 0.10, [1, 0.989, 0.854, 0.645]),
    ],
)
def test_the_power_of_a_design_is_that_of_full_enumeration(
    tumours: int, margin: float, powers: list[float]
) -> None:
    """The table of statistics.md 2.3; Liu's 120 images among them."""
    rows = reckon(replace(PAPER, tumours=tumours, margin_tp=margin)).rows
    assert [row.unsteady for row in rows] == [0.05, 0.10, 0.20, 0.30]
    assert [row.power for row in rows] == pytest.approx(powers, abs=0.0006)


@pytest.mark.parametrize(
    ("unsteady", "margin"), [(0.05, 0.10), (0.10, 0.10), (0.10, 0.20), (0.20, 0.15), (0.30, 0.20)]
)
def test_from_the_number_that_is_needed_on_the_power_stays(unsteady: float, margin: float) -> None:
    needed = tumours_needed(unsteady, margin)
    assert needed is not None
    half = unsteady / 2
    powers = [tost_power(n, half, half, margin) for n in range(needed - 1, needed + 150)]
    assert powers[0] < POWER
    assert min(powers[1:]) >= POWER


def test_more_images_than_are_enumerated_are_not_made_up() -> None:
    assert tumours_needed(0.30, 0.03) is None
    assert reckon(replace(PAPER, tumours=500)).rows[0].power is None


def test_the_units_for_flips_are_those_of_the_formula() -> None:
    """Statistics.md 2.8: 169 units for a margin of 0.05, 43 for 0.10, when 13.7 % are unstable."""
    assert units_for_flips(0.137, 0.05) == pytest.approx(169.4, abs=0.05)
    assert [units_needed(0.137, margin) for margin in (0.05, 0.10)] == [170, 43]


def test_no_reader_is_less_stable_than_the_panel_assumes() -> None:
    """Whatever the share of images that a reader is in two minds about, and how much."""
    for unsure in (0.1, 0.3, 0.8, 1.0):
        for p in (0.05, 0.2, 0.4, 0.5):
            unsteady = unsure * 2 * p * (1 - p)
            unstable = unsure * 6 * (p * (1 - p)) ** 2
            assert unstable <= unstable_at_most(unsteady) + 1e-12


def test_more_readers_need_fewer_cases_each() -> None:
    one, three = (reckon(replace(PAPER, readers=readers)).rows for readers in (1, 3))
    assert [row.units for row in one] == [row.cases for row in one] == [row.units for row in three]
    assert [row.cases for row in three] == [-(-row.units // 3) for row in three]


def test_practice_is_in_the_first_sitting_and_pairs_are_in_the_last() -> None:
    design = Design(cases=30, versions=2, sets=2, practice=30, pairs=60)
    assert minutes_of_sittings(replace(PAPER, design=design)) == [28]
    assert minutes_of_sittings(replace(PAPER, design=design, waves=2)) == [11, 17]


def test_a_sound_design_is_warned_of_nothing() -> None:
    assert reckon(SOUND).warnings == ()


WEAKER: list[tuple[dict[str, Any], str]] = [
    ({"tumours": 80}, "cannot tell a careful reader from one who always answers tumour"),
    ({"tumours": 0}, "No case has tumour"),
    ({"tumours": 20}, "20 tumour images cannot show ±0.1, even when every answer is the same: 25"),
    ({"design": replace(SOUND.design, cases=59)}, "With 59 cases the upper limit"),
    ({"readers": 1}, "One reader: the results say nothing of other pathologists"),
    ({"readers": 2}, "Two readers: they are reported one by one"),
    ({"design": replace(SOUND.design, sets=1), "waves": 1}, "Choose two sets"),
    ({"waves": 1}, "less than 14 days apart"),
    ({"washout_days": 13}, "less than 14 days apart"),
    ({"minimum_gap": 9}, "A gap of 9 is small"),
    ({"masking": False}, "identical pixels and can be recognised"),
    ({"design": replace(SOUND.design, practice=0)}, "No practice"),
    ({"confidence": False}, "no ROC curves and no AUC"),
    ({"pair_task": None}, "not whether the change can be seen"),
    ({"pair_task": PairTask.CHOICE}, "has no identical pairs"),
    ({"design": replace(SOUND.design, cases=200)}, "minutes is long"),
    ({"is_scan_amber": True}, "The study starts only with a reason"),
    ({"catch_least": 0.8}, "a share of catch images right, and there are none"),
    (
        {"catch_least": 0.8, "catch_tumours": 2, "design": replace(SOUND.design, catch=4)},
        "With catch images: 4 of 324, one slip is below",
    ),
    ({"catch_tumours": 40, "design": replace(SOUND.design, catch=81)}, "Catch images: 81 of 401"),
    ({"catch_tumours": 4, "design": replace(SOUND.design, catch=4)}, "always answers tumour has"),
    ({"design": replace(SOUND.design, catch=4)}, "All catch images have no tumour"),
]


@pytest.mark.parametrize(("change", "warning"), WEAKER, ids=[each[1][:30] for each in WEAKER])
def test_each_weakness_has_its_own_warning(change: dict[str, Any], warning: str) -> None:
    said = reckon(replace(SOUND, **change)).warnings
    assert len(said) == 1, said
    assert warning in said[0]


def test_every_rule_warns_of_something() -> None:
    met = {rule for change, _ in WEAKER for rule in RULES if rule(replace(SOUND, **change))}
    assert met == set(RULES)


def test_the_design_of_the_paper_is_warned_of_what_it_could_not_show() -> None:
    said = words(PAPER)
    for warning in ("always answers tumour", "±0.1", "One reader", "No practice", "14 days"):
        assert warning in said


def form(batch: int, **changes: object) -> dict[str, Any]:
    return {"batch": batch, "internal_title": "", "public_title": "", "sets": 2, **changes}


def text(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.text).split())


def test_the_panel_needs_no_title_and_tells_a_script_nothing_but_itself(
    office: Office, ready: Ready
) -> None:
    batch, desk = ready(cases=6, truths=(1, 1, 1, 1, 0, 0)).batch, office()
    panel = desk.post("/studies/reckon", data=form(batch), headers={"HX-Request": "true"})
    assert panel.status_code == 200
    assert "<form" not in panel.text
    assert "With 0 flips in 6 you could claim that at most 39.3 % flip" in text(panel)
    assert "4 tumour images cannot show ±0.1" in text(panel)
    assert "always answers tumour" not in text(panel)


def test_the_panel_counts_catch_images(office: Office, ready: Ready) -> None:
    batch, desk = ready(cases=6).batch, office()
    data = form(batch, cases=4, catch=2)
    panel = text(desk.post("/studies/reckon", data=data, headers={"HX-Request": "true"}))
    assert "18 images: 4 cases, 2 of each, 2 sets; catch images: 2 of 18" in panel


def test_without_a_script_the_panel_comes_with_the_form_as_it_was_typed(
    office: Office, ready: Ready
) -> None:
    batch, desk = ready(cases=6).batch, office()
    page = desk.post("/studies/reckon", data=form(batch, cases=5, planned_readers=3))
    assert 'value="5"' in page.text
    assert "With 0 flips in 5" in text(page)
    assert "with 3 readers" in text(page)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"batch": ""}, "Choose a batch."),
        ({"batch": 99}, "There is no such batch."),
        ({"sets": "many"}, "The number of sets is a whole number"),
        ({"waves": 3}, "2 sets can be read in 1 to 2 sittings"),
        ({"minimum_gap": 50}, "A minimum gap of 50 is not possible"),
        ({"margin_tp": "0"}, "The margin for true positives is a share"),
        ({"planned_readers": 5000}, "at most 1000"),
        ({"negatives": 4}, "The batch has 3 such cases without tumour."),
        ({"cases": 2, "negatives": 3}, "2 cases cannot have 3 without tumour"),
        ({"cases": 6, "negatives": 1}, "6 cases cannot have 1 without tumour"),
        ({"cases": 4, "catch": 3}, "The study needs 3 catch images"),
        ({"catch": 1001}, "The number of catch images is at most 1000"),
        ({"catch_least": "0"}, "The least share of catch images right is above 0"),
    ],
)
def test_the_panel_of_an_impossible_design_says_why(
    changes: dict[str, Any], problem: str, office: Office, ready: Ready
) -> None:
    batch = ready(cases=6, truths=(1, 0) * 3).batch
    data = {**form(batch), **changes}
    panel = office().post("/studies/reckon", data=data, headers={"HX-Request": "true"})
    assert panel.status_code == 200
    assert problem in text(panel)


@pytest.fixture
def draft(office: Office, ready: Ready) -> Callable[..., tuple[TestClient, str]]:
    """`draft(cases=4)` is a researcher's desk, and the page of a study that is not started."""

    def make(**options: Any) -> tuple[TestClient, str]:
        batch, desk = ready(cases=6, conditions=2, truths=(1, 0) * 3).batch, office()
        new = {"internal_title": "Draft", "public_title": "Tissue", **options}
        made = desk.post("/studies", data=form(batch, **new))
        assert made.status_code == 303, made.text
        return desk, made.headers["location"]

    return make


SELECT = r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>'
TEXTAREA = r'<textarea[^>]*name="(\w+)"[^>]*>(.*?)</textarea>'


def fields(page: str) -> dict[str, str]:
    """What a browser sends when nothing is changed."""
    sent = {}
    for tag in re.findall(r"<input[^>]*>", page):
        if 'type="checkbox"' not in tag or re.search(r"\bchecked\b", tag):
            [name] = re.findall(r'name="(\w+)"', tag)
            sent[name] = (re.findall(r'value="([^"]*)"', tag) or ["on"])[0]
    for name, options in re.findall(SELECT, page, re.DOTALL):
        chosen = re.findall(r'<option value="(\w*)"\s+selected', options)
        sent[name] = (chosen or re.findall(r'<option value="(\w*)"', options))[0]
    sent.update(re.findall(TEXTAREA, page, re.DOTALL))
    return sent


def stored(database: Database, page: str) -> dict[str, Any]:
    with database.reading() as session:
        study = session.get_one(Study, int(page.rpartition("/")[2]))
        columns = {each.key: getattr(study, each.key) for each in Study.__table__.columns}
        shown = sorted((image.part, image.stimulus_id, image.is_catch) for image in study.images)
        return {**columns, "images": shown}


def test_a_draft_that_is_saved_as_it_is_stays_what_it_is(
    draft: Callable[..., tuple[TestClient, str]], database: Database
) -> None:
    options = {
        "cases": 3, "conditions": "linf-2", "practice": 2, "pair_task": "choice", "masking": "on",
        "pair_conditions": "linf-4", "waves": 2, "instructions": "Look twice.\r\nThen answer.",
        "minimum_time_ms": 200, "margin_tp": "0,15", "undo": "all",
        "catch": 1, "catch_least": "0,8",
    }  # fmt: skip
    desk, page = draft(**options)
    before = stored(database, page)
    assert (before["margin_tp"], before["instructions"]) == (0.15, "Look twice.\nThen answer.")
    saved = desk.post(f"{page}/edit", data=fields(desk.get(f"{page}/edit").text))
    assert saved.headers["location"] == page
    assert stored(database, page) == before


def truths_of(database: Database, page: str) -> list[int]:
    with database.reading() as session:
        study = session.get_one(Study, int(page.rpartition("/")[2]))
        return sorted({image.case_id: image.case.truth for image in study.stimuli}.values())


@pytest.mark.parametrize(
    ("options", "truths"),
    [
        ({"cases": 4, "negatives": 1}, [0, 1, 1, 1]),
        ({"cases": 3, "negatives": 3}, [0, 0, 0]),
        ({"negatives": 2}, [0, 0, 1, 1, 1]),
        ({"negatives": 0}, [1, 1, 1]),
    ],
)
def test_a_study_reads_as_many_cases_without_tumour_as_were_asked_for(
    options: dict[str, Any],
    truths: list[int],
    draft: Callable[..., tuple[TestClient, str]],
    database: Database,
) -> None:
    """Also when the draft is saved again as it is."""
    desk, page = draft(**options)
    assert truths_of(database, page) == truths
    before = stored(database, page)
    desk.post(f"{page}/edit", data=fields(desk.get(f"{page}/edit").text))
    assert stored(database, page) == before


def test_a_draft_can_become_any_other_design(
    draft: Callable[..., tuple[TestClient, str]], database: Database
) -> None:
    desk, page = draft(cases=3, practice=2)
    sent = fields(desk.get(f"{page}/edit").text)
    changed = {"cases": "5", "practice": "0", "sets": "3", "internal_title": "Other"}
    assert desk.post(f"{page}/edit", data={**sent, **changed}).status_code == 303
    after = stored(database, page)
    assert (after["sets"], after["internal_title"], after["state"]) == (3, "Other", "draft")
    assert len(after["images"]) == 15


def test_a_change_that_is_not_possible_comes_back_and_the_draft_stays(
    draft: Callable[..., tuple[TestClient, str]], database: Database
) -> None:
    desk, page = draft()
    before = stored(database, page)
    sent = fields(desk.get(f"{page}/edit").text)
    for change, status in (
        ({"cases": "99"}, 422),
        ({"instructions": "Find the attack"}, 422),
        ({"internal_title": "Linf 2"}, 409),
        ({"batch": "99"}, 404),
    ):
        refused = desk.post(f"{page}/edit", data={**sent, **change})
        assert refused.status_code == status
        assert 'role="alert"' in refused.text
        assert next(iter(change.values())) in refused.text or status == 404
        assert stored(database, page) == before


def test_a_study_that_has_started_keeps_its_design(
    draft: Callable[..., tuple[TestClient, str]], database: Database
) -> None:
    desk, page = draft()
    sent = fields(desk.get(f"{page}/edit").text)
    assert desk.post(f"{page}/start").status_code == 303
    before = stored(database, page)
    assert before["state"] is StudyState.READY
    assert desk.post(f"{page}/edit", data={**sent, "sets": "3"}).status_code == 409
    assert stored(database, page) == before
    assert "Change the design" not in desk.get(page).text


def test_nobody_is_invited_to_a_draft(
    draft: Callable[..., tuple[TestClient, str]],
) -> None:
    desk, page = draft()
    assert desk.post(f"{page}/readers").status_code == 409
    assert "Invite readers" not in desk.get(page).text
    assert "Lock and start" in desk.get(page).text
    desk.post(f"{page}/start")
    assert desk.post(f"{page}/readers").status_code == 200


def test_a_draft_is_deleted_with_all_that_was_noted_of_it(
    draft: Callable[..., tuple[TestClient, str]], database: Database
) -> None:
    desk, page = draft(practice=1, cases=4, pair_task="choice")
    study = int(page.rpartition("/")[2])
    assert desk.post(f"{page}/delete").headers["location"] == "/studies"
    assert desk.get(page).status_code == 404
    with database.reading() as session:
        assert session.query(Event).filter_by(study_id=study).all() == []
        assert session.query(StudyStimulus).filter_by(study_id=study).all() == []
        assert session.query(Event).count() > 0, "those of the other study are there"


def test_a_study_that_has_started_is_never_deleted(
    draft: Callable[..., tuple[TestClient, str]], database: Database
) -> None:
    desk, page = draft()
    desk.post(f"{page}/start")
    assert desk.post(f"{page}/delete").status_code == 409
    assert "Delete the draft" not in desk.get(page).text
    with pytest.raises(DBAPIError, match="rows are only ever added"), database.writing() as session:
        session.execute(delete(Event))
