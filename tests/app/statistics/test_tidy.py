"""An export folder is read as it was written, or told what is wrong and where."""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.analysis.exported import Attack, Pair, Plan, Shown
from app.analysis.network import read_network
from app.analysis.tidy import read_export
from app.errors import Invalid

SHOWN = {
    "reader_id": "R01",
    "set": "1",
    "presentation_index": "7",
    "position_in_set": "7",
    "image_id": "c01",
    "condition": "perturbed",
    "truth": "1",
    "attack_id": "linf-2",
    "label": "1",
    "response": "tumour",
    "score": "90",
    "confidence": "4",
    "rt_ms": "1234",
    "excluded": "0",
    "exclusion_reason": "",
}
PAIR = {
    "reader_id": "R01",
    "trial_index": "1",
    "task": "choice",
    "image_id": "c01",
    "left_attack_id": "original",
    "right_attack_id": "linf-2",
    "is_catch": "0",
    "response": "right",
    "correct": "1",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write("presentations.csv", row, ...)` writes a CSV file and returns its folder."""

    def write_file(name: str, *rows: dict[str, str]) -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path

    return write_file


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(Invalid, match="cannot be analysed") as caught:
        read_export(folder)
    return caught.value.problems


def test_a_presentation_is_read_as_it_was_written(write: Write) -> None:
    original = {**SHOWN, "condition": "original", "attack_id": "", "label": "", "response": ""}
    tidy = read_export(write("presentations.csv", SHOWN, {**original, "rt_ms": "", "score": ""}))

    assert tidy.shown == [
        Shown("R01", 1, 7, 7, "c01", "linf-2", 1, 1, "tumour", 90, 1234, None),
        Shown("R01", 1, 7, 7, "c01", None, 1, None, "", None, None, None),
    ]
    assert (tidy.pairs, tidy.impressions, tidy.attacks, tidy.plan) == ((), None, {}, Plan())


def test_the_digest_is_that_of_the_file(write: Write) -> None:
    folder = write("presentations.csv", SHOWN)
    [file] = read_export(folder).files

    content = (folder / "presentations.csv").read_bytes()
    assert (file.file, file.rows) == ("presentations.csv", 1)
    assert file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("label", "confidence", "score", "rating"),
    [("1", "5", "", 100), ("0", "5", "", 0), ("1", "", "63", 63), ("", "3", "63", None)],
)
def test_a_rating_is_the_score_or_made_of_label_and_confidence(
    write: Write, label: str, confidence: str, score: str, rating: int | None
) -> None:
    row = {**SHOWN, "label": label, "confidence": confidence, "score": score}

    assert read_export(write("presentations.csv", row)).shown[0].rating == rating


def test_pairs_impressions_and_the_design_are_read_where_they_are(write: Write) -> None:
    write("presentations.csv", SHOWN)
    write("detections.csv", PAIR, {**PAIR, "trial_index": "2", "response": "", "correct": ""})
    folder = write("readers.csv", {"reader_id": "R01", "saw_repeats": "unsure", "odd": "Hm."})
    attack: dict[str, Any] = {"attack_id": "linf-2", "attack": "pgd", "norm": "linf"}
    design = {"attacks": [{**attack, "epsilon": "2"}], "options": {"margin_tp": 0.2}}
    (folder / "study.json").write_text(json.dumps(design), encoding="utf-8")
    tidy = read_export(folder)

    first = Pair("R01", 1, "c01", "choice", None, "linf-2", False, "right", True)
    assert tidy.pairs[0] == first
    assert tidy.pairs[1].is_correct is None
    assert [each.saw_repeats for each in tidy.impressions or ()] == ["unsure"]
    assert tidy.attacks == {"linf-2": Attack("linf-2", "pgd", "linf", 2.0)}
    assert tidy.plan == Plan(margin_tp=0.2)
    assert [file.file for file in tidy.files] == [
        *("presentations.csv", "detections.csv", "readers.csv", "study.json")
    ]


def test_the_plan_leaves_out_what_was_too_quick(write: Write) -> None:
    slow = {**SHOWN, "image_id": "c02", "rt_ms": "90000"}
    marked = {**SHOWN, "image_id": "c03", "excluded": "1", "exclusion_reason": "wrong reader"}
    folder = write(
        "presentations.csv", {**SHOWN, "rt_ms": "150"}, SHOWN | {"set": "2"}, slow, marked
    )
    options = {"minimum_time_ms": 200, "maximum_time_ms": 60000}
    (folder / "study.json").write_text(json.dumps({"options": options}), encoding="utf-8")

    assert [each.exclusion for each in read_export(folder).shown] == [
        "answered in less than 200 ms",
        None,
        "answered after more than 60000 ms",
        "wrong reader",
    ]


@pytest.mark.parametrize(
    ("column", "value", "advice"),
    [
        ("label", "yes", "'yes'; write one of: 1, 0, nothing"),
        ("truth", "", "''; write one of: 1, 0"),
        ("condition", "Original", "write one of: original, perturbed"),
        ("set", "one", "'one'; write a whole number"),
        ("set", "", "''; write a whole number"),
        ("image_id", "", "''; write a value"),
        ("attack_id", "", "''; write a value"),
        ("rt_ms", "1.5", "'1.5'; write a whole number, or nothing"),
    ],
)
def test_a_wrong_cell_is_told_with_its_place(
    write: Write, column: str, value: str, advice: str
) -> None:
    other = {**SHOWN, "image_id": "c02"}
    [problem] = problems(write("presentations.csv", other, {**SHOWN, column: value}))

    assert problem.startswith(f"presentations.csv, line 3, column {column}: ")
    assert advice in problem


def test_every_wrong_cell_is_told_up_to_twenty(write: Write) -> None:
    rows = [{**SHOWN, "image_id": f"c{number}", "label": "x"} for number in range(30)]

    assert len(problems(write("presentations.csv", *rows))) == 20


def test_a_column_that_is_absent_is_told(write: Write) -> None:
    rest = {name: value for name, value in SHOWN.items() if name != "truth"}

    [problem] = problems(write("presentations.csv", rest))
    assert "line 1, column truth" in problem


def test_contradictions_are_told(write: Write) -> None:
    [twice] = problems(write("presentations.csv", SHOWN, SHOWN))
    assert "2 rows of reader R01, set 1, image c01, linf-2" in twice
    [truths] = problems(write("presentations.csv", SHOWN, {**SHOWN, "set": "2", "truth": "0"}))
    assert "image c01 has both truths" in truths


def test_a_folder_without_an_export_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="plainsight study export"):
        read_export(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("presentations.csv", b"reader_id\n\xff", "is not UTF-8"),
        ("study.json", b"[]", "export the study again"),
        ("study.json", b'{"attacks": [{"norm": "l2"}]}', "export the study again"),
    ],
)
def test_files_that_are_something_else_are_told(
    write: Write, name: str, content: bytes, told: str
) -> None:
    folder = write("presentations.csv", SHOWN)
    (folder / name).write_bytes(content)

    with pytest.raises(Invalid) as caught:
        read_export(folder)
    assert told in " ".join((str(caught.value), *caught.value.problems))


# The network's epsilon.


def test_the_networks_epsilon_is_a_number_or_a_column_of_one_norm(write: Write) -> None:
    [number] = read_network("0.5", "linf")
    assert number.values == (0.5,)
    rows = [
        {"case": "1", "norm": "linf", "epsilon_float": "0.4", "epsilon_8bit": "1.0"},
        {"case": "2", "norm": "linf", "epsilon_float": "0.6", "epsilon_8bit": "inf"},
        {"case": "1", "norm": "l2", "epsilon_float": "0.1", "epsilon_8bit": "0.2"},
    ]
    file = str(write("minimal.csv", *rows) / "minimal.csv")

    [linf] = read_network(file, "linf")
    assert linf.values == (1.0, float("inf"))
    assert [each.norm for each in read_network(file, "l2")] == ["l2"]
    assert [each.norm for each in read_network(file, None)] == ["l2", "linf"]
    with pytest.raises(Invalid, match="numbers above 0 of norm l0"):
        read_network(file, "l0")


@pytest.mark.parametrize("source", ["0", "-1", "nan", "inf", "nothing.csv"])
def test_other_networks_epsilons_are_refused(source: str) -> None:
    with pytest.raises(Invalid, match="above 0"):
        read_network(source, None)


def test_a_file_of_something_else_is_refused(write: Write) -> None:
    folder = write("a.csv", {"case": "1"})
    with pytest.raises(Invalid, match="no column"):
        read_network(str(folder / "a.csv"), None)
    write("b.csv", {"epsilon": "small"})
    with pytest.raises(Invalid, match="write numbers"):
        read_network(str(folder / "b.csv"), None)
