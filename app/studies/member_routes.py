"""Name the collaborators of a study."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from app.errors import Conflict, Invalid
from app.researchers.domain import Right
from app.storage.session import DatabaseDep, WritingDep
from app.studies.members import remove_member, set_member
from app.studies.routes import page_of
from app.studies.service import find_study
from app.web.fields import WITHOUT_ZERO_BYTE, RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()
Email = Annotated[str, Form(max_length=320, pattern=WITHOUT_ZERO_BYTE)]


@router.post("/studies/{study_id}/collaborators")
def name_collaborator(
    study_id: RowNumber,
    researcher: ResearcherDep,
    database: DatabaseDep,
    email: Email,
    may: Annotated[Literal["view", "manage"], Form()] = "view",
) -> Response:
    try:
        with database.writing() as session:
            found = find_study(session, study_id, researcher, Right.OWN)
            set_member(session, found, email, may == "manage", researcher.email, now())
    except (Conflict, Invalid) as refusal:
        with database.reading() as session:
            found = find_study(session, study_id, researcher, Right.OWN)
            page = page_of(session, found, researcher, str(refusal))
            return render("researcher/study.html", page, status=refusal.status)
    return RedirectResponse(f"/studies/{study_id}#collaborators", 303)


@router.post("/studies/{study_id}/collaborators/{researcher_id}/remove")
def remove_collaborator(
    study_id: RowNumber,
    researcher_id: RowNumber,
    researcher: ResearcherDep,
    session: WritingDep,
) -> Response:
    found = find_study(session, study_id, researcher, Right.OWN)
    remove_member(session, found, researcher_id, researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}#collaborators", 303)
