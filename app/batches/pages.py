"""What the batch pages show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import QueryableAttribute, Session

from app.batches.delivery_pages import DeliveryLine, delivery_lines
from app.batches.scan_view import ScanView, scan_of
from app.storage.images import ImageStore
from app.storage.models import Batch, Case, Delivery, Stimulus

PAIRS_A_PAGE = 25
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
    """`deliveries` are those that are no batch yet."""

    batches: Sequence[BatchLine]
    deliveries: Sequence[DeliveryLine]
    title: str = "Batches"


@dataclass(frozen=True)
class ImageCell:
    """One image of a case; the norms are None for the original."""

    url: str
    width: int
    height: int
    p_positive: float | None
    linf: int | None
    l0_fraction: float | None
    l1_mad: float | None
    l2_rmsd: float | None
    ssim: float | None


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
    pairs: Sequence[PairLine]
    total: int
    page: int
    pages: int
    sort: str


class Sort(StrEnum):
    """What the pairs of a batch are sorted by."""

    CASE = "case"
    LINF = "linf"
    L0 = "l0"
    L1 = "l1"
    L2 = "l2"
    SSIM = "ssim"


COLUMNS: dict[Sort, QueryableAttribute[Any]] = {
    Sort.CASE: Case.id,
    Sort.LINF: Stimulus.linf,
    Sort.L0: Stimulus.l0_fraction,
    Sort.L1: Stimulus.l1_mad,
    Sort.L2: Stimulus.l2_rmsd,
    Sort.SSIM: Stimulus.ssim,
}


def batches_page(batches: Sequence[Batch], deliveries: Sequence[Delivery]) -> BatchesPage:
    lines = [
        BatchLine(
            batch.id,
            batch.name,
            len(batch.cases),
            batch.imported_at,
            batch.network["metrics"].get("auc"),
        )
        for batch in batches
    ]
    return BatchesPage(lines, delivery_lines(deliveries))


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
    metrics = network["metrics"]
    words = f"{network['architecture']} trained on {network['data']['name']}"
    if not metrics:
        return f"{words}; how good it is, nobody said"
    return f"{words}: AUC {metrics['auc']:.3f}, accuracy {metrics['accuracy']:.3f}"


def batch_page(
    session: Session, store: ImageStore, batch: Batch, page: int = 1, sort: Sort = Sort.CASE
) -> BatchPage:
    pairs = (
        select(Stimulus)
        .join(Case)
        .where(Case.batch_id == batch.id, Stimulus.condition_id.is_not(None))
    )
    total = session.scalar(select(func.count()).select_from(pairs.subquery())) or 0
    pages = max(1, -(-total // PAIRS_A_PAGE))
    page = min(page, pages)
    shown = session.scalars(
        pairs.order_by(COLUMNS[sort], Case.id, Stimulus.condition_id)
        .limit(PAIRS_A_PAGE)
        .offset((page - 1) * PAIRS_A_PAGE)
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
        pairs=[pair_line(batch, store, stimulus) for stimulus in shown],
        total=total,
        page=page,
        pages=pages,
        sort=sort.value,
    )
