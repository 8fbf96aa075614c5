"""From the link in a mail to the last image. Everything here reaches a reader's browser."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.errors import NotAllowed
from app.readers.service import CONSENT_VERSION, arrive, reader_at, require_open
from app.reading.service import Window, begin, image, window
from app.storage.images import ImageStore
from app.storage.models import Reader
from app.storage.session import ReadingDep, WritingDep
from app.studies.service import design_of
from app.web.identity import now, set_cookie
from app.web.templating import Message, render

router = APIRouter()
READER_COOKIE = "plainsight_reader"
IMAGE_HEADERS = {"Cache-Control": "no-store, no-transform"}


@dataclass(frozen=True)
class StartPage:
    title: str
    researcher: str
    minutes: int
    total: int
    question: str
    criterion: str
    consent_version: str


@dataclass(frozen=True)
class RoomPage:
    """All that the reading room's page may know; tests hold it to this list."""

    title: str
    question: str
    criterion: str
    total: int


def current_reader(request: Request, session: ReadingDep) -> Reader:
    reader = reader_at(session, request.cookies.get(READER_COOKIE, ""))
    require_open(reader.study)
    return reader


ReaderDep = Annotated[Reader, Depends(current_reader, scope="function")]


@router.get("/r/{token}")
def follow_link(token: str, request: Request, session: WritingDep) -> Response:
    """The link leaves the address bar: a cookie takes its place."""
    try:
        place = arrive(session, token)
    except NotAllowed as refusal:
        return render("reader/closed.html", Message("Reader study", str(refusal)), status=403)
    response = RedirectResponse("/reading", 303)
    set_cookie(response, request, READER_COOKIE, place, path="/reading")
    return response


@router.get("/reading")
def go_on(request: Request, session: ReadingDep) -> Response:
    """The page where this reader is now."""
    try:
        reader = current_reader(request, session)
    except NotAllowed as refusal:
        return render("reader/closed.html", Message("Reader study", str(refusal)), status=403)
    study = reader.study
    if reader.finished_at:
        return RedirectResponse("/reading/done", 303)
    if reader.seed:
        return RedirectResponse("/reading/room", 303)
    design = design_of(study.stimuli, study.sets)
    return render(
        "reader/start.html",
        StartPage(
            title=study.public_title,
            researcher=study.researcher.email,
            minutes=design.minutes,
            total=design.presentations,
            question=study.question,
            criterion=study.criterion,
            consent_version=CONSENT_VERSION,
        ),
    )


@router.post("/reading/begin")
def begin_here(
    request: Request, session: WritingDep, consent: Annotated[str, Form(max_length=40)]
) -> RedirectResponse:
    reader = current_reader(request, session)
    begin(session, reader, consent, now())
    return RedirectResponse("/reading/room", 303)


@router.get("/reading/room")
def room(reader: ReaderDep, session: ReadingDep) -> Response:
    if not reader.seed or reader.finished_at:
        return RedirectResponse("/reading", 303)
    study = reader.study
    total = window(session, reader).total
    page = RoomPage(study.public_title, study.question, study.criterion, total)
    return render("reader/room.html", page)


@router.get("/reading/window")
def window_here(reader: ReaderDep, session: ReadingDep, response: Response) -> Window:
    response.headers["Cache-Control"] = "no-store"
    return window(session, reader)


@router.get("/reading/images/{token}")
def image_here(token: str, request: Request, reader: ReaderDep, session: ReadingDep) -> Response:
    store: ImageStore = request.app.state.images
    return Response(image(session, store, reader, token), 200, IMAGE_HEADERS, "image/png")


@router.get("/reading/done")
def done(request: Request, session: ReadingDep) -> Response:
    reader = reader_at(session, request.cookies.get(READER_COOKIE, ""))
    if not reader.finished_at:
        return RedirectResponse("/reading", 303)
    return render("reader/done.html", Message(reader.study.public_title, ""))
