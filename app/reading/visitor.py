"""Who is at the other end: the reader of a link, and the one tab in which they read."""

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from app.readers.service import reader_of_link, require_may_read, require_place
from app.storage.models import Reader
from app.storage.session import ReadingDep
from app.web.identity import now

READER_COOKIE = "plainsight_reader"
VISIT_HEADER = "Plainsight-Visit"


def linked_reader(request: Request, session: Session) -> Reader:
    """Who followed a link, whether or not there is still something to read."""
    return reader_of_link(session, request.cookies.get(READER_COOKIE, ""))


def current_reader(request: Request, session: ReadingDep) -> Reader:
    """Who follows a link that is still good, in a study that is still open."""
    reader = linked_reader(request, session)
    require_may_read(reader, now())
    return reader


def reader_in_place(request: Request, session: Session) -> Reader:
    """The reader in the one tab where they read at present."""
    reader = current_reader(request, session)
    require_place(reader, request.headers.get(VISIT_HEADER, ""))
    return reader


ReaderDep = Annotated[Reader, Depends(current_reader, scope="function")]
