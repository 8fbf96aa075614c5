"""Deliver a batch: announce it, send it piece by piece, and watch its import."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from app.batches.bodies import FormDep, PieceDep, SenderDep
from app.batches.deliveries import (
    Announced,
    announced,
    begin,
    deliver_whole,
    discard,
    find_delivery,
    receive,
)
from app.batches.delivery_folder import DeliveryFolder
from app.batches.delivery_pages import (
    LATEST_FIRST,
    NewBatchPage,
    deliveries_page,
    delivery_page,
    progress_of,
)
from app.errors import Invalid, TooLarge
from app.settings import MIB
from app.storage.session import DatabaseDep, ReadingDep, WritingDep
from app.vocabulary import DeliveryKind, DeliveryState
from app.web.fields import WITHOUT_ZERO_BYTE
from app.web.identity import ResearcherDep, now
from app.web.listing import PageNumber, SortedBy
from app.web.security import PIECE_BYTES
from app.web.templating import render

router = APIRouter()
CHOOSE = "Choose the file that is to be delivered."
CHOOSE_BOTH = "Choose both zips, that of the originals and that of the perturbed images."
OF_HTMX = "hx-request"


class Announcement(BaseModel):
    """A form of the upload page without its file; what else it says is for `details_of`."""

    model_config = ConfigDict(extra="allow")

    file_name: str = Field(max_length=1000, pattern=WITHOUT_ZERO_BYTE)
    kind: str
    total_bytes: int = Field(ge=0)

    @property
    def said(self) -> dict[str, str]:
        extra: dict[str, Any] = self.model_extra or {}
        return {name: value for name, value in extra.items() if isinstance(value, str)}


def folder_of(request: Request) -> DeliveryFolder:
    folder: DeliveryFolder = request.app.state.deliveries
    return folder


@router.get("/batches/new")
def new_batch(
    request: Request, _researcher: ResearcherDep, kind: DeliveryKind = DeliveryKind.BATCH
) -> Response:
    return render("researcher/new_batch.html", NewBatchPage(most_mib(request), kind.value))


def most_mib(request: Request) -> int:
    most: int = request.app.state.settings.max_upload_mib
    return most


@router.post("/batches")
def deliver_by_form(request: Request, form: FormDep, database: DatabaseDep) -> Response:
    """All at once, for browsers without scripts."""
    folder = folder_of(request)
    try:
        new = what_form_says(form.texts, form.name, form.whole.total_bytes if form.whole else 0)
        if form.whole is None:
            raise Invalid(CHOOSE, problems=(CHOOSE,))
        if not folder.is_complete(form.whole.token):
            raise Invalid(CHOOSE_BOTH, problems=(CHOOSE_BOTH,))
    except Invalid as refusal:
        if form.whole is not None:
            folder.discard(form.whole.token)
        problems = refusal.problems or (str(refusal),)
        kind = form.texts.get("kind", DeliveryKind.BATCH.value)
        page = NewBatchPage(most_mib(request), kind, form.texts, problems)
        return render("researcher/new_batch.html", page, status=refusal.status)
    with database.writing() as session:
        token = form.whole.token
        deliver_whole(session, folder, form.researcher_id, new, token, now())
    request.app.state.worker.wake()
    return RedirectResponse(f"/deliveries/{token}", 303)


def what_form_says(texts: dict[str, str], name: str, total_bytes: int) -> Announced:
    return announced(name, texts.get("kind", DeliveryKind.BATCH.value), total_bytes, texts)


@router.get("/deliveries")
def deliveries(
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = LATEST_FIRST,
) -> Response:
    shown = deliveries_page(session, researcher.id, page, sort)
    return render("researcher/deliveries.html", shown)


@router.post("/deliveries")
def announce(
    request: Request,
    researcher: ResearcherDep,
    session: WritingDep,
    form: Annotated[Announcement, Form()],
) -> Response:
    """Where to send the pieces, and how much is here already."""
    if form.total_bytes > most_mib(request) * MIB:
        raise TooLarge(
            f"This is larger than the limit of {most_mib(request)} MiB. Deliver it in two parts, "
            "each with whole cases, or ask who runs this server for a larger limit."
        )
    new = announced(form.file_name, form.kind, form.total_bytes, form.said)
    delivery = begin(session, folder_of(request), researcher.id, new, now())
    return JSONResponse({**progress_of(delivery), "piece_bytes": PIECE_BYTES}, 201)


@router.get("/deliveries/{token}/bytes")
def what_is_here(
    request: Request, researcher_id: SenderDep, database: DatabaseDep, token: str
) -> Response:
    """What has arrived, with the digest of each piece: the sender sees whether it is its file."""
    with database.reading() as session:
        delivery = find_delivery(session, researcher_id, token)
    is_open = delivery.state is DeliveryState.RECEIVING
    digests = folder_of(request).digests(token, delivery.received_bytes) if is_open else []
    return JSONResponse({**progress_of(delivery), "digests": digests})


@router.put("/deliveries/{token}/bytes")
def take_piece(
    request: Request,
    piece: PieceDep,
    database: DatabaseDep,
    token: str,
    offset: Annotated[int, Query(ge=0)],
) -> Response:
    folder = folder_of(request)
    delivery = receive(database, folder, piece.researcher_id, token, offset, piece.content, now())
    request.app.state.worker.wake()
    return JSONResponse(progress_of(delivery))


@router.get("/deliveries/{token}")
def watch(request: Request, researcher: ResearcherDep, session: ReadingDep, token: str) -> Response:
    """The page asks again by itself, and leads to the batch when there is one."""
    delivery = find_delivery(session, researcher.id, token)
    if delivery.state is not DeliveryState.DONE:
        return render("researcher/delivery.html", delivery_page(delivery))
    batch = f"/batches/{delivery.batch_id}"
    if OF_HTMX in request.headers:
        return Response(headers={"HX-Redirect": batch})
    return RedirectResponse(batch, 303)


@router.post("/deliveries/{token}/discard")
def discard_here(
    request: Request, researcher_id: SenderDep, database: DatabaseDep, token: str
) -> Response:
    with database.writing() as session:
        discard(session, find_delivery(session, researcher_id, token, to_change=True))
    folder_of(request).discard(token)
    return RedirectResponse("/batches", 303)
