"""What the study pages show; before unblinding, nothing by arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.storage.models import Batch, Study
from app.studies.domain import QUESTION, is_key_open
from app.studies.service import Progress, design_of
from app.vocabulary import StudyState

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


@dataclass(frozen=True)
class NewStudyPage:
    batches: Sequence[BatchChoice]
    problem: str = ""
    internal_title: str = ""
    public_title: str = ""
    question: str = QUESTION
    sets: int = 2
    minimum_gap: str = ""
    batch: int = 0
    title: str = "New study"


@dataclass(frozen=True)
class StudyPage:
    """`may_see_results` is true after unblinding, and at once for a demo study."""

    title: str
    id: int
    public_title: str
    state: str
    is_demo: bool
    question: str
    criterion: str
    batch_id: int
    batch: str
    cases: int
    sets: int
    minimum_gap: int
    presentations: int
    minutes: int
    readers: Sequence[Progress]
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
    return [BatchChoice(batch.id, batch.name, len(batch.cases)) for batch in batches]


def study_page(study: Study, readers: Sequence[Progress], problem: str = "") -> StudyPage:
    design = design_of(study.stimuli, study.sets)
    return StudyPage(
        title=study.internal_title,
        id=study.id,
        public_title=study.public_title,
        state=study.state,
        is_demo=study.is_demo,
        question=study.question,
        criterion=study.criterion,
        batch_id=study.batch_id,
        batch=study.batch.name,
        cases=design.cases,
        sets=study.sets,
        minimum_gap=study.minimum_gap,
        presentations=design.presentations,
        minutes=design.minutes,
        readers=readers,
        created_at=study.created_at,
        may_invite=study.state in {StudyState.DRAFT, StudyState.READY, StudyState.READING},
        may_lock=study.state in {StudyState.READY, StudyState.READING},
        may_unblind=study.state is StudyState.LOCKED,
        may_see_results=is_key_open(study.state, study.is_demo),
        problem=problem,
    )
