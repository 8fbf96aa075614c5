"""Look at what batches hold."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.batches.deliveries import list_unfinished
from app.batches.pages import Sort, batch_page, batches_page
from app.batches.service import (
    difference_image,
    find_batch,
    list_batches,
    stimulus_image,
)
from app.storage.session import ReadingDep
from app.web.fields import LARGEST, RowNumber
from app.web.identity import ResearcherDep
from app.web.templating import render

router = APIRouter()
PageNumber = Annotated[int, Query(ge=1, le=LARGEST)]


@router.get("/batches")
def batches(researcher: ResearcherDep, session: ReadingDep) -> Response:
    page = batches_page(list_batches(session, researcher), list_unfinished(session, researcher.id))
    return render("researcher/batches.html", page)


@router.get("/batches/{batch_id}")
def batch(
    batch_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: Sort = Sort.CASE,
) -> Response:
    found = find_batch(session, batch_id, researcher)
    shown = batch_page(session, request.app.state.images, found, page, sort)
    return render("researcher/batch.html", shown)


@router.get("/batches/{batch_id}/images/{stimulus_id}")
def image(
    batch_id: RowNumber,
    stimulus_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: ReadingDep,
) -> Response:
    found = find_batch(session, batch_id, researcher)
    return png(stimulus_image(session, request.app.state.images, found.id, stimulus_id))


@router.get("/batches/{batch_id}/differences/{stimulus_id}")
def difference(
    batch_id: RowNumber,
    stimulus_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: ReadingDep,
) -> Response:
    """Ten times what the perturbation changes, around a middle grey."""
    found = find_batch(session, batch_id, researcher)
    return png(difference_image(session, request.app.state.images, found.id, stimulus_id))


def png(content: bytes) -> Response:
    return Response(content, 200, {"Cache-Control": "no-store"}, "image/png")
