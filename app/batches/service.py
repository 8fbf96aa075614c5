"""Import a batch whole or not at all, and find what was imported."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.batches.check import STANDARD_LIMITS, CheckedBatch, Progress, check_batch, unheard
from app.batches.files import Limits
from app.batches.manifest import OriginalImage, PerturbedImage
from app.errors import Conflict, NotFound
from app.researchers.rights import batches_of
from app.storage.images import ImageStore, StoredImage
from app.storage.models import Batch, Case, Condition, Researcher, Stimulus
from app.storage.session import Database

Stored = Mapping[tuple[str, str], tuple[StoredImage, int, int]]
"""By case and condition: the stored image, its width and its height."""


def import_batch(
    path: Path,
    database: Database,
    store: ImageStore,
    now: datetime,
    *,
    limits: Limits = STANDARD_LIMITS,
    progress: Progress = unheard,
) -> int:
    """The new batch's id.

    Invalid lists all that is wrong with it; Conflict when it was imported before. The images
    are on the disk before the rows that name them; after an error neither is there.
    """
    checked = check_batch(path, limits, progress)
    with database.reading() as session:
        refuse_known(session, checked.digest)
    folder = store.new_folder()
    try:
        images = {
            (image.case, image.condition): (
                store.write(folder, image.pixels),
                image.pixels.shape[1],
                image.pixels.shape[0],
            )
            for image in checked.images()
        }
        store.settle(folder)
        with database.writing() as session:
            refuse_known(session, checked.digest)
            batch = to_row(checked, images, now)
            session.add(batch)
            session.flush()
            return batch.id
    except IntegrityError as error:
        store.discard(folder)
        raise Conflict("This batch was imported by somebody else meanwhile.") from error
    except BaseException:
        store.discard(folder)
        raise


def refuse_known(session: Session, digest: str) -> None:
    known = session.scalar(select(Batch).where(Batch.digest == digest))
    if known is not None:
        raise Conflict(f"This batch was imported before, as number {known.id} ({known.name!r}).")


def to_row(checked: CheckedBatch, images: Stored, now: datetime) -> Batch:
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
                stimulus(image, conditions.get(image.condition), images[case.id, image.condition])
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


def stimulus(
    image: OriginalImage | PerturbedImage,
    condition: Condition | None,
    stored: tuple[StoredImage, int, int],
) -> Stimulus:
    file, width, height = stored
    measured = image.measured.model_dump() if isinstance(image, PerturbedImage) else {}
    return Stimulus(
        condition=condition,
        file=file.file,
        sha256=file.sha256,
        delivered_sha256=image.sha256,
        stored_bytes=file.stored_bytes,
        width=width,
        height=height,
        p_positive=image.p_positive,
        success=image.success if isinstance(image, PerturbedImage) else None,
        **measured,
    )


def list_batches(session: Session, researcher: Researcher | None = None) -> list[Batch]:
    query = select(Batch).order_by(Batch.id.desc())
    if researcher is not None:
        query = query.where(batches_of(researcher))
    return list(session.scalars(query))


def find_batch(session: Session, batch_id: int, researcher: Researcher | None = None) -> Batch:
    """The batch; for a researcher only one that they may see, any other does not exist."""
    query = select(Batch).where(Batch.id == batch_id)
    if researcher is not None:
        query = query.where(batches_of(researcher))
    batch = session.scalar(query)
    if batch is None:
        raise NotFound("There is no such batch.")
    return batch


def find_batch_named(session: Session, name: str) -> Batch:
    """By number, or by name when only one batch has it, as a person types it."""
    found = session.scalars(select(Batch).where(Batch.name == name)).all()
    if len(found) > 1:
        numbers = ", ".join(str(batch.id) for batch in found)
        raise Conflict(f"Several batches are named {name!r}; say which by number: {numbers}.")
    if found:
        return found[0]
    if name.isdecimal() and len(name) < 10:
        return find_batch(session, int(name))
    raise NotFound(f"There is no batch {name!r}; import one with: plainsight batch import PATH")


def stimulus_image(session: Session, store: ImageStore, batch_id: int, stimulus_id: int) -> bytes:
    found = session.scalar(
        select(Stimulus).join(Case).where(Stimulus.id == stimulus_id, Case.batch_id == batch_id)
    )
    if found is None:
        raise NotFound("There is no such image.")
    return store.read(found.file, found.sha256)
