"""From the link in a mail to the receipt. Everything here reaches a reader's browser."""

import hashlib
import re
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.errors import NotAllowed, NotFound
from app.readers.domain import CheckRecord
from app.readers.service import (
    Consent,
    last_check,
    note_check,
    reader_of_link,
    require_may_read,
)
from app.reading.domain import Place, Step
from app.reading.pages import (
    LaterPage,
    PhonePage,
    QuestionsPage,
    WelcomePage,
    check_page,
    done_page,
    pairs_page,
    room_page,
    start_page,
)
from app.reading.service import (
    begin,
    begin_pairs,
    place_of,
    tell,
    window,
)
from app.reading.visitor import READER_COOKIE, ReaderDep, current_reader, linked_reader
from app.storage.models import Reader
from app.storage.session import ReadingDep, WritingDep
from app.vocabulary import Impression
from app.web.fields import WITHOUT_ZERO_BYTE
from app.web.identity import now, set_cookie
from app.web.language import LANGUAGE_COOKIE, LANGUAGES, language_of
from app.web.templating import Message, Page, html, render

router = APIRouter()
PHONE = re.compile(r"\b(iPhone|iPod|Android.*Mobile|Windows Phone)\b")
Seen = Annotated[str, Form(max_length=1000, pattern=WITHOUT_ZERO_BYTE)]


def show(request: Request, template: str, page: Page, *, status: int = 200) -> Response:
    return render(template, page, status=status, language=language_of(request))


def closed(request: Request, refusal: NotAllowed) -> Response:
    page = Message("Reader study", str(refusal))
    return show(request, "reader/closed.html", page, status=refusal.status)


@router.get("/r/{token}")
def follow_link(token: str, request: Request, session: ReadingDep) -> Response:
    """The link leaves the address bar: a cookie takes its place.

    Nothing is changed by this: programs that look into mails follow every link.
    """
    try:
        reader = reader_of_link(session, token)
        if not reader.finished_at:
            require_may_read(reader, now())
    except NotAllowed as refusal:
        return closed(request, refusal)
    if PHONE.search(request.headers.get("user-agent", "")):
        link = f"{request.app.state.settings.public_url.rstrip('/')}/r/{token}"
        return show(request, "reader/phone.html", PhonePage(reader.study.public_title, link))
    has_begun = reader.began_at and not reader.finished_at
    response = RedirectResponse("/reading/welcome" if has_begun else "/reading", 303)
    set_cookie(response, request, READER_COOKIE, token, path="/reading")
    return response


@router.get("/reading/language/{code}")
def choose_language(code: str, request: Request) -> Response:
    if code not in LANGUAGES:
        raise NotFound("There is no such language.")
    response = RedirectResponse("/reading", 303)
    set_cookie(response, request, LANGUAGE_COOKIE, code, path="/")
    return response


def standing_at(request: Request, session: ReadingDep) -> tuple[Reader, Place]:
    """The reader and where they are. Who has read everything may still see the receipt."""
    reader = linked_reader(request, session)
    here = place_of(session, reader, now())
    if here.step is not Step.DONE:
        require_may_read(reader, now())
    return reader, here


@router.get("/reading")
def go_on(request: Request, session: ReadingDep) -> Response:
    """The page where this reader is now."""
    try:
        reader, here = standing_at(request, session)
    except NotAllowed as refusal:
        return closed(request, refusal)
    if here.step is Step.CONSENT:
        return show(request, "reader/start.html", start_page(reader))
    return RedirectResponse(f"/reading/{here.step}", 303)


def page_of(step: Step, request: Request, session: ReadingDep) -> tuple[Reader, Place] | Response:
    """For one step's page; whoever is elsewhere is led to the page of their own step."""
    try:
        reader, here = standing_at(request, session)
    except NotAllowed as refusal:
        return closed(request, refusal)
    return (reader, here) if here.step is step else RedirectResponse("/reading", 303)


@router.get("/reading/welcome")
def welcome(request: Request, session: ReadingDep) -> Response:
    found = page_of(Step.ROOM, request, session)
    if isinstance(found, Response):
        return found
    reader, here = found
    ahead = window(session, reader, here)
    page = WelcomePage(reader.study.public_title, ahead.done, ahead.total)
    return show(request, "reader/welcome.html", page)


@router.post("/reading/begin")
def begin_here(
    request: Request, session: WritingDep, consent: Annotated[str, Form(max_length=40)]
) -> RedirectResponse:
    """The digest of the very text that was agreed to is kept with its version."""
    reader = current_reader(request, session)
    language = language_of(request)
    text = html("reader/consent.html", start_page(reader), language)
    given = Consent(consent, language, hashlib.sha256(text.encode()).hexdigest())
    begin(session, reader, given, now())
    return RedirectResponse("/reading", 303)


@router.get("/reading/check")
def check(request: Request, session: ReadingDep) -> Response:
    found = page_of(Step.CHECK, request, session)
    if isinstance(found, Response):
        return found
    return show(request, "reader/check.html", check_page(found[0]))


@router.post("/reading/check")
def check_here(
    record: CheckRecord, request: Request, session: WritingDep, response: Response
) -> dict[str, str]:
    response.headers["Cache-Control"] = "no-store"
    note_check(session, current_reader(request, session), record, now())
    return {"code": record.code}


@router.get("/reading/check/saved")
def check_saved(reader: ReaderDep, session: ReadingDep, response: Response) -> dict[str, str]:
    """What the database has of it, in a transaction of its own."""
    response.headers["Cache-Control"] = "no-store"
    last = last_check(session, reader, asked=True)
    if last is None:
        raise NotFound("Nothing is stored yet.")
    return {"code": last.code}


@router.get("/reading/room")
def room(request: Request, session: ReadingDep) -> Response:
    found = page_of(Step.ROOM, request, session)
    if isinstance(found, Response):
        return found
    reader, here = found
    ahead = window(session, reader, here)
    page = room_page(reader, here, done=ahead.done, total=ahead.total)
    return show(request, "reader/room.html", page)


@router.get("/reading/later")
def later(request: Request, session: ReadingDep) -> Response:
    found = page_of(Step.LATER, request, session)
    if isinstance(found, Response):
        return found
    reader, here = found
    assert here.opens_at  # noqa: S101 (a later sitting has its date)
    page = LaterPage(reader.study.public_title, here.sitting, here.opens_at)
    return show(request, "reader/later.html", page)


@router.get("/reading/questions")
def questions(request: Request, session: ReadingDep) -> Response:
    found = page_of(Step.QUESTIONS, request, session)
    if isinstance(found, Response):
        return found
    return show(request, "reader/questions.html", QuestionsPage(found[0].study.public_title))


@router.post("/reading/questions")
def tell_here(
    request: Request,
    session: WritingDep,
    saw_repeats: Annotated[Impression | None, Form()] = None,
    odd: Seen = "",
) -> Response:
    tell(session, current_reader(request, session), saw_repeats, odd.strip(), now())
    return RedirectResponse("/reading", 303)


@router.get("/reading/pairs")
def pairs(request: Request, session: ReadingDep) -> Response:
    """What this page says is not known to any reader before."""
    found = page_of(Step.PAIRS, request, session)
    if isinstance(found, Response):
        return found
    return show(request, "reader/pairs.html", pairs_page(found[0]))


@router.post("/reading/pairs")
def pairs_here(request: Request, session: WritingDep) -> Response:
    begin_pairs(session, current_reader(request, session), now())
    return RedirectResponse("/reading", 303)


@router.get("/reading/done")
def done(request: Request, session: ReadingDep) -> Response:
    found = page_of(Step.DONE, request, session)
    if isinstance(found, Response):
        return found
    return show(request, "reader/done.html", done_page(found[0]))
