"""Which studies and batches a researcher has: every query and every page asks here."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import Session

from app.errors import NotAllowed
from app.researchers.domain import Right, right_of
from app.storage.models import (
    Batch,
    Case,
    Member,
    Rehearsal,
    Researcher,
    Stimulus,
    Study,
    StudyStimulus,
)
from app.vocabulary import Part

REFUSALS = {
    Right.MANAGE: "You may look at this study, and not change it. Its owner can let you manage it.",
    Right.OWN: "Only the owner of this study and administrators may do this.",
}

READ_BY_ROBOTS = (
    "Only robots read a rehearsal: it can be looked at, and deleted as a whole on its own page."
)


def studies_of(researcher: Researcher) -> ColumnElement[bool]:
    """Of a query on studies: those that the researcher may see."""
    if researcher.is_administrator:
        return true()
    named = select(Member.study_id).where(Member.researcher_id == researcher.id)
    rehearsed = select(Rehearsal.study_id).where(Rehearsal.of_id.in_(named))
    return or_(Study.researcher_id == researcher.id, Study.id.in_(named), Study.id.in_(rehearsed))


def batches_of(researcher: Researcher) -> ColumnElement[bool]:
    """Of a query on batches: their own, those of their studies, and those that nobody brought.

    The latter came by the command line. A study also has those of its practice and catch images.
    """
    if researcher.is_administrator:
        return true()
    also_shown = (
        select(Case.batch_id)
        .join(Stimulus)
        .join(StudyStimulus)
        .join(Study, Study.id == StudyStimulus.study_id)
        .where(or_(StudyStimulus.part == Part.PRACTICE, StudyStimulus.is_catch.is_(True)))
        .where(studies_of(researcher))
    )
    return or_(
        Batch.researcher_id == researcher.id,
        Batch.researcher_id.is_(None),
        Batch.id.in_(select(Study.batch_id).where(studies_of(researcher))),
        Batch.id.in_(also_shown),
    )


def right_on(session: Session, study: Study, researcher: Researcher) -> Right | None:
    return rights_on(session, [study], researcher).get(study.id)


def rights_on(
    session: Session, studies: Sequence[Study], researcher: Researcher
) -> dict[int, Right]:
    """By the number of each of these studies, all of which they see.

    Whoever sees a study sees its rehearsals, and nobody may do more with these: robots read them.
    """
    members = {
        member.study_id: member.may_manage
        for member in session.scalars(select(Member).where(Member.researcher_id == researcher.id))
    }
    rehearsed = rehearsed_by(session, studies)
    rights = {
        study.id: right_of(
            is_owner=study.researcher_id == researcher.id,
            is_administrator=researcher.is_administrator,
            may_manage=members.get(rehearsed.get(study.id, study.id)),
        )
        for study in studies
    }
    return {
        number: min(right, Right.VIEW) if number in rehearsed else right
        for number, right in rights.items()
        if right is not None
    }


def rehearsed_by(session: Session, studies: Sequence[Study]) -> dict[int, int]:
    """Of those that are rehearsals: of which study."""
    rows = session.execute(
        select(Rehearsal.study_id, Rehearsal.of_id).where(
            Rehearsal.study_id.in_([study.id for study in studies])
        )
    )
    return dict(rows.all())


def require_right(session: Session, study: Study, researcher: Researcher, right: Right) -> None:
    """NotAllowed says it to a collaborator; for others the study is not even found."""
    if (right_on(session, study, researcher) or 0) < right:
        raise NotAllowed(READ_BY_ROBOTS if study.is_rehearsal else REFUSALS[right])
