"""What a design can show, changing a draft, starting it, and amending its plan."""

import random
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.batches.service import find_batch, list_batches
from app.designer.forms import AmendForm, amend_form_of
from app.designer.pages import AmendPage, reckoning_view
from app.designer.planned import Planned
from app.designer.service import amend_study, start_study
from app.errors import Conflict, Invalid, NotFound
from app.researchers.domain import Right
from app.storage.models import Researcher
from app.storage.session import DatabaseDep, ReadingDep, WritingDep
from app.studies.design_pages import NewStudyPage, ReckoningView, batch_choices
from app.studies.domain import chosen_gap, pairs_of, refuse_impossible_catch
from app.studies.forms import StudyForm, form_of, with_negatives
from app.studies.monitor import amendments_of
from app.studies.routes import design_asked
from app.studies.service import (
    CATCH,
    change_draft,
    choose_images,
    delete_draft,
    design_of,
    find_study,
    has_cases_of,
    require_sensible_numbers,
    scan_is_amber,
)
from app.vocabulary import Part
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()


@router.post("/studies/reckon")
def reckon_here(
    request: Request,
    researcher: ResearcherDep,
    session: ReadingDep,
    form: Annotated[StudyForm, Form()],
) -> Response:
    """The panel alone where a script asked for it; else the whole form with the panel."""
    view = reckoned(session, researcher, form)
    if request.headers.get("hx-request") == "true":
        return render("researcher/reckoning.html", view)
    choices = batch_choices(list_batches(session, researcher))
    return render("researcher/new_study.html", NewStudyPage(choices, form, reckoning=view))


def reckoned(session: Session, researcher: Researcher, form: StudyForm) -> ReckoningView:
    try:
        return reckoning_view(planned(session, researcher, form))
    except (Invalid, Conflict, NotFound) as refusal:
        return ReckoningView(problem=str(refusal))


def planned(session: Session, researcher: Researcher, form: StudyForm) -> Planned:
    """The design as it would be made, with cases drawn from another seed."""
    batch = find_batch(session, form.batch_number, researcher)
    new = design_asked(session, researcher, form)
    require_sensible_numbers(new)
    images = choose_images(session, batch, new, random.Random(0))  # noqa: S311 (nothing is kept)
    altered = sum(each.condition_id is not None for each in images.get(Part.PAIRS, []))
    pairs = pairs_of(new.pair_task, altered)
    design = design_of(
        *(images[Part.READING], new.sets),
        practice=len(images[Part.PRACTICE]),
        pairs=pairs,
        catch=len(images[CATCH]),
    )
    refuse_impossible_catch(design)
    truths = {stimulus.case_id: stimulus.case.truth for stimulus in images[Part.READING]}
    return Planned(
        design=design,
        tumours=sum(truths.values()),
        minimum_gap=chosen_gap(design, new.minimum_gap),
        waves=new.waves,
        washout_days=new.washout_days,
        readers=form.readers,
        estimand=new.estimand,
        margin_flips=new.margin_flips,
        margin_tp=new.margin_tp,
        alpha=new.alpha,
        confidence=new.confidence,
        masking=new.masking,
        pair_task=new.pair_task,
        is_scan_amber=scan_is_amber(batch),
        catch_least=new.catch_least,
        catch_tumours=sum(stimulus.case.truth for stimulus in images[CATCH]),
    )


@router.get("/studies/{study_id}/edit")
def edit_page(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    """The form as it was filled in."""
    study = find_study(session, study_id, researcher, Right.MANAGE)
    form = form_of(study)
    if not has_cases_of(session, study, form.new_study()):
        form = with_negatives(form, study)
    page = edit_form(session, researcher, study_id, form, reckoned(session, researcher, form))
    return render("researcher/new_study.html", page)


def edit_form(
    session: Session,
    researcher: Researcher,
    study_id: int,
    form: StudyForm,
    reckoning: ReckoningView | None = None,
    problem: str = "",
) -> NewStudyPage:
    choices = batch_choices(list_batches(session, researcher))
    return NewStudyPage(choices, form, problem, reckoning, study_id, "Change the design")


@router.post("/studies/{study_id}/edit")
def edit(
    study_id: RowNumber,
    researcher: ResearcherDep,
    database: DatabaseDep,
    form: Annotated[StudyForm, Form()],
) -> Response:
    """A design that is not possible comes back with its form filled in; the draft stays."""
    try:
        with database.writing() as session:
            study = find_study(session, study_id, researcher, Right.MANAGE)
            batch = find_batch(session, form.batch_number, researcher)
            new = design_asked(session, researcher, form)
            change_draft(session, study, batch, new, researcher.email, now())
        return RedirectResponse(f"/studies/{study_id}", 303)
    except (Invalid, Conflict, NotFound) as refusal:
        with database.reading() as session:
            find_study(session, study_id, researcher, Right.MANAGE)
            page = edit_form(session, researcher, study_id, form, problem=str(refusal))
        return render("researcher/new_study.html", page, status=refusal.status)


@router.post("/studies/{study_id}/start")
def start(
    study_id: RowNumber, request: Request, researcher: ResearcherDep, session: WritingDep
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    start_study(session, request.app.state.images, study, researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.post("/studies/{study_id}/delete")
def delete(study_id: RowNumber, researcher: ResearcherDep, session: WritingDep) -> Response:
    delete_draft(session, find_study(session, study_id, researcher, Right.OWN))
    return RedirectResponse("/studies", 303)


@router.get("/studies/{study_id}/protocol.json")
def protocol(
    study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep, version: int = 1
) -> Response:
    """The very text that was hashed, byte for byte. It tells nothing of any image's arm."""
    study = find_study(session, study_id, researcher, Right.VIEW)
    texts = [study.protocol, *(each.protocol for each in amendments_of(session, study))]
    if study.protocol is None or not 1 <= version <= len(texts):
        raise NotFound("There is no such version of the protocol.")
    name = f"protocol-{study.id}-{version}.json"
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(texts[version - 1], media_type="application/json", headers=headers)


@router.get("/studies/{study_id}/amend")
def amend_page(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    page = AmendPage(study.id, study.internal_title, amend_form_of(study))
    return render("researcher/amend.html", page)


@router.post("/studies/{study_id}/amend")
def amend(
    study_id: RowNumber,
    researcher: ResearcherDep,
    database: DatabaseDep,
    form: Annotated[AmendForm, Form()],
) -> Response:
    """What is refused comes back as it was typed; the plan stays."""
    try:
        with database.writing() as session:
            study = find_study(session, study_id, researcher, Right.MANAGE)
            amend_study(session, study, form.changes(), form.reason, researcher.email, now())
        return RedirectResponse(f"/studies/{study_id}", 303)
    except Invalid as refusal:
        with database.reading() as session:
            title = find_study(session, study_id, researcher, Right.MANAGE).internal_title
        page = AmendPage(study_id, title, form, str(refusal))
        return render("researcher/amend.html", page, status=refusal.status)
