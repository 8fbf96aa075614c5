"""Invite readers."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.readers.service import invite
from app.storage.session import WritingDep
from app.studies.service import find_study
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()


@dataclass(frozen=True)
class InvitationPage:
    study_id: int
    study: str
    public_title: str
    label: str
    url: str
    title: str = "Invitation"


@router.post("/studies/{study_id}/readers")
def invite_here(
    study_id: RowNumber, request: Request, researcher: ResearcherDep, session: WritingDep
) -> Response:
    """The link is on this page only: the server keeps no more than its digest."""
    study = find_study(session, study_id, researcher)
    invitation = invite(session, study, researcher.email, now())
    url = invitation.url(request.app.state.settings.public_url)
    page = InvitationPage(study.id, study.internal_title, study.public_title, invitation.label, url)
    return render("researcher/invitation.html", page)
