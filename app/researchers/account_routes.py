"""One's own account: its password, and tokens for programs."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid
from app.researchers.accounts import find_account, note, set_password
from app.researchers.domain import in_words
from app.researchers.pages import account_page
from app.researchers.service import check_password
from app.researchers.throttle import attempt, forgive
from app.researchers.tokens import make_token, revoke_token, tokens_of
from app.storage.models import Researcher
from app.storage.session import Database, DatabaseDep, ReadingDep, WritingDep
from app.web.fields import WITHOUT_ZERO_BYTE
from app.web.identity import RESEARCHER_COOKIE, ResearcherDep, digest, now
from app.web.templating import render

router = APIRouter()
Password = Annotated[str, Form(max_length=1000)]
Name = Annotated[str, Form(max_length=100, pattern=WITHOUT_ZERO_BYTE)]
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
WRONG = "The present password is not right; nothing was changed."
TOO_MANY = "There were too many wrong passwords. Wait {}, then try again."
CHANGED = "The password is changed. Other browsers that were signed in are so no more."


def show(session: Session, researcher: Researcher, status: int = 200, **said: str) -> Response:
    page = account_page(researcher, tokens_of(session, researcher), **said)
    return render("researcher/account.html", page, status=status)


@router.get("/account")
def account(researcher: ResearcherDep, session: ReadingDep) -> Response:
    return show(session, researcher)


@router.post("/account/password")
def change_password(
    request: Request,
    researcher: ResearcherDep,
    database: DatabaseDep,
    present: Password,
    new: Password,
) -> Response:
    refusal = refuse_guess(database, researcher.email, present, request)
    if refusal is not None:
        status, problem = refusal
        with database.reading() as session:
            return show(session, researcher, status, problem=problem)
    keep = digest(request.cookies.get(RESEARCHER_COOKIE, ""))
    try:
        with database.writing() as session:
            account = find_account(session, researcher.id)
            set_password(session, account, new, keep=keep)
            note(session, account.email, "changed the password", account, now())
    except Invalid as wrong:
        with database.reading() as session:
            return show(session, researcher, wrong.status, problem=str(wrong))
    with database.reading() as session:
        return show(session, researcher, notice=CHANGED)


def refuse_guess(
    database: Database, email: str, password: str, request: Request
) -> tuple[int, str] | None:
    """Who found a browser signed in may guess here no faster than at the sign-in."""
    address = request.client.host if request.client else ""
    at = now()
    with database.writing() as session:
        wait = attempt(session, email, address, at)
    if wait:
        return 429, TOO_MANY.format(in_words(wait))
    with database.reading() as session:
        if check_password(session, email, password) is None:
            return Invalid.status, WRONG
    with database.writing() as session:
        forgive(session, email, address, at)
    return None


@router.post("/account/tokens")
def new_token(researcher: ResearcherDep, database: DatabaseDep, name: Name) -> Response:
    try:
        with database.writing() as session:
            token = make_token(session, researcher, name, now())
            note(session, researcher.email, "made a token", researcher, now())
    except (Conflict, Invalid) as refusal:
        with database.reading() as session:
            return show(session, researcher, refusal.status, problem=str(refusal))
    with database.reading() as session:
        return show(session, researcher, token=token)


@router.post("/account/tokens/{token_digest}/revoke")
def revoke(token_digest: Digest, researcher: ResearcherDep, session: WritingDep) -> Response:
    revoke_token(session, researcher, token_digest, now())
    note(session, researcher.email, "revoked a token", researcher, now())
    return RedirectResponse("/account#tokens", 303)
