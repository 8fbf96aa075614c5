"""Catch images: each once and anywhere, by nothing different to a reader, and in no result."""

import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from app.analysis.analyse import analyse, options_of
from app.analysis.findings import findings_of, tidy_of
from app.analysis.tidy import read_export
from app.batches.service import find_batch, import_batch
from app.designer.domain import canonical, digest_of
from app.designer.service import problems_with, start_study
from app.errors import Conflict, Invalid
from app.provenance import code
from app.reading.order import sittings
from app.reading.orders import Shown, with_catch
from app.rehearsal.domain import ROBOTS
from app.rehearsal.key import seen_by
from app.rehearsal.service import create_rehearsal
from app.storage.images import ImageStore
from app.storage.models import Case, Presentation, Reader, Stimulus, Study, StudyStimulus
from app.storage.session import Database
from app.studies import service as studies
from app.studies.service import (
    NewStudy,
    create_study,
    find_study,
    lock_study,
    unblind_study,
)
from app.vocabulary import Part, RobotKind
from app.web.identity import now
from tests.app.statistics.test_analyse import complaints

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Enter = Callable[[TestClient], dict[str, Any]]
Read = Callable[..., int]
Make = Callable[..., Path]
Json = dict[str, Any]

WITH_CATCH = {"cases": 8, "at_most": 4, "truths": (1, 0) * 4, "catch": 4}
READ, CAUGHT = 16, 4


# Where they come


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[Shown], list[int], int, str]:
    """What is read, catch images, the minimum gap and a seed."""
    cases, versions, sets = (draw(st.integers(*ends)) for ends in ((2, 8), (1, 3), (1, 3)))
    gap, waves = draw(st.integers(2, cases)), draw(st.integers(1, sets))
    seed = draw(st.text("0123456789abcdef", min_size=1, max_size=8))
    drawn = sittings(
        {case: [10 * case + version for version in range(versions)] for case in range(cases)},
        sets=sets,
        waves=waves,
        minimum_gap=gap,
        seeds=[f"{seed}/{wave}" for wave in range(waves)],
    )
    read = [
        Shown(placed.stimulus, set_number=placed.set_number, sitting=number)
        for number, order in enumerate(drawn, start=1)
        for placed in order
    ]
    count = draw(st.integers(1, len(read)))
    return read, list(range(1000, 1000 + count)), gap, seed


@settings(deadline=None, max_examples=150)
@given(orders())
def test_each_comes_once_in_a_stretch_of_its_own_and_the_others_keep_their_order(
    drawn: tuple[list[Shown], list[int], int, str],
) -> None:
    read, images, _, seed = drawn
    shown = with_catch(read, images, seed)
    assert [each for each in shown if not each.is_catch] == read
    assert Counter(each.stimulus for each in shown if each.is_catch) == Counter(images)
    before = 0
    stretches = []
    for each in shown:
        if each.is_catch:
            stretches.append(
                next(n for n in range(len(images)) if before < len(read) * (n + 1) // len(images))
            )
        before += not each.is_catch
    assert stretches == list(range(len(images)))


@settings(deadline=None, max_examples=150)
@given(orders())
def test_none_follows_another_nor_ends_a_sitting_and_no_gap_gets_smaller(
    drawn: tuple[list[Shown], list[int], int, str],
) -> None:
    read, images, gap, seed = drawn
    shown = with_catch(read, images, seed)
    assert not any(first.is_catch and second.is_catch for first, second in pairwise(shown))
    assert [each.sitting for each in shown] == sorted(each.sitting for each in shown)
    for _, sitting in groupby(shown, key=lambda each: each.sitting):
        together = list(sitting)
        assert not together[-1].is_catch
        last: dict[int, int] = {}
        for place, each in enumerate(together):
            if not each.is_catch:
                case = each.stimulus // 10
                assert place - last.get(case, -gap) >= gap
                last[case] = place


@settings(deadline=None, max_examples=50)
@given(orders())
def test_the_seed_alone_decides(drawn: tuple[list[Shown], list[int], int, str]) -> None:
    read, images, _, seed = drawn
    assert with_catch(read, images, seed) == with_catch(read, images, seed)


def test_every_place_of_a_stretch_and_every_image_is_as_likely() -> None:
    read = [Shown(number) for number in range(20)]
    places: Counter[int] = Counter()
    first: Counter[int] = Counter()
    for seed in range(4000):
        shown = with_catch(read, [1001, 1002], str(seed))
        caught = [place for place, each in enumerate(shown) if each.is_catch]
        places[caught[0]] += 1
        places[caught[1] - 1] += 1
        first[shown[caught[0]].stimulus] += 1
    assert sorted(places) == list(range(20))
    assert stats.chisquare(list(places.values())).pvalue > 0.001
    assert stats.chisquare(list(first.values())).pvalue > 0.001


# What a reader meets


def shown_to(database: Database) -> list[Presentation]:
    with database.reading() as session:
        query = select(Presentation).where(Presentation.part == Part.READING)
        return list(session.scalars(query.order_by(Presentation.reader_id, Presentation.position)))


def test_a_reader_meets_each_catch_image_once_among_the_others(
    browser: Browser, ready: Ready, begin: Begin, enter: Enter, read: Read, database: Database
) -> None:
    made = ready(**WITH_CATCH, waves=2, washout_days=0, masking=True, practice=0)
    reader = browser()
    reader.get(made.links[0])
    page = " ".join(re.sub(r"<[^>]*>", " ", reader.get("/reading").text).split())
    assert f"Images {READ + CAUGHT} Time" in page
    begin(reader, made.links[0])
    totals = []
    for _ in range(2):
        totals.append(enter(reader)["total"])
        assert read(reader) == totals[-1]
    assert totals == [10, 10]
    assert reader.get("/reading").headers["location"] == "/reading/questions"
    shown = shown_to(database)
    assert [each.position for each in shown] == list(range(1, READ + CAUGHT + 1))
    caught = [each for each in shown if each.is_catch]
    assert len({each.stimulus_id for each in caught}) == len(caught) == CAUGHT
    assert {each.stimulus_id for each in caught}.isdisjoint(
        each.stimulus_id for each in shown if not each.is_catch
    )


def test_nothing_that_a_browser_gets_marks_a_catch_image(
    browser: Browser, ready: Ready, begin: Begin, database: Database, answer: Callable[..., Json]
) -> None:
    made = ready(**WITH_CATCH, masking=True, confidence=True)
    reader = browser()
    begin(reader, made.links[0])
    got: dict[bool, set[Any]] = {True: set(), False: set()}
    caught = {each.token: each.is_catch for each in shown_to(database)}
    window = reader.get("/reading/window").json()
    while window["tokens"]:
        token = window["tokens"][0]
        image = reader.get(f"/reading/images/{token}")
        assert image.status_code == 200
        window = reader.post("/reading/responses", json=answer(token, confidence=3)).json()
        last = not window["tokens"]
        got[caught[token]].add(
            (
                *(tuple(image.headers.items()), len(image.content)),
                *(() if last else (tuple(window), window["total"], bool(window["undoable"]))),
            )
        )
        page = reader.get("/reading/room").text
        assert "catch" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).lower()
    alike = {len(each): each for each in got[False]}
    assert got[True] == {alike[max(alike)]}


def test_originals_and_perturbed_images_are_as_balanced_over_orientations_as_without(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    begin(browser(), ready(**{**WITH_CATCH, "catch": 3}, masking=True).links[0])
    arms: dict[object, Counter[int]] = {}
    with database.reading() as session:
        for each in session.scalars(select(Presentation)):
            arm = "catch" if each.is_catch else each.stimulus.condition_id
            arms.setdefault(arm, Counter())[each.orientation] += 1
    assert sorted(sum(counts.values()) for counts in arms.values()) == [3, 8, 8]
    for counts in arms.values():
        assert max(counts.values()) == 1, "8 presentations, 8 orientations"


def test_the_monitor_counts_them_and_says_nothing_of_their_answers(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    read: Read,
    office: Callable[..., TestClient],
    decided: Callable[..., Callable[[str], str]],
) -> None:
    pages = []
    for wrong in (False, True):
        title, email = f"Study {wrong:d}", f"ada{wrong:d}@example.org"
        made = ready(**WITH_CATCH, title=title, email=email, catch_least=0.8)
        reader = browser()
        begin(reader, made.links[0])
        assert read(reader, decided(catch_is_wrong=wrong)) == READ + CAUGHT
        desk = office(email)
        page = " ".join(re.sub(r"<[^>]*>", " ", desk.get(f"/studies/{made.study}").text).split())
        assert "20 of 20" in page
        assert "20 images" in desk.get("/studies").text
        pages.append(re.sub(r"[0-9a-f]{64}|[0-9A-F]{4}-[0-9A-F]{4}|\d+", "", page))
    assert pages[0] == pages[1]


# What may be one


@pytest.fixture
def draft(database: Database, ready: Ready) -> Callable[..., int]:
    """`draft(catch=2)` is a study, not started, of a batch of eight cases."""

    def make(**options: Any) -> int:
        batch = ready(cases=8, truths=(1, 0) * 4).batch
        with database.writing() as session:
            owner = find_study(session, 1).researcher
            given = {"cases": 4, "practice": 2, "catch": 2, "scan_reason": "A test.", **options}
            new = NewStudy("Draft", "Tissue", **given)
            return create_study(session, owner, find_batch(session, batch), new, now()).id

    return make


def test_they_are_originals_of_both_truths_that_are_shown_nowhere_else(
    draft: Callable[..., int], database: Database
) -> None:
    number = draft()
    with database.reading() as session:
        study = find_study(session, number)
        caught = study.catch_images
        assert len(caught) == 2
        assert all(each.condition_id is None for each in caught)
        shown = {image.stimulus.sha256 for image in study.images if not image.is_catch}
        assert shown.isdisjoint(each.sha256 for each in caught)
        assert set(study.shown_in(Part.READING)) == {*study.stimuli, *caught}


def test_one_study_draws_the_same_images_with_and_without_them(
    ready: Ready, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "secrets", SimpleNamespace(token_hex=lambda size: "5e" * size))
    batch = ready(cases=8).batch
    drawn = []
    with database.writing() as session:
        owner = find_study(session, 1).researcher
        for catch in (0, 2):
            new = NewStudy(f"n{catch}", "Tissue", cases=4, practice=2, catch=catch)
            study = create_study(session, owner, find_batch(session, batch), new, now())
            drawn.append([image.stimulus_id for image in study.images if not image.is_catch])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"catch": 3}, r"needs 3 catch images, .* has 2; name another batch"),
        ({"catch": -1}, "catch images is 0 to 1000"),
        ({"catch_least": 1.5}, "above 0 and at most 1"),
        ({"cases": 2, "sets": 1, "practice": 0, "catch": 5}, "Among 4 images"),
    ],
)
def test_what_cannot_be_is_refused(options: Json, words: str, draft: Callable[..., int]) -> None:
    with pytest.raises(Invalid, match=words):
        draft(**options)


def test_of_another_batch_only_images_of_the_same_size_are_taken(
    ready: Ready, database: Database, store: ImageStore, make_batch: Make, tmp_path: Path
) -> None:
    batch = ready(cases=3).batch
    for size, words in ((24, ""), (32, "has 0; name another batch")):
        path = make_batch(tmp_path / str(size), cases=3, size=size, name=f"Of {size}", seed=5)
        other = import_batch(path, database, store, now())
        with database.writing() as session:
            owner, source = find_study(session, 1).researcher, find_batch(session, other)
            new = NewStudy(f"n{size}", "Tissue", catch=3, catch_batch=source)
            if words:
                with pytest.raises(Invalid, match=words):
                    create_study(session, owner, find_batch(session, batch), new, now())
            else:
                study = create_study(session, owner, find_batch(session, batch), new, now())
                assert {each.case.batch_id for each in study.catch_images} == {other}


@pytest.mark.parametrize("shown", ["read", "another version of what is read", "practised", "twice"])
def test_the_pixels_of_anything_else_that_is_shown_stop_the_start(
    shown: str, draft: Callable[..., int], database: Database, store: ImageStore
) -> None:
    number = draft()
    with database.writing() as session:
        study = find_study(session, number)
        catch = study.catch_images
        original = next(each for each in study.stimuli if each.condition_id is None)
        perturbed = next(each for each in study.stimuli if each.condition_id is not None)
        same = {
            "read": original,
            "another version of what is read": perturbed,
            "practised": study.stimuli_of(Part.PRACTICE)[0],
            "twice": catch[1],
        }[shown]
        catch[0].sha256 = same.sha256
    with pytest.raises(Conflict, match="1 catch images have the pixels"):  # noqa: SIM117
        with database.writing() as session:
            start_study(session, store, find_study(session, number), "ada", now())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("size", "as large as those that are read"), ("arm", "must be an original")],
)
def test_another_size_or_an_attacked_image_stops_the_start(
    wrong: str, words: str, draft: Callable[..., int], database: Database, store: ImageStore
) -> None:
    number = draft()
    with database.writing() as session:
        image = next(image for image in find_study(session, number).images if image.is_catch)
        if wrong == "size":
            image.stimulus.width = 32
        else:
            [other] = [each for each in image.stimulus.case.stimuli if each.condition_id]
            image.stimulus_id = other.id
    with pytest.raises(Conflict, match=words):  # noqa: SIM117
        with database.writing() as session:
            start_study(session, store, find_study(session, number), "ada", now())


def test_the_protocol_names_them_and_promises_their_places(
    draft: Callable[..., int], database: Database, store: ImageStore
) -> None:
    number = draft()
    with database.writing() as session:
        study = find_study(session, number)
        start_study(session, store, study, "ada", now())
        record = json.loads(study.protocol or "")
        names = sorted([study.batch.digest, each.case.name] for each in study.catch_images)
        assert record["design"]["catch_cases"] == names
        assert record["files"]["catch"] == sorted(each.sha256 for each in study.catch_images)
        assert set(record["files"]["reading"]).isdisjoint(record["files"]["catch"])
        assert problems_with(session, study) == []
        next(image for image in study.images if image.is_catch).is_catch = False
        assert "design.catch_cases" in " ".join(problems_with(session, study))


def test_a_study_that_was_frozen_before_there_were_any_is_as_it_was(
    draft: Callable[..., int], database: Database, store: ImageStore
) -> None:
    number = draft(catch=0)
    with database.writing() as session:
        study = find_study(session, number)
        start_study(session, store, study, "ada", now())
        record = json.loads(study.protocol or "")
        assert "catch_cases" not in record["design"]
        assert "catch" not in record["files"]
        del record["plan"]["catch_least"]
        study.protocol = canonical(record)
        study.protocol_hash = digest_of(study.protocol)
        assert problems_with(session, study) == []


def test_only_what_is_read_can_be_marked(draft: Callable[..., int], database: Database) -> None:
    draft()
    with pytest.raises(DBAPIError, match="is_catch"), database.writing() as session:
        session.execute(update(StudyStimulus).values(is_catch=True))


# What they count for


@pytest.fixture
def decided(database: Database) -> Callable[..., Callable[[str], str]]:
    """`decided(catch_is_wrong=True)` answers every third image that is read wrongly, and catch
    images as it says."""

    def decide(*, catch_is_wrong: bool) -> Callable[[str], str]:
        def say(token: str) -> str:
            with database.reading() as session:
                query = (
                    select(Presentation, Case.truth)
                    .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
                    .join(Case)
                    .where(Presentation.token == token)
                )
                shown, truth = session.execute(query).one()
                is_wrong = catch_is_wrong if shown.is_catch else shown.position % 3 == 0
            return "tumour" if (truth == 1) != is_wrong else "non_tumour"

        return say

    return decide


@pytest.fixture
def conduct(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    read: Read,
    decided: Callable[..., Callable[[str], str]],
    database: Database,
) -> Callable[..., int]:
    """`conduct([False, True])` is a study whose second reader has all catch images wrong."""

    def run(wrong: Sequence[bool], title: str = "Linf 2", **options: Any) -> int:
        given = {**WITH_CATCH, "email": f"{title[:1]}@example.org", **options}
        made = ready(readers=len(wrong), title=title, **given)
        for link, catch_is_wrong in zip(made.links, wrong, strict=True):
            reader = browser()
            begin(reader, link)
            read(reader, decided(catch_is_wrong=catch_is_wrong))
        with database.writing() as session:
            study = find_study(session, made.study)
            lock_study(session, study, "ada", now())
            unblind_study(session, study, "ada", now())
        return int(made.study)

    return run


def analysis_of(database: Database, study: int) -> Json:
    with database.reading() as session:
        return findings_of(session, find_study(session, study), now()).analysis


def numbers(analysis: Json) -> Json:
    """All but what is said of catch images, and the digests of the files."""
    kept = {name: found for name, found in analysis.items() if name not in {"inputs", "exclusions"}}
    return {**kept, "excluded": analysis["exclusions"]["presentations"]}


def test_no_number_depends_on_what_was_answered_to_them(
    conduct: Callable[..., int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two studies with one secret, so with the same orders and the same answers but to these."""
    monkeypatch.setattr(studies, "secrets", SimpleNamespace(token_hex=lambda size: "5e" * size))
    found = [
        analysis_of(database, conduct([wrong, wrong], title))
        for title, wrong in (("Right", False), ("Wrong", True))
    ]
    assert numbers(found[0]) == numbers(found[1])
    right = [[each["right"] for each in one["exclusions"]["catch"]] for one in found]
    assert right == [[CAUGHT, CAUGHT], [0, 0]]
    lines = found[0]["missing"]["lines"]
    assert sum(line["presentations"] for line in lines) == 2 * READ
    assert found[0]["study"]["cases"] == 4
    assert found[0]["exclusions"]["reasons"] == []


def test_who_has_fewer_right_than_planned_is_named(
    conduct: Callable[..., int], database: Database, office: Callable[..., TestClient]
) -> None:
    study = conduct([False, True], catch_least=0.75)
    found = analysis_of(database, study)
    assert list(complaints(found)) == []
    assert found["options"]["catch_least"] == 0.75
    first, second = found["exclusions"]["catch"]
    assert first["wilson"] == pytest.approx({"low": 0.5101, "high": 1.0}, abs=1e-4)
    assert first == {
        "reader": "R01",
        "shown": 4,
        "n": 4,
        "right": 4,
        "wilson": first["wilson"],
        "is_below": False,
    }
    assert (second["reader"], second["right"], second["is_below"]) == ("R02", 0, True)
    desk = office("L@example.org")
    for page in ("results", "report"):
        text = desk.get(f"/studies/{study}/{page}").text
        said = " ".join(re.sub(r"<[^>]*>", " ", text).split())
        assert "Attention: catch images" in said
        assert "R01 4 4 of 4 51 % to 100 % yes R02 4 0 of 4 0 % to 49 % fewer" in said
        assert "R02 has 0 of 4 catch images right, fewer than the 75 % of the plan" in said
        assert "R01 has" not in said


def test_without_a_plan_nobody_is_named_and_without_catch_images_nothing_is_said(
    conduct: Callable[..., int], database: Database, office: Callable[..., TestClient]
) -> None:
    study, none = conduct([True], "Linf"), conduct([False], "None", catch=0)
    [line] = analysis_of(database, study)["exclusions"]["catch"]
    assert "is_below" not in line
    assert analysis_of(database, none)["exclusions"]["catch"] == []
    page = office("L@example.org").get(f"/studies/{study}/results").text
    assert "Attention: catch images" in page
    assert "of the plan" not in page
    assert "atch images" not in office("N@example.org").get(f"/studies/{none}/results").text


def exported(desk: TestClient, study: int, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(desk.get(f"/studies/{study}/export.zip").content)) as files:
        files.extractall(folder)
    [inside] = {path.parent for path in folder.rglob("presentations.csv")}
    return inside


def test_an_export_has_them_in_one_table_and_gives_the_same_analysis(
    conduct: Callable[..., int],
    database: Database,
    office: Callable[..., TestClient],
    tmp_path: Path,
) -> None:
    study = conduct([False, True], catch_least=0.75, confidence=False)
    folder = exported(office("L@example.org"), study, tmp_path)
    with (folder / "presentations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-1] == "is_catch"
    caught = [row for row in rows if row["is_catch"] == "1"]
    assert (len(rows), len(caught)) == (2 * (READ + CAUGHT), 2 * CAUGHT)
    for row in caught:
        assert (row["set"], row["copy"], row["position_in_set"], row["attack_id"]) == ("",) * 4
        assert (row["condition"], row["excluded"]) == ("original", "1")
        assert row["exclusion_reason"] == "catch image"
        assert row["correct"] == ("1" if row["reader_id"] == "R01" else "0")
    assert {row["excluded"] for row in rows if row["is_catch"] == "0"} == {"0"}
    places = [int(row["presentation_index"]) for row in rows if row["reader_id"] == "R01"]
    assert places == list(range(1, READ + CAUGHT + 1))
    for row in rows:
        if row["is_catch"] == "0" and row["gap_same_image"]:
            assert int(row["gap_same_image"]) >= 2
    with (folder / "mrmcaov.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2 * READ
    with (folder / "images.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 4
    tidy = read_export(folder)
    again = analyse(tidy, options_of(tidy.plan, network=tidy.network), code())
    live = analysis_of(database, study)
    assert numbers(again) == numbers(live)
    assert again["exclusions"] == live["exclusions"]
    assert [each["is_below"] for each in again["exclusions"]["catch"]] == [False, True]


def test_a_case_of_the_same_name_in_another_batch_is_another_case(
    conduct: Callable[..., int],
    database: Database,
    store: ImageStore,
    make_batch: Make,
    tmp_path: Path,
) -> None:
    """Of the other truth, too: the file is no contradiction."""
    path = make_batch(tmp_path / "other", cases=8, truths=(0, 1) * 4, size=24, name="Other", seed=3)
    other = import_batch(path, database, store, now())
    with database.reading() as session:
        source = find_batch(session, other)
    study = conduct([False], cases=4, at_most=None, truths=(1, 0) * 2, catch_batch=source)
    with database.reading() as session:
        tidy = tidy_of(session, find_study(session, study), now())
    assert (len(tidy.shown), len(tidy.catch)) == (READ, CAUGHT)


# Robots


def test_robots_read_a_copy_that_has_them_and_are_told_their_truth(
    draft: Callable[..., int], database: Database
) -> None:
    number = draft()
    with database.writing() as session:
        study = find_study(session, number)
        robots = [ROBOTS[RobotKind.PERFECT]]
        rehearsal = create_rehearsal(session, study, robots, 1, "ada", now())
        session.expire_all()
        copy = session.get_one(Study, rehearsal.study_id)
        assert copy.catch_images == study.catch_images
        assert rehearsal.total == 2 + 16 + 2


def test_the_key_of_a_robot_tells_the_truth_of_a_catch_image(
    browser: Browser, ready: Ready, begin: Begin, database: Database
) -> None:
    begin(browser(), ready(**WITH_CATCH).links[0])
    with database.reading() as session:
        seen = seen_by(session, session.scalars(select(Reader.id)).one())
        for each in session.scalars(select(Presentation).where(Presentation.is_catch)):
            told = seen[each.token]
            assert (told.truth, told.condition) == (each.stimulus.case.truth, None)
            assert told.total == READ + CAUGHT
