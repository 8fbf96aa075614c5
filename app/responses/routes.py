"""Where a reader's browser sends its answers."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.reading.routes import current_reader
from app.reading.service import Window
from app.responses.domain import GivenAnswer
from app.responses.service import record_response
from app.storage.session import WritingDep
from app.web.identity import now

router = APIRouter()


@router.post("/reading/responses")
def answer_here(
    given: GivenAnswer, request: Request, session: WritingDep, response: Response
) -> Window:
    """Answers 200 only after the commit; see app.storage.session."""
    response.headers["Cache-Control"] = "no-store"
    return record_response(session, current_reader(request, session), given, now())
