"""What a researcher may see while a study is read: nothing by arm, and no answer."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.storage.models import Amendment, Presentation, ProblemReport, Reader, Response, Study
from app.studies.service import standing
from app.vocabulary import Part, Problem


@dataclass(frozen=True)
class Progress:
    """How far one reader has come."""

    label: str
    began_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    done: int


def progress(session: Session, study: Study) -> list[Progress]:
    """Of what counts for the results: practice and pairs are apart."""
    done = (
        standing(select(func.count()).select_from(Response).join(Presentation))
        .where(Presentation.reader_id == Reader.id, Presentation.part == Part.READING)
        .scalar_subquery()
    )
    times = (Reader.began_at, Reader.finished_at, Reader.expires_at, Reader.revoked_at)
    rows = session.execute(
        select(Reader.label, *times, done).where(Reader.study_id == study.id).order_by(Reader.id)
    )
    return [Progress(*row) for row in rows]


@dataclass(frozen=True)
class Reported:
    """A problem with an image, which has no name here but its token."""

    reader: str
    part: Part
    token: str
    kind: Problem
    at: datetime


def reported_problems(session: Session, study: Study) -> list[Reported]:
    rows = session.execute(
        select(
            Reader.label,
            Presentation.part,
            Presentation.token,
            ProblemReport.kind,
            ProblemReport.reported_at,
        )
        .join(Presentation, Presentation.reader_id == Reader.id)
        .join(ProblemReport)
        .where(Reader.study_id == study.id)
        .order_by(ProblemReport.id)
    )
    return [Reported(*row) for row in rows]


def amendments_of(session: Session, study: Study) -> list[Amendment]:
    """The changes of the plan since the start, the first one first."""
    query = select(Amendment).where(Amendment.study_id == study.id).order_by(Amendment.id)
    with session.no_autoflush:
        return list(session.scalars(query))
