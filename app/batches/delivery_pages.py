"""What the pages of deliveries show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.batches.deliveries import MIB, UNDERWAY
from app.batches.details import USUAL_CRITERION
from app.storage.models import Delivery
from app.vocabulary import DeliveryState
from app.web.listing import Columns, Listing, listed

HALF = 50


@dataclass(frozen=True)
class NewBatchPage:
    """`said` is what was typed before something was wrong with it."""

    most_mib: int
    kind: str
    said: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    criterion: str = USUAL_CRITERION
    title: str = "New batch"


@dataclass(frozen=True)
class DeliveryPage:
    """`per_cent` is of the import, or of the bytes while these still arrive."""

    title: str
    token: str
    kind: str
    state: str
    words: str
    per_cent: int
    is_underway: bool
    may_discard: bool
    problems: Sequence[str]


@dataclass(frozen=True)
class DeliveryLine:
    token: str
    name: str
    begun_at: datetime
    words: str
    is_wrong: bool


def per_cent(delivery: Delivery) -> int:
    if delivery.state is DeliveryState.RECEIVING:
        return 100 * delivery.received_bytes // delivery.total_bytes
    return 100 * delivery.done // delivery.total if delivery.total else 0


def in_words(delivery: Delivery) -> str:
    done = per_cent(delivery)
    match delivery.state:
        case DeliveryState.RECEIVING:
            received, total = delivery.received_bytes / MIB, delivery.total_bytes / MIB
            return f"{received:.1f} of {total:.1f} MiB have arrived."
        case DeliveryState.WAITING:
            return "All has arrived. It waits for its turn."
        case DeliveryState.RUNNING:
            return f"{'Checking' if done < HALF else 'Storing'} the images: {done} %"
        case DeliveryState.FAILED:
            count = len(delivery.problems)
            problems = "one problem" if count == 1 else f"{count} problems"
            return f"Nothing was imported: {problems}."
        case DeliveryState.DONE:
            return "It is imported."


def delivery_page(delivery: Delivery) -> DeliveryPage:
    return DeliveryPage(
        title=delivery.name,
        token=delivery.token,
        kind=delivery.kind.value,
        state=delivery.state.value,
        words=in_words(delivery),
        per_cent=per_cent(delivery),
        is_underway=delivery.state in UNDERWAY,
        may_discard=delivery.state in (DeliveryState.RECEIVING, DeliveryState.FAILED),
        problems=delivery.problems,
    )


DELIVERY_COLUMNS: Columns = {
    "begun": Delivery.created_at,
    "name": Delivery.name,
    "number": Delivery.id,
}
LATEST_FIRST = "-begun"


@dataclass(frozen=True)
class DeliveriesPage:
    deliveries: Sequence[DeliveryLine]
    listing: Listing
    title: str = "Deliveries"


def deliveries_page(session: Session, researcher_id: int, page: int, sort: str) -> DeliveriesPage:
    query = select(Delivery).where(Delivery.researcher_id == researcher_id)
    found, listing = listed(session, query, DELIVERY_COLUMNS, "/deliveries", page, sort)
    return DeliveriesPage(delivery_lines(found), listing)


def delivery_lines(deliveries: Sequence[Delivery]) -> list[DeliveryLine]:
    return [
        DeliveryLine(
            each.token,
            each.name,
            each.created_at,
            in_words(each),
            each.state is DeliveryState.FAILED,
        )
        for each in deliveries
    ]


def progress_of(delivery: Delivery) -> dict[str, object]:
    """For programs: the script of the upload page, and the HTTP API."""
    return {
        "delivery": delivery.token,
        "url": f"/deliveries/{delivery.token}",
        "state": delivery.state.value,
        "received_bytes": delivery.received_bytes,
        "total_bytes": delivery.total_bytes,
        "done": delivery.done,
        "total": delivery.total,
        "problems": delivery.problems,
        "batch": delivery.batch_id,
    }
