"""The page, the files of its charts and the report have the numbers of `plainsight analyse`."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.cli_analyse import analyse_command
from app.storage.models import Case, Condition, Presentation, Stimulus
from app.storage.session import Database
from app.studies.service import find_study, lock_study, unblind_study
from app.vocabulary import PairTask
from app.web.identity import now

Office = Callable[..., TestClient]
SEALED = ("results", "analysis.json", "report", "report.pdf", "charts/over-time.svg")


@pytest.fixture
def studied(
    ready: Callable[..., Any],
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    read: Callable[..., int],
    database: Database,
) -> Callable[..., int]:
    """`studied(**design)`: read by one reader, who misses the perturbed image of c01 and calls
    the original of c02 tumour; its number. Not locked yet."""

    def conduct(**design: Any) -> int:
        made = ready(**{"truths": (1, 0, 1, 0, 1, 0), "cases": 6, **design})
        reader = browser()
        begin(reader, made.links[0])
        with database.reading() as session:
            rows = session.execute(
                select(Presentation.token, Case.name, Case.truth, Condition.name)
                .join(Stimulus, Stimulus.id == Presentation.stimulus_id)
                .join(Case)
                .outerjoin(Condition)
            ).all()
        wrong = {("c01", "linf-2"), ("c02", None)}
        answers = {
            token: "tumour" if bool(truth) != ((case, condition) in wrong) else "non_tumour"
            for token, case, truth, condition in rows
        }
        read(reader, answers.__getitem__)
        study: int = made.study
        return study

    return conduct


@pytest.fixture
def unblind(database: Database) -> Callable[[int], None]:
    def open_key(study: int) -> None:
        with database.writing() as session:
            found = find_study(session, study)
            lock_study(session, found, "ada", now())
            unblind_study(session, found, "ada", now())

    return open_key


def analysed(desk: TestClient, study: int, folder: Path) -> dict[str, Any]:
    """What `plainsight analyse --json` says of the export; its input files apart."""
    archive = zipfile.ZipFile(io.BytesIO(desk.get(f"/studies/{study}/export.zip").content))
    archive.extractall(folder)
    done = CliRunner().invoke(analyse_command, [str(folder), "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    del found["inputs"]
    return found


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_the_page_and_the_command_have_the_same_numbers_to_the_last_digit(
    studied: Callable[..., int], unblind: Callable[[int], None], office: Office, tmp_path: Path
) -> None:
    study = studied()
    unblind(study)
    desk = office()
    expected = analysed(desk, study, tmp_path / "export")
    here = desk.get(f"/studies/{study}/analysis.json").json()
    del here["inputs"]
    assert here == expected

    def chart(name: str) -> list[dict[str, str]]:
        text = desk.get(f"/studies/{study}/charts/{name}.csv").text
        return list(csv.DictReader(io.StringIO(text)))

    [flips] = expected["flips"]
    [drawn] = chart("excess")
    assert float(drawn["excess"]) == flips["excess"]
    assert float(drawn["upper_limit"]) == flips["bound"]["high"]
    pooled = [
        each["pooled"][f"interval_{level}"]
        for each in expected["tp_difference"]
        for level in (95, 90)
    ]
    assert [
        tuple(float(row[end]) for end in ("estimate", "low", "high")) for row in chart("difference")
    ] == [tuple(each[end] for end in ("estimate", "low", "high")) for each in pooled]
    rates = {row["compared"]: float(row["share_that_differ"]) for row in chart("noise-floor")}
    assert list(rates.values()) == [flips["d_op"], flips["d_oo"], flips["d_pp"]]


def test_the_page_tells_everything_in_its_order(
    studied: Callable[..., int], unblind: Callable[[int], None], office: Office
) -> None:
    study = studied()
    unblind(study)
    page = office().get(f"/studies/{study}/results").text
    headings = [words(each) for each in re.findall(r"<h2.*?</h2>", page, re.DOTALL)]
    assert headings == [
        "Table",
        "Primary result",
        "Paired difference and noise floor",
        "Flipped answers",
        "By condition",
        "By reader",
        "Over time",
        "Telling tumour from none",
        "Other readers and other cases",
        "Agreement",
        "Reading time",
        "What is missing",
        "Blinding check",
        "A paragraph for the paper",
        "Files",
    ]
    said = words(page)
    assert "2 perturbed images were answered otherwise" in said
    assert "R01, set 1: tumour on the original only" in said
    assert said.count("R01, set 2: tumour on the original only") == 2
    assert "c01 , tumour; linf-2" in said
    assert "pgd, norm linf, epsilon 2: inconclusive" in said
    assert "Not significant is not equivalent." in said


def test_confidence_and_pairs_have_their_charts(
    studied: Callable[..., int], office: Office
) -> None:
    study = studied(is_demo=True, pair_task=PairTask.CHOICE)
    desk = office()
    page = words(desk.get(f"/studies/{study}/results").text)
    assert "Demo: results are shown live" in page
    assert "The block of pairs" not in page, "nothing of it was read"
    assert desk.get(f"/studies/{study}/charts/nothing.svg").status_code == 404
    assert desk.get(f"/studies/{study}/charts/over-time.exe").status_code == 422


def test_all_of_it_is_sealed_until_the_key_is_open(
    studied: Callable[..., int], unblind: Callable[[int], None], office: Office
) -> None:
    study = studied()
    desk = office()
    for path in SEALED:
        sealed = desk.get(f"/studies/{study}/{path}")
        assert sealed.status_code == 409, path
        assert "sealed" in sealed.text
    unblind(study)
    for path in SEALED:
        assert desk.get(f"/studies/{study}/{path}").status_code == 200, path


def test_the_report_fills_in_sixteen_points_and_says_what_is_not_known(
    studied: Callable[..., int], unblind: Callable[[int], None], office: Office
) -> None:
    study = studied()
    unblind(study)
    desk = office()
    answer = desk.get(f"/studies/{study}/report")
    assert "sha256-" in answer.headers["content-security-policy"]
    assert not re.search(r'(src|href)="', answer.text), "it is one file"
    page = words(answer.text)
    for number in range(1, 17):
        assert f" {number}. " in page
    assert "Not known to Plainsight: Role, board certification" in page
    assert "6 cases delivered, 6 read: 3 with tumour, 3 without" in page
    assert "Margins: 5 percentage points of excess flips" in page

    pdf = desk.get(f"/studies/{study}/report.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")
