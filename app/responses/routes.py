"""Where a reader's browser sends what the reader said. Answers 200 only after the commit; see
app.storage.session."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.reading.service import Window
from app.reading.visitor import reader_in_place
from app.responses.domain import GivenAnswer, Reported, TakenBack
from app.responses.service import record_response, report_problem, take_back
from app.storage.session import WritingDep
from app.web.identity import now

router = APIRouter()


@router.post("/reading/responses")
def answer_here(
    given: GivenAnswer, request: Request, session: WritingDep, response: Response
) -> Window:
    response.headers["Cache-Control"] = "no-store"
    return record_response(session, reader_in_place(request, session), given, now())


@router.post("/reading/undo")
def take_back_here(
    wanted: TakenBack, request: Request, session: WritingDep, response: Response
) -> Window:
    response.headers["Cache-Control"] = "no-store"
    return take_back(session, reader_in_place(request, session), wanted, now())


@router.post("/reading/problems")
def report_here(
    found: Reported, request: Request, session: WritingDep, response: Response
) -> Window:
    response.headers["Cache-Control"] = "no-store"
    return report_problem(session, reader_in_place(request, session), found, now())
