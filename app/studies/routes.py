"""Create studies, watch them without seeing, lock them and unblind them."""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.batches.service import find_batch, list_batches
from app.errors import Conflict, Invalid, NotFound
from app.researchers.domain import Right
from app.researchers.rights import right_on
from app.storage.models import Batch, Researcher, Study
from app.storage.session import DatabaseDep, ReadingDep, WritingDep
from app.studies.cards import NEWEST_FIRST, studies_page
from app.studies.design_pages import NewStudyPage, batch_choices
from app.studies.forms import StudyForm
from app.studies.logs import ProblemsPage, RecordPage, events_of, problems_of, who_did
from app.studies.members import members_of
from app.studies.monitor import Standing, amendments_of, tally, watch
from app.studies.monitor_pages import monitor_view
from app.studies.pages import Readers, StudyPage, Watching, study_page
from app.studies.rehearsals import rehearsals_of
from app.studies.service import (
    NewStudy,
    create_study,
    design_of_study,
    find_study,
    lock_study,
    unblind_study,
)
from app.web.fields import LARGEST, WITHOUT_ZERO_BYTE, RowNumber
from app.web.identity import ResearcherDep, now
from app.web.listing import PageNumber, SortedBy
from app.web.templating import render

router = APIRouter()
Text = Annotated[str, Form(max_length=300, pattern=WITHOUT_ZERO_BYTE)]


@router.get("/studies")
def studies(
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = NEWEST_FIRST,
) -> Response:
    return render("researcher/studies.html", studies_page(session, researcher, page, sort))


@router.get("/studies/new")
def new_study_page(
    researcher: ResearcherDep,
    session: ReadingDep,
    batch: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> Response:
    """With the batch chosen that led here, if one did."""
    form = StudyForm(batch="" if batch is None else str(batch))
    page = NewStudyPage(batch_choices(list_batches(session, researcher)), form)
    return render("researcher/new_study.html", page)


@router.post("/studies")
def create(
    researcher: ResearcherDep, database: DatabaseDep, form: Annotated[StudyForm, Form()]
) -> Response:
    """A design that is not possible comes back with its form filled in."""
    try:
        with database.writing() as session:
            batch = find_batch(session, form.batch_number, researcher)
            new = design_asked(session, researcher, form)
            study = create_study(session, researcher, batch, new, now())
            return RedirectResponse(f"/studies/{study.id}", 303)
    except (Invalid, Conflict, NotFound) as refusal:
        with database.reading() as session:
            page = NewStudyPage(
                batch_choices(list_batches(session, researcher)), form, str(refusal)
            )
        return render("researcher/new_study.html", page, status=refusal.status)


def design_asked(session: Session, researcher: Researcher, form: StudyForm) -> NewStudy:
    """What was typed, with the batches that it names. NotFound for those of other people."""

    def named(number: int | None) -> Batch | None:
        return find_batch(session, number, researcher) if number else None

    return form.new_study(named(form.practice_batch_number), named(form.catch_batch_number))


def page_of(
    session: Session,
    study: Study,
    researcher: Researcher,
    problem: str = "",
    *,
    page: int = 1,
    sort: str = "",
) -> StudyPage:
    """`page` and `sort` are of its readers."""
    right = right_on(session, study, researcher) or Right.VIEW
    return study_page(
        study,
        watching(session, study, page, sort),
        events_of(session, study, few=True),
        members_of(session, study),
        amendments_of(session, study),
        rehearsals_of(session, study, right),
        right,
        who_did(session, study, "started"),
        problem,
    )


def watching(session: Session, study: Study, page: int, sort: str) -> Watching:
    at = now()
    counts = tally(session, study, at)
    watched, listing = watch(session, study, at, f"/studies/{study.id}", page, sort)
    return Watching(
        Readers(sum(counts.values()), counts.get(Standing.FINISHED, 0)),
        monitor_view(study, watched, listing, counts, design_of_study(study), at),
        problems_of(session, study, few=True),
    )


@router.get("/studies/{study_id}")
def study(
    study_id: RowNumber,
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = "",
) -> Response:
    found = find_study(session, study_id, researcher, Right.VIEW)
    if found.rehearsal is not None:
        return RedirectResponse(f"/studies/{found.rehearsal.of_id}/rehearsals/{study_id}", 303)
    shown = page_of(session, found, researcher, page=page, sort=sort)
    return render("researcher/study.html", shown)


@router.get("/studies/{study_id}/problems")
def problems(
    study_id: RowNumber,
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = "",
) -> Response:
    found = find_study(session, study_id, researcher, Right.VIEW)
    shown = problems_of(session, found, page, sort)
    return render("researcher/problems.html", ProblemsPage(found.id, found.internal_title, shown))


@router.get("/studies/{study_id}/record")
def record(
    study_id: RowNumber,
    researcher: ResearcherDep,
    session: ReadingDep,
    page: PageNumber = 1,
    sort: SortedBy = "",
) -> Response:
    """Who did what with the study, and when."""
    found = find_study(session, study_id, researcher, Right.VIEW)
    shown = events_of(session, found, page, sort)
    return render("researcher/record.html", RecordPage(found.id, found.internal_title, shown))


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
