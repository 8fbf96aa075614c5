"""Upload a batch, and look at what it holds."""

import shutil
import tempfile
from pathlib import Path

from fastapi import APIRouter, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from app.batches.pages import batch_page, batches_page
from app.batches.service import find_batch, import_batch, list_batches, stimulus_image
from app.errors import Conflict, Invalid
from app.storage.session import Database, DatabaseDep, ReadingDep
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()


@router.get("/batches")
def batches(_researcher: ResearcherDep, session: ReadingDep) -> Response:
    return render("researcher/batches.html", batches_page(list_batches(session)))


@router.post("/batches")
def upload(
    request: Request, _researcher: ResearcherDep, database: DatabaseDep, file: UploadFile
) -> Response:
    """Everything that is wrong with the batch comes back on the page, and nothing is kept."""
    home: Path = request.app.state.settings.home
    with tempfile.NamedTemporaryFile(dir=home, suffix=".zip") as upload:
        shutil.copyfileobj(file.file, upload)
        upload.flush()
        try:
            batch_id = import_batch(Path(upload.name), database, request.app.state.images, now())
        except Invalid as refusal:
            return refused(database, refusal.problems, refusal.status)
        except Conflict as refusal:
            return refused(database, [str(refusal)], refusal.status)
    return RedirectResponse(f"/batches/{batch_id}", 303)


def refused(database: Database, problems: list[str] | tuple[str, ...], status: int) -> Response:
    with database.reading() as session:
        page = batches_page(list_batches(session), problems)
        return render("researcher/batches.html", page, status=status)


@router.get("/batches/{batch_id}")
def batch(batch_id: RowNumber, _researcher: ResearcherDep, session: ReadingDep) -> Response:
    return render("researcher/batch.html", batch_page(find_batch(session, batch_id)))


@router.get("/batches/{batch_id}/images/{stimulus_id}")
def image(
    batch_id: RowNumber,
    stimulus_id: RowNumber,
    request: Request,
    _researcher: ResearcherDep,
    session: ReadingDep,
) -> Response:
    png = stimulus_image(session, request.app.state.images, batch_id, stimulus_id)
    return Response(png, 200, {"Cache-Control": "no-store"}, "image/png")
