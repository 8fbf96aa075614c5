"""The page of one study, from its design to its record; before unblinding, nothing by arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.researchers.domain import Right
from app.storage.models import Amendment, Member, Study
from app.studies.design_pages import Fact, facts_of
from app.studies.domain import is_key_open
from app.studies.logs import Events, Problems
from app.studies.monitor import OPEN
from app.studies.monitor_pages import MonitorView
from app.studies.rehearsals import Rehearsals
from app.vocabulary import StudyState

SEALED = (StudyState.READY, StudyState.READING, StudyState.LOCKED)
IN_SHORT = ("A reader sees", "Sittings", "Primary", "Margins", "Amber blinding scan")


@dataclass(frozen=True)
class Stage:
    """One state of a study on its way; `is_past` or `is_present` or still to come."""

    name: str
    is_past: bool
    is_present: bool


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
class Readers:
    """How many are invited, and how many have finished."""

    invited: int
    finished: int

    @property
    def have_all_finished(self) -> bool:
        return 0 < self.invited == self.finished


@dataclass(frozen=True)
class StudyPage:
    """`may_see_results` is true after unblinding, and at once for a demo study.

    summary: of the design what a reviewer asks first; facts: all the rest.
    """

    title: str
    id: int
    state: str
    is_demo: bool
    stages: Sequence[Stage]
    batch_id: int
    batch: str
    summary: Sequence[Fact]
    facts: Sequence[Fact]
    protocol: Sequence[ProtocolVersion]
    readers: Readers
    monitor: MonitorView
    problems: Problems
    events: Events
    people: People
    rehearsals: Rehearsals
    created_at: datetime
    may_edit: bool
    may_delete: bool
    may_amend: bool
    may_invite: bool
    may_lock: bool
    may_unblind: bool
    may_see_results: bool
    problem: str = ""


@dataclass(frozen=True)
class Watching:
    """What is shown of readers while they read."""

    readers: Readers
    monitor: MonitorView
    problems: Problems


def study_page(
    study: Study,
    watching: Watching,
    events: Events,
    members: Sequence[Member],
    amendments: Sequence[Amendment],
    rehearsals: Rehearsals,
    right: Right,
    started_by: str = "",
    problem: str = "",
) -> StudyPage:
    may_manage, may_own = right >= Right.MANAGE, right >= Right.OWN
    facts = facts_of(study)
    return StudyPage(
        title=study.internal_title,
        id=study.id,
        state=study.state,
        is_demo=study.is_demo,
        stages=stages_of(study.state),
        batch_id=study.batch_id,
        batch=study.batch.name,
        summary=[fact for fact in facts if fact.name in IN_SHORT],
        facts=[fact for fact in facts if fact.name not in IN_SHORT],
        protocol=versions_of(study, amendments, started_by),
        readers=watching.readers,
        monitor=watching.monitor,
        problems=watching.problems,
        events=events,
        people=people_of(study, members, may_own),
        rehearsals=rehearsals,
        created_at=study.created_at,
        may_edit=may_manage and study.state is StudyState.DRAFT,
        may_delete=may_own and study.state is StudyState.DRAFT,
        may_amend=may_manage and study.protocol is not None and study.state in SEALED,
        may_invite=may_manage and study.state in OPEN,
        may_lock=may_manage and study.state in OPEN,
        may_unblind=may_own and study.state is StudyState.LOCKED,
        may_see_results=is_key_open(study.state, study.is_demo),
        problem=problem,
    )


def stages_of(present: StudyState) -> list[Stage]:
    states = list(StudyState)
    at = states.index(present)
    return [
        Stage(state.capitalize(), number < at, number == at) for number, state in enumerate(states)
    ]


def people_of(study: Study, members: Sequence[Member], may_change: bool) -> People:
    collaborators = [
        Collaborator(each.researcher_id, each.researcher.email, each.may_manage) for each in members
    ]
    return People(study.researcher.email, collaborators, may_change)


def versions_of(
    study: Study, amendments: Sequence[Amendment], started_by: str
) -> list[ProtocolVersion]:
    if study.protocol_hash is None or study.started_at is None:
        return []
    first = ProtocolVersion(
        1, study.started_at, started_by, "As it was started.", study.protocol_hash
    )
    return [
        first,
        *(
            ProtocolVersion(number, each.at, each.actor, each.reason, each.protocol_hash)
            for number, each in enumerate(amendments, start=2)
        ),
    ]
