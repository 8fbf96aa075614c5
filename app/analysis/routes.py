"""The files of an export, once the key is open."""

from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.orm import Session

from app.analysis.archive import zipped
from app.analysis.export import export_files, in_pieces, table_text
from app.analysis.marks import file_name
from app.analysis.service import require_open_key
from app.researchers.domain import Right
from app.storage.models import Researcher, Study
from app.storage.session import Database, DatabaseDep, WritingDep
from app.studies.service import find_study, record
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now

PRESENTATIONS, ARCHIVE = "presentations.csv", "export.zip"
EXPORTED = "exported"

router = APIRouter()


@router.get("/studies/{study_id}/presentations.csv")
def csv_here(
    study_id: RowNumber, researcher: ResearcherDep, session: WritingDep, database: DatabaseDep
) -> Response:
    study = exported(session, study_id, researcher, PRESENTATIONS)
    name = file_name(study, f"-{PRESENTATIONS}") if study.is_rehearsal else PRESENTATIONS
    return download(csv_pieces(database, study_id), name, "text/csv")


@router.get("/studies/{study_id}/export.zip")
def zip_here(
    study_id: RowNumber, researcher: ResearcherDep, session: WritingDep, database: DatabaseDep
) -> Response:
    study = exported(session, study_id, researcher, ARCHIVE)
    pieces = zip_pieces(database, study_id, now())
    return download(pieces, file_name(study, ".zip"), "application/zip")


def exported(session: Session, study_id: int, researcher: Researcher, file: str) -> Study:
    """Who took which file away stands in the record of the study. Conflict while it is sealed."""
    study = find_study(session, study_id, researcher, Right.VIEW)
    require_open_key(study)
    record(session, study, researcher.email, EXPORTED, now(), file)
    return study


def csv_pieces(database: Database, study_id: int) -> Iterator[bytes]:
    """In a transaction of its own: that of the request has ended when the first piece is sent."""
    with database.snapshot() as session:
        yield from in_pieces(table_text(session, find_study(session, study_id), PRESENTATIONS))


def zip_pieces(database: Database, study_id: int, now: datetime) -> Iterator[bytes]:
    with database.snapshot() as session:
        yield from zipped(export_files(session, find_study(session, study_id), now), now)


def download(pieces: Iterator[bytes], name: str, media_type: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(pieces, 200, headers, media_type)
