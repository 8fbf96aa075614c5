"""Freeze a study and start it, change its plan with a reason, and find out what was changed."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.designer.domain import canonical, differences, digest_of, planned
from app.designer.protocol import (
    CAN_BE_AMENDED,
    READERS_SEE,
    commitment,
    name_of,
    protocol_of,
)
from app.errors import Conflict, Invalid
from app.reading.service import image_bytes
from app.storage.images import DamagedImageError, ImageStore, pad
from app.storage.models import Amendment, Presentation, Reader, Study
from app.studies.domain import (
    refuse_impossible_least,
    refuse_impossible_plan,
    refuse_revealing,
    require_state,
)
from app.studies.monitor import amendments_of
from app.studies.selection import pixels_of, size_of
from app.studies.service import hold, record, scan_is_amber
from app.vocabulary import Part, StudyState

AMENDED_PARTS = ("plan", "readers_see")
BEFORE_UNBLINDING = (StudyState.READY, StudyState.READING, StudyState.LOCKED)


def start_study(
    session: Session, store: ImageStore, study: Study, actor: str, now: datetime
) -> None:
    """Freeze design, plan, files and orders; from here on readers can be invited.

    Invalid or Conflict when something would give the study away or an image is missing.
    """
    hold(session, study)
    require_state(study.state, StudyState.DRAFT, to="start it")
    refuse_unexplained_scan(study)
    refuse_practice_that_is_read(session, study)
    refuse_catch_that_is_shown(session, study)
    require_one_length(session, store, study)
    study.protocol = canonical(protocol_of(study))
    study.protocol_hash = digest_of(study.protocol)
    study.started_at = now
    study.state = StudyState.READY
    record(session, study, actor, "started", now)


def start_if_draft(
    session: Session, store: ImageStore, study: Study, actor: str, now: datetime
) -> None:
    if study.state is StudyState.DRAFT:
        start_study(session, store, study, actor, now)


def refuse_unexplained_scan(study: Study) -> None:
    if scan_is_amber(study.batch) and not study.scan_reason.strip():
        raise Invalid(
            "The blinding scan of this batch is amber: its files may give away the arms. "
            "Look at the batch, then say in the design why it may be read all the same."
        )


def refuse_practice_that_is_read(session: Session, study: Study) -> None:
    shared = pixels_read(session, study) & {
        image.sha256 for image in study.stimuli_of(Part.PRACTICE)
    }
    if shared:
        raise Conflict(
            f"{len(shared)} practice images have the pixels of images that are read: "
            "readers would know their truth. Choose the practice images anew."
        )


def pixels_read(session: Session, study: Study) -> set[str]:
    """Of all images of the cases in the results."""
    counted = (image for part in (Part.READING, Part.PAIRS) for image in study.stimuli_of(part))
    return pixels_of(session, sorted({image.case_id for image in counted}))


def refuse_catch_that_is_shown(session: Session, study: Study) -> None:
    """A catch image is shown once, and could be any image by its size."""
    catch = study.catch_images
    shown = pixels_read(session, study)
    shown |= {image.sha256 for image in study.stimuli_of(Part.PRACTICE)}
    pixels = {image.sha256 for image in catch}
    if again := len(catch) - len(pixels - shown):
        raise Conflict(
            f"{again} catch images have the pixels of images that are shown elsewhere. "
            "Choose the catch images anew."
        )
    if {size_of(image) for image in catch} - {size_of(image) for image in study.stimuli}:
        raise Conflict("The catch images must be as large as those that are read.")
    if any(image.condition_id is not None for image in catch):
        raise Conflict("A catch image must be an original: its truth must be clear.")


def require_one_length(session: Session, store: ImageStore, study: Study) -> None:
    """Every image is there, is what was imported, and is sent with the same length in bytes."""
    length = image_bytes(session, study)
    for stimulus in {image.stimulus for image in study.images}:
        try:
            sent = pad(store.read(stimulus.file, stimulus.sha256), length)
        except (DamagedImageError, ValueError) as error:
            raise Conflict(f"The study cannot start: {error}. Import its batch anew.") from error
        if len(sent) != length:
            raise Conflict("The study cannot start: its images would differ in length.")


def amend_study(
    session: Session,
    study: Study,
    changes: Mapping[str, Any],
    reason: str,
    actor: str,
    now: datetime,
) -> Amendment:
    """Change the plan or the texts of a study that has started; the design stays what it is.

    Invalid without a reason, without a change, or when the new plan makes no sense.
    """
    hold(session, study)
    require_state(study.state, *BEFORE_UNBLINDING, to="amend its plan")
    if not reason.strip():
        raise Invalid("An amendment needs a reason.")
    if unknown := set(changes) - set(CAN_BE_AMENDED):
        raise Invalid(f"{', '.join(sorted(unknown))} cannot change once a study has started.")
    if all(getattr(study, name) == value for name, value in changes.items()):
        raise Invalid("Nothing of this is different from the plan as it is.")
    for name, value in changes.items():
        setattr(study, name, value)
    require_sensible(study)
    before = (
        study.protocol_hash or "",
        *(each.protocol_hash for each in amendments_of(session, study)),
    )
    text = canonical({**protocol_of(study), "amends": before[-1], "reason": reason.strip()})
    amendment = Amendment(
        study_id=study.id,
        at=now,
        actor=actor,
        reason=reason.strip(),
        protocol=text,
        protocol_hash=digest_of(text),
    )
    session.add(amendment)
    record(session, study, actor, "amended the plan", now)
    return amendment


def require_sensible(study: Study) -> None:
    refuse_revealing(**{name: getattr(study, name) for name in READERS_SEE})
    for name in ("public_title", "question", "criterion"):
        if not getattr(study, name).strip():
            raise Invalid(f"The study needs a {name.replace('_', ' ')}.")
    refuse_impossible_plan(
        {"flips": study.margin_flips, "true positives": study.margin_tp},
        study.alpha,
        study.minimum_time_ms,
        study.maximum_time_ms,
    )
    refuse_impossible_least(study.catch_least)


def problems_with(session: Session, study: Study) -> list[str]:
    """What is not as it was frozen; nothing when all is as it was."""
    if study.protocol is None or study.protocol_hash is None:
        return ["The study has no protocol: it has not been started."]
    amendments = amendments_of(session, study)
    texts = [study.protocol, *(each.protocol for each in amendments)]
    hashes = [study.protocol_hash, *(each.protocol_hash for each in amendments)]
    if rewritten := [
        f"Version {number} of the protocol is not the text that was hashed."
        for number, (text, said) in enumerate(zip(texts, hashes, strict=True), start=1)
        if digest_of(text) != said
    ]:
        return rewritten
    versions = [json.loads(text) for text in texts]
    last = {part: versions[-1][part] for part in AMENDED_PARTS}
    found = json.loads(canonical(protocol_of(study)))
    return [
        *(
            f"Version {number} does not amend the version before it."
            for number, (before, version) in enumerate(
                zip(hashes, versions[1:], strict=False), start=2
            )
            if version.get("amends") != before
        ),
        *differences(planned({**versions[0], **last}), planned(found)),
        *orders_that_differ(session, study),
    ]


def orders_that_differ(session: Session, study: Study) -> list[str]:
    """Of the first readers, whose orders were promised: what they are shown is what was said."""
    said = json.loads(study.protocol or "{}")["orders"]["hmac_sha256"]
    return [
        f"{reader.label} is not shown what the protocol promised ({part})."
        for reader in study.readers
        if reader.label in said
        for part in (Part.READING, Part.PAIRS)
        if (rows := rows_stored(session, reader, part))
        and commitment(study, reader.label, part, rows) != said[reader.label][part]
    ]


def rows_stored(session: Session, reader: Reader, part: Part) -> list[list[Any]]:
    shown = session.scalars(
        select(Presentation)
        .where(Presentation.reader_id == reader.id, Presentation.part == part)
        .order_by(Presentation.position)
    )
    return [
        [
            *(each.sitting, each.set_number, name_of(each.stimulus)),
            *(each.beside and name_of(each.beside), each.orientation),
        ]
        for each in shown
    ]
