"""Look at what batches hold."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.batches.pages import NEWEST_FIRST, batch_page, batches_page
from app.batches.service import (
    difference_image,
    find_batch,
    saliency_image,
    stimulus_image,
)
from app.storage.session import ReadingDep
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep
from app.web.listing import PageNumber, SortedBy
from app.web.templating import render

router = APIRouter()


@router.get("/batches")
def batches(
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = NEWEST_FIRST,
) -> Response:
    return render("researcher/batches.html", batches_page(session, researcher, page, sort))


@router.get("/batches/{batch_id}")
def batch(
    batch_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = "",
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


@router.get("/batches/{batch_id}/saliency/{stimulus_id}")
def saliency(
    batch_id: RowNumber,
    stimulus_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: ReadingDep,
) -> Response:
    """Where the network looks in this image, if the batch's evidence carries it."""
    found = find_batch(session, batch_id, researcher)
    return png(saliency_image(session, request.app.state.images, found, stimulus_id))


def png(content: bytes) -> Response:
    return Response(content, 200, {"Cache-Control": "no-store"}, "image/png")
