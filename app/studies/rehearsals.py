"""The rehearsals of a study, as its page lists them; app.rehearsal makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.researchers.domain import Right
from app.storage.models import Rehearsal, Study
from app.vocabulary import RehearsalState, RobotKind

ROBOTS = {
    RobotKind.PERFECT: "Perfect",
    RobotKind.NOISY: "Noisy",
    RobotKind.ALWAYS_TUMOUR: "Always tumour",
    RobotKind.BIASED: "Biased",
    RobotKind.QUITTER: "Quitter",
    RobotKind.SEES_ALL: "Sees every perturbation",
}
ABOUT = {
    RobotKind.PERFECT: "right about every image",
    RobotKind.NOISY: "right at the rates below",
    RobotKind.ALWAYS_TUMOUR: "says tumour to all",
    RobotKind.BIASED: "as noisy, but says tumour more easily",
    RobotKind.QUITTER: "as noisy, and leaves in the middle",
    RobotKind.SEES_ALL: "wrong about every perturbed image, right in every pair",
}


@dataclass(frozen=True)
class RobotChoice:
    kind: str
    label: str
    about: str


@dataclass(frozen=True)
class RehearsalLine:
    id: int
    title: str
    created_at: datetime
    words: str
    robots: int
    seed: int
    has_results: bool


@dataclass(frozen=True)
class Rehearsals:
    """`may_rehearse`: nothing else is read by robots now, and the one who looks may manage."""

    lines: Sequence[RehearsalLine]
    choices: Sequence[RobotChoice]
    may_rehearse: bool
    is_running: bool


def rehearsals_of(session: Session, study: Study, right: Right) -> Rehearsals:
    query = select(Rehearsal).where(Rehearsal.of_id == study.id)
    found = session.scalars(query.order_by(Rehearsal.study_id.desc())).all()
    is_running = any(is_underway(each) for each in found)
    return Rehearsals(
        [line_of(each) for each in found],
        [RobotChoice(kind.value, ROBOTS[kind], ABOUT[kind]) for kind in RobotKind],
        right >= Right.MANAGE and not is_running,
        is_running,
    )


def is_underway(rehearsal: Rehearsal) -> bool:
    return rehearsal.state in {RehearsalState.WAITING, RehearsalState.RUNNING}


def line_of(rehearsal: Rehearsal) -> RehearsalLine:
    return RehearsalLine(
        rehearsal.study_id,
        rehearsal.study.internal_title,
        rehearsal.created_at,
        in_words(rehearsal),
        len(rehearsal.robots),
        rehearsal.seed,
        rehearsal.state is RehearsalState.DONE,
    )


def per_cent(rehearsal: Rehearsal) -> int:
    return min(100, 100 * rehearsal.done // max(1, rehearsal.total))


def in_words(rehearsal: Rehearsal) -> str:
    match rehearsal.state:
        case RehearsalState.WAITING:
            return "waits for its turn"
        case RehearsalState.RUNNING:
            return f"robots read: {per_cent(rehearsal)} %"
        case RehearsalState.DONE:
            return f"read: {rehearsal.done} answers"
        case RehearsalState.FAILED:
            return "was not read to its end"
