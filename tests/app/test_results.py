"""What a scripted reader answered is what the table counts and what the files say."""

import csv
import io
import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.analysis.column import Column
from app.analysis.columns import TABLES
from app.analysis.export import csv_text
from app.analysis.record import TOLD_ABOVE
from app.reading.order import sittings
from app.storage.models import (
    Batch,
    Case,
    Condition,
    Presentation,
    Reader,
    Stimulus,
    Study,
)
from app.storage.session import Database
from app.studies.domain import receipt
from app.studies.service import OPTIONS, find_study, lock_study, unblind_study
from app.vocabulary import PairTask, StudyState, Undo
from app.web.identity import now

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Read = Callable[..., int]
Enter = Callable[[TestClient], dict[str, Any]]
AnswerTo = Callable[..., dict[str, Any]]
Row = dict[str, str]

STATISTICS_SECTION_4 = [
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
]
BESIDES = [
    "pixel_exact",
    "confidence",
    "given_at",
    "idle_ms",
    "zoom",
    "orientation",
    "key_mapping",
    "problems",
    "is_catch",
]
ANSWERED_ONLY = {
    "label",
    "response",
    "correct",
    "shown_at",
    "given_at",
    "answered_at",
    "rt_ms",
    "hidden_ms",
    "idle_ms",
    "zoom",
    "zoom_max",
    "display_w_px",
    "display_h_px",
    "device_pixel_ratio",
    "viewport",
    "pixel_exact",
}


@dataclass(frozen=True)
class Shown:
    """What a token hides."""

    case: str
    condition: str
    set_number: int
    truth: int

    def answer(self, *, wrong: bool) -> str:
        return "tumour" if (self.truth == 1) != wrong else "non_tumour"


@pytest.fixture
def key(database: Database) -> Callable[[], dict[str, Shown]]:
    """`key()` tells what every token hides."""

    def load() -> dict[str, Shown]:
        with database.reading() as session:
            rows = session.execute(
                select(
                    Presentation.token,
                    Case.name,
                    Condition.name,
                    Presentation.set_number,
                    Case.truth,
                )
                .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
                .join(Case)
                .outerjoin(Condition)
            ).all()
        return {
            token: Shown(case, condition or "original", number or 0, truth)
            for token, case, condition, number, truth in rows
        }

    return load


@pytest.fixture
def unblind(database: Database) -> Callable[[int], None]:
    def open_key(study: int) -> None:
        with database.writing() as session:
            found = find_study(session, study)
            if found.state is not StudyState.LOCKED:
                lock_study(session, found, "ada", now())
            unblind_study(session, found, "ada", now())

    return open_key


@pytest.fixture
def conduct(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    read: Read,
    key: Callable[[], dict[str, Shown]],
    unblind: Callable[[int], None],
    office: Callable[..., TestClient],
) -> Callable[..., tuple[TestClient, int]]:
    """`conduct(misses, at_most=..., **design)`: a whole study by readers who miss exactly those
    (reader, case, condition, set); then a signed-in researcher, and the study's number."""

    def run(
        misses: set[tuple[str, str, str, int]], at_most: Sequence[int] = (10_000,), **design: Any
    ) -> tuple[TestClient, int]:
        made = ready(readers=len(at_most), **design)
        for number, (link, most) in enumerate(zip(made.links, at_most, strict=True), start=1):
            reader = browser()
            begin(reader, link)
            hidden, label = key(), f"R{number:02}"

            def decide(token: str, hidden: dict[str, Shown] = hidden, label: str = label) -> str:
                shown = hidden[token]
                place = (label, shown.case, shown.condition, shown.set_number)
                return shown.answer(wrong=place in misses)

            read(reader, decide, most)
        unblind(made.study)
        return office(), made.study

    return run


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def table_lines(html: str) -> dict[str, list[str]]:
    """Of each table of the paper, by its caption: "R01 Set 1 4 of 4 3 of 4", and its last line."""
    found = {}
    for table in re.findall(r'<table class="figures paper".*?</table>', html, re.DOTALL):
        caption = words(re.findall(r"<caption>(.*?)</caption>", table, re.DOTALL)[0])
        lines = [words(line) for line in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)][1:]
        found[caption.split(";")[0]] = lines
    return found


def counts(line: str) -> tuple[str, ...]:
    """("R01 Set 1", "4 of 4", "3 of 4"), original first, then each condition."""
    [name] = re.findall(r"^R\d\d Set \d", line)
    return (name, *re.findall(r"\d+ of \d+", line))


def read_csv(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def presentations(desk: TestClient, study: int) -> list[Row]:
    response = desk.get(f"/studies/{study}/presentations.csv")
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    return read_csv(response.text)


MISSES = {
    ("R01", "c01", "linf-2", 1),
    ("R01", "c02", "linf-2", 1),
    ("R01", "c01", "original", 2),
    ("R02", "c03", "linf-2", 2),
}


def test_the_table_counts_what_was_answered(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(MISSES, at_most=(100, 100))
    tables = table_lines(desk.get(f"/studies/{study}/results").text)
    [(caption, lines)] = tables.items()
    assert caption == "True positives pgd, norm linf, epsilon 2"
    assert [counts(line) for line in lines[:-1]] == [
        ("R01 Set 1", "4 of 4", "2 of 4"),
        ("R01 Set 2", "3 of 4", "4 of 4"),
        ("R02 Set 1", "4 of 4", "4 of 4"),
        ("R02 Set 2", "4 of 4", "3 of 4"),
    ]


def test_the_difference_is_original_minus_perturbed(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    misses = {("R01", f"c0{case}", "linf-2", 1) for case in (1, 2, 3, 4)}
    desk, study = conduct(misses)
    page = desk.get(f"/studies/{study}/results").text
    [lines] = table_lines(page).values()
    assert re.search(r"all readers and sets, clustered by case.* \+50\.0 ", lines[-1])
    assert "R01, set 1 sensitivity +100 (" in words(page)
    assert "R01, set 2 sensitivity 0 (" in words(page)


def test_each_condition_has_its_column(conduct: Callable[..., tuple[TestClient, int]]) -> None:
    misses = {("R01", "c01", "linf-4", 1), ("R01", "c02", "linf-4", 1)}
    desk, study = conduct(misses, cases=3, conditions=2, sets=1)
    [lines] = table_lines(desk.get(f"/studies/{study}/results").text).values()
    assert counts(lines[0]) == ("R01 Set 1", "3 of 3", "3 of 3", "1 of 3")


def test_negatives_give_a_table_of_false_positives(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    misses = {("R01", "c02", "original", 1), ("R01", "c01", "linf-2", 1)}
    desk, study = conduct(misses, truths=(1, 0, 1, 0, 0), cases=5, sets=1)
    tables = table_lines(desk.get(f"/studies/{study}/results").text)
    assert {caption.split(" pgd")[0]: counts(lines[0]) for caption, lines in tables.items()} == {
        "True positives": ("R01 Set 1", "2 of 2", "1 of 2"),
        "False positives": ("R01 Set 1", "1 of 3", "0 of 3"),
    }


def test_an_unfinished_reader_counts_as_far_as_they_came(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(5, 100, 0))
    page = desk.get(f"/studies/{study}/results")
    assert page.status_code == 200
    [lines] = table_lines(page.text).values()
    shown = [counts(line) for line in lines[:-1]]
    partial = sum(
        int(count.split(" of ")[1])
        for name, *line in shown
        if name.startswith("R01")
        for count in line
    )
    assert partial == 5
    assert sum(name.startswith("R02") for name, *_ in shown) == 2
    rows = presentations(desk, study)
    assert Counter(row["reader_id"] for row in rows if row["label"]) == {"R01": 5, "R02": 16}
    assert Counter(row["reader_id"] for row in rows) == {"R01": 16, "R02": 16, "R03": 16}


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_hardly_any_answers_are_still_a_page(
    answered: int, conduct: Callable[..., tuple[TestClient, int]]
) -> None:
    desk, study = conduct(set(), at_most=(answered,), cases=2)
    page = desk.get(f"/studies/{study}/results")
    assert page.status_code == 200
    assert "nan" not in words(page.text)
    assert ("No answers yet" in page.text) == (answered == 0)


def test_a_study_that_nobody_read_has_an_empty_table(
    ready: Ready, unblind: Callable[[int], None], office: Callable[..., TestClient]
) -> None:
    study = ready().study
    unblind(study)
    desk = office()
    assert "No answers yet" in desk.get(f"/studies/{study}/results").text
    assert presentations(desk, study) == []


def test_the_columns_are_those_of_the_format(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(1,), cases=2, sets=1)
    assert list(presentations(desk, study)[0]) == [*STATISTICS_SECTION_4, *BESIDES]


def test_the_rows_are_a_whole_design(conduct: Callable[..., tuple[TestClient, int]]) -> None:
    """The checks on export of the format."""
    desk, study = conduct(MISSES, at_most=(100, 100))
    rows = presentations(desk, study)
    by_reader: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_reader[row["reader_id"]].append(row)
    assert set(by_reader) == {"R01", "R02"}
    for read_rows in by_reader.values():
        assert [int(row["presentation_index"]) for row in read_rows] == list(range(1, 17))
        shown = Counter((row["image_id"], row["set"], row["condition"]) for row in read_rows)
        cases = [f"c0{number}" for number in (1, 2, 3, 4)]
        assert shown == Counter(product(cases, ["1", "2"], ["original", "perturbed"]))
        check_places(read_rows)
    assert len({row["presentation_id"] for row in rows}) == len(rows)
    assert all(re.fullmatch(r"[0-9a-f]{32}", row["presentation_id"]) for row in rows)


def check_places(rows: Sequence[Row]) -> None:
    in_set: Counter[str] = Counter()
    last: dict[str, int] = {}
    for row in rows:
        in_set[row["set"]] += 1
        assert int(row["position_in_set"]) == in_set[row["set"]]
        place = int(row["presentation_index"])
        gap = place - last[row["image_id"]] if row["image_id"] in last else ""
        assert row["gap_same_image"] == str(gap)
        last[row["image_id"]] = place
        assert row["copy"] == row["set"]


def test_every_row_says_what_was_shown_and_answered(
    conduct: Callable[..., tuple[TestClient, int]],
    key: Callable[[], dict[str, Shown]],
    database: Database,
) -> None:
    desk, study = conduct(MISSES, at_most=(100, 100), truths=(1, 1, 0, 0))
    hidden = key()
    with database.reading() as session:
        digests = {str(row.id): row.delivered_sha256 for row in session.scalars(select(Stimulus))}
    for row in presentations(desk, study):
        shown = hidden[row["presentation_id"]]
        wrong = (row["reader_id"], shown.case, shown.condition, shown.set_number) in MISSES
        assert row["image_id"] == shown.case
        assert row["condition"] == ("original" if shown.condition == "original" else "perturbed")
        assert row["attack_id"] == ("" if shown.condition == "original" else shown.condition)
        assert row["truth"] == str(shown.truth)
        assert row["response"] == shown.answer(wrong=wrong)
        assert row["label"] == str(int(row["response"] == "tumour"))
        assert row["correct"] == str(int(not wrong))
        assert row["stimulus_sha256"] == digests[row["stimulus_id"]]


def test_every_value_is_of_its_type(conduct: Callable[..., tuple[TestClient, int]]) -> None:
    desk, study = conduct(set(), at_most=(3,), cases=2)
    rows = presentations(desk, study)
    assert Counter(bool(row["label"]) for row in rows) == {True: 3, False: 5}
    check_types(rows, TABLES["presentations.csv"])
    for row, column in product(rows, ANSWERED_ONLY):
        assert (row[column] != "") == (row["label"] != ""), column
    [first, *_] = rows
    assert (first["rt_ms"], first["hidden_ms"], first["viewport"]) == ("1234", "0", "1280x800")
    assert (first["zoom_max"], first["pixel_exact"]) == ("1.6", "1")
    assert first["shown_at"] < first["answered_at"]


def check_types(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    assert list(rows[0]) == [column.name for column in columns]
    for row, column in product(rows, columns):
        if row[column.name]:
            check_type(row[column.name], column.type, column.unit)


def check_type(value: str, kind: str, unit: str) -> None:
    match kind:
        case "int":
            int(value)
            if unit == "1|0":
                assert value in {"0", "1"}
        case "float":
            float(value)
        case "enum":
            assert value in unit.split("|")
        case "datetime":
            assert value.endswith("Z")
            datetime.fromisoformat(value)
        case _:
            assert kind == "str"


def test_no_cell_is_a_formula_for_a_spreadsheet(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(2,), cases=2, title="=1+1")
    for name, text in unzip(desk, study).items():
        if name.endswith(".csv"):
            for line in csv.reader(io.StringIO(text, newline="")):
                assert not any(cell[:1] in set("=+-@\t\r") for cell in line if cell), line


def unzip(desk: TestClient, study: int) -> dict[str, str]:
    response = desk.get(f"/studies/{study}/export.zip")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_zip_holds_the_same_rows_and_their_dictionary(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(2,), cases=2)
    files = unzip(desk, study)
    assert {*TABLES, "data_dictionary.csv", "study.json"} < set(files)
    assert read_csv(files["presentations.csv"]) == presentations(desk, study)
    described: dict[str, list[str]] = defaultdict(list)
    for line in read_csv(files["data_dictionary.csv"]):
        described[line["file"]].append(line["column"])
        assert all(line[about] for about in ("type", "derivation"))
    headers = {name: next(csv.reader([files[name].splitlines()[0]])) for name in TABLES}
    assert described == headers
    assert not any("\r" in text for text in files.values())


def test_study_json_says_what_made_the_files(
    conduct: Callable[..., tuple[TestClient, int]], database: Database
) -> None:
    desk, study = conduct(set(), at_most=(1, 0), cases=3)
    record = json.loads(unzip(desk, study)["study.json"])
    with database.reading() as session:
        digest = session.scalars(select(Batch.digest)).one()
        readers = session.scalars(select(Reader).order_by(Reader.id)).all()
        secret = session.scalars(select(Study.secret)).one()
        seeds = {row.label: [sitting.seed for sitting in row.sittings] for row in readers}
    assert record["batch"]["sha256"] == digest
    assert record["batch"]["network"]["architecture"] == "resnet18"
    assert record["randomisation"]["seeds"] == seeds
    assert set(record["options"]) >= {option for option in OPTIONS if option not in TOLD_ABOVE}
    design = {
        "sets": 2,
        "waves": 1,
        "washout_days": 14,
        "feedback": False,
        "confidence": False,
        "few_cells": False,
        "cannot_assess": False,
        "undo": "one",
        "break_after_images": 40,
        "break_after_minutes": 20,
        "masking": False,
        "pair_task": None,
        "not_sure": False,
        "minimum_gap": 2,
        "conditions": ["linf-2"],
        "pair_conditions": [],
        "cases": ["c01", "c02", "c03"],
        "practice_cases": [],
    }
    assert {name: record["options"][name] for name in design} == design
    assert secret not in json.dumps(record)
    assert record["code"]["version"]
    assert set(record["code"]) == {"name", "version", "commit"}
    assert [event["kind"] for event in record["events"]][-2:] == ["unblinded", "exported"]
    assert record["labelling_instructions"].startswith("Tumour: five or more")


def test_an_exported_seed_gives_the_exported_order(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(1,), cases=4, conditions=2, sets=3, waves=2)
    rows = presentations(desk, study)
    randomisation = json.loads(unzip(desk, study)["study.json"])["randomisation"]
    versions: dict[int, list[int]] = defaultdict(list)
    conditions = {"": 0, "linf-2": 1, "linf-4": 2}
    images = {
        (int(row["image_id"][1:]), conditions[row["attack_id"]], int(row["stimulus_id"]))
        for row in rows
    }
    for case, _, stimulus in sorted(images):
        versions[case].append(stimulus)
    placed = sittings(
        versions,
        sets=randomisation["sets"],
        waves=randomisation["waves"],
        minimum_gap=randomisation["minimum_gap"],
        seeds=randomisation["seeds"]["R01"],
    )
    drawn = [
        (str(sitting), str(each.set_number), str(each.stimulus))
        for sitting, order in enumerate(placed, start=1)
        for each in order
    ]
    assert drawn == [(row["sitting_id"], row["set"], row["stimulus_id"]) for row in rows]


def test_the_files_of_two_exports_are_equal(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(3,), cases=2)
    first, second = unzip(desk, study), unzip(desk, study)
    assert first["presentations.csv"] == second["presentations.csv"]
    assert first["data_dictionary.csv"] == second["data_dictionary.csv"]


@pytest.fixture
def entered(browser: Browser, ready: Ready, begin: Begin) -> Callable[..., TestClient]:
    """`entered(confidence=True, ...)` is a reader in the room of a demo, whose results are live."""

    def start(**design: Any) -> TestClient:
        reader = browser()
        begin(reader, ready(is_demo=True, **design).links[0])
        return reader

    return start


@pytest.fixture
def taken(office: Callable[..., TestClient]) -> Callable[[str], list[Row]]:
    """`taken("undone.csv")` are the rows of that file now."""

    def take(name: str) -> list[Row]:
        return read_csv(unzip(office(), 1)[name])

    return take


def say(reader: TestClient, answer: AnswerTo, *answers: str, **changes: Any) -> list[str]:
    """Answer what is due, and tell the tokens."""
    tokens = []
    for each in answers:
        token = reader.get("/reading/window").json()["tokens"][0]
        given = reader.post("/reading/responses", json=answer(token, each, **changes))
        assert given.status_code == 200, given.text
        tokens.append(token)
    return tokens


def test_few_cells_are_below_the_criterion_and_cannot_assess_is_no_label(
    entered: Callable[..., TestClient], answer: AnswerTo, taken: Callable[[str], list[Row]]
) -> None:
    reader = entered(few_cells=True, cannot_assess=True)
    tokens = say(reader, answer, "tumour", "non_tumour", "few_cells", "cannot_assess")
    rows = {row["presentation_id"]: row for row in taken("presentations.csv")}
    values = [(rows[token]["label"], rows[token]["correct"]) for token in tokens]
    assert values == [("1", "1"), ("0", "0"), ("0", "0"), ("", "")]
    assert [rows[token]["response"] for token in tokens][2:] == ["few_cells", "cannot_assess"]
    assert rows[tokens[3]]["rt_ms"] == "1234"


def test_the_table_leaves_out_what_could_not_be_assessed(
    entered: Callable[..., TestClient],
    answer: AnswerTo,
    office: Callable[..., TestClient],
    key: Callable[[], dict[str, Shown]],
) -> None:
    reader = entered(few_cells=True, cannot_assess=True, sets=1)
    hidden = key()
    answers = {"c01": "tumour", "c02": "few_cells", "c03": "cannot_assess", "c04": "non_tumour"}
    for _ in range(8):
        token = reader.get("/reading/window").json()["tokens"][0]
        shown = hidden[token]
        said = answers[shown.case] if shown.condition != "original" else "tumour"
        reader.post("/reading/responses", json=answer(token, said))
    [lines] = table_lines(office().get("/studies/1/results").text).values()
    assert counts(lines[0]) == ("R01 Set 1", "4 of 4", "1 of 3")


def test_confidence_makes_a_score_from_surely_not_to_surely(
    entered: Callable[..., TestClient], answer: AnswerTo, taken: Callable[[str], list[Row]]
) -> None:
    reader = entered(confidence=True, few_cells=True)
    tokens = [
        *say(reader, answer, "tumour", confidence=5),
        *say(reader, answer, "tumour", confidence=1),
        *say(reader, answer, "few_cells", confidence=1),
        *say(reader, answer, "non_tumour", confidence=5),
    ]
    rows = {row["presentation_id"]: row for row in taken("presentations.csv")}
    told = [(rows[token]["confidence"], rows[token]["score"]) for token in tokens]
    assert told == [("5", "100"), ("1", "60"), ("1", "40"), ("5", "0")]


def test_what_was_taken_back_is_counted_and_has_a_file_of_its_own(
    entered: Callable[..., TestClient], answer: AnswerTo, taken: Callable[[str], list[Row]]
) -> None:
    reader = entered(undo=Undo.ALL)
    [token, second] = say(reader, answer, "tumour", "non_tumour")
    for said, attempt in (("tumour", 1), ("non_tumour", 2)):
        wanted = {"token": second, "attempt": attempt - 1}
        assert reader.post("/reading/undo", json=wanted).status_code == 200
        say(reader, answer, said, attempt=attempt)
    reader.post("/reading/undo", json={"token": second, "attempt": 2})
    rows = {row["presentation_id"]: row for row in taken("presentations.csv")}
    assert (rows[token]["n_changes"], rows[second]["n_changes"]) == ("0", "3")
    assert (rows[second]["label"], rows[second]["response"]) == ("", "")
    undone = taken("undone.csv")
    check_types(undone, TABLES["undone.csv"])
    assert [(row["presentation_id"], row["attempt"], row["response"]) for row in undone] == [
        (second, "0", "non_tumour"),
        (second, "1", "tumour"),
        (second, "2", "non_tumour"),
    ]
    assert all(row["presentation_index"] == "2" and row["undone_at"] for row in undone)


def test_problems_stand_beside_the_image_that_they_are_about(
    entered: Callable[..., TestClient], taken: Callable[[str], list[Row]]
) -> None:
    reader = entered()
    token = reader.get("/reading/window").json()["tokens"][0]
    for kind in ("unclear", "not_shown"):
        reader.post("/reading/problems", json={"token": token, "kind": kind})
    told = {row["presentation_id"]: row["problems"] for row in taken("presentations.csv")}
    assert told.pop(token) == "unclear not_shown"
    assert set(told.values()) == {""}


def test_an_answer_that_waited_for_the_network_was_shown_when_it_was_shown(
    entered: Callable[..., TestClient],
    answer: AnswerTo,
    database: Database,
    taken: Callable[[str], list[Row]],
) -> None:
    """By the reader's clock, unless it cannot be right."""
    reader = entered()
    began = now() - timedelta(hours=3)
    with database.writing() as session:
        session.scalars(select(Reader)).one().began_at = began
    an_hour_ago = now() - timedelta(hours=1)
    clocks = [an_hour_ago, began - timedelta(days=1), now() + timedelta(days=1)]
    times = {"reading_time_ms": 2000, "hidden_ms": 500, "idle_ms": 500}
    tokens = [
        token
        for clock in clocks
        for token in say(reader, answer, "tumour", given_at=int(clock.timestamp() * 1000), **times)
    ]
    rows = {row["presentation_id"]: row for row in taken("presentations.csv")}
    shown = [datetime.fromisoformat(rows[token]["shown_at"]) for token in tokens]
    assert abs(an_hour_ago - timedelta(seconds=3) - shown[0]) < timedelta(milliseconds=2)
    for token, at in list(zip(tokens, shown, strict=True))[1:]:
        assert datetime.fromisoformat(rows[token]["answered_at"]) - at == timedelta(seconds=3)
    assert datetime.fromisoformat(rows[tokens[2]]["given_at"]) > now()
    assert rows[tokens[0]]["idle_ms"] == "500"


def test_every_row_says_how_the_image_was_turned_and_what_the_keys_meant(
    browser: Browser, ready: Ready, begin: Begin, database: Database, taken: Callable[..., Any]
) -> None:
    made = ready(is_demo=True, readers=2, masking=True, waves=2)
    for link in made.links:
        begin(browser(), link)
    with database.reading() as session:
        turned = dict(session.execute(select(Presentation.token, Presentation.orientation)).all())
        swapped = dict(session.execute(select(Reader.label, Reader.keys_swapped)).all())
    rows = taken("presentations.csv")
    assert {row["presentation_id"]: int(row["orientation"]) for row in rows} == turned
    assert len(set(turned.values())) > 2
    keys = {False: "f=non_tumour j=tumour", True: "f=tumour j=non_tumour"}
    assert {row["reader_id"]: row["key_mapping"] for row in rows} == {
        label: keys[is_swapped] for label, is_swapped in swapped.items()
    }
    assert {(row["sitting_id"], row["set"]) for row in rows} == {("1", "1"), ("2", "2")}


@pytest.fixture
def at_the_pairs(
    entered: Callable[..., TestClient], read: Read, enter: Enter
) -> Callable[..., TestClient]:
    """`at_the_pairs(pair_task=...)` is a reader for whom the pairs have begun."""

    def start(**design: Any) -> TestClient:
        reader = entered(sets=1, **design)
        if design.get("practice"):
            read(reader)
            enter(reader)
        read(reader)
        reader.post("/reading/questions", data={"saw_repeats": "unsure", "odd": "=1+1\r\n two"})
        reader.post("/reading/pairs")
        enter(reader)
        return reader

    return start


@pytest.mark.parametrize("task", PairTask)
def test_a_pair_is_right_when_the_altered_side_or_the_sameness_is_named(
    task: PairTask,
    at_the_pairs: Callable[..., TestClient],
    taken: Callable[[str], list[Row]],
    read: Read,
) -> None:
    reader = at_the_pairs(pair_task=task, conditions=2, not_sure=True)
    pairs = taken("detections.csv")
    assert {row["response"] + row["correct"] + row["shown_at"] for row in pairs} == {""}
    right = {row["presentation_id"]: right_answer(task, row) for row in pairs}
    wrong = {"left": "right", "right": "left", "same": "different", "different": "same"}
    unsure, mistaken, *_ = right
    said = {**right, unsure: "not_sure", mistaken: wrong[right[mistaken]]}
    read(reader, lambda token: said[token])
    rows = taken("detections.csv")
    check_types(rows, TABLES["detections.csv"])
    assert [int(row["trial_index"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == (8 if task is PairTask.CHOICE else 16)
    assert {row["presentation_id"]: row["response"] for row in rows} == said
    told = {row["presentation_id"]: row["correct"] for row in rows}
    assert told == {**dict.fromkeys(right, "1"), unsure: "", mistaken: "0"}
    assert {row["task"] for row in rows} == {task.value}
    assert {row["rt_ms"] for row in rows} == {"1234"}


def right_answer(task: PairTask, row: Row) -> str:
    """From the two conditions alone, as a reader of the file would find it."""
    left, right = row["left_attack_id"], row["right_attack_id"]
    is_same = row["left_stimulus_id"] == row["right_stimulus_id"]
    assert row["is_catch"] == str(int(is_same))
    sides = {"left": left != "original", "right": right != "original"}
    expected = {(True, True): "both", (True, False): "left", (False, True): "right"}
    assert row["altered_side"] == expected.get((sides["left"], sides["right"]), "none")
    if task is PairTask.COMPARE:
        return "same" if is_same else "different"
    assert {left, right} > {"original"}
    return row["altered_side"]


def test_the_keys_of_pairs_are_those_of_the_pairs(
    at_the_pairs: Callable[..., TestClient], taken: Callable[[str], list[Row]]
) -> None:
    at_the_pairs(pair_task=PairTask.CHOICE)
    assert {row["key_mapping"] for row in taken("detections.csv")} == {"f=left j=right"}


def test_practice_is_in_no_file(
    at_the_pairs: Callable[..., TestClient],
    read: Read,
    taken: Callable[[str], list[Row]],
    database: Database,
    office: Callable[..., TestClient],
) -> None:
    reader = at_the_pairs(cases=7, at_most=4, practice=3, pair_task=PairTask.COMPARE, undo=Undo.ALL)
    read(reader, lambda _token: "same")
    with database.reading() as session:
        practised = session.scalars(
            select(Presentation.token).where(Presentation.part == "practice")
        ).all()
        names = session.scalars(
            select(Case.name)
            .join(Stimulus)
            .join(Presentation, Presentation.stimulus_id == Stimulus.id)
            .where(Presentation.part == "practice")
        ).all()
    assert (len(practised), len(set(names))) == (3, 3)
    files = unzip(office(), 1)
    for name, text in files.items():
        assert not any(token in text for token in practised), name
        if name.endswith(".csv"):
            assert not any(f",{case}," in text for case in names), name
    assert json.loads(files["study.json"])["options"]["practice_cases"] == sorted(names)
    assert len(taken("presentations.csv")) == 8


def test_an_answer_of_practice_that_was_taken_back_is_in_no_file(
    entered: Callable[..., TestClient], answer: AnswerTo, taken: Callable[[str], list[Row]]
) -> None:
    reader = entered(cases=6, at_most=4, practice=2)
    [token] = say(reader, answer, "tumour")
    assert reader.post("/reading/undo", json={"token": token, "attempt": 0}).status_code == 200
    assert taken("undone.csv") == []


def test_the_file_of_readers_tells_what_they_agreed_to_saw_and_said(
    at_the_pairs: Callable[..., TestClient],
    read: Read,
    display_record: dict[str, Any],
    check_record: dict[str, Any],
    taken: Callable[[str], list[Row]],
    database: Database,
) -> None:
    reader = at_the_pairs(pair_task=PairTask.CHOICE, readers=2)
    reader.post("/reading/display", json={**display_record, "device_pixel_ratio": 2.0})
    read(reader, lambda _token: "left")
    rows = taken("readers.csv")
    check_types(rows, TABLES["readers.csv"])
    first, second = rows
    with database.reading() as session:
        row = session.scalars(select(Reader).order_by(Reader.id)).first()
        assert row
        code = receipt(row.study.secret, "R01")
        assert first["consent_sha256"] == row.consent_sha256
    assert (first["reader_id"], first["language"], first["consent_version"]) == (
        "R01",
        "en",
        row.consent_version,
    )
    for name in ("device_pixel_ratio", "browser_zoom", "colour_depth", "letters_shown"):
        assert first[name] == str(check_record[name]), name
    assert (first["letters_read"], first["keys_tried"], first["storage_works"]) == ("KRS", "1", "1")
    assert (first["screen"], first["viewport"]) == ("1536x864", "1280x720")
    assert (first["screen_changes"], first["saw_repeats"]) == ("1", "unsure")
    assert (first["odd"], first["receipt"]) == ("'=1+1 two", code)
    assert all(first[at] for at in ("invited_at", "began_at", "finished_at", "checked_at"))
    empty = (
        "language",
        "consent_sha256",
        "began_at",
        "finished_at",
        "checked_at",
        "odd",
        "receipt",
    )
    assert {name for name in empty if second[name]} == set()


def test_what_readers_type_is_no_formula_in_any_cell(
    browser: Browser,
    ready: Ready,
    begin: Begin,
    check_record: dict[str, Any],
    office: Callable[..., TestClient],
) -> None:
    reader = browser()
    begin(reader, ready(is_demo=True).links[0])
    for text in ("=HYPERLINK", "+1", "-1", "@SUM", "\t=1"):
        reader.post("/reading/check", json={**check_record, "letters_read": text})
        for line in csv.reader(io.StringIO(unzip(office(), 1)["readers.csv"], newline="")):
            assert not any(cell[:1] in set("=+-@\t\r") for cell in line if cell), line


def test_all_files_are_sealed_until_the_key_is_open(
    office: Callable[..., TestClient], browser: Browser, ready: Ready, begin: Begin, read: Read
) -> None:
    made = ready(pair_task=PairTask.CHOICE)
    reader = browser()
    begin(reader, made.links[0])
    read(reader)
    sealed = office().get(f"/studies/{made.study}/export.zip")
    assert (sealed.status_code, "stay sealed" in sealed.text) == (409, True)


def test_a_csv_refuses_what_it_has_no_column_for() -> None:
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        list(csv_text(["a"], [{"a": 1, "b": 2}]))
