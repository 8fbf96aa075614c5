"""Signing in and out."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.researchers.domain import in_words
from app.researchers.service import check_password, sign_in, sign_out
from app.researchers.throttle import attempt, forgive
from app.storage.session import DatabaseDep, WritingDep
from app.web.fields import WITHOUT_ZERO_BYTE
from app.web.identity import RESEARCHER_COOKIE, now, set_cookie
from app.web.templating import render

router = APIRouter()
HOME = "/studies"
TOO_MANY = "There were too many attempts to sign in. Wait {}, then try again."


@dataclass(frozen=True)
class SignInPage:
    next: str = HOME
    email: str = ""
    problem: str = ""
    title: str = "Sign in"


def own_path(path: str) -> str:
    """`path` when it is a page of ours, or the list of studies: never another host."""
    is_ours = path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable()
    return path if is_ours else HOME


@router.get("/")
def front_door() -> RedirectResponse:
    return RedirectResponse(HOME, 303)


@router.get("/sign-in")
def sign_in_page(next: str = HOME) -> Response:  # noqa: A002 (the name in the address)
    return render("researcher/sign_in.html", SignInPage(next=own_path(next)))


@router.post("/sign-in")
def sign_in_here(
    request: Request,
    database: DatabaseDep,
    email: Annotated[str, Form(max_length=320, pattern=WITHOUT_ZERO_BYTE)],
    password: Annotated[str, Form(max_length=1000)],
    next: Annotated[str, Form()] = HOME,  # noqa: A002
) -> Response:
    address = request.client.host if request.client else ""
    at = now()
    with database.writing() as session:
        wait = attempt(session, email, address, at)
    if wait:
        return too_many(SignInPage(own_path(next), email, TOO_MANY.format(in_words(wait))), wait)
    with database.reading() as session:  # checking takes a while: nobody must wait to write
        researcher = check_password(session, email, password)
    if researcher is None:
        page = SignInPage(own_path(next), email, "The email or the password is not right.")
        return render("researcher/sign_in.html", page, status=401)
    with database.writing() as session:
        forgive(session, email, address, at)
        token = sign_in(session, researcher, now(), request.app.state.settings.session_hours)
    response = RedirectResponse(own_path(next), 303)
    set_cookie(response, request, RESEARCHER_COOKIE, token, path="/")
    return response


def too_many(page: SignInPage, wait: timedelta) -> Response:
    response = render("researcher/sign_in.html", page, status=429)
    response.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return response


@router.post("/sign-out")
def sign_out_here(request: Request, session: WritingDep) -> RedirectResponse:
    sign_out(session, request.cookies.get(RESEARCHER_COOKIE, ""))
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(RESEARCHER_COOKIE, path="/")
    return response
