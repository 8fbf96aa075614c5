"""The HTTP API for programs, with a personal token: bring a batch, and ask how far it is."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from app.batches.bodies import FileDep, TokenDep, signed_in
from app.batches.deliveries import Announced, deliver_whole, find_delivery
from app.batches.delivery_pages import progress_of
from app.errors import Invalid, NotFound, SignInNeeded
from app.provenance import code
from app.storage.session import DatabaseDep, ReadingDep
from app.vocabulary import DeliveryKind, DeliveryState
from app.web.errors import NO_SUCH_PAGE
from app.web.fields import WITHOUT_ZERO_BYTE
from app.web.identity import now
from app.web.templating import render

router = APIRouter()
documented = APIRouter(prefix="/api/v1")
FILE = {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
ERRORS = {
    401: {"description": "The token is missing, unknown or revoked."},
    411: {"description": "The request has no Content-Length."},
    413: {"description": "The zip is larger than this server takes."},
    422: {"description": "The zip is empty or was damaged on its way."},
}


class Accepted(BaseModel):
    """Where to ask how far the delivery is."""

    delivery: str
    url: str = Field(description="ask here, with the same token")
    page: str = Field(description="the same for a person who is signed in")


class Progress(BaseModel):
    """How far a delivery is."""

    delivery: str
    state: DeliveryState
    done: int = Field(description="steps of the import, of `total`")
    total: int
    problems: list[str] = Field(description="everything that is wrong, when it failed")
    batch: int | None = Field(description="the number of the batch, when it is done")


@documented.post(
    "/batches",
    status_code=202,
    responses={number: ERRORS[number] for number in (401, 411, 413, 422)},
    openapi_extra={"requestBody": {"required": True, **FILE}, "security": [{"token": []}]},
)
def bring_batch(
    request: Request,
    whole: FileDep,
    database: DatabaseDep,
    name: Annotated[str, Query(max_length=200, pattern=WITHOUT_ZERO_BYTE)] = "batch.zip",
) -> Accepted:
    """Bring a batch: the body is its zip. It is checked and imported in the background.

    With a header Content-Digest (RFC 9530, sha-256) damage on the way is noticed.
    """
    folder = request.app.state.deliveries
    if whole.total_bytes == 0:
        folder.discard(whole.token)
        raise Invalid("The body is empty; send the zip of a batch.")
    new = Announced(name, DeliveryKind.BATCH, whole.total_bytes)
    with database.writing() as session:
        deliver_whole(session, folder, whole.researcher_id, new, whole.token, now())
    request.app.state.worker.wake()
    return Accepted(
        delivery=whole.token,
        url=f"/api/v1/deliveries/{whole.token}",
        page=f"/deliveries/{whole.token}",
    )


@documented.get(
    "/deliveries/{token}",
    responses={401: ERRORS[401], 404: {"description": "There is no such delivery of yours."}},
    openapi_extra={"security": [{"token": []}]},
)
def progress(researcher_id: TokenDep, session: ReadingDep, token: str) -> Progress:
    """How far a delivery is; ask every second or so."""
    return Progress.model_validate(progress_of(find_delivery(session, researcher_id, token)))


@dataclass(frozen=True)
class ApiPage:
    address: str
    title: str = "HTTP API"


def for_researchers(request: Request) -> None:
    """NotFound for everybody else, as of any page that does not exist."""
    try:
        signed_in(request)
    except SignInNeeded:
        raise NotFound(NO_SUCH_PAGE) from None


@router.get("/api/v1/openapi.json")
def openapi(request: Request) -> Response:
    for_researchers(request)
    document = get_openapi(
        title="Plainsight",
        version=code()["version"],
        routes=documented.routes,
        description="For researchers. Make a personal token on the page of your account.",
    )
    document.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"}
    }
    return JSONResponse(document)


@router.get("/api/v1")
def readable(request: Request) -> Response:
    for_researchers(request)
    return render("researcher/api.html", ApiPage(request.app.state.settings.public_url))


router.include_router(documented)
