"""Create studies, watch them without seeing, lock them and unblind them."""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from app.batches.service import find_batch, list_batches
from app.errors import Conflict, Invalid, NotFound
from app.storage.session import DatabaseDep, ReadingDep, WritingDep
from app.studies.pages import NewStudyPage, batch_choices, studies_page, study_page
from app.studies.service import (
    NewStudy,
    create_study,
    find_study,
    list_studies,
    lock_study,
    progress,
    unblind_study,
)
from app.web.fields import LARGEST, WITHOUT_ZERO_BYTE, RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()
Title = Annotated[str, Form(max_length=200, pattern=WITHOUT_ZERO_BYTE)]
Text = Annotated[str, Form(max_length=300, pattern=WITHOUT_ZERO_BYTE)]


@router.get("/studies")
def studies(researcher: ResearcherDep, session: ReadingDep) -> Response:
    page = studies_page(list_studies(session, researcher), list_batches(session))
    return render("researcher/studies.html", page)


@router.get("/studies/new")
def new_study_page(_researcher: ResearcherDep, session: ReadingDep) -> Response:
    page = NewStudyPage(batch_choices(list_batches(session)))
    return render("researcher/new_study.html", page)


@router.post("/studies")
def create(
    researcher: ResearcherDep,
    database: DatabaseDep,
    batch: Annotated[int, Form(ge=1, le=LARGEST)],
    internal_title: Title,
    public_title: Title,
    question: Text,
    sets: Annotated[int, Form(ge=1, le=10)],
    minimum_gap: Annotated[str, Form(max_length=6)] = "",
) -> Response:
    """A design that is not possible comes back with its form filled in."""
    try:
        with database.writing() as session:
            new = NewStudy(
                internal_title, public_title, sets, question, minimum_gap=gap(minimum_gap)
            )
            study = create_study(session, researcher, find_batch(session, batch), new, now())
            return RedirectResponse(f"/studies/{study.id}", 303)
    except (Invalid, Conflict, NotFound) as refusal:
        with database.reading() as session:
            page = NewStudyPage(
                batch_choices(list_batches(session)),
                str(refusal),
                internal_title,
                public_title,
                question,
                sets,
                minimum_gap,
                batch,
            )
        return render("researcher/new_study.html", page, status=refusal.status)


def gap(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal():
        raise Invalid("The minimum gap is a whole number of presentations, or empty.")
    return int(text)


@router.get("/studies/{study_id}")
def study(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    found = find_study(session, study_id, researcher)
    return render("researcher/study.html", study_page(found, progress(session, found)))


@router.post("/studies/{study_id}/lock")
def lock(study_id: RowNumber, researcher: ResearcherDep, session: WritingDep) -> Response:
    lock_study(session, find_study(session, study_id, researcher), researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.post("/studies/{study_id}/unblind")
def unblind(
    study_id: RowNumber, researcher: ResearcherDep, session: WritingDep, typed: Text
) -> Response:
    """The title is typed in full, because this cannot be undone."""
    found = find_study(session, study_id, researcher)
    if typed.strip() != found.internal_title:
        problem = "What you typed is not the title of this study; nothing was unblinded."
        page = study_page(found, progress(session, found), problem)
        return render("researcher/study.html", page, status=Invalid.status)
    unblind_study(session, found, researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}/results", 303)
