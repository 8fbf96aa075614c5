"""What happened to a study, line by line, each with the SHA-256 of the line before it.

A line cannot be changed, left out, moved or added without the chain breaking, nor can lines be
cut off: the last one tells how many there are. Whoever writes all of it anew has another last
line, so its SHA-256 is worth keeping elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.analysis.service import STREAMED, require_open_key
from app.analysis.values import moment
from app.errors import Invalid
from app.storage.models import (
    Amendment,
    Event,
    Presentation,
    ProblemReport,
    Reader,
    Response,
    Study,
    Undone,
)
from app.vocabulary import Part

FIRST = "0" * 64
END = "end"
OF_READER = ("reader_id", "part", "presentation_id")
Entry = tuple[datetime, dict[str, Any]]


def audit_lines(session: Session, study: Study) -> Iterator[str]:
    """In the order of time. Conflict while the key is sealed: when who answered may tell an arm."""
    require_open_key(study)
    previous = FIRST
    number = 0
    for at, told in merge(*streams(session, study), key=lambda entry: entry[0]):
        number += 1
        line = line_of({"line": number, "previous": previous, "at": moment(at), **told})
        previous = digest_of(line)
        yield f"{line}\n"
    yield line_of({"line": number + 1, "previous": previous, "kind": END}) + "\n"


def line_of(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def digest_of(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def streams(session: Session, study: Study) -> list[Iterator[Entry]]:
    """Each in the order of time."""
    event, change, report = Event, Amendment, ProblemReport
    return [
        entries(
            session,
            *("event", "actor", "what", "detail"),
            query=select(event.at, event.actor, event.kind, event.detail)
            .where(event.study_id == study.id)
            .order_by(event.at, event.id),
        ),
        entries(
            session,
            *("amendment", "actor", "reason", "protocol_hash"),
            query=select(change.at, change.actor, change.reason, change.protocol_hash)
            .where(change.study_id == study.id)
            .order_by(change.at, change.id),
        ),
        entries(
            session,
            *("answer", *OF_READER, "attempt", "response", "confidence"),
            query=of_readers(
                study, Response.answered_at, Response.attempt, Response.answer, Response.confidence
            )
            .join(Response)
            .order_by(Response.answered_at, Response.id),
        ),
        entries(
            session,
            *("answer taken back", *OF_READER, "attempt"),
            query=of_readers(study, Undone.undone_at, Response.attempt)
            .join(Response)
            .join(Undone)
            .order_by(Undone.undone_at, Response.id),
        ),
        entries(
            session,
            *("problem", *OF_READER, "problem"),
            query=of_readers(study, report.reported_at, report.kind)
            .join(report)
            .order_by(report.reported_at, report.id),
        ),
    ]


def of_readers(study: Study, at: Any, *columns: Any) -> Select[Any]:
    """Practice has no place in any record of results."""
    return (
        select(at, Reader.label, Presentation.part, Presentation.token, *columns)
        .select_from(Presentation)
        .join(Reader, Presentation.reader_id == Reader.id)
        .where(Reader.study_id == study.id, Presentation.part != Part.PRACTICE)
    )


def entries(session: Session, kind: str, *names: str, query: Any) -> Iterator[Entry]:
    for at, *cells in session.execute(query, execution_options=STREAMED):
        yield at, {"kind": kind, **dict(zip(names, cells, strict=True))}


@dataclass(frozen=True)
class Checked:
    """`head` is the SHA-256 of the last line: what an export of the same record has as well."""

    lines: int
    head: str


def check_audit(lines: Iterable[bytes]) -> Checked:
    """Invalid, with the number of the first line that is not as it was written."""
    previous, number, has_ended = FIRST, 0, False
    for number, raw in enumerate(lines, start=1):
        line = raw.removesuffix(b"\n")
        if problem := problem_with(line, number, previous, has_ended):
            raise Invalid(f"Line {number}: {problem}")
        has_ended = json.loads(line)["kind"] == END
        previous = hashlib.sha256(line).hexdigest()
    if not has_ended:
        raise Invalid(f"Line {number + 1}: it is not there; the end of the record was cut off.")
    return Checked(number, previous)


def problem_with(line: bytes, number: int, previous: str, has_ended: bool) -> str | None:
    if has_ended:
        return "the record had ended before it."
    try:
        record = json.loads(line)
        told = (record["line"], record["previous"], record["kind"])
    except (ValueError, KeyError, TypeError):
        return "it is no line of such a record."
    if told[0] != number:
        return f"it says that it is line {told[0]}; lines are missing, moved or added."
    if told[1] != previous:
        return (
            "it does not follow from the line before it."
            if number > 1
            else "the first line follows from none."
        )
    return None
