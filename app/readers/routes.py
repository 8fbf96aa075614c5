"""Invite readers, withdraw their links, and make them anew."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from app.readers.domain import end_of
from app.readers.service import Invitation, find_reader, invite, reissue, revoke
from app.researchers.domain import Right
from app.storage.models import Study
from app.storage.session import WritingDep
from app.studies.service import find_study
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()


Label = Annotated[str, Path(max_length=20, pattern=r"^R\d+$")]
LastDay = Annotated[date | Literal[""], Form()]


@dataclass(frozen=True)
class InvitationPage:
    """The link is on this page only: the server keeps no more than its digest."""

    title: str
    study_id: int
    study: str
    public_title: str
    label: str
    url: str
    expires_at: datetime | None


@router.post("/studies/{study_id}/readers")
def invite_here(
    study_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: WritingDep,
    last_day: LastDay = "",
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    until = end_of(last_day or None, now())
    invitation = invite(session, study, researcher.email, now(), until)
    return link_page(request, study, invitation, until, "Invitation")


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
    return link_page(request, study, invitation, until, "New link")


@router.post("/studies/{study_id}/readers/{label}/revoke")
def revoke_here(
    study_id: RowNumber, label: Label, researcher: ResearcherDep, session: WritingDep
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    revoke(session, find_reader(session, study, label), researcher.email, now())
    return RedirectResponse(f"/studies/{study_id}", 303)


def link_page(
    request: Request, study: Study, invitation: Invitation, until: datetime | None, title: str
) -> Response:
    url = invitation.url(request.app.state.settings.public_url)
    page = InvitationPage(
        f"{title} for {invitation.label}",
        study.id,
        study.internal_title,
        study.public_title,
        invitation.label,
        url,
        until,
    )
    return render("researcher/invitation.html", page)
