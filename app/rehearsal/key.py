"""What a robot is told of each image: looked up here, on the server, and on no page."""

from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app.rehearsal.domain import Seen
from app.storage.models import Presentation, Reader, Stimulus
from app.storage.session import Database
from app.vocabulary import PairTask, Part


class Key:
    """Of one reader, who is shown things part by part."""

    def __init__(self, database: Database, reader_id: int) -> None:
        self._database, self._reader_id = database, reader_id
        self._seen: dict[str, Seen] = {}

    def seen(self, token: str) -> Seen:
        """KeyError when it is no presentation of this reader."""
        if token not in self._seen:
            with self._database.reading() as session:
                self._seen = seen_by(session, self._reader_id)
        return self._seen[token]


def seen_by(session: Session, reader_id: int) -> dict[str, Seen]:
    """By token, as far as the orders are drawn."""
    sides = [
        joinedload(side).options(joinedload(Stimulus.case), joinedload(Stimulus.condition))
        for side in (Presentation.stimulus, Presentation.beside)
    ]
    shown = session.scalars(
        select(Presentation).where(Presentation.reader_id == reader_id).options(*sides)
    ).all()
    totals = Counter(each.part for each in shown)
    task = session.get_one(Reader, reader_id).study.pair_task
    return {each.token: seen_of(each, totals[each.part], task) for each in shown}


def seen_of(shown: Presentation, total: int, task: PairTask | None) -> Seen:
    left, right = shown.stimulus, shown.beside
    return Seen(
        shown.part,
        shown.position,
        total,
        left.case.name,
        left.case.truth,
        left.condition.name if left.condition else None,
        shown.set_number,
        task if shown.part is Part.PAIRS else None,
        right.condition.name if right and right.condition else None,
    )
