"""The record of a study: every line follows from the line before it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.analysis.audit import FIRST, audit_lines, check_audit, digest_of, line_of
from app.cli import cli
from app.errors import Conflict, Invalid
from app.storage.session import Database
from app.studies.service import find_study, record
from app.web.identity import now

Lines = list[bytes]


@pytest.fixture
def lines() -> Lines:
    """A record of four lines."""
    made: Lines = []
    previous = FIRST
    for number, kind in enumerate(("event", "answer", "answer", "end"), start=1):
        line = line_of({"line": number, "previous": previous, "kind": kind, "of": "R01"})
        previous = digest_of(line)
        made.append(f"{line}\n".encode())
    return made


def changed(lines: Lines) -> Lines:
    return [lines[0], lines[1].replace(b"R01", b"R02"), *lines[2:]]


def left_out(lines: Lines) -> Lines:
    return [lines[0], *lines[2:]]


def swapped(lines: Lines) -> Lines:
    return [lines[0], lines[2], lines[1], lines[3]]


def added(lines: Lines) -> Lines:
    return [*lines, lines[3]]


def cut_off(lines: Lines) -> Lines:
    return lines[:3]


def no_json(lines: Lines) -> Lines:
    return [lines[0], b"seven\n", *lines[2:]]


def empty(_lines: Lines) -> Lines:
    return []


def another_beginning(lines: Lines) -> Lines:
    return [lines[0].replace(b"0000", b"1111"), *lines[1:]]


def test_a_record_as_it_was_written_is_whole(lines: Lines) -> None:
    checked = check_audit(lines)
    assert (checked.lines, checked.head) == (4, digest_of(lines[3].decode().rstrip("\n")))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed, "Line 3: it does not follow from the line before it"),
        (left_out, "Line 2: it says that it is line 3"),
        (swapped, "Line 2: it says that it is line 3"),
        (added, "Line 5: the record had ended"),
        (cut_off, "Line 4: it is not there"),
        (no_json, "Line 2: it is no line of such a record"),
        (empty, "Line 1: it is not there"),
        (another_beginning, "Line 1: the first line follows from none"),
    ],
)
def test_the_first_broken_line_is_named(
    lines: Lines, tmp_path: Path, spoil: Callable[[Lines], Lines], said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        check_audit(spoil(lines))
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(spoil(lines)))
    refused = CliRunner().invoke(cli, ["audit", "check", str(file)])
    assert isinstance(refused.exception, Invalid)
    assert said in str(refused.exception)


def test_the_record_tells_what_happened_and_a_later_one_only_adds_to_it(
    ready: Callable[..., Any],
    browser: Callable[[], TestClient],
    begin: Callable[[TestClient, str], None],
    read: Callable[..., int],
    database: Database,
) -> None:
    made = ready(is_demo=True, cases=2)
    reader = browser()
    begin(reader, made.links[0])
    read(reader, at_most=3)
    first = written(database, made.study)
    with database.writing() as session:
        record(session, find_study(session, made.study), "ada", "looked at it", now(), "twice")
    second = written(database, made.study)

    assert check_audit(line.encode() for line in second).lines == len(second)
    assert second[: len(first) - 1] == first[:-1]
    told = [json.loads(line) for line in second]
    assert sum(each["kind"] == "answer" for each in told) == 3
    assert {each["response"] for each in told if each["kind"] == "answer"} == {"tumour"}
    happened = [(each["what"], each["detail"]) for each in told if each["kind"] == "event"]
    assert happened[-1] == ("looked at it", "twice")
    assert "started" in dict(happened)
    times = [each["at"] for each in told[:-1]]
    assert times == sorted(times)


def written(database: Database, study: int) -> list[str]:
    with database.snapshot() as session:
        return list(audit_lines(session, find_study(session, study)))


def test_the_record_stays_sealed_until_the_key_is_open(
    ready: Callable[..., Any], database: Database
) -> None:
    made = ready(cases=2)
    with pytest.raises(Conflict, match="stay sealed"):
        written(database, made.study)
