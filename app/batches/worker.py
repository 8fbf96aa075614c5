"""Imports what was delivered, one delivery after another, in a thread of the server."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.batches.check import STANDARD_LIMITS, CheckedBatch, Progress, check_batch
from app.batches.deliveries import UNDERWAY
from app.batches.delivery_folder import DeliveryFolder
from app.batches.files import Limits
from app.batches.foreign import CheckedForeign, check_foreign
from app.batches.service import Import, import_checked
from app.batches.sides import open_delivered
from app.errors import Conflict, Invalid
from app.storage.images import ImageStore
from app.storage.jobs import TRY_AGAIN, Jobs, Sparingly, StoppedError
from app.storage.models import Batch, Delivery
from app.storage.session import Database
from app.vocabulary import DeliveryKind, DeliveryState

OUR_FAULT = (
    "Something went wrong on our side, and nothing was imported. Please deliver it again; if it "
    "fails again, the server's log tells why."
)


@dataclass(frozen=True)
class Task:
    """What the worker needs to know of a delivery."""

    id: int
    token: str
    kind: DeliveryKind
    researcher_id: int


@dataclass
class Worker(Jobs):
    """Nothing is held while images are read: a delivery's row is changed in short transactions."""

    database: Database
    store: ImageStore
    folder: DeliveryFolder
    clock: Callable[[], datetime]
    limits: Limits = STANDARD_LIMITS

    @property
    def lock(self) -> Path:
        return self.folder.root / "worker.lock"

    def work_off(self) -> None:
        while (task := self.claim()) is not None:
            self.bring(task)

    def tidy(self) -> None:
        """Remove what servers left that were stopped between a delivery's end and its files'."""
        with self.database.reading() as session:
            over = Delivery.state.in_([DeliveryState.DONE, DeliveryState.FAILED])
            wanted = set(session.scalars(select(Delivery.token).where(~over)))
        self.folder.tidy(wanted)

    def claim(self) -> Task | None:
        with self.database.writing() as session:
            found = session.scalars(
                select(Delivery).where(Delivery.state.in_(UNDERWAY)).order_by(Delivery.id)
            ).first()
            if found is None:
                return None
            self.change(session, found.id, state=DeliveryState.RUNNING, done=0, total=0)
            return Task(found.id, found.token, found.kind, found.researcher_id)

    def bring(self, task: Task) -> None:
        """One delivery becomes a batch, or says what is wrong with it.

        The images of one that runs are of no batch yet: the batch and the end of its delivery
        are in one transaction.
        """
        self.store.discard(task.token)
        try:
            self.import_one(task)
        except Invalid as refusal:
            self.fail(task, list(refusal.problems) or [str(refusal)])
        except Conflict as refusal:
            self.fail(task, [str(refusal)])
        except TRY_AGAIN:
            raise
        except Exception:  # noqa: BLE001 (one bad delivery must not keep the others waiting)
            traceback.print_exc()
            self.fail(task, [OUR_FAULT])
        self.folder.discard(task.token)

    def import_one(self, task: Task) -> None:
        """To check all images is the first half of its progress, to keep them the second."""
        tell = Sparingly(partial(self.tell, task))
        checked = self.check(task, lambda done, total: tell(done, 2 * total))
        how = Import(
            self.clock(),
            task.researcher_id,
            task.token,
            lambda done, total: tell(total + done, 2 * total),
            lambda session, batch: self.finish(session, task, batch),
        )
        import_checked(checked, self.database, self.store, how)

    def check(self, task: Task, progress: Progress) -> CheckedBatch | CheckedForeign:
        path = self.folder.content(task.token)
        if task.kind is DeliveryKind.BATCH:
            return check_batch(path, self.limits, progress)
        opened = partial(open_delivered, path, self.limits)
        return check_foreign(opened, task.kind, self.folder.details(task.token), progress)

    def tell(self, task: Task, done: int, total: int) -> None:
        if self.stopping.is_set():
            raise StoppedError
        with self.database.writing() as session:
            self.change(session, task.id, done=done, total=total)

    def finish(self, session: Session, task: Task, batch: Batch) -> None:
        self.change(session, task.id, state=DeliveryState.DONE, batch_id=batch.id)

    def fail(self, task: Task, problems: list[str]) -> None:
        with self.database.writing() as session:
            self.change(session, task.id, state=DeliveryState.FAILED, problems=problems)

    def change(self, session: Session, delivery_id: int, **values: object) -> None:
        values["changed_at"] = self.clock()
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(values))
