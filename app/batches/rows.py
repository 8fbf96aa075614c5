"""What was checked, and the images that were stored of it, as rows of the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.batches.check import CheckedBatch
from app.batches.details import NOT_STATED
from app.batches.foreign import CheckedForeign, ForeignImage
from app.batches.manifest import OriginalImage, PerturbedImage
from app.provenance import code
from app.storage.images import StoredImage
from app.storage.models import Batch, Case, Condition, Stimulus


@dataclass(frozen=True)
class Kept:
    """An image as it was stored; `ssim` is None for an original."""

    stored: StoredImage
    width: int
    height: int
    delivered_sha256: str
    ssim: float | None


Stored = Mapping[tuple[str, str], Kept]
"""By case and condition."""


def row_of(checked: CheckedBatch | CheckedForeign, images: Stored, now: datetime) -> Batch:
    if isinstance(checked, CheckedBatch):
        return row_of_batch(checked, images, now)
    return row_of_foreign(checked, images, now)


def row_of_batch(checked: CheckedBatch, images: Stored, now: datetime) -> Batch:
    manifest = checked.manifest
    conditions = {
        condition.id: Condition(
            name=condition.id,
            seed=str(condition.seed),
            **condition.model_dump(exclude={"id", "seed"}),
        )
        for condition in manifest.conditions
    }
    cases = [
        Case(
            name=case.id,
            truth=case.truth,
            data_set=case.source.data_set,
            fold=case.source.fold,
            index_in_fold=case.source.index,
            micrometres_per_pixel=case.micrometres_per_pixel,
            stimuli=[
                row_of_image(
                    image, conditions.get(image.condition), images[case.id, image.condition]
                )
                for image in case.images
            ],
        )
        for case in manifest.cases
    ]
    return Batch(
        name=manifest.name,
        digest=checked.digest,
        criterion=manifest.criterion,
        network=manifest.network.model_dump(),
        provenance=manifest.provenance,
        imported_at=now,
        conditions=list(conditions.values()),
        cases=cases,
    )


def row_of_foreign(checked: CheckedForeign, images: Stored, now: datetime) -> Batch:
    details = checked.details
    conditions = {
        attack.id: Condition(
            name=attack.id,
            attack=attack.attack,
            norm=attack.norm,
            epsilon=attack.epsilon,
            steps=0,
            step_size="",
            confidence_target=0.0,
            seed="",
        )
        for attack in checked.attacks
    }
    cases = [
        Case(
            name=case.id,
            truth=case.truth,
            data_set=details.data_set or NOT_STATED,
            fold="",
            index_in_fold=index,
            micrometres_per_pixel=details.micrometres_per_pixel,
            stimuli=[
                row_of_image(
                    image, conditions.get(image.condition), images[case.id, image.condition]
                )
                for image in case.images
            ],
        )
        for index, case in enumerate(checked.cases)
    ]
    return Batch(
        name=details.name,
        digest=checked.digest,
        criterion=details.criterion,
        network={
            "architecture": details.network or NOT_STATED,
            "data": {"name": NOT_STATED},
            "metrics": {},
        },
        provenance={"brought_as": checked.kind.value, "imported_with": code()},
        imported_at=now,
        conditions=list(conditions.values()),
        cases=cases,
    )


def row_of_image(
    image: OriginalImage | PerturbedImage | ForeignImage, condition: Condition | None, kept: Kept
) -> Stimulus:
    measured, success = None, None
    if not isinstance(image, OriginalImage):
        measured, success = image.measured, image.success
    return Stimulus(
        condition=condition,
        file=kept.stored.file,
        sha256=kept.stored.sha256,
        delivered_sha256=kept.delivered_sha256,
        stored_bytes=kept.stored.stored_bytes,
        width=kept.width,
        height=kept.height,
        p_positive=image.p_positive,
        success=success,
        ssim=kept.ssim,
        **(measured.model_dump() if measured else {}),
    )
