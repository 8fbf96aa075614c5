"""All files of an export: whole, described, digested, and made while they are read."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.analysis.archive import write_out, zipped
from app.analysis.columns import TABLES
from app.analysis.dictionary import HEADER, NEVER_EMPTY
from app.analysis.snippets import analyse
from app.cli import cli
from app.errors import Invalid
from app.vocabulary import PairTask
from app.web.identity import now

Row = dict[str, str]
Ready = Callable[..., Any]
Studied = Callable[..., int]
TRUTHS = (1, 1, 0, 0)


@pytest.fixture
def studied(
    ready: Ready,
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    read: Callable[..., int],
) -> Studied:
    """`studied(**design)`: a demo, whose key is open, read by one of its two readers: the first
    answer says no tumour, all others tumour."""

    def make(**design: Any) -> int:
        made = ready(cases=4, truths=TRUTHS, readers=2, is_demo=True, **design)
        reader = browser()
        begin(reader, made.links[0])
        answers = iter(["non_tumour"])
        read(reader, lambda _token: next(answers, "tumour"))
        number: int = made.study
        return number

    return make


@pytest.fixture
def files_of(office: Callable[..., TestClient]) -> Callable[[int], dict[str, bytes]]:
    """The files of the zip that a researcher downloads."""

    def download(study: int) -> dict[str, bytes]:
        response = office().get(f"/studies/{study}/export.zip")
        assert (
            response.headers["content-disposition"] == f'attachment; filename="study-{study}.zip"'
        )
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    return download


def rows_of(content: bytes) -> list[Row]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_an_export_has_every_file_with_its_digest_and_every_column_with_its_meaning(
    studied: Studied, files_of: Callable[[int], dict[str, bytes]], tmp_path: Path
) -> None:
    study = studied(conditions=2, pair_task=PairTask.CHOICE)
    files = files_of(study)

    assert list(files) == [
        *("presentations.csv", "detections.csv", "readers.csv", "undone.csv", "images.csv"),
        *("attacks.csv", "network.csv", "mrmcaov.csv"),
        *("imrmc-set1.csv", "imrmc-set1.imrmc", "imrmc-set2.csv", "imrmc-set2.imrmc"),
        *("data_dictionary.csv", "study.json", "audit.jsonl", "analyse.py", "analyse.R"),
        "SHA256SUMS",
    ]
    check_digests(files)
    check_dictionary(files)
    check_ratings(files, conditions=2)
    check_material(files)
    check_protocol(files)
    check_snippet(files, tmp_path)


def check_digests(files: dict[str, bytes]) -> None:
    said = [line.split("  ") for line in files["SHA256SUMS"].decode().splitlines()]
    found = [(hashlib.sha256(files[name]).hexdigest(), name) for name in files]
    assert [(digest, name) for digest, name in said] == found[:-1]


def check_dictionary(files: dict[str, bytes]) -> None:
    described = rows_of(files["data_dictionary.csv"])
    assert tuple(described[0]) == HEADER
    assert [(line["file"], line["column"]) for line in described] == [
        (file, column.name) for file, columns in TABLES.items() for column in columns
    ]
    assert all(line["type"] and line["derivation"] for line in described)
    for file, names in NEVER_EMPTY.items():
        for row in rows_of(files[file]):
            assert all(row[name] for name in names), (file, row)
    levels = {(line["file"], line["column"]): line["levels"] for line in described}
    assert levels["presentations.csv", "condition"] == "original|perturbed"
    assert levels["presentations.csv", "orientation"] == "0-7"
    assert levels["presentations.csv", "rt_ms"] == ""


def check_ratings(files: dict[str, bytes], conditions: int) -> None:
    """One row of truth a case, and one an answer, as iMRMC and RJafroc count them."""
    shown = [row for row in rows_of(files["presentations.csv"]) if row["label"]]
    assert len(rows_of(files["mrmcaov.csv"])) == len(shown) == 4 * (1 + conditions) * 2
    for number in (1, 2):
        frame = rows_of(files[f"imrmc-set{number}.csv"])
        assert list(frame[0]) == ["readerID", "caseID", "modalityID", "score"]
        modalities = ("truth", "original", "linf-2", "linf-4")
        counted = Counter(row["modalityID"] for row in frame)
        assert counted == dict.fromkeys(modalities, 4)
        assert {row["caseID"]: row["score"] for row in frame if row["readerID"] == "truth"} == {
            row["image_id"]: row["truth"] for row in rows_of(files["images.csv"])
        }
        head, data = files[f"imrmc-set{number}.imrmc"].decode().split("\n\nBEGIN DATA:\n")
        assert head.splitlines()[-4:] == ["N0: 2", "N1: 2", "NR: 1", "NM: 3"]
        lines = [line.split(",") for line in data.splitlines()]
        assert len(lines) == len(frame)
        assert [line[3] for line in lines] == [row["score"] for row in frame]
        assert {line[0] for line in lines} == {"-1", "1"}
        assert {line[1] for line in lines} == {"1", "2", "3", "4"}


def check_material(files: dict[str, bytes]) -> None:
    images = rows_of(files["images.csv"])
    assert [(row["image_id"], row["case_number"]) for row in images] == [
        (f"c{number:02}", str(number)) for number in range(1, 5)
    ]
    attacks = {row["stimulus_id"]: row for row in rows_of(files["attacks.csv"])}
    shown = rows_of(files["presentations.csv"])
    assert set(attacks) == {row["stimulus_id"] for row in shown if row["attack_id"]}
    for row in attacks.values():
        assert float(row["linf"]) <= float(row["epsilon"])
        assert float(row["psnr_db"]) > 0
        assert (row["label_before"] != row["label_after"]) == (
            row["success_after_quantisation"] == "1"
        )


def check_protocol(files: dict[str, bytes]) -> None:
    record = json.loads(files["study.json"])
    assert hashlib.sha256(record["protocol"].encode()).hexdigest() == record["protocol_hash"]
    hashes = {row["protocol_hash"] for row in rows_of(files["presentations.csv"])}
    assert hashes == {record["protocol_hash"]}
    assert record["amendments"] == []
    assert record["is_rehearsal"] is False


def check_snippet(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    run = subprocess.run(
        [sys.executable, folder / "analyse.py"], capture_output=True, text=True, check=True
    )
    assert "R01 1 1 original" in run.stdout
    shown = rows_of(files["presentations.csv"])
    [wrong] = [row for row in shown if row["label"] == "0"]
    arms = [wrong["attack_id"]] if wrong["attack_id"] else ["linf-2", "linf-4"]
    flips = run.stdout.split("\n\n")[1].splitlines()[1:]
    assert flips == [f"R01 {arm} {int(arm in arms)} 8" for arm in ("linf-2", "linf-4")]
    in_r = shutil.which("Rscript")
    if in_r:  # nobody needs R to work on this
        other = subprocess.run(
            [in_r, "analyse.R"], capture_output=True, text=True, check=True, cwd=folder
        )
        assert numbers_of(other.stdout) == numbers_of(run.stdout)
    assert analyse.__file__ is not None
    assert files["analyse.py"] == Path(analyse.__file__).read_bytes()


def numbers_of(printed: str) -> set[tuple[str, ...]]:
    """The lines of tables without their heads."""
    words = (tuple(line.split()) for line in printed.splitlines())
    return {line for line in words if line and line[0].startswith("R0")}


def test_what_the_plan_excludes_is_marked_and_in_no_file_of_ratings(
    studied: Studied, files_of: Callable[[int], dict[str, bytes]]
) -> None:
    files = files_of(studied(minimum_time_ms=1235))
    marked = {
        (row["excluded"], row["exclusion_reason"]) for row in rows_of(files["presentations.csv"])
    }
    assert marked == {("1", "answered in less than 1235 ms")}
    assert rows_of(files["mrmcaov.csv"]) == []
    assert rows_of(files["imrmc-set1.csv"]) == []


def test_of_one_condition_the_modalities_are_original_and_perturbed(
    studied: Studied, files_of: Callable[[int], dict[str, bytes]]
) -> None:
    rows = rows_of(files_of(studied())["mrmcaov.csv"])
    assert Counter(row["treatment"] for row in rows) == {"original": 8, "perturbed": 8}
    assert all(row["rating"] == row["label"] for row in rows)


def test_the_command_writes_the_same_files_into_a_folder_and_into_a_zip(
    studied: Studied, database_url: str, tmp_path: Path
) -> None:
    study = studied()

    def export(out: Path) -> Any:
        words = ["study", "export", str(study), "--out", str(out), "--database", database_url]
        return CliRunner().invoke(cli, words)

    folder, archive = tmp_path / "results", tmp_path / "results.zip"
    for out in (folder, archive):
        assert export(out).exit_code == 0
        again = export(out)
        assert isinstance(again.exception, Invalid)
        assert "choose a new folder or zip" in str(again.exception)
    with zipfile.ZipFile(archive) as opened:
        assert sorted(opened.namelist()) == sorted(path.name for path in folder.iterdir())
        for path in folder.iterdir():
            # These tell the time, and that the folder was written before.
            if path.name not in {"study.json", "SHA256SUMS", "audit.jsonl"}:
                assert opened.read(path.name) == path.read_bytes(), path.name
        assert opened.read("audit.jsonl").count(b'"what":"exported","detail":"results"') == 1
    assert CliRunner().invoke(cli, ["audit", "check", str(folder / "audit.jsonl")]).exit_code == 0


def test_a_zip_is_sent_while_its_files_are_made() -> None:
    made: list[int] = []

    def noise() -> Iterator[bytes]:
        for number in range(50):
            made.append(number)
            yield hashlib.shake_128(bytes([number])).digest(100_000)

    pieces = zipped(iter([("noise", noise())]), now())
    sent = bytearray()
    while len(sent) < 10_000:
        sent += next(pieces)
    assert len(made) < 5

    sent += b"".join(pieces)
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.getinfo("noise").file_size == 5_000_000
        assert archive.testzip() is None


@pytest.mark.parametrize("name", ["results", "results.zip"])
def test_an_export_that_fails_leaves_nothing(tmp_path: Path, name: str) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"a"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_out(iter([("first", iter([b"x"])), ("second", breaks())]), tmp_path / name, now())
    assert list(tmp_path.iterdir()) == []
