"""What the reading room asks for: its place, what comes next, and the images."""

import dataclasses

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.readers.domain import DisplayRecord
from app.readers.service import note_display, note_seen, queue_name, take_place
from app.reading.service import Arrival, Window, image, room_of, window
from app.reading.visitor import current_reader, reader_in_place
from app.storage.images import ImageStore
from app.storage.session import ReadingDep, WritingDep
from app.web.identity import now

router = APIRouter()
IMAGE_HEADERS = {"Cache-Control": "no-store, no-transform"}


@router.post("/reading/arrive")
def arrive(request: Request, session: WritingDep, response: Response) -> Arrival:
    """Take the one active place: whoever read elsewhere is parked."""
    response.headers["Cache-Control"] = "no-store"
    reader = current_reader(request, session)
    here = room_of(session, reader, now())
    ahead = window(session, reader, here)
    note_seen(reader, now())
    return Arrival(
        **{field.name: getattr(ahead, field.name) for field in dataclasses.fields(ahead)},
        visit=take_place(reader),
        queue=queue_name(reader),
    )


@router.get("/reading/window")
def window_here(request: Request, session: ReadingDep, response: Response) -> Window:
    response.headers["Cache-Control"] = "no-store"
    reader = reader_in_place(request, session)
    return window(session, reader, room_of(session, reader, now()))


@router.get("/reading/images/{token}")
def image_here(token: str, request: Request, session: ReadingDep) -> Response:
    return image_response(token, request, session, right=False)


@router.get("/reading/images/{token}/right")
def right_image_here(token: str, request: Request, session: ReadingDep) -> Response:
    return image_response(token, request, session, right=True)


def image_response(token: str, request: Request, session: Session, *, right: bool) -> Response:
    reader = reader_in_place(request, session)
    store: ImageStore = request.app.state.images
    png = image(session, store, reader, token, right=right, now=now())
    return Response(png, 200, IMAGE_HEADERS, "image/png")


@router.post("/reading/display")
def display_here(
    record: DisplayRecord, request: Request, session: WritingDep, response: Response
) -> Window:
    response.headers["Cache-Control"] = "no-store"
    reader = reader_in_place(request, session)
    note_display(session, reader, record, now())
    return window(session, reader, room_of(session, reader, now()))
