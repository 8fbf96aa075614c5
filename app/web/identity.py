"""Secret tokens, and who is asking: a signed-in researcher."""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response
from sqlalchemy import select

from app.errors import NotAllowed, SignInNeeded
from app.storage.models import Researcher, ResearcherSession
from app.storage.session import ReadingDep

RESEARCHER_COOKIE = "plainsight_researcher"


def new_token() -> str:
    """128 random bits, fit for an address, a cookie or a spreadsheet."""
    return secrets.token_hex(16)


def digest(token: str) -> str:
    """What is stored of a token: enough to recognise it, not enough to use it."""
    return hashlib.sha256(token.encode()).hexdigest()


def now() -> datetime:
    return datetime.now(UTC)


def set_cookie(response: Response, request: Request, name: str, token: str, *, path: str) -> None:
    response.set_cookie(
        name,
        token,
        path=path,
        httponly=True,
        samesite="lax",
        secure=request.app.state.settings.is_https,
    )


def current_researcher(request: Request, session: ReadingDep) -> Researcher:
    found = session.scalar(
        select(Researcher)
        .join(ResearcherSession)
        .where(
            ResearcherSession.token_digest == digest(request.cookies.get(RESEARCHER_COOKIE, "")),
            ResearcherSession.expires_at > now(),
            Researcher.deactivated_at.is_(None),
        )
    )
    if found is None:
        raise SignInNeeded("Sign in to see this page.")
    return found


ResearcherDep = Annotated[Researcher, Depends(current_researcher, scope="function")]


def current_administrator(researcher: ResearcherDep) -> Researcher:
    if not researcher.is_administrator:
        raise NotAllowed("Only administrators look after accounts.")
    return researcher


AdministratorDep = Annotated[Researcher, Depends(current_administrator, scope="function")]
