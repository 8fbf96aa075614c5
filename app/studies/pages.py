"""What the study pages show; before unblinding, nothing by arm."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.researchers.domain import Right
from app.storage.models import Batch, Member, Study
from app.studies.domain import Design, is_key_open, receipt
from app.studies.forms import StudyForm
from app.studies.monitor import Progress, Reported
from app.studies.service import design_of, design_of_study
from app.vocabulary import PairTask, Part, Problem, StudyState, Undo

NEXT_ACTION = {
    StudyState.DRAFT: "Invite readers",
    StudyState.READY: "Invite readers",
    StudyState.READING: "See progress",
    StudyState.LOCKED: "Unblind",
    StudyState.UNBLINDED: "See results",
}


@dataclass(frozen=True)
class StudyCard:
    id: int
    title: str
    state: str
    is_demo: bool
    batch: str
    presentations: int
    readers: int
    finished: int
    next_action: str


@dataclass(frozen=True)
class StudiesPage:
    studies: Sequence[StudyCard]
    has_batches: bool
    title: str = "Studies"


@dataclass(frozen=True)
class BatchChoice:
    id: int
    name: str
    cases: int
    conditions: str


@dataclass(frozen=True)
class NewStudyPage:
    batches: Sequence[BatchChoice]
    form: StudyForm = field(default_factory=StudyForm)
    problem: str = ""
    title: str = "New study"


@dataclass(frozen=True)
class Fact:
    """One line of the design."""

    name: str
    value: str


@dataclass(frozen=True)
class ReaderRow:
    """`link` says how long the personal link is good; `receipt` is what a reader can quote."""

    label: str
    done: int
    began_at: datetime | None
    finished_at: datetime | None
    link: str
    may_revoke: bool
    receipt: str


@dataclass(frozen=True)
class ProblemRow:
    reader: str
    part: str
    token: str
    kind: str
    at: datetime


@dataclass(frozen=True)
class Collaborator:
    id: int
    email: str
    may_manage: bool


@dataclass(frozen=True)
class People:
    """Who works on the study, and whether the one who looks may change that."""

    owner: str
    collaborators: Sequence[Collaborator]
    may_change: bool


@dataclass(frozen=True)
class StudyPage:
    """`may_see_results` is true after unblinding, and at once for a demo study."""

    title: str
    id: int
    state: str
    is_demo: bool
    batch_id: int
    batch: str
    presentations: int
    facts: Sequence[Fact]
    readers: Sequence[ReaderRow]
    problems: Sequence[ProblemRow]
    people: People
    created_at: datetime
    may_invite: bool
    may_lock: bool
    may_unblind: bool
    may_see_results: bool
    problem: str = ""


def study_card(study: Study) -> StudyCard:
    return StudyCard(
        id=study.id,
        title=study.internal_title,
        state=study.state,
        is_demo=study.is_demo,
        batch=study.batch.name,
        presentations=design_of(study.stimuli, study.sets).presentations,
        readers=len(study.readers),
        finished=sum(reader.finished_at is not None for reader in study.readers),
        next_action=NEXT_ACTION[study.state],
    )


def studies_page(studies: Sequence[Study], batches: Sequence[Batch]) -> StudiesPage:
    return StudiesPage([study_card(study) for study in studies], bool(batches))


def batch_choices(batches: Sequence[Batch]) -> list[BatchChoice]:
    return [
        BatchChoice(
            batch.id,
            batch.name,
            len(batch.cases),
            ", ".join(condition.name for condition in batch.conditions),
        )
        for batch in batches
    ]


def study_page(
    study: Study,
    readers: Sequence[Progress],
    problems: Sequence[Reported],
    members: Sequence[Member],
    right: Right,
    now: datetime,
    problem: str = "",
) -> StudyPage:
    may_manage, may_own = right >= Right.MANAGE, right >= Right.OWN
    return StudyPage(
        title=study.internal_title,
        id=study.id,
        state=study.state,
        is_demo=study.is_demo,
        batch_id=study.batch_id,
        batch=study.batch.name,
        presentations=design_of(study.stimuli, study.sets).presentations,
        facts=facts_of(study),
        readers=[reader_row(study, reader, now) for reader in readers],
        problems=[
            ProblemRow(each.reader, PARTS[each.part], each.token, PROBLEMS[each.kind], each.at)
            for each in problems
        ],
        people=People(
            study.researcher.email,
            [
                Collaborator(each.researcher_id, each.researcher.email, each.may_manage)
                for each in members
            ],
            may_own,
        ),
        created_at=study.created_at,
        may_invite=may_manage
        and study.state in {StudyState.DRAFT, StudyState.READY, StudyState.READING},
        may_lock=may_manage and study.state in {StudyState.READY, StudyState.READING},
        may_unblind=may_own and study.state is StudyState.LOCKED,
        may_see_results=is_key_open(study.state, study.is_demo),
        problem=problem,
    )


PARTS = {Part.PRACTICE: "Practice", Part.READING: "Reading", Part.PAIRS: "Pairs"}
PROBLEMS = {
    Problem.NOT_SHOWN: "The image is not shown",
    Problem.UNCLEAR: "The image is unclear",
    Problem.OTHER: "Something else",
}
UNDO = {
    Undo.NONE: "an answer is final",
    Undo.ONE: "the last answer can be taken back",
    Undo.ALL: "answers can be taken back one after another",
}
PAIR_TASKS = {
    PairTask.CHOICE: "which of two images was altered",
    PairTask.COMPARE: "whether two images are the same or different",
}


def reader_row(study: Study, reader: Progress, now: datetime) -> ReaderRow:
    return ReaderRow(
        reader.label,
        reader.done,
        reader.began_at,
        reader.finished_at,
        link_text(reader, now),
        reader.revoked_at is None,
        receipt(study.secret, reader.label) if reader.finished_at else "",
    )


def link_text(reader: Progress, now: datetime) -> str:
    if reader.revoked_at is not None:
        return "withdrawn"
    if reader.expires_at is None:
        return "open"
    last_day = f"{reader.expires_at - timedelta(microseconds=1):%Y-%m-%d}"
    return f"expired {last_day}" if reader.expires_at <= now else f"until {last_day}"


def facts_of(study: Study) -> list[Fact]:
    design = design_of_study(study)
    facts = {
        "Title for readers": study.public_title,
        "Question": study.question,
        "Criterion": study.criterion,
        "A reader sees": shown_text(study, design),
        "Minimum gap": f"{study.minimum_gap} presentations between two showings of one case",
        "Answers": answers_text(study),
        "Undo": UNDO[study.undo],
        "Sittings": sittings_text(study),
        "Breaks": breaks_text(study),
        "Practice": practice_text(study, design),
        "Pairs": pairs_text(study, design),
    }
    return [Fact(name, value) for name, value in facts.items()]


def shown_text(study: Study, design: Design) -> str:
    masked = ", each in one of its flips and rotations" if study.masking else ""
    return (
        f"{design.presentations} images{masked}: {design.cases} cases, {study.sets} sets; "
        f"about {design.minutes} minutes in all"
    )


def answers_text(study: Study) -> str:
    also = {
        "1 to 4 tumour cells": study.few_cells,
        "cannot assess": study.cannot_assess,
        "and how sure, 1 to 5": study.confidence,
    }
    return ", ".join(["tumour", "no tumour", *(text for text, asked in also.items() if asked)])


def sittings_text(study: Study) -> str:
    if study.waves == 1:
        return "one"
    return f"{study.waves}, at least {study.washout_days} days apart"


def breaks_text(study: Study) -> str:
    after = {"images": study.break_after_images, "minutes": study.break_after_minutes}
    offered = [f"{number} {what}" for what, number in after.items() if number]
    return f"offered after {' or '.join(offered)}" if offered else "none offered"


def practice_text(study: Study, design: Design) -> str:
    if not design.practice:
        return "none"
    told = "the right answer is told" if study.feedback else "the right answer is not told"
    return f"{design.practice} images of cases that are not read; {told}"


def pairs_text(study: Study, design: Design) -> str:
    if study.pair_task is None:
        return "none"
    unsure = ", with “not sure”" if study.not_sure else ""
    return f"{design.pairs} after reading: {PAIR_TASKS[study.pair_task]}{unsure}"
