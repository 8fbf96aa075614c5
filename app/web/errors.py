"""Errors in words: a page for a person, JSON for a script, and no traces for either."""

from http import HTTPStatus
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from app.errors import Invalid, NotAllowed, NotFound, SignInNeeded, StudyError
from app.vocabulary import N_
from app.web.language import ENGLISH, language_of, translate
from app.web.security import HEADERS
from app.web.templating import Message, render, wants_json

NO_SUCH_PAGE = N_("There is no such page.")
PLEASE_CHECK = N_("Please check: {fields}.")
HEADINGS = {409: "Not possible at present", 422: "Please check"}  # instead of HTTP's own words
SIGNED_OUT = "You are signed out, so nothing is reckoned here. What you have typed stays."
UNEXPECTED = N_("Something went wrong on our side. Nothing was changed; please try again.")


def is_for_reader(request: Request) -> bool:
    return request.url.path.startswith(("/r/", "/reading/")) or request.url.path == "/reading"


def answer(request: Request, status: int, message: str, **values: str) -> Response:
    """The message in the reader's language; `values` go into its places."""
    language = language_of(request) if is_for_reader(request) else ENGLISH
    said = translate(language, message)
    said = said.format(**values) if values else said
    if wants_json(request):
        return JSONResponse({"message": said}, status, {"Cache-Control": "no-store"})
    if not is_for_reader(request):
        heading = HEADINGS.get(status, HTTPStatus(status).phrase)
        return render("error.html", Message(heading, said), status=status)
    template = "reader/closed.html" if status == NotAllowed.status else "reader/error.html"
    return render(template, Message("", said), status=status, language=language)


def study_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StudyError)  # noqa: S101 (how starlette types its handlers)
    if isinstance(error, SignInNeeded) and not wants_json(request):
        if request.headers.get("hx-request") == "true":
            return sign_in_from_within(request)
        then = request.url.path if request.method == "GET" else "/"  # a form must be sent again
        return RedirectResponse(f"/sign-in?next={quote(then)}", 303)
    if isinstance(error, Invalid) and error.problems and wants_json(request):
        listed = {"message": str(error), "problems": list(error.problems)}
        return JSONResponse(listed, error.status, {"Cache-Control": "no-store"})
    return answer(request, error.status, str(error))


def sign_in_from_within(request: Request) -> Response:
    """Of a part of a page that a script asked for, where the whole sign-in page has no place.

    A page that only looks goes to sign in and comes back. One with a form stays, since what was
    typed would be lost: it shows how to sign in beside it.
    """
    if request.method == "GET":
        then = urlsplit(request.headers.get("hx-current-url", "/")).path or "/"
        return Response(status_code=401, headers={"HX-Redirect": f"/sign-in?next={quote(then)}"})
    return render("signed_out.html", Message("Signed out", SIGNED_OUT), status=401)


def http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == NotFound.status:
        return answer(request, 404, NO_SUCH_PAGE)
    return answer(request, error.status_code, str(error.detail))


def not_understood(request: Request, error: Exception) -> Response:
    """Says which field is wrong, and never echoes what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields = sorted({str(problem["loc"][-1]) for problem in error.errors()})
    return answer(request, Invalid.status, PLEASE_CHECK, fields=", ".join(fields))


def unexpected(request: Request, _error: Exception) -> Response:
    """The server's log has the trace; starlette raises the error again after this.

    It calls this outside all middleware, so the headers of every answer are added here.
    """
    response = answer(request, 500, UNEXPECTED)
    response.headers.update(HEADERS)
    return response


def add_error_pages(app: FastAPI) -> None:
    app.add_exception_handler(StudyError, study_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, not_understood)
    app.add_exception_handler(Exception, unexpected)
