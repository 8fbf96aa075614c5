"""Create studies, watch them without seeing, lock them and unblind them."""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.batches.service import find_batch, list_batches
from app.errors import Conflict, Invalid, NotFound
from app.researchers.domain import Right
from app.researchers.rights import right_on, rights_on
from app.storage.models import Researcher, Study
from app.storage.session import DatabaseDep, ReadingDep, WritingDep
from app.studies.design_pages import NewStudyPage, batch_choices
from app.studies.forms import StudyForm
from app.studies.members import members_of
from app.studies.monitor import amendments_of, progress, reported_problems
from app.studies.pages import StudyPage, studies_page, study_page
from app.studies.service import (
    create_study,
    find_study,
    list_studies,
    lock_study,
    unblind_study,
)
from app.web.fields import WITHOUT_ZERO_BYTE, RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()
Text = Annotated[str, Form(max_length=300, pattern=WITHOUT_ZERO_BYTE)]


@router.get("/studies")
def studies(researcher: ResearcherDep, session: ReadingDep) -> Response:
    found = list_studies(session, researcher)
    rights = rights_on(session, found, researcher)
    page = studies_page(found, list_batches(session, researcher), rights)
    return render("researcher/studies.html", page)


@router.get("/studies/new")
def new_study_page(researcher: ResearcherDep, session: ReadingDep) -> Response:
    page = NewStudyPage(batch_choices(list_batches(session, researcher)))
    return render("researcher/new_study.html", page)


@router.post("/studies")
def create(
    researcher: ResearcherDep, database: DatabaseDep, form: Annotated[StudyForm, Form()]
) -> Response:
    """A design that is not possible comes back with its form filled in."""
    try:
        with database.writing() as session:
            batch = find_batch(session, form.batch_number, researcher)
            practice = form.practice_batch_number
            new = form.new_study(find_batch(session, practice, researcher) if practice else None)
            study = create_study(session, researcher, batch, new, now())
            return RedirectResponse(f"/studies/{study.id}", 303)
    except (Invalid, Conflict, NotFound) as refusal:
        with database.reading() as session:
            page = NewStudyPage(
                batch_choices(list_batches(session, researcher)), form, str(refusal)
            )
        return render("researcher/new_study.html", page, status=refusal.status)


def page_of(session: Session, study: Study, researcher: Researcher, problem: str = "") -> StudyPage:
    return study_page(
        study,
        progress(session, study),
        reported_problems(session, study),
        members_of(session, study),
        amendments_of(session, study),
        right_on(session, study, researcher) or Right.VIEW,
        now(),
        problem,
    )


@router.get("/studies/{study_id}")
def study(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    found = find_study(session, study_id, researcher, Right.VIEW)
    return render("researcher/study.html", page_of(session, found, researcher))


@router.post("/studies/{study_id}/lock")
def lock(study_id: RowNumber, researcher: ResearcherDep, session: WritingDep) -> Response:
    found = find_study(session, study_id, researcher, Right.MANAGE)
    lock_study(session, found, researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.post("/studies/{study_id}/unblind")
def unblind(
    study_id: RowNumber, researcher: ResearcherDep, session: WritingDep, typed: Text
) -> Response:
    """The title is typed in full, because this cannot be undone."""
    found = find_study(session, study_id, researcher, Right.OWN)
    if typed.strip() != found.internal_title:
        problem = "What you typed is not the title of this study; nothing was unblinded."
        page = page_of(session, found, researcher, problem)
        return render("researcher/study.html", page, status=Invalid.status)
    unblind_study(session, found, researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}/results", 303)
