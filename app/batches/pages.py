"""What the batch pages show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.storage.models import Batch, Stimulus


@dataclass(frozen=True)
class BatchLine:
    id: int
    name: str
    cases: int
    imported_at: datetime
    auc: float


@dataclass(frozen=True)
class BatchesPage:
    batches: Sequence[BatchLine]
    problems: Sequence[str] = ()
    title: str = "Batches"


@dataclass(frozen=True)
class ImageCell:
    """One image of a case; the norms are None for the original."""

    url: str
    width: int
    height: int
    p_positive: float
    linf: int | None
    l0_fraction: float | None
    l1_mad: float | None
    l2_rmsd: float | None


@dataclass(frozen=True)
class PairLine:
    case: str
    condition: str
    truth: int
    original: ImageCell
    perturbed: ImageCell


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
    architecture: str
    data: str
    auc: float
    accuracy: float
    imported_at: datetime
    conditions: Sequence[ConditionLine]
    pairs: Sequence[PairLine]


def batches_page(batches: Sequence[Batch], problems: Sequence[str] = ()) -> BatchesPage:
    lines = [
        BatchLine(
            batch.id,
            batch.name,
            len(batch.cases),
            batch.imported_at,
            batch.network["metrics"]["auc"],
        )
        for batch in batches
    ]
    return BatchesPage(lines, problems)


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
    )


def pair_lines(batch: Batch) -> list[PairLine]:
    lines = []
    for case in batch.cases:
        [original] = [s for s in case.stimuli if s.condition is None]
        for stimulus in case.stimuli:
            if stimulus.condition is not None:
                cells = image_cell(batch, original), image_cell(batch, stimulus)
                lines.append(PairLine(case.name, stimulus.condition.name, case.truth, *cells))
    return lines


def batch_page(batch: Batch) -> BatchPage:
    network = batch.network
    return BatchPage(
        title=batch.name,
        id=batch.id,
        digest=batch.digest,
        criterion=batch.criterion,
        architecture=network["architecture"],
        data=network["data"]["name"],
        auc=network["metrics"]["auc"],
        accuracy=network["metrics"]["accuracy"],
        imported_at=batch.imported_at,
        conditions=[
            ConditionLine(c.name, c.attack, c.norm, c.epsilon, c.steps, c.confidence_target)
            for c in batch.conditions
        ],
        pairs=pair_lines(batch),
    )
