"""The files of an export, once the key is open."""

import io
import zipfile

from fastapi import APIRouter
from fastapi.responses import Response

from app.analysis.export import export_files, presentations_csv
from app.researchers.domain import Right
from app.storage.session import ReadingDep
from app.studies.service import find_study
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now

router = APIRouter()


@router.get("/studies/{study_id}/presentations.csv")
def csv_here(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    study = find_study(session, study_id, researcher, Right.VIEW)
    return download(presentations_csv(session, study).encode(), "presentations.csv", "text/csv")


@router.get("/studies/{study_id}/export.zip")
def zip_here(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    study = find_study(session, study_id, researcher, Right.VIEW)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in export_files(session, study, now()).items():
            archive.writestr(name, text)
    return download(buffer.getvalue(), f"study-{study.id}.zip", "application/zip")


def download(content: bytes, name: str, media_type: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(content, 200, headers, media_type)
