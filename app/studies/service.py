"""Create a study, find it, and move it from draft to unblinded."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.storage.models import (
    Batch,
    Case,
    Condition,
    Event,
    Presentation,
    Reader,
    Researcher,
    Response,
    Stimulus,
    Study,
)
from app.studies.domain import QUESTION, Design, chosen_gap, refuse_revealing, require_state
from app.vocabulary import StudyState


@dataclass(frozen=True)
class NewStudy:
    """What a researcher decides; None takes the usual value."""

    internal_title: str
    public_title: str
    sets: int = 2
    question: str = QUESTION
    criterion: str | None = None
    minimum_gap: int | None = None
    conditions: Sequence[str] = ()
    is_demo: bool = False


def record(session: Session, study: Study, actor: str, kind: str, at: datetime) -> None:
    session.add(Event(study_id=study.id, at=at, actor=actor, kind=kind))


def create_study(
    session: Session, researcher: Researcher, batch: Batch, new: NewStudy, now: datetime
) -> Study:
    """Invalid when the design is impossible or a text that readers see gives it away."""
    title = new.internal_title.strip()
    criterion = new.criterion or batch.criterion
    refuse_revealing(title=new.public_title, question=new.question, criterion=criterion)
    for name, text in (("public title", new.public_title), ("internal title", new.internal_title)):
        if not text.strip():
            raise Invalid(f"The study needs a {name}.")
    if new.sets < 1:
        raise Invalid("A study needs at least 1 set.")
    if session.scalar(select(Study.id).where(Study.internal_title == title)):
        raise Conflict(f"There is already a study {title!r}; choose another title.")
    stimuli = chosen_stimuli(session, batch, new.conditions)
    design = design_of(stimuli, new.sets)
    study = Study(
        researcher_id=researcher.id,
        batch_id=batch.id,
        internal_title=title,
        public_title=new.public_title.strip(),
        question=new.question,
        criterion=criterion,
        sets=new.sets,
        minimum_gap=chosen_gap(design, new.minimum_gap),
        is_demo=new.is_demo,
        secret=secrets.token_hex(32),
        state=StudyState.DRAFT,
        created_at=now,
        stimuli=stimuli,
    )
    session.add(study)
    session.flush()
    record(session, study, researcher.email, "created", now)
    return study


def chosen_stimuli(session: Session, batch: Batch, conditions: Sequence[str]) -> list[Stimulus]:
    """The originals and the versions under `conditions` (all of the batch's when empty).

    Only of cases on which every chosen attack succeeded: the study asks about those.
    """
    known = {condition.name: condition.id for condition in batch.conditions}
    if unknown := [name for name in conditions if name not in known]:
        raise Invalid(f"The batch has no condition {unknown[0]!r}; it has {', '.join(known)}.")
    wanted = [known[name] for name in conditions] or list(known.values())
    cases = session.scalars(
        select(Case.id)
        .join(Stimulus)
        .where(Case.batch_id == batch.id, Stimulus.condition_id.in_(wanted))
        .where(Stimulus.success == true())
        .group_by(Case.id)
        .having(func.count() == len(set(wanted)))
    ).all()
    if not cases:
        raise Invalid("No case has a successful image under all of these conditions; choose fewer.")
    return list(
        session.scalars(
            select(Stimulus)
            .where(Stimulus.case_id.in_(cases))
            .where(Stimulus.condition_id.in_(wanted) | Stimulus.condition_id.is_(None))
            .order_by(Stimulus.id)
        )
    )


def design_of(stimuli: Sequence[Stimulus], sets: int) -> Design:
    cases = len({stimulus.case_id for stimulus in stimuli})
    return Design(cases, len(stimuli) // cases, sets)


def find_study(session: Session, study_id: int, researcher: Researcher | None = None) -> Study:
    """The study; for a researcher only their own, any other does not exist."""
    query = select(Study).where(Study.id == study_id)
    if researcher is not None:
        query = query.where(Study.researcher_id == researcher.id)
    study = session.scalar(query)
    if study is None:
        raise NotFound("There is no such study.")
    return study


def find_study_named(session: Session, name: str) -> Study:
    """By number or by internal title, as a person types it."""
    study = session.scalar(select(Study).where(Study.internal_title == name))
    if study is None and name.isdecimal() and len(name) < 10:
        study = session.get(Study, int(name))
    if study is None:
        raise NotFound(f"There is no study {name!r}; plainsight study list shows them.")
    return study


def list_studies(session: Session, researcher: Researcher | None = None) -> list[Study]:
    query = select(Study).order_by(Study.id.desc())
    if researcher is not None:
        query = query.where(Study.researcher_id == researcher.id)
    return list(session.scalars(query))


@dataclass(frozen=True)
class Progress:
    """How far one reader has come; nothing by arm."""

    label: str
    began_at: datetime | None
    finished_at: datetime | None
    done: int


def progress(session: Session, study: Study) -> list[Progress]:
    done = (
        select(func.count())
        .select_from(Response)
        .join(Presentation)
        .where(Presentation.reader_id == Reader.id)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Reader.label, Reader.began_at, Reader.finished_at, done)
        .where(Reader.study_id == study.id)
        .order_by(Reader.id)
    )
    return [Progress(*row) for row in rows]


def hold(session: Session, study: Study) -> None:
    """See where the study is now, and let nobody else move it until this is committed."""
    session.flush()
    session.refresh(study, with_for_update=True)


def lock_study(session: Session, study: Study, actor: str, now: datetime) -> None:
    """No answer is taken after this."""
    hold(session, study)
    require_state(study.state, StudyState.READY, StudyState.READING, to="lock it")
    study.state = StudyState.LOCKED
    study.locked_at = now
    record(session, study, actor, "locked", now)


def unblind_study(session: Session, study: Study, actor: str, now: datetime) -> None:
    """Open the key, for ever. Conflict when the study is not locked."""
    hold(session, study)
    require_state(study.state, StudyState.LOCKED, to="unblind it before it is locked")
    study.state = StudyState.UNBLINDED
    study.unblinded_at = now
    record(session, study, actor, "unblinded", now)


def conditions_of(session: Session, study: Study) -> list[Condition]:
    """The conditions that the study shows, in the order of the batch."""
    return list(
        session.scalars(
            select(Condition)
            .where(Condition.id.in_({s.condition_id for s in study.stimuli} - {None}))
            .order_by(Condition.id)
        )
    )
