"""What a scripted reader answered is what the table counts and what the files say."""

import csv
import io
import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.analysis.export import COLUMNS, to_csv
from app.reading.order import order
from app.storage.models import Batch, Case, Condition, Presentation, Reader, Stimulus, Study
from app.storage.session import Database
from app.studies.service import find_study, lock_study, unblind_study
from app.vocabulary import StudyState
from app.web.identity import now

Browser = Callable[[], TestClient]
Ready = Callable[..., Any]
Begin = Callable[[TestClient, str], None]
Read = Callable[..., int]
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
ANSWERED_ONLY = {
    "label",
    "response",
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
            token: Shown(case, condition or "original", number, truth)
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
    """Of each table, by its caption: "R01 Set 1 4 of 4 3 of 4", and its last line."""
    found = {}
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        caption = words(re.findall(r"<caption>(.*?)</caption>", table, re.DOTALL)[0])
        lines = [words(line) for line in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)][1:]
        found[caption.split(";")[0]] = lines
    return found


def counts(line: str) -> tuple[str, str, str]:
    """("R01 Set 1", "4 of 4", "3 of 4")"""
    [found] = re.findall(r"^(R\d\d Set \d) (\d+ of \d+) .*? (\d+ of \d+) ", line)
    name, original, perturbed = found
    return name, original, perturbed


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
    [lines] = table_lines(desk.get(f"/studies/{study}/results").text).values()
    assert " +100 (" in lines[0]
    assert " 0 (" in lines[1]
    assert lines[-1].startswith("All readers and sets, clustered by case +50 (")


def test_each_condition_has_its_table(conduct: Callable[..., tuple[TestClient, int]]) -> None:
    misses = {("R01", "c01", "linf-4", 1), ("R01", "c02", "linf-4", 1)}
    desk, study = conduct(misses, cases=3, conditions=2, sets=1)
    tables = table_lines(desk.get(f"/studies/{study}/results").text)
    shown = {caption.rpartition(" ")[2]: counts(lines[0]) for caption, lines in tables.items()}
    assert shown == {
        "2": ("R01 Set 1", "3 of 3", "3 of 3"),
        "4": ("R01 Set 1", "3 of 3", "1 of 3"),
    }


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
    assert list(presentations(desk, study)[0]) == [*STATISTICS_SECTION_4, "pixel_exact"]


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
    for row, column in product(rows, COLUMNS):
        value = row[column.name]
        if column.name in ANSWERED_ONLY:
            assert (value != "") == (row["label"] != ""), column.name
        if value:
            check_type(value, column.type, column.unit)
    [first, *_] = rows
    assert (first["rt_ms"], first["hidden_ms"], first["viewport"]) == ("1234", "0", "1280x800")
    assert (first["zoom_max"], first["pixel_exact"]) == ("1.6", "1")
    assert first["shown_at"] < first["answered_at"]


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
    assert set(files) == {"presentations.csv", "data_dictionary.csv", "study.json"}
    rows = presentations(desk, study)
    assert read_csv(files["presentations.csv"]) == rows
    described = [line[next(iter(line))] for line in read_csv(files["data_dictionary.csv"])]
    assert described == list(rows[0])
    assert all(any(line.values()) for line in read_csv(files["data_dictionary.csv"]))
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
    assert record["batch"]["sha256"] == digest
    assert record["batch"]["network"]["architecture"] == "resnet18"
    assert record["randomisation"]["seeds"] == {reader.label: reader.seed for reader in readers}
    assert secret not in json.dumps(record)
    assert record["code"]["version"]
    assert set(record["code"]) == {"name", "version", "commit"}
    assert [event["kind"] for event in record["events"]][-1] == "unblinded"
    assert record["labelling_instructions"].startswith("Tumour: five or more")


def test_an_exported_seed_gives_the_exported_order(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(1,), cases=4, conditions=2)
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
    placed = order(
        versions,
        sets=randomisation["sets"],
        minimum_gap=randomisation["minimum_gap"],
        seed=randomisation["seeds"]["R01"],
    )
    assert [each.stimulus for each in placed] == [int(row["stimulus_id"]) for row in rows]


def test_the_files_of_two_exports_are_equal(
    conduct: Callable[..., tuple[TestClient, int]],
) -> None:
    desk, study = conduct(set(), at_most=(3,), cases=2)
    first, second = unzip(desk, study), unzip(desk, study)
    assert first["presentations.csv"] == second["presentations.csv"]
    assert first["data_dictionary.csv"] == second["data_dictionary.csv"]


def test_a_csv_refuses_what_it_has_no_column_for() -> None:
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        to_csv(["a"], [{"a": 1, "b": 2}])
