"""Create a study, find it, and move it from draft to unblinded."""

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.researchers.domain import Right
from app.researchers.rights import require_right, studies_of
from app.storage.models import (
    Batch,
    Condition,
    Event,
    Member,
    Rehearsal,
    Researcher,
    Response,
    Stimulus,
    Study,
    StudyStimulus,
    Undone,
)
from app.studies.domain import (
    QUESTION,
    Design,
    chosen_gap,
    pairs_of,
    refuse_impossible,
    refuse_impossible_catch,
    refuse_impossible_least,
    refuse_impossible_plan,
    refuse_out_of_range,
    refuse_revealing,
    require_state,
)
from app.studies.selection import (
    catch_images,
    chosen_cases,
    conditions_named,
    images_of,
    practice_images,
)
from app.vocabulary import Estimand, PairTask, Part, StudyState, Undo


@dataclass(frozen=True)
class NewStudy:
    """What a researcher decides; None takes the usual value.

    cases: at most so many, drawn at random. negatives: so many of them without tumour. practice:
    images of cases that are not read, from `practice_batch` or else the study's own. catch: clear
    cases among those that are read, from `catch_batch` or else the study's own.
    break_after_*: 0 for never. pair_conditions: all of the batch when empty. Margins are shares;
    answers outside the times are left out of the analysis. scan_reason: why a batch whose
    blinding scan is amber may be read.
    """

    internal_title: str
    public_title: str
    sets: int = 2
    question: str = QUESTION
    criterion: str | None = None
    minimum_gap: int | None = None
    conditions: Sequence[str] = ()
    is_demo: bool = False
    cases: int | None = None
    negatives: int | None = None
    waves: int = 1
    washout_days: int = 14
    practice: int = 0
    practice_batch: Batch | None = None
    catch: int = 0
    catch_batch: Batch | None = None
    feedback: bool = False
    confidence: bool = False
    few_cells: bool = False
    cannot_assess: bool = False
    undo: Undo = Undo.ONE
    break_after_images: int = 40
    break_after_minutes: int = 20
    masking: bool = False
    pair_task: PairTask | None = None
    pair_conditions: Sequence[str] = ()
    not_sure: bool = False
    estimand: Estimand = Estimand.FLIPS
    margin_flips: float = 0.05
    margin_tp: float = 0.10
    alpha: float = 0.05
    minimum_time_ms: int | None = None
    maximum_time_ms: int | None = None
    catch_least: float | None = None
    instructions: str = ""
    scan_reason: str = ""


# What is stored as it was decided.
OPTIONS = (
    *("sets", "waves", "washout_days", "feedback", "confidence", "few_cells", "cannot_assess"),
    *("undo", "break_after_images", "break_after_minutes", "masking", "pair_task", "not_sure"),
    *("question", "is_demo", "instructions", "scan_reason"),
    *("estimand", "margin_flips", "margin_tp", "alpha", "minimum_time_ms", "maximum_time_ms"),
    "catch_least",
)


def record(
    session: Session, study: Study, actor: str, kind: str, at: datetime, detail: str = ""
) -> None:
    session.add(Event(study_id=study.id, at=at, actor=actor, kind=kind, detail=detail))


def create_study(
    session: Session, researcher: Researcher, batch: Batch, new: NewStudy, now: datetime
) -> Study:
    """Invalid when the design is impossible or a text that readers see gives it away."""
    study = Study(
        researcher_id=researcher.id,
        secret=secrets.token_hex(32),
        state=StudyState.DRAFT,
        created_at=now,
    )
    arrange(session, study, batch, new)
    record(session, study, researcher.email, "created", now)
    return study


def change_draft(
    session: Session, study: Study, batch: Batch, new: NewStudy, actor: str, now: datetime
) -> None:
    """Another design for a study that is not started; the same choices draw the same images."""
    hold(session, study)
    require_state(study.state, StudyState.DRAFT, to="change its design")
    arrange(session, study, batch, new)
    record(session, study, actor, "changed the draft", now)


def delete_draft(session: Session, study: Study) -> None:
    """The draft and all that was noted of it. Conflict for a study that has started."""
    hold(session, study)
    require_state(study.state, StudyState.DRAFT, to="delete it")
    if session.scalar(select(Rehearsal.study_id).where(Rehearsal.of_id == study.id)):
        raise Conflict("This draft has rehearsals; delete them first.")
    for table in (StudyStimulus, Member, Event):
        session.execute(delete(table).where(table.study_id == study.id))
    session.execute(delete(Study).where(Study.id == study.id))


def arrange(session: Session, study: Study, batch: Batch, new: NewStudy) -> None:
    """Give a draft this design, all of it or nothing."""
    require_possible(session, study, batch, new)
    images = choose_images(session, batch, new, chance_of(study))
    design = design_of(images[Part.READING], new.sets, catch=len(images[CATCH]))
    refuse_impossible_catch(design)
    study.minimum_gap = chosen_gap(design, new.minimum_gap)
    study.batch_id = batch.id
    study.internal_title = new.internal_title.strip()
    study.public_title = new.public_title.strip()
    study.criterion = new.criterion or batch.criterion
    for option in OPTIONS:
        setattr(study, option, getattr(new, option))
    session.add(study)
    session.flush()
    session.execute(delete(StudyStimulus).where(StudyStimulus.study_id == study.id))
    session.add_all(
        StudyStimulus(
            study_id=study.id,
            stimulus_id=stimulus.id,
            part=Part.READING if part == CATCH else part,
            is_catch=part == CATCH,
        )
        for part, stimuli in images.items()
        for stimulus in stimuli
    )
    session.flush()
    session.expire(study, ["images", "batch"])


def chance_of(study: Study) -> random.Random:
    """That its images are drawn by: the same choices draw the same images."""
    return random.Random(f"images/{study.secret}")  # noqa: S311 (the secret is what counts)


def has_cases_of(session: Session, study: Study, new: NewStudy) -> bool:
    """Whether this choice draws the very cases that the study reads."""
    drawn = chosen_cases(session, study.batch, new, chance_of(study))
    return set(drawn) == {stimulus.case_id for stimulus in study.stimuli}


def require_possible(session: Session, study: Study, batch: Batch, new: NewStudy) -> None:
    """Invalid for what cannot be; Conflict for the title of another study of this researcher."""
    refuse_revealing(
        title_for_readers=new.public_title,
        question=new.question,
        criterion=new.criterion or batch.criterion,
        instructions=new.instructions,
    )
    for name, text in (
        ("title for readers", new.public_title),
        ("title for researchers", new.internal_title),
    ):
        if not text.strip():
            raise Invalid(f"The study needs a {name}.")
    require_sensible_numbers(new)
    title = new.internal_title.strip()
    own = select(Study.id).where(Study.researcher_id == study.researcher_id)
    with session.no_autoflush:
        known = session.scalar(own.where(Study.internal_title == title))
    if known not in {None, study.id}:
        raise Conflict(f"There is already a study {title!r}; choose another title.")


def require_sensible_numbers(new: NewStudy) -> None:
    """Invalid for what no batch could make possible."""
    refuse_impossible(new.sets, new.waves, new.washout_days)
    refuse_out_of_range(
        number_of_practice_images=new.practice,
        number_of_catch_images=new.catch,
        number_of_images_before_a_break=new.break_after_images,
        number_of_minutes_before_a_break=new.break_after_minutes,
    )
    refuse_impossible_plan(
        {"flips": new.margin_flips, "true positives": new.margin_tp},
        new.alpha,
        new.minimum_time_ms,
        new.maximum_time_ms,
    )
    refuse_impossible_least(new.catch_least)


CATCH = "catch"  # no part of its own: it is among what is read
Images = dict[str, list[Stimulus]]


def choose_images(session: Session, batch: Batch, new: NewStudy, chance: random.Random) -> Images:
    cases = chosen_cases(session, batch, new, chance)
    read = images_of(session, cases, conditions_named(batch, new.conditions))
    images: Images = {Part.READING: read, Part.PRACTICE: [], CATCH: []}
    if new.practice:
        source = new.practice_batch or batch
        images[Part.PRACTICE] = practice_images(session, source, cases, new.practice, chance)
    if new.catch:
        source, practised = new.catch_batch or batch, images[Part.PRACTICE]
        images[CATCH] = catch_images(session, source, read, practised, new.catch, chance)
    if new.pair_task:
        named = conditions_named(batch, new.pair_conditions)
        images[Part.PAIRS] = images_of(session, cases, named)
        if all(stimulus.condition_id is None for stimulus in images[Part.PAIRS]):
            raise Invalid("The batch has no image of these cases under the conditions for pairs.")
    return images


def scan_is_amber(batch: Batch) -> bool:
    """Whether the files of a batch may give away its arms; of an earlier batch nobody knows."""
    return (batch.scan or {}).get("verdict") == "amber"


def design_of(
    stimuli: Sequence[Stimulus], sets: int, practice: int = 0, pairs: int = 0, catch: int = 0
) -> Design:
    """`stimuli` are what is read for the results."""
    cases = len({stimulus.case_id for stimulus in stimuli})
    return Design(cases, len(stimuli) // cases, sets, practice, pairs, catch)


def design_of_study(study: Study) -> Design:
    altered = sum(image.condition_id is not None for image in study.stimuli_of(Part.PAIRS))
    return design_of(
        study.stimuli,
        study.sets,
        practice=len(study.stimuli_of(Part.PRACTICE)),
        pairs=pairs_of(study.pair_task, altered),
        catch=len(study.catch_images),
    )


def find_study(
    session: Session,
    study_id: int,
    researcher: Researcher | None = None,
    right: Right = Right.OWN,
) -> Study:
    """The study; for a researcher only one of theirs, any other does not exist.

    NotAllowed when the study is theirs to see and they want to do more.
    """
    query = select(Study).where(Study.id == study_id)
    if researcher is not None:
        query = query.where(studies_of(researcher))
    study = session.scalar(query)
    if study is None:
        raise NotFound("There is no such study.")
    if researcher is not None:
        require_right(session, study, researcher, right)
    return study


def find_study_named(session: Session, name: str, *, or_rehearsal: bool = False) -> Study:
    """By number, or by internal title when only one study has it, as a person types it.

    Conflict for a rehearsal, unless it is only looked at.
    """
    study = find_named(session, name)
    if study.is_rehearsal and not or_rehearsal:
        raise Conflict(f"Study {study.id} is a rehearsal: only robots read it.")
    return study


def find_named(session: Session, name: str) -> Study:
    found = session.scalars(select(Study).where(Study.internal_title == name)).all()
    if len(found) > 1:
        numbers = ", ".join(str(study.id) for study in found)
        raise Conflict(f"Several studies have the title {name!r}; say which by number: {numbers}.")
    if found:
        return found[0]
    study = session.get(Study, int(name)) if name.isdecimal() and len(name) < 10 else None
    if study is None:
        raise NotFound(f"There is no study {name!r}; plainsight study list shows them.")
    return study


def list_studies(session: Session, researcher: Researcher | None = None) -> list[Study]:
    """Rehearsals are none: they are with the study that was rehearsed."""
    rehearsed = select(Rehearsal.study_id)
    query = select(Study).where(Study.id.not_in(rehearsed)).order_by(Study.id.desc())
    if researcher is not None:
        query = query.where(studies_of(researcher))
    return list(session.scalars(query))


Query = TypeVar("Query", bound=Select[*tuple[Any, ...]])


def standing(query: Query) -> Query:
    """Of a query that holds responses: only the answers that were not taken back."""
    return query.outerjoin(Undone, Undone.response_id == Response.id).where(
        Undone.response_id.is_(None)
    )


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
