"""What the study pages show; before unblinding, nothing by arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.researchers.domain import Right
from app.storage.models import Amendment, Batch, Member, Study
from app.studies.design_pages import Fact, facts_of
from app.studies.domain import is_key_open, receipt
from app.studies.monitor import Progress, Reported
from app.studies.service import design_of
from app.vocabulary import Part, Problem, StudyState

NEXT_ACTION = {
    StudyState.DRAFT: "Lock and start",
    StudyState.READY: "Invite readers",
    StudyState.READING: "See progress",
    StudyState.LOCKED: "Unblind",
    StudyState.UNBLINDED: "See results",
}
NEEDED = {
    StudyState.READING: Right.VIEW,
    StudyState.UNBLINDED: Right.VIEW,
    StudyState.LOCKED: Right.OWN,
}
SEALED = (StudyState.READY, StudyState.READING, StudyState.LOCKED)


@dataclass(frozen=True)
class StudyCard:
    """`owner` is named to collaborators."""

    id: int
    title: str
    state: str
    is_demo: bool
    batch: str
    presentations: int
    readers: int
    finished: int
    owner: str
    next_action: str


@dataclass(frozen=True)
class StudiesPage:
    studies: Sequence[StudyCard]
    has_batches: bool
    title: str = "Studies"


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
class ProtocolVersion:
    """The frozen plan, or an amendment of it."""

    number: int
    at: datetime
    actor: str
    reason: str
    sha256: str


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
    protocol: Sequence[ProtocolVersion]
    readers: Sequence[ReaderRow]
    problems: Sequence[ProblemRow]
    people: People
    created_at: datetime
    may_edit: bool
    may_delete: bool
    may_amend: bool
    may_invite: bool
    may_lock: bool
    may_unblind: bool
    may_see_results: bool
    problem: str = ""


def study_card(study: Study, right: Right) -> StudyCard:
    may_go_on = right >= NEEDED.get(study.state, Right.MANAGE)
    return StudyCard(
        id=study.id,
        title=study.internal_title,
        state=study.state,
        is_demo=study.is_demo,
        batch=study.batch.name,
        presentations=design_of(study.stimuli, study.sets).presentations,
        readers=len(study.readers),
        finished=sum(reader.finished_at is not None for reader in study.readers),
        owner="" if right is Right.OWN else study.researcher.email,
        next_action=NEXT_ACTION[study.state] if may_go_on else "See the study",
    )


def studies_page(
    studies: Sequence[Study], batches: Sequence[Batch], rights: Mapping[int, Right]
) -> StudiesPage:
    cards = [study_card(study, rights[study.id]) for study in studies]
    return StudiesPage(cards, bool(batches))


def study_page(
    study: Study,
    readers: Sequence[Progress],
    problems: Sequence[Reported],
    members: Sequence[Member],
    amendments: Sequence[Amendment],
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
        protocol=versions_of(study, amendments),
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
        may_edit=may_manage and study.state is StudyState.DRAFT,
        may_delete=may_own and study.state is StudyState.DRAFT,
        may_amend=may_manage and study.protocol is not None and study.state in SEALED,
        may_invite=may_manage and study.state in {StudyState.READY, StudyState.READING},
        may_lock=may_manage and study.state in {StudyState.READY, StudyState.READING},
        may_unblind=may_own and study.state is StudyState.LOCKED,
        may_see_results=is_key_open(study.state, study.is_demo),
        problem=problem,
    )


def versions_of(study: Study, amendments: Sequence[Amendment]) -> list[ProtocolVersion]:
    if study.protocol_hash is None or study.started_at is None:
        return []
    first = ProtocolVersion(1, study.started_at, "", "As it was started.", study.protocol_hash)
    return [
        first,
        *(
            ProtocolVersion(number, each.at, each.actor, each.reason, each.protocol_hash)
            for number, each in enumerate(amendments, start=2)
        ),
    ]


PARTS = {Part.PRACTICE: "Practice", Part.READING: "Reading", Part.PAIRS: "Pairs"}
PROBLEMS = {
    Problem.NOT_SHOWN: "The image is not shown",
    Problem.UNCLEAR: "The image is unclear",
    Problem.OTHER: "Something else",
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
