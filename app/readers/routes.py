"""Invite readers, withdraw their links, and make them anew."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from app.readers.domain import end_of
from app.readers.pages import invitation_page, invitations_page, link_of, reader_page
from app.readers.service import find_reader, invite_several, reissue, revoke
from app.researchers.domain import Right
from app.researchers.rights import right_on
from app.storage.session import ReadingDep, WritingDep
from app.studies.logs import problems_of_reader
from app.studies.monitor import watch_one
from app.studies.service import find_study
from app.web.fields import LARGEST, RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()


Label = Annotated[str, Path(max_length=20, pattern=r"^R\d+$")]
LastDay = Annotated[date | Literal[""], Form()]
Count = Annotated[int, Form(ge=-LARGEST, le=LARGEST)]


@router.post("/studies/{study_id}/readers")
def invite_here(
    study_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: WritingDep,
    count: Count = 1,
    last_day: LastDay = "",
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    until = end_of(last_day or None, now())
    invited = invite_several(session, study, researcher.email, now(), count, until)
    links = [link_of(each, request.app.state.settings.public_url) for each in invited]
    if len(links) == 1:
        page = invitation_page(study, links[0], "Invitation")
        return render("researcher/invitation.html", page)
    return render("researcher/invitations.html", invitations_page(study, links))


@router.get("/studies/{study_id}/readers/{label}")
def reader(
    study_id: RowNumber, label: Label, researcher: ResearcherDep, session: ReadingDep
) -> Response:
    study = find_study(session, study_id, researcher, Right.VIEW)
    found = find_reader(session, study, label)
    may_manage = (right_on(session, study, researcher) or Right.VIEW) >= Right.MANAGE
    problems, at = problems_of_reader(session, found), now()
    page = reader_page(found, watch_one(session, found, at), problems, may_manage, at)
    return render("researcher/reader.html", page)


@router.post("/studies/{study_id}/readers/{label}/reissue")
def reissue_here(
    study_id: RowNumber,
    label: Label,
    request: Request,
    researcher: ResearcherDep,
    session: WritingDep,
    last_day: LastDay = "",
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    until = end_of(last_day or None, now())
    reader = find_reader(session, study, label)
    invitation = reissue(session, reader, researcher.email, now(), until)
    link = link_of(invitation, request.app.state.settings.public_url)
    return render("researcher/invitation.html", invitation_page(study, link, "New link"))


@router.post("/studies/{study_id}/readers/{label}/revoke")
def revoke_here(
    study_id: RowNumber, label: Label, researcher: ResearcherDep, session: WritingDep
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    revoke(session, find_reader(session, study, label), researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}/readers/{label}", 303)
