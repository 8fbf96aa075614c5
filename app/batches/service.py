"""Import a batch whole or not at all, and find what was imported."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from app.batches.check import STANDARD_LIMITS, CheckedBatch, Progress, check_batch, unheard
from app.batches.domain import Pixels, difference
from app.batches.files import Limits
from app.batches.foreign import CheckedForeign
from app.batches.manifest import ORIGINAL
from app.batches.png import decode
from app.batches.rows import Kept, row_of
from app.batches.scan import Scan
from app.batches.similarity import ssim
from app.errors import Conflict, NotFound
from app.researchers.rights import batches_of
from app.storage.images import ImageStore, encode
from app.storage.models import Batch, Case, Researcher, Stimulus
from app.storage.session import Database


@dataclass(frozen=True)
class Import:
    """How one import runs.

    `folder` is the name for its images, a random one when empty. `also` is done in the
    transaction that makes the batch, so that both are there or neither is.
    """

    now: datetime
    researcher_id: int | None = None
    folder: str = ""
    progress: Progress = unheard
    also: Callable[[Session, Batch], None] = lambda _session, _batch: None


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
    return import_checked(checked, database, store, Import(now))


def import_checked(
    checked: CheckedBatch | CheckedForeign, database: Database, store: ImageStore, how: Import
) -> int:
    """As `import_batch`, of what was checked already."""
    with database.reading() as session:
        refuse_known(session, checked.digest, how.researcher_id)
    folder = store.new_folder(how.folder)
    try:
        scan = Scan()
        images = dict(stored_images(checked, store, folder, scan, how.progress))
        evidence = stored_evidence(checked, store, folder)
        store.settle(folder)
        with database.writing() as session:
            refuse_known(session, checked.digest, how.researcher_id)
            batch = row_of(checked, images, how.now)
            batch.scan = scan.result()
            batch.evidence = evidence
            batch.researcher_id = how.researcher_id
            session.add(batch)
            session.flush()
            how.also(session, batch)
            return batch.id
    except IntegrityError as error:
        store.discard(folder)
        raise Conflict("This batch was imported by somebody else meanwhile.") from error
    except BaseException:
        store.discard(folder)
        raise


def stored_images(
    checked: CheckedBatch | CheckedForeign,
    store: ImageStore,
    folder: str,
    scan: Scan,
    progress: Progress,
) -> Iterator[tuple[tuple[str, str], Kept]]:
    """Stores every image, and looks at it beside its original."""
    original: Pixels | None = None
    for done, image in enumerate(checked.images(), 1):
        scan.add(image.condition, image.traits)
        alike = None
        if image.condition == ORIGINAL:
            original = image.pixels
        elif original is not None:
            alike = ssim(original, image.pixels)
        height, width, _ = image.pixels.shape
        stored = store.write(folder, image.pixels)
        yield (image.case, image.condition), Kept(stored, width, height, image.sha256, alike)
        progress(done, checked.total)


def stored_evidence(
    checked: CheckedBatch | CheckedForeign, store: ImageStore, folder: str
) -> dict[str, Any] | None:
    """With `saliency`, by case and condition: `file` and `sha256` in the store."""
    if isinstance(checked, CheckedForeign) or checked.evidence is None:
        return None
    saliency: dict[str, dict[str, dict[str, str]]] = {}
    for image, pixels in checked.saliency():
        stored = store.write(folder, pixels)
        by_condition = saliency.setdefault(image.case, {})
        by_condition[image.condition] = {"file": stored.file, "sha256": stored.sha256}
    return {**checked.evidence, "saliency": saliency}


def refuse_known(session: Session, digest: str, researcher_id: int | None) -> None:
    """A researcher is not told that somebody else has the same batch: they get their own."""
    query = select(Batch).where(Batch.digest == digest)
    if researcher_id is not None:
        query = query.where(Batch.researcher_id.is_(None) | (Batch.researcher_id == researcher_id))
    known = session.scalars(query.order_by(Batch.id)).first()
    if known is not None:
        raise Conflict(f"This batch was imported before, as number {known.id} ({known.name!r}).")


def list_batches(session: Session, researcher: Researcher | None = None) -> list[Batch]:
    shown = (selectinload(Batch.cases).load_only(Case.id), selectinload(Batch.conditions))
    query = select(Batch).options(*shown).order_by(Batch.id.desc())
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
    found = find_stimulus(session, batch_id, stimulus_id)
    return store.read(found.file, found.sha256)


def difference_image(session: Session, store: ImageStore, batch_id: int, stimulus_id: int) -> bytes:
    """PNG of ten times what the perturbation changes, around a middle grey."""
    found = find_stimulus(session, batch_id, stimulus_id)
    original = session.scalars(
        select(Stimulus).where(Stimulus.case_id == found.case_id, Stimulus.condition_id.is_(None))
    ).one()
    before, after = (
        decode(store.read(row.file, row.sha256), row.width * row.height).pixels
        for row in (original, found)
    )
    return encode(difference(before, after))


def saliency_image(session: Session, store: ImageStore, batch: Batch, stimulus_id: int) -> bytes:
    """PNG of where the network looks; NotFound unless the batch's evidence has it."""
    found = find_stimulus(session, batch.id, stimulus_id)
    kept = saliency_of(batch, found)
    if kept is None:
        raise NotFound("There is no such image.")
    return store.read(kept["file"], kept["sha256"])


def saliency_of(batch: Batch, stimulus: Stimulus) -> dict[str, str] | None:
    """`file` and `sha256` in the store."""
    by_case = (batch.evidence or {}).get("saliency", {})
    condition = stimulus.condition.name if stimulus.condition else ORIGINAL
    found: dict[str, str] | None = by_case.get(stimulus.case.name, {}).get(condition)
    return found


def find_stimulus(session: Session, batch_id: int, stimulus_id: int) -> Stimulus:
    found = session.scalar(
        select(Stimulus).join(Case).where(Stimulus.id == stimulus_id, Case.batch_id == batch_id)
    )
    if found is None:
        raise NotFound("There is no such image.")
    return found
