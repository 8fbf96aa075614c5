"""The list of studies: a card each, with its state and the one thing to do next."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, joinedload

from app.researchers.domain import Right
from app.researchers.rights import batches_of, rights_on, studies_of
from app.storage.models import Batch, Reader, Rehearsal, Researcher, Study, StudyStimulus
from app.vocabulary import Part, StudyState
from app.web.listing import Columns, Listing, listed

CARDS_A_PAGE = 24
NEWEST_FIRST = "-created"
COLUMNS: Columns = {
    "created": Study.id,
    "title": Study.internal_title,
    "state": case({state: at for at, state in enumerate(StudyState)}, value=Study.state),
    "number": Study.id,
}
NEXT_ACTION = {
    StudyState.DRAFT: "Lock and start",
    StudyState.READY: "Invite readers",
    StudyState.READING: "See progress",
    StudyState.LOCKED: "Unblind",
    StudyState.UNBLINDED: "See results",
}
WHERE = {StudyState.READING: "#readers", StudyState.UNBLINDED: "/results"}
NEEDED = {
    StudyState.READING: Right.VIEW,
    StudyState.UNBLINDED: Right.VIEW,
    StudyState.LOCKED: Right.OWN,
}


@dataclass(frozen=True)
class StudyCard:
    """`owner` is named to collaborators; `next_url` is where `next_action` is done."""

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
    next_url: str


@dataclass(frozen=True)
class StudiesPage:
    studies: Sequence[StudyCard]
    listing: Listing
    has_batches: bool
    title: str = "Studies"


def studies_page(
    session: Session, researcher: Researcher, page: int = 1, sort: str = NEWEST_FIRST
) -> StudiesPage:
    """By as many queries whatever the number of studies; rehearsals are with their study."""
    query = (
        select(Study)
        .where(studies_of(researcher), Study.id.not_in(select(Rehearsal.study_id)))
        .options(joinedload(Study.batch), joinedload(Study.researcher))
    )
    studies, listing = listed(
        session, query, COLUMNS, "/studies", page, sort, per_page=CARDS_A_PAGE
    )
    ids = [study.id for study in studies]
    shown = presentations_of_studies(session, ids)
    readers = readers_of_studies(session, ids)
    rights = rights_on(session, studies, researcher)
    cards = [
        study_card(study, rights[study.id], shown.get(study.id, 0), *readers.get(study.id, (0, 0)))
        for study in studies
    ]
    batch = session.scalar(select(Batch.id).where(batches_of(researcher)).limit(1))
    return StudiesPage(cards, listing, batch is not None)


def presentations_of_studies(session: Session, studies: Sequence[int]) -> dict[int, int]:
    """How many images a reader of each of them reads: once in every set, catch images once."""
    times = case((StudyStimulus.is_catch, 1), else_=Study.sets)
    rows = session.execute(
        select(StudyStimulus.study_id, func.sum(times))
        .join(Study, Study.id == StudyStimulus.study_id)
        .where(StudyStimulus.study_id.in_(studies), StudyStimulus.part == Part.READING)
        .group_by(StudyStimulus.study_id)
    )
    return dict(rows.all())


def readers_of_studies(session: Session, studies: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many readers are invited to each of them, and how many have finished."""
    rows = session.execute(
        select(Reader.study_id, func.count(), func.count(Reader.finished_at))
        .where(Reader.study_id.in_(studies))
        .group_by(Reader.study_id)
    )
    return {study: (invited, finished) for study, invited, finished in rows}


def study_card(study: Study, right: Right, shown: int, readers: int, finished: int) -> StudyCard:
    may_go_on = right >= NEEDED.get(study.state, Right.MANAGE)
    return StudyCard(
        id=study.id,
        title=study.internal_title,
        state=study.state,
        is_demo=study.is_demo,
        batch=study.batch.name,
        presentations=shown,
        readers=readers,
        finished=finished,
        owner="" if right is Right.OWN else study.researcher.email,
        next_action=NEXT_ACTION[study.state] if may_go_on else "See the study",
        next_url=f"/studies/{study.id}{WHERE.get(study.state, '') if may_go_on else ''}",
    )
