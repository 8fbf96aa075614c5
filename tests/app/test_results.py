"""Results and exports are what was answered, image by image, and only after the key is open."""

import csv
import io
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.analysis.domain import Reading, paper_tables
from app.analysis.export import COLUMNS
from app.storage.models import Case, Presentation, Stimulus, Study
from app.storage.session import Database
from app.vocabulary import Answer

# design/statistics.md, section 4, and pixel_exact.
NAMES = [
    "schema_version",
    "study_id",
    "protocol_hash",
    "reader_id",
    "sitting_id",
    "set",
    "presentation_index",
    "position_in_set",
    "presentation_id",
    "image_id",
    "stimulus_id",
    "stimulus_sha256",
    "condition",
    "copy",
    "truth",
    "attack_id",
    "label",
    "response",
    "score",
    "correct",
    "shown_at",
    "answered_at",
    "rt_ms",
    "hidden_ms",
    "n_changes",
    "zoom_max",
    "display_w_px",
    "display_h_px",
    "device_pixel_ratio",
    "viewport",
    "gap_same_image",
    "excluded",
    "exclusion_reason",
    "pixel_exact",
]

Rows = list[dict[str, str]]


def key_of(database: Database) -> dict[str, tuple[str, bool, int]]:
    """Of each token: case, whether it is perturbed, and set."""
    with database.reading() as session:
        rows = session.execute(
            select(Presentation.token, Case.name, Stimulus.condition_id, Presentation.set_number)
            .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
            .join(Case, Case.id == Stimulus.case_id)
        ).all()
    return {token: (case, condition is not None, number) for token, case, condition, number in rows}


def misses(case: str, is_perturbed: bool, set_number: int) -> bool:
    """A reader with other misses in each of the four cells."""
    return int(case[1:]) <= set_number + 2 * is_perturbed


@pytest.fixture
def read_study(
    ready: Callable[..., Any],
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    read: Callable[..., int],
    database: Database,
) -> Callable[..., Any]:
    """`read_study(cases=6, at_most=...)`: a demo study, read with the misses above."""

    def make(*, at_most: int = 10_000, **design: Any) -> Any:
        made = ready(is_demo=True, **design)

        def decide(token: str) -> str:
            return "non_tumour" if misses(*key_of(database)[token]) else "tumour"

        for link in made.links:
            reader = browser()
            begin(reader, link)
            read(reader, decide, at_most)
        return made

    return make


def table_of(office: TestClient, study: int) -> Rows:
    text = office.get(f"/studies/{study}/presentations.csv").text
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_counts_what_was_answered_in_each_set_and_arm(
    read_study: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    made = read_study(cases=6)
    page = " ".join(office().get(f"/studies/{made.study}/results").text.split())
    for set_number in (1, 2):
        for is_perturbed in (False, True):
            hits = sum(not misses(f"c{i:02}", is_perturbed, set_number) for i in range(1, 7))
            assert f"{hits} of 6" in page
    assert "Demo: results are shown live" in page
    assert "False positives" not in page


def test_every_presentation_is_a_row_with_the_answer_that_was_given(
    read_study: Callable[..., Any], office: Callable[..., TestClient], database: Database
) -> None:
    made = read_study(cases=6, readers=2)
    rows = table_of(office(), made.study)
    assert list(rows[0]) == NAMES == [column.name for column in COLUMNS]
    assert len(rows) == 2 * 24
    key = key_of(database)
    for row in rows:
        case, is_perturbed, set_number = key[row["presentation_id"]]
        assert row["image_id"] == case
        assert row["condition"] == ("perturbed" if is_perturbed else "original")
        assert row["attack_id"] == ("linf-2" if is_perturbed else "")
        assert row["set"] == row["copy"] == str(set_number)
        assert row["label"] == str(int(not misses(case, is_perturbed, set_number)))
        assert row["response"] == ("tumour" if row["label"] == "1" else "non_tumour")
        assert row["correct"] == str(int(row["label"] == row["truth"]))
        assert (row["rt_ms"], row["device_pixel_ratio"], row["zoom_max"]) == ("1234", "1.25", "1.6")
        assert row["shown_at"] < row["answered_at"]


def test_the_checks_of_the_export_hold(
    read_study: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    """design/statistics.md, section 4: "Checks on export"."""
    made = read_study(cases=5, readers=2)
    by_reader = defaultdict(list)
    for row in table_of(office(), made.study):
        by_reader[row["reader_id"]].append(row)
    assert sorted(by_reader) == ["R01", "R02"]
    for rows in by_reader.values():
        assert [row["presentation_index"] for row in rows] == [str(n) for n in range(1, 21)]
        cells = Counter((row["image_id"], row["set"], row["condition"]) for row in rows)
        assert len(cells) == 5 * 2 * 2
        assert set(cells.values()) == {1}
        last: dict[str, int] = {}
        places: Counter[str] = Counter()
        for row in rows:
            index, case = int(row["presentation_index"]), row["image_id"]
            places[row["set"]] += 1
            assert row["position_in_set"] == str(places[row["set"]])
            assert row["gap_same_image"] == (str(index - last[case]) if case in last else "")
            last[case] = index


def test_no_cell_begins_like_a_formula(
    read_study: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    made = read_study(cases=4)
    for row in table_of(office(), made.study):
        assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for value in row.values())


def test_an_unfinished_reader_has_rows_without_answers_and_a_table_of_what_there_is(
    read_study: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    made = read_study(cases=4, at_most=5)
    desk = office()
    rows = table_of(desk, made.study)
    assert [row["label"] != "" for row in rows] == [True] * 5 + [False] * 11
    assert all(row["presentation_id"] and row["condition"] for row in rows)
    page = desk.get(f"/studies/{made.study}/results")
    assert page.status_code == 200
    assert "True positives" in page.text


def test_a_study_nobody_has_read_says_so(
    ready: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    made = ready(is_demo=True)
    assert "No answers yet" in office().get(f"/studies/{made.study}/results").text


def test_negatives_give_false_positives_in_a_table_of_their_own(
    read_study: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    made = read_study(cases=6, truths=(1, 1, 1, 1, 0, 0))
    page = " ".join(office().get(f"/studies/{made.study}/results").text.split())
    positives, _, negatives = page.partition("False positives")
    assert " of 4" in positives
    assert " of 2" in negatives
    assert " of 6" not in page


def test_the_zip_holds_the_table_its_dictionary_and_what_made_it(
    read_study: Callable[..., Any], office: Callable[..., TestClient], database: Database
) -> None:
    made = read_study(cases=4)
    sent = office().get(f"/studies/{made.study}/export.zip")
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert sorted(files) == ["data_dictionary.csv", "presentations.csv", "study.json"]
    described = [row["name"] for row in csv.DictReader(io.StringIO(files["data_dictionary.csv"]))]
    assert described == NAMES
    record = json.loads(files["study.json"])
    with database.reading() as session:
        study = session.get_one(Study, made.study)
        assert record["batch"]["sha256"] == study.batch.digest
        assert record["randomisation"]["seeds"] == {r.label: r.seed for r in study.readers}
        assert record["randomisation"]["minimum_gap"] == study.minimum_gap
    assert record["code"]["version"]
    assert {event["kind"] for event in record["events"]} >= {"created", "reading began"}


@pytest.mark.parametrize("path", ["results", "presentations.csv", "export.zip"])
def test_nothing_by_arm_leaves_a_sealed_study(
    path: str, ready: Callable[..., Any], office: Callable[..., TestClient]
) -> None:
    made = ready()
    desk = office()
    refused = desk.get(f"/studies/{made.study}/{path}")
    assert refused.status_code == 409
    assert "sealed" in refused.text
    assert "erturbed" not in desk.get(f"/studies/{made.study}").text


def test_the_overall_difference_takes_the_case_as_its_unit() -> None:
    """Ten readers who agree say no more than one: their answers to a case hang together."""

    def readings(readers: int) -> list[Reading]:
        return [
            Reading(f"R{reader}", 1, f"c{case}", condition, 1, answer)
            for reader in range(readers)
            for case in range(10)
            for condition, answer in (
                (None, Answer.TUMOUR),
                ("linf", Answer.NO_TUMOUR if case < 3 else Answer.TUMOUR),
            )
        ]

    [one] = paper_tables(readings(1), ["linf"])
    [ten] = paper_tables(readings(10), ["linf"])
    assert one.overall == pytest.approx(ten.overall)
    assert one.overall is not None
    assert one.overall.estimate == pytest.approx(0.3)
