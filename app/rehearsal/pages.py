"""What the page of a rehearsal shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.readers.service import label_of
from app.rehearsal.domain import in_words, restored
from app.storage.models import Rehearsal
from app.studies import rehearsals
from app.studies.rehearsals import ROBOTS, is_underway, per_cent
from app.vocabulary import RehearsalState


@dataclass(frozen=True)
class RobotRow:
    label: str
    name: str
    about: str


@dataclass(frozen=True)
class RehearsalPage:
    """`washout` is said of a study in several sittings: robots do not wait for days."""

    title: str
    id: int
    study_id: int
    study: str
    words: str
    per_cent: int
    is_underway: bool
    has_results: bool
    problem: str
    may_delete: bool
    robots: Sequence[RobotRow]
    seed: int
    answers: int
    created_at: datetime
    actor: str
    washout: str


def rehearsal_page(rehearsal: Rehearsal, may_manage: bool) -> RehearsalPage:
    study = rehearsal.of
    return RehearsalPage(
        title=rehearsal.study.internal_title,
        id=rehearsal.study_id,
        study_id=study.id,
        study=study.internal_title,
        words=rehearsals.in_words(rehearsal).capitalize() + ".",
        per_cent=per_cent(rehearsal),
        is_underway=is_underway(rehearsal),
        has_results=rehearsal.state is RehearsalState.DONE,
        problem=rehearsal.problem,
        may_delete=may_manage and not is_underway(rehearsal),
        robots=[
            RobotRow(label_of(number), ROBOTS[robot.kind], in_words(robot))
            for number, robot in enumerate(map(restored, rehearsal.robots), start=1)
        ],
        seed=rehearsal.seed,
        answers=rehearsal.done,
        created_at=rehearsal.created_at,
        actor=rehearsal.actor,
        washout=f"{study.washout_days} days" if study.waves > 1 else "",
    )
