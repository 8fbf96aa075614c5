"""A batch on its way in: where its bytes lie, and how far it has come."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.batches.details import Details, details_of
from app.batches.sides import ZIPS
from app.errors import Conflict, Invalid, NotFound, TooLarge
from app.storage.models import Delivery
from app.vocabulary import DeliveryKind, DeliveryState
from app.web.identity import new_token

MIB = 2**20
PIECE_BYTES = 4 * MIB
KEPT_DAYS = 7
LEFT_SECONDS = 24 * 60 * 60
NO_SUCH = "There is no such delivery."
UNDERWAY = (DeliveryState.WAITING, DeliveryState.RUNNING)


@dataclass(frozen=True)
class Announced:
    """What somebody is about to send. `details` are of images that another tool attacked."""

    name: str
    kind: DeliveryKind
    total_bytes: int
    details: Details | None = None


def announced(name: str, kind: str, total_bytes: int, said: dict[str, str]) -> Announced:
    """Invalid with everything that is wrong with what was said."""
    if kind not in set(DeliveryKind):
        raise Invalid("Please check what is delivered: a batch, two folders, or a table.")
    which = DeliveryKind(kind)
    details = None if which is DeliveryKind.BATCH else details_of(said)
    return Announced((name.strip() or "batch.zip")[:200], which, total_bytes, details)


class DeliveryFolder:
    """The files of deliveries that are not done: `content` is a zip or a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def content(self, token: str) -> Path:
        return self.root / token / "content"

    def make(self, token: str) -> Path:
        """Where the content of a new delivery goes."""
        (self.root / token).mkdir(parents=True)
        return self.content(token)

    def describe(self, new: Announced, token: str) -> None:
        if new.details is not None:
            text = json.dumps(new.details.model_dump())
            (self.root / token / "details.json").write_text(text, encoding="utf-8")

    def is_complete(self, token: str) -> bool:
        """Not when only one of two zips is there."""
        content = self.content(token)
        return content.is_file() or {path.name for path in content.iterdir()} == set(ZIPS)

    def details(self, token: str) -> Details:
        text = (self.root / token / "details.json").read_text(encoding="utf-8")
        return Details.model_validate_json(text)

    def write(self, token: str, offset: int, piece: bytes) -> None:
        """What stood behind the offset was of a request that never ended."""
        with os.fdopen(os.open(self.content(token), os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(piece)

    def settle(self, token: str) -> None:
        """On the disk, also after a loss of power."""
        for path in (self.content(token), self.root / token, self.root):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def digests(self, token: str, received: int) -> list[str]:
        """SHA-256 of each piece of what is here, the last one perhaps shorter."""
        return list(self.piece_digests(token, received)) if received else []

    def piece_digests(self, token: str, received: int) -> Iterator[str]:
        with self.content(token).open("rb") as file:
            while received > 0:
                piece = file.read(min(PIECE_BYTES, received))
                received -= len(piece) or received
                yield hashlib.sha256(piece).hexdigest()

    def tidy(self, wanted: Collection[str]) -> None:
        """Remove old folders of no wanted delivery; a young one may be just arriving."""
        for path in self.root.iterdir():
            is_old = time.time() - path.stat().st_mtime > LEFT_SECONDS
            if path.is_dir() and is_old and path.name not in wanted:
                self.discard(path.name)

    def discard(self, token: str) -> None:
        shutil.rmtree(self.root / token, ignore_errors=True)


def begin(
    session: Session, folder: DeliveryFolder, researcher_id: int, new: Announced, now: datetime
) -> Delivery:
    """A new delivery, or the one of the same file that was begun and not finished."""
    if new.total_bytes < 1:
        raise Invalid("The file is empty; choose another.")
    sweep(session, folder, researcher_id, now)
    begun = session.scalars(
        select(Delivery).where(
            Delivery.researcher_id == researcher_id,
            Delivery.state == DeliveryState.RECEIVING,
            Delivery.name == new.name,
            Delivery.kind == new.kind,
            Delivery.total_bytes == new.total_bytes,
        )
    ).first()
    if begun is not None:
        folder.describe(new, begun.token)
        begun.changed_at = now
        return begun
    token = new_token()
    folder.make(token)
    folder.describe(new, token)
    return add_row(session, researcher_id, new, token, now)


def deliver_whole(
    session: Session,
    folder: DeliveryFolder,
    researcher_id: int,
    new: Announced,
    token: str,
    now: datetime,
) -> Delivery:
    """What lies in the folder of this token already."""
    folder.describe(new, token)
    delivery = add_row(session, researcher_id, new, token, now)
    delivery.received_bytes = new.total_bytes
    delivery.state = DeliveryState.WAITING
    return delivery


def add_row(
    session: Session, researcher_id: int, new: Announced, token: str, now: datetime
) -> Delivery:
    delivery = Delivery(
        token=token,
        researcher_id=researcher_id,
        name=new.name,
        kind=new.kind,
        state=DeliveryState.RECEIVING,
        total_bytes=new.total_bytes,
        received_bytes=0,
        done=0,
        total=0,
        problems=[],
        created_at=now,
        changed_at=now,
    )
    session.add(delivery)
    session.flush()
    return delivery


def sweep(session: Session, folder: DeliveryFolder, researcher_id: int, now: datetime) -> None:
    """Forget what was begun and left alone for a week."""
    left = session.scalars(
        select(Delivery).where(
            Delivery.researcher_id == researcher_id,
            Delivery.state == DeliveryState.RECEIVING,
            Delivery.changed_at < now - timedelta(days=KEPT_DAYS),
        )
    )
    for delivery in left:
        folder.discard(delivery.token)
        session.delete(delivery)


def find_delivery(
    session: Session, researcher_id: int, token: str, *, to_change: bool = False
) -> Delivery:
    """Of this researcher; any other does not exist."""
    query = select(Delivery).where(Delivery.token == token, Delivery.researcher_id == researcher_id)
    found = session.scalar(query.with_for_update() if to_change else query)
    if found is None:
        raise NotFound(NO_SUCH)
    return found


def list_unfinished(session: Session, researcher_id: int) -> list[Delivery]:
    """Those that somebody must still look at, the newest first."""
    return list(
        session.scalars(
            select(Delivery)
            .where(Delivery.researcher_id == researcher_id)
            .where(Delivery.state != DeliveryState.DONE)
            .order_by(Delivery.id.desc())
        )
    )


def receive(folder: DeliveryFolder, delivery: Delivery, offset: int, piece: bytes) -> None:
    """The next piece; with the last one the delivery waits for its import.

    Conflict when it is not the next: the sender asks what is here and goes on from there.
    """
    if delivery.state is not DeliveryState.RECEIVING:
        raise Conflict("All of this was received already.")
    if offset != delivery.received_bytes:
        raise Conflict(f"The next byte is {delivery.received_bytes}, not {offset}.")
    end = offset + len(piece)
    if end > delivery.total_bytes:
        raise TooLarge(f"The file was announced with {delivery.total_bytes} bytes.")
    folder.write(delivery.token, offset, piece)
    delivery.received_bytes = end
    if end == delivery.total_bytes:
        folder.settle(delivery.token)
        delivery.state = DeliveryState.WAITING


def discard(session: Session, folder: DeliveryFolder, delivery: Delivery) -> None:
    """Conflict while it is being imported, or when its batch is there."""
    if delivery.state in UNDERWAY:
        raise Conflict("This delivery is being imported; wait for its end.")
    if delivery.state is DeliveryState.DONE:
        raise Conflict("This delivery is a batch already.")
    session.delete(delivery)
    folder.discard(delivery.token)
