"""The collaborators of a study: who else may see or manage it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app.errors import Conflict, Invalid
from app.researchers.service import normal, researcher_with_email
from app.storage.models import Member, Researcher, Study
from app.studies.service import hold, record


def members_of(session: Session, study: Study) -> Sequence[Member]:
    return session.scalars(
        select(Member)
        .join(Researcher)
        .where(Member.study_id == study.id)
        .options(joinedload(Member.researcher))
        .order_by(Researcher.email)
    ).all()


def set_member(
    session: Session, study: Study, email: str, may_manage: bool, actor: str, now: datetime
) -> None:
    """Add a collaborator, or change what they may do."""
    hold(session, study)
    found = researcher_with_email(session, email)
    if found is None or found.deactivated_at is not None:
        raise Invalid(
            f"There is no researcher {normal(email)}; an administrator can add them first."
        )
    if found.id == study.researcher_id:
        raise Conflict(f"{found.email} owns this study.")
    session.merge(Member(study_id=study.id, researcher_id=found.id, may_manage=may_manage))
    what = "manage" if may_manage else "view"
    record(session, study, actor, "named a collaborator", now, f"{found.email}: {what}")


def remove_member(
    session: Session, study: Study, researcher_id: int, actor: str, now: datetime
) -> None:
    """Who is no collaborator any more sees the study no more, at once."""
    hold(session, study)
    member = session.get(Member, (study.id, researcher_id))
    if member is not None:
        record(session, study, actor, "removed a collaborator", now, member.researcher.email)
        session.delete(member)
