"""What happened to a study and what its readers reported, as lists; nothing by arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.storage.models import Event, Presentation, ProblemReport, Reader, Study
from app.vocabulary import Part, Problem
from app.web.listing import ROWS_A_PAGE, Columns, Listing, listed

FEW = 5
NEWEST_FIRST = "-when"
EVENT_COLUMNS: Columns = {
    "when": Event.id,
    "who": Event.actor,
    "what": Event.kind,
    "number": Event.id,
}
PROBLEM_COLUMNS: Columns = {
    "when": ProblemReport.id,
    "reader": Reader.id,
    "problem": ProblemReport.kind,
    "number": ProblemReport.id,
}
PARTS = {Part.PRACTICE: "Practice", Part.READING: "Reading", Part.PAIRS: "Pairs"}
PROBLEMS = {
    Problem.NOT_SHOWN: "The image is not shown",
    Problem.UNCLEAR: "The image is unclear",
    Problem.OTHER: "Something else",
}


@dataclass(frozen=True)
class EventRow:
    at: datetime
    actor: str
    what: str
    detail: str


@dataclass(frozen=True)
class ProblemRow:
    """The image has no name here but its token."""

    reader: str
    part: str
    token: str
    kind: str
    at: datetime


@dataclass(frozen=True)
class Events:
    rows: Sequence[EventRow]
    listing: Listing


@dataclass(frozen=True)
class Problems:
    rows: Sequence[ProblemRow]
    listing: Listing


@dataclass(frozen=True)
class RecordPage:
    study_id: int
    study: str
    events: Events
    title: str = "Record"


@dataclass(frozen=True)
class ProblemsPage:
    study_id: int
    study: str
    problems: Problems
    title: str = "Problems that readers reported"


def events_of(
    session: Session, study: Study, page: int = 1, sort: str = "", *, few: bool = False
) -> Events:
    """The newest first, unless another sort is asked for; with `few` only the newest."""
    query = select(Event).where(Event.study_id == study.id)
    path = f"/studies/{study.id}/record"
    size = FEW if few else ROWS_A_PAGE
    rows, listing = listed(
        session, query, EVENT_COLUMNS, path, page, sort or NEWEST_FIRST, per_page=size
    )
    return Events([EventRow(each.at, each.actor, each.kind, each.detail) for each in rows], listing)


def who_did(session: Session, study: Study, what: str) -> str:
    """The first who did this with the study; nobody when it was not done."""
    query = select(Event.actor).where(Event.study_id == study.id, Event.kind == what)
    return session.scalar(query.order_by(Event.id).limit(1)) or ""


def problems_of(
    session: Session, study: Study, page: int = 1, sort: str = "", *, few: bool = False
) -> Problems:
    query = reported().where(Reader.study_id == study.id)
    path = f"/studies/{study.id}/problems"
    size = FEW if few else ROWS_A_PAGE
    rows, listing = listed(
        session, query, PROBLEM_COLUMNS, path, page, sort or NEWEST_FIRST, per_page=size
    )
    return Problems(problem_rows(session, rows), listing)


def problems_of_reader(session: Session, reader: Reader) -> list[ProblemRow]:
    query = reported().where(Reader.id == reader.id).order_by(ProblemReport.id.desc())
    return problem_rows(session, session.scalars(query).all())


def reported() -> Select[ProblemReport]:
    return select(ProblemReport).join(Presentation).join(Reader)


def problem_rows(session: Session, reports: Sequence[ProblemReport]) -> list[ProblemRow]:
    about = {
        number: (label, PARTS[part], token)
        for number, label, part, token in session.execute(
            select(Presentation.id, Reader.label, Presentation.part, Presentation.token)
            .join(Reader, Presentation.reader_id == Reader.id)
            .where(Presentation.id.in_([each.presentation_id for each in reports]))
        )
    }
    return [
        ProblemRow(*about[each.presentation_id], PROBLEMS[each.kind], each.reported_at)
        for each in reports
    ]
