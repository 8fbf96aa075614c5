"""A copy of a study for robots: make it, carry it through all its states, and delete it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.designer.service import start_if_draft
from app.errors import Conflict, NotFound
from app.readers.service import invite, reissue, revoke
from app.rehearsal.domain import Robot, require_seed, restored, stored
from app.storage.images import ImageStore
from app.storage.models import (
    Amendment,
    Debrief,
    Event,
    Member,
    Presentation,
    ProblemReport,
    Reader,
    Rehearsal,
    Response,
    ScreenCheck,
    Sitting,
    Study,
    StudyStimulus,
    Undone,
)
from app.studies.domain import drawn
from app.studies.service import (
    design_of_study,
    hold,
    lock_study,
    record,
    standing,
    unblind_study,
)
from app.vocabulary import RehearsalState, StudyState
from app.web.identity import digest, new_token

LINKS_LAST = timedelta(days=1)
UNDERWAY = (RehearsalState.WAITING, RehearsalState.RUNNING)
# What the copy has of its own; all else is as in the study.
OWN = {
    *("id", "internal_title", "secret", "state", "is_demo", "washout_days", "created_at"),
    *("protocol", "protocol_hash", "started_at", "locked_at", "unblinded_at"),
}


@dataclass(frozen=True)
class Place:
    """A robot that has not finished, and the link by which it comes in."""

    reader_id: int
    label: str
    link: str
    robot: Robot


def create_rehearsal(
    session: Session, study: Study, robots: Sequence[Robot], seed: int, actor: str, now: datetime
) -> Rehearsal:
    """It waits to be read. The study is not touched; the washout is none, or robots would wait.

    Conflict while another one of this study is read.
    """
    require_seed(seed)
    hold(session, study)
    found = list_rehearsals(session, study)
    if any(each.state in UNDERWAY for each in found):
        raise Conflict("A rehearsal of this study is being read; wait for its end.")
    copy = Study(
        **{
            column.key: getattr(study, column.key)
            for column in Study.__table__.columns
            if column.key not in OWN
        },
        internal_title=free_title(session, study),
        secret=drawn(study.secret, f"rehearsal/{seed}"),
        state=StudyState.DRAFT,
        is_demo=False,
        washout_days=0,
        created_at=now,
    )
    session.add(copy)
    session.flush()
    session.add_all(
        StudyStimulus(
            study_id=copy.id,
            stimulus_id=image.stimulus_id,
            part=image.part,
            is_catch=image.is_catch,
        )
        for image in study.images
    )
    rehearsal = Rehearsal(
        study_id=copy.id,
        of_id=study.id,
        seed=seed,
        robots=[stored(robot) for robot in robots],
        actor=actor,
        state=RehearsalState.WAITING,
        done=0,
        total=sum(presentations_for(study, robot) for robot in robots),
        problem="",
        created_at=now,
    )
    session.add(rehearsal)
    record(session, copy, actor, "created", now, f"as a rehearsal of study {study.id}")
    session.flush()
    return rehearsal


def free_title(session: Session, study: Study) -> str:
    """Numbered, for titles of one researcher differ."""
    number = 1
    while True:
        title = f"Rehearsal {number} of {study.internal_title}"[:200]
        taken = select(Study.id).where(
            Study.researcher_id == study.researcher_id, Study.internal_title == title
        )
        if session.scalar(taken) is None:
            return title
        number += 1


def presentations_for(study: Study, robot: Robot) -> int:
    """How many it answers; who leaves sees no pair."""
    design = design_of_study(study)
    if robot.stops_after < 1:
        return design.practice + int(robot.stops_after * design.presentations)
    return design.practice + design.presentations + design.pairs


def list_rehearsals(session: Session, study: Study) -> list[Rehearsal]:
    query = select(Rehearsal).where(Rehearsal.of_id == study.id)
    return list(session.scalars(query.order_by(Rehearsal.study_id.desc())))


def find_rehearsal(session: Session, study: Study, number: int) -> Rehearsal:
    found = session.get(Rehearsal, number)
    if found is None or found.of_id != study.id:
        raise NotFound("There is no such rehearsal.")
    return found


def take_places(
    session: Session, store: ImageStore, rehearsal: Rehearsal, now: datetime
) -> list[Place]:
    """Start the copy and let in the robots that have not finished, each by a link of its own.

    Links that were made before, by a server that was stopped, are good no more.
    """
    copy, actor = rehearsal.study, rehearsal.actor
    start_if_draft(session, store, copy, actor, now)
    until = now + LINKS_LAST
    places = []
    readers = {reader.label: reader for reader in copy.readers}
    for number, settings in enumerate(rehearsal.robots):
        known = list(readers.values())[number : number + 1]
        if known and known[0].finished_at is not None:
            continue
        invitation = (
            reissue(session, known[0], actor, now, until)
            if known
            else invite(session, copy, actor, now, until)
        )
        session.flush()
        reader = session.scalars(
            select(Reader).where(Reader.study_id == copy.id, Reader.label == invitation.label)
        ).one()
        places.append(Place(reader.id, reader.label, invitation.token, restored(settings)))
    return places


def answered(session: Session, study_id: int) -> int:
    """How many presentations have an answer, in all parts."""
    query = select(func.count(Response.id)).select_from(Response).join(Presentation).join(Reader)
    return session.scalar(standing(query).where(Reader.study_id == study_id)) or 0


def open_key(session: Session, rehearsal: Rehearsal, now: datetime) -> None:
    """Lock and unblind the copy, and let nobody in by the robots' links."""
    copy = rehearsal.study
    if copy.state in {StudyState.READY, StudyState.READING}:
        for reader in copy.readers:
            revoke(session, reader, rehearsal.actor, now)
            reader.link_digest = digest(new_token())  # not even to the receipt
        lock_study(session, copy, rehearsal.actor, now)
        unblind_study(session, copy, rehearsal.actor, now)
    rehearsal.done = answered(session, copy.id)
    rehearsal.state = RehearsalState.DONE


def delete_rehearsal(session: Session, rehearsal: Rehearsal) -> None:
    """All of it: its answers, its orders with their secret, and its record. Conflict while it is
    read; the database lets nobody delete an answer to any other study."""
    session.refresh(rehearsal, with_for_update=True)
    if rehearsal.state in UNDERWAY:
        raise Conflict("This rehearsal is being read; wait for its end, then delete it.")
    number = rehearsal.study_id
    readers = select(Reader.id).where(Reader.study_id == number)
    shown = select(Presentation.id).where(Presentation.reader_id.in_(readers))
    given = select(Response.id).where(Response.presentation_id.in_(shown))
    session.expunge_all()
    session.execute(delete(Undone).where(Undone.response_id.in_(given)))
    session.execute(delete(Response).where(Response.presentation_id.in_(shown)))
    session.execute(delete(ProblemReport).where(ProblemReport.presentation_id.in_(shown)))
    for of_reader in (Presentation, Sitting, ScreenCheck, Debrief):
        session.execute(delete(of_reader).where(of_reader.reader_id.in_(readers)))
    for of_study in (Reader, StudyStimulus, Member, Amendment, Event, Rehearsal):
        session.execute(delete(of_study).where(of_study.study_id == number))
    session.execute(delete(Study).where(Study.id == number))
