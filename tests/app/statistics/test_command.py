"""`plainsight analyse` on what the server exports: robots answer, and every number comes back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.analysis.analyse import SECTIONS
from app.analysis.archive import write_out
from app.analysis.export import export_files
from app.cli import cli
from app.storage.models import Presentation
from app.storage.session import Database
from app.studies.service import find_study, lock_study, unblind_study
from app.vocabulary import PairTask, Part
from app.web.identity import now

Json = dict[str, Any]
Room = Callable[[TestClient], Json]
TRUTHS = (1, 1, 1, 1, 1, 0, 0, 0)
MISSES = {
    ("R01", "c01", "linf-2", 1),
    ("R01", "c01", "linf-2", 2),
    ("R01", "c02", None, 2),
    ("R02", "c03", "linf-4", 1),
    ("R02", "c06", "linf-4", 2),
    ("R03", "c01", "linf-2", 1),
    ("R03", "c07", None, 1),
}


@pytest.fixture
def robots(
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    enter: Room,
    answer: Callable[..., Json],
    database: Database,
) -> Callable[[str, str], None]:
    """`robots(link, "R01")` reads a whole study: sure, and wrong in MISSES only; of the pairs it
    finds those of epsilon 6 and 8, and the left image else."""

    def say(presentation: Presentation, label: str) -> str:
        stimulus = presentation.stimulus
        if presentation.part is Part.PAIRS:
            is_right = stimulus.condition is None
            altered = presentation.beside if is_right else stimulus
            assert altered
            assert altered.condition
            seen = altered.condition.epsilon in {"6", "8"}
            return "right" if seen and is_right else "left"
        name = stimulus.condition.name if stimulus.condition else None
        place = (label, stimulus.case.name, name, presentation.set_number)
        return "tumour" if (stimulus.case.truth == 1) != (place in MISSES) else "non_tumour"

    def work(reader: TestClient, label: str) -> None:
        tokens = reader.get("/reading/window").json()["tokens"]
        while tokens:
            with database.reading() as session:
                query = select(Presentation).where(Presentation.token == tokens[0])
                said = say(session.scalars(query).one(), label)
            confidence = None if said in {"left", "right"} else 5
            posted = answer(tokens[0], said, confidence=confidence)
            response = reader.post("/reading/responses", json=posted)
            assert response.status_code == 200, response.text
            tokens = response.json()["tokens"]

    def read(link: str, label: str) -> None:
        reader = browser()
        begin(reader, link)
        work(reader, label)
        reader.post("/reading/questions", data={"saw_repeats": "no", "odd": "A stain."})
        reader.post("/reading/pairs")
        enter(reader)
        work(reader, label)

    return read


@pytest.fixture
def exported(
    ready: Callable[..., Any],
    robots: Callable[[str, str], None],
    database: Database,
    tmp_path: Path,
) -> Path:
    """The folder of a study of 8 cases, 4 conditions, 2 sets, 3 readers, and pairs."""
    made = ready(
        cases=8,
        truths=TRUTHS,
        conditions=4,
        readers=3,
        confidence=True,
        pair_task=PairTask.CHOICE,
        margin_flips=0.2,
    )
    for number, link in enumerate(made.links, start=1):
        robots(link, f"R{number:02}")
    folder = tmp_path / "results"
    with database.writing() as session:
        study = find_study(session, made.study)
        lock_study(session, study, "ada", now())
        unblind_study(session, study, "ada", now())
    with database.snapshot() as session:
        write_out(export_files(session, find_study(session, made.study), now()), folder, now())
    return folder


def analysed(*arguments: str) -> Json:
    result = CliRunner().invoke(cli, ["analyse", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: Json = json.loads(result.stdout)
    return found


def test_an_export_gives_every_number_and_the_table_that_was_answered(exported: Path) -> None:
    found = analysed(str(exported), "--network-epsilon", "0.5", "--network-norm", "linf")

    assert {*SECTIONS} < {*found}
    assert found["study"]["readers"] == ["R01", "R02", "R03"]
    assert found["study"]["conditions"] == [
        {"condition": f"linf-{e}", "attack": "pgd", "norm": "linf", "epsilon": e}
        for e in (2, 4, 6, 8)
    ]
    assert found["code"]["name"] == "plainsight"
    assert {file["file"] for file in found["inputs"]} == {
        *("presentations.csv", "detections.csv", "readers.csv", "network.csv", "study.json")
    }
    assert found["options"]["margin_flips"] == 0.2
    check_table(found)
    check_flips(found)
    assert found["missing"]["labelled"] == found["missing"]["presentations"] == 3 * 8 * 5 * 2
    assert found["blinding_check"]["saw_repeats"] == {"yes": 0, "no": 3, "unsure": 0}
    assert {line["areas"]["original"]["estimate"] for line in perfect(found)} == {1.0}
    [function] = found["detection"]["psychometric"]
    assert [level["epsilon"] for level in function["levels"]] == [2, 4, 6, 8]
    assert [level["counted"] for level in function["levels"]][2:] == [24, 24]
    assert function["perceptibility_margin"]["estimate"] > 2
    in_words = CliRunner().invoke(cli, ["analyse", str(exported), "--margin-flips", "0.5"])
    assert "linf-2: excess flips" in in_words.stdout
    assert "linf-4: sensitivity lost" in in_words.stdout
    assert "equivalent within margin" in in_words.stdout


def check_table(found: Json) -> None:
    """Cell for cell what the robots were told to answer."""
    cases = {f"c{number + 1:02}": truth for number, truth in enumerate(TRUTHS)}
    lines = found["table"]["lines"]
    assert len(lines) == 4 * 3 * 2 * 2
    for line in lines:
        for arm, condition in (("original", None), ("perturbed", line["condition"])):
            said = [
                (truth == 1) != ((line["reader"], case, condition, line["set"]) in MISSES)
                for case, truth in cases.items()
                if truth == line["truth"]
            ]
            assert (line[arm]["tumour"], line[arm]["n"]) == (sum(said), len(said))


def check_flips(found: Json) -> None:
    by_condition = {each["condition"]: each for each in found["flips"]}
    first = by_condition["linf-2"]
    assert (first["K"], first["M"], first["units"]) == (1, 1, 24)
    assert (first["flipped_to_no_tumour"], first["flipped_to_tumour"]) == (3 + 1, 1)
    assert {each["units"] for each in by_condition.values()} == {24}


def perfect(found: Json) -> list[Json]:
    return [
        line
        for line in found["roc"]["lines"]
        if (line["reader"], line["set"]) == ("R02", 1) and line["areas"]["original"]
    ]


def test_a_folder_that_is_no_export_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["analyse", str(tmp_path)])

    assert result.exit_code != 0
    assert "presentations.csv" in str(result.exception)
