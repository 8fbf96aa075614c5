"""What the batch pages show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.batches.deliveries import list_unfinished
from app.batches.delivery_pages import DeliveryLine, delivery_lines
from app.batches.details import NOT_STATED
from app.batches.evidence_view import EvidenceView, evidence_view
from app.batches.scan_view import ScanView, scan_of
from app.batches.service import saliency_of
from app.researchers.rights import batches_of
from app.storage.images import ImageStore
from app.storage.models import Batch, Case, Researcher, Stimulus
from app.web.listing import Columns, Listing, listed

PAIRS_A_PAGE = 25
DELIVERIES_SHOWN = 5
MISSING = "A stored image is missing: restore the folder of images from the backup."
NO_SUCCESS = (
    "The attack did not succeed: no study shows this pair. Attack the case with a larger budget "
    "and bring it in another batch, or leave it."
)


@dataclass(frozen=True)
class BatchLine:
    id: int
    name: str
    cases: int
    imported_at: datetime
    auc: float | None


@dataclass(frozen=True)
class BatchesPage:
    """`deliveries` are the newest of those that are no batch yet, of `underway` in all."""

    batches: Sequence[BatchLine]
    listing: Listing
    deliveries: Sequence[DeliveryLine]
    underway: int
    title: str = "Batches"


@dataclass(frozen=True)
class ImageCell:
    """One image of a case; the norms are None for the original. `saliency` is the address of
    where the network looks, empty where the batch does not say."""

    url: str
    width: int
    height: int
    p_positive: float | None
    linf: int | None
    l0_fraction: float | None
    l1_mad: float | None
    l2_rmsd: float | None
    ssim: float | None
    saliency: str


@dataclass(frozen=True)
class PairLine:
    """`advice` says what to do where something is not as it should be; `kind` how bad it is."""

    case: str
    condition: str
    truth: int
    original: ImageCell
    perturbed: ImageCell
    difference: str
    kind: str
    advice: str


@dataclass(frozen=True)
class ConditionLine:
    name: str
    attack: str
    norm: str
    epsilon: str | None
    steps: int
    confidence_target: float


@dataclass(frozen=True)
class BatchPage:
    title: str
    id: int
    digest: str
    criterion: str
    network: str
    imported_at: datetime
    conditions: Sequence[ConditionLine]
    scan: ScanView
    evidence: EvidenceView | None
    pairs: Sequence[PairLine]
    listing: Listing


BATCH_COLUMNS: Columns = {"name": Batch.name, "imported": Batch.imported_at, "number": Batch.id}
NEWEST_FIRST = "-imported"
PAIR_COLUMNS: Columns = {
    "case": Stimulus.case_id,
    "linf": Stimulus.linf,
    "l0": Stimulus.l0_fraction,
    "l1": Stimulus.l1_mad,
    "l2": Stimulus.l2_rmsd,
    "ssim": Stimulus.ssim,
    "number": Stimulus.id,
}


def batches_page(
    session: Session, researcher: Researcher, page: int = 1, sort: str = NEWEST_FIRST
) -> BatchesPage:
    query = select(Batch).where(batches_of(researcher))
    batches, listing = listed(session, query, BATCH_COLUMNS, "/batches", page, sort)
    cases = cases_of(session, [batch.id for batch in batches])
    deliveries = list_unfinished(session, researcher.id)
    return BatchesPage(
        [
            BatchLine(
                batch.id,
                batch.name,
                cases[batch.id],
                batch.imported_at,
                batch.network["metrics"].get("auc"),
            )
            for batch in batches
        ],
        listing,
        delivery_lines(deliveries[:DELIVERIES_SHOWN]),
        len(deliveries),
    )


def cases_of(session: Session, batches: Sequence[int]) -> dict[int, int]:
    counted = session.execute(
        select(Case.batch_id, func.count())
        .where(Case.batch_id.in_(batches))
        .group_by(Case.batch_id)
    )
    return dict(counted.all())


def image_cell(batch: Batch, stimulus: Stimulus) -> ImageCell:
    return ImageCell(
        f"/batches/{batch.id}/images/{stimulus.id}",
        stimulus.width,
        stimulus.height,
        stimulus.p_positive,
        stimulus.linf,
        stimulus.l0_fraction,
        stimulus.l1_mad,
        stimulus.l2_rmsd,
        stimulus.ssim,
        f"/batches/{batch.id}/saliency/{stimulus.id}" if saliency_of(batch, stimulus) else "",
    )


def pair_line(batch: Batch, store: ImageStore, stimulus: Stimulus) -> PairLine:
    case = stimulus.case
    [original] = [each for each in case.stimuli if each.condition_id is None]
    assert stimulus.condition is not None  # noqa: S101 (the query asks for these)
    kind, advice = "", ""
    if not all(store.has(each.file) for each in (original, stimulus)):
        kind, advice = "error", MISSING
    elif stimulus.success is False:
        kind, advice = "warning", NO_SUCCESS
    return PairLine(
        case.name,
        stimulus.condition.name,
        case.truth,
        image_cell(batch, original),
        image_cell(batch, stimulus),
        f"/batches/{batch.id}/differences/{stimulus.id}",
        kind,
        advice,
    )


def network_in_words(network: Mapping[str, Any]) -> str:
    metrics, data = network["metrics"], network["data"]["name"]
    trained = "" if data == NOT_STATED else f" trained on {data}"
    words = f"{network['architecture']}{trained}"
    if not metrics:
        return words
    return f"{words}: AUC {metrics['auc']:.3f}, accuracy {metrics['accuracy']:.3f}"


def batch_page(
    session: Session, store: ImageStore, batch: Batch, page: int = 1, sort: str = ""
) -> BatchPage:
    pairs = (
        select(Stimulus)
        .join(Case)
        .where(Case.batch_id == batch.id, Stimulus.condition_id.is_not(None))
    )
    shown, listing = listed(
        session, pairs, PAIR_COLUMNS, f"/batches/{batch.id}", page, sort, per_page=PAIRS_A_PAGE
    )
    return BatchPage(
        title=batch.name,
        id=batch.id,
        digest=batch.digest,
        criterion=batch.criterion,
        network=network_in_words(batch.network),
        imported_at=batch.imported_at,
        conditions=[
            ConditionLine(c.name, c.attack, c.norm, c.epsilon, c.steps, c.confidence_target)
            for c in batch.conditions
        ],
        scan=scan_of(batch),
        evidence=None if batch.evidence is None else evidence_view(batch.evidence),
        pairs=[pair_line(batch, store, stimulus) for stimulus in shown],
        listing=listing,
    )
