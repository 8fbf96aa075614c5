"""Lets robots read what was rehearsed, one rehearsal after another, in a thread of the server."""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.errors import StudyError
from app.reading.domain import undo_in
from app.rehearsal.domain import Decide, decide
from app.rehearsal.key import Key
from app.rehearsal.reader import RobotReader
from app.rehearsal.service import UNDERWAY, Place, answered, open_key, take_places
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.jobs import TRY_AGAIN, Jobs, Sparingly, StoppedError
from app.storage.models import Rehearsal, Study
from app.storage.session import Database
from app.vocabulary import Part, RehearsalState, Undo

OUR_FAULT = (
    "Something went wrong on our side; the server's log tells what. The study itself is as it "
    "was. Delete this rehearsal and try again."
)


@dataclass
class Rehearser(Jobs):
    """`app` is the whole server: robots ask it as a browser does, from within this process."""

    app: Any
    database: Database
    store: ImageStore
    clock: Callable[[], datetime]
    settings: Settings

    @property
    def lock(self) -> Path:
        return self.settings.home / "rehearsals.lock"

    def work_off(self) -> None:
        while (number := self.claim()) is not None:
            self.rehearse(number)

    def claim(self) -> int | None:
        """The oldest, also one that a server left in the middle."""
        with self.database.writing() as session:
            found = session.scalars(
                select(Rehearsal.study_id)
                .where(Rehearsal.state.in_(UNDERWAY))
                .order_by(Rehearsal.study_id)
            ).first()
            if found is not None:
                self.change(session, found, state=RehearsalState.RUNNING)
            return found

    def rehearse(self, number: int) -> None:
        try:
            self.read(number)
        except StudyError as refusal:
            self.fail(number, str(refusal))
        except TRY_AGAIN:
            raise
        except Exception:  # noqa: BLE001 (one bad rehearsal must not keep the others waiting)
            traceback.print_exc()
            self.fail(number, OUR_FAULT)

    def read(self, number: int) -> None:
        with self.database.writing() as session:
            rehearsal = session.get_one(Rehearsal, number)
            places = take_places(session, self.store, rehearsal, self.clock())
            course = Course(
                answered(session, number), rehearsal.total, Sparingly(partial(self.tell, number))
            )
            seed, study = rehearsal.seed, rehearsal.study
        for place in places:
            deciding = partial(decide, place.robot, seed, place.label, study.confidence)
            self.let_read(place, study, deciding, course)
        with self.database.writing() as session:
            open_key(session, session.get_one(Rehearsal, number), self.clock())

    def let_read(self, place: Place, study: Study, deciding: Decide, course: "Course") -> None:
        def answered() -> None:
            course.one_more()
            if self.stopping.is_set():
                raise StoppedError

        async def visit() -> None:
            transport = ASGITransport(self.app)
            async with AsyncClient(
                transport=transport, base_url=self.settings.public_url
            ) as client:
                key = Key(self.database, place.reader_id)
                robot = RobotReader(
                    client, place.label, key.seen, deciding, partial(may_undo, study), answered
                )
                await robot.read(f"/r/{place.link}")

        asyncio.run(visit())

    def tell(self, number: int, done: int, _total: int) -> None:
        with self.database.writing() as session:
            self.change(session, number, done=done)

    def fail(self, number: int, problem: str) -> None:
        with self.database.writing() as session:
            self.change(session, number, state=RehearsalState.FAILED, problem=problem)

    def change(self, session: Session, number: int, **values: object) -> None:
        session.execute(update(Rehearsal).where(Rehearsal.study_id == number).values(values))


@dataclass
class Course:
    """How far all robots have come together."""

    done: int
    total: int
    tell: Callable[[int, int], None]

    def one_more(self) -> None:
        self.done += 1
        self.tell(self.done, self.total)


def may_undo(study: Study, part: Part) -> bool:
    return undo_in(part, study.undo, study.feedback) is not Undo.NONE
