"""A batch on its way in, from its announcement to its import."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.batches.delivery_folder import DeliveryFolder
from app.batches.details import Details, details_of
from app.errors import Conflict, Invalid, NotFound, TooLarge
from app.storage.models import Delivery
from app.storage.session import Database
from app.vocabulary import DeliveryKind, DeliveryState
from app.web.identity import new_token

MIB = 2**20
KEPT_DAYS = 7
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
        folder.describe(begun.token, new.details)
        begun.changed_at = now
        return begun
    token = new_token()
    folder.make(token)
    folder.describe(token, new.details)
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
    folder.describe(token, new.details)
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


def require_next(delivery: Delivery, offset: int, piece_bytes: int) -> None:
    """Conflict when it is not the next piece: the sender asks what is here and goes on there."""
    if delivery.state is not DeliveryState.RECEIVING:
        raise Conflict("All of this was received already.")
    if offset != delivery.received_bytes:
        raise Conflict(f"The next byte is {delivery.received_bytes}, not {offset}.")
    if offset + piece_bytes > delivery.total_bytes:
        raise TooLarge(f"The file was announced with {delivery.total_bytes} bytes.")


def receive(
    database: Database,
    folder: DeliveryFolder,
    researcher_id: int,
    token: str,
    offset: int,
    piece: bytes,
    now: datetime,
) -> Delivery:
    """The next piece; with the last one the delivery waits for its import.

    No transaction is open while the disk is written: who answers a study must not wait for it.
    """
    with database.reading() as session:
        find_delivery(session, researcher_id, token)
    with folder.held(token):
        with database.reading() as session:
            delivery = find_delivery(session, researcher_id, token)
            require_next(delivery, offset, len(piece))
            end = offset + len(piece)
            is_last = end == delivery.total_bytes
        folder.write(token, offset, piece)
        if is_last:
            folder.settle(token)
        with database.writing() as session:
            delivery = find_delivery(session, researcher_id, token, to_change=True)
            require_next(delivery, offset, len(piece))
            delivery.received_bytes = end
            delivery.changed_at = now
            if is_last:
                delivery.state = DeliveryState.WAITING
            return delivery


def discard(session: Session, delivery: Delivery) -> None:
    """Without its files. Conflict while it is being imported, or when its batch is there."""
    if delivery.state in UNDERWAY:
        raise Conflict("This delivery is being imported; wait for its end.")
    if delivery.state is DeliveryState.DONE:
        raise Conflict("This delivery is a batch already.")
    session.delete(delivery)
