"""Rehearse a study, watch the robots read, and delete what they read."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from app.rehearsal.domain import LARGEST_SEED, Robot, crew
from app.rehearsal.pages import rehearsal_page
from app.rehearsal.service import create_rehearsal, delete_rehearsal, find_rehearsal
from app.researchers.domain import Right
from app.researchers.rights import right_on
from app.storage.session import ReadingDep, WritingDep
from app.studies.service import find_study
from app.vocabulary import RobotKind
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()
Count = Annotated[int, Field(ge=0, le=100)]
PerCent = Annotated[float, Field(ge=0, le=100)]


class RehearseForm(BaseModel):
    """One robot of each kind unless said otherwise; without a seed one is drawn."""

    model_config = ConfigDict(frozen=True)

    perfect: Count = 1
    noisy: Count = 1
    always_tumour: Count = 1
    biased: Count = 1
    quitter: Count = 1
    sees_all: Count = 1
    hit_percent: PerCent = 85
    false_alarm_percent: PerCent = 10
    seed: Annotated[str, Field(pattern=r"^\s*\d{0,10}\s*$")] = ""

    @property
    def robots(self) -> list[Robot]:
        counts = {kind: getattr(self, kind.value) for kind in RobotKind}
        return crew(counts, self.hit_percent / 100, self.false_alarm_percent / 100)

    @property
    def chosen_seed(self) -> int:
        return int(self.seed) if self.seed.strip() else secrets.randbelow(LARGEST_SEED + 1)


@router.post("/studies/{study_id}/rehearsals")
def rehearse(
    study_id: RowNumber,
    request: Request,
    researcher: ResearcherDep,
    session: WritingDep,
    form: Annotated[RehearseForm, Form()],
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    made = create_rehearsal(session, study, form.robots, form.chosen_seed, researcher.email, now())
    request.app.state.rehearser.wake()
    return RedirectResponse(f"/studies/{study_id}/rehearsals/{made.study_id}", 303)


@router.get("/studies/{study_id}/rehearsals/{number}")
def rehearsal(
    study_id: RowNumber, number: RowNumber, researcher: ResearcherDep, session: ReadingDep
) -> Response:
    """The page asks again by itself while robots read."""
    study = find_study(session, study_id, researcher, Right.VIEW)
    found = find_rehearsal(session, study, number)
    may_manage = (right_on(session, study, researcher) or Right.VIEW) >= Right.MANAGE
    return render("researcher/rehearsal.html", rehearsal_page(found, may_manage))


@router.post("/studies/{study_id}/rehearsals/{number}/delete")
def delete(
    study_id: RowNumber, number: RowNumber, researcher: ResearcherDep, session: WritingDep
) -> Response:
    study = find_study(session, study_id, researcher, Right.MANAGE)
    delete_rehearsal(session, find_rehearsal(session, study, number))
    return RedirectResponse(f"/studies/{study_id}", 303)
