"""What is frozen when a study starts: its design, its plan, its files and its orders.

Files are named by the SHA-256 of their pixels, sorted, part by part: nothing tells which image is
of which arm. Orders are told by an HMAC under the study's secret: nobody can find an order from
it, and nobody can change one without being found out. docs/protocol.md has every field.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.designer.domain import canonical
from app.provenance import code
from app.readers.domain import keys_swapped
from app.readers.service import label_of
from app.reading.orders import Shown, order_of_pairs, orientations_of, reading_order
from app.storage.models import Stimulus, Study
from app.studies.domain import drawn
from app.studies.service import OPTIONS
from app.vocabulary import Part

FORMAT = "plainsight-protocol/1"
COMMITTED_READERS = 5

READERS_SEE = ("public_title", "question", "criterion", "instructions")
PLAN = (
    *("estimand", "margin_flips", "margin_tp", "alpha"),
    *("minimum_time_ms", "maximum_time_ms"),
    "catch_least",
)
CAN_BE_AMENDED = (*READERS_SEE, *PLAN)
DESIGN = (*(each for each in OPTIONS if each not in CAN_BE_AMENDED), "minimum_gap")


@dataclass(frozen=True)
class FutureReader:
    """Somebody who may be invited; the orders of a label do not depend on who it is."""

    number: int

    @property
    def label(self) -> str:
        return label_of(self.number)


def protocol_of(study: Study) -> dict[str, Any]:
    """The study as it is now, to be frozen or to be compared with what was."""
    return {
        "format": FORMAT,
        "title": study.internal_title,
        "design": {
            **{name: getattr(study, name) for name in DESIGN},
            "conditions": condition_names(study, Part.READING),
            "cases": case_names(study, Part.READING),
            "pair_conditions": condition_names(study, Part.PAIRS),
            "practice_cases": case_names(study, Part.PRACTICE),
            **catch_cases(study),
        },
        "plan": {name: getattr(study, name) for name in PLAN},
        "readers_see": {name: getattr(study, name) for name in READERS_SEE},
        "files": {
            "batch": study.batch.digest,
            **{part: digests(study.stimuli_of(part)) for part in Part},
            **({"catch": digests(study.catch_images)} if study.catch_images else {}),
        },
        "orders": orders_of(study),
        "code": code(),
    }


def digests(images: Iterable[Stimulus]) -> list[str]:
    return sorted(each.sha256 for each in images)


def catch_cases(study: Study) -> dict[str, list[list[str]]]:
    """Batch and case of each; nothing where there are none, as it was before there were any."""
    cases = [each.case for each in study.catch_images]
    names = sorted([case.batch.digest, case.name] for case in cases)
    return {"catch_cases": names} if names else {}


def case_names(study: Study, part: Part) -> list[str]:
    return sorted({stimulus.case.name for stimulus in study.stimuli_of(part)})


def condition_names(study: Study, part: Part) -> list[str]:
    conditions = {stimulus.condition for stimulus in study.stimuli_of(part)}
    return sorted(condition.name for condition in conditions if condition)


def orders_of(study: Study) -> dict[str, Any]:
    """Commitments to the secret, which all orders follow from, and to the first orders."""
    readers = [FutureReader(number) for number in range(1, COMMITTED_READERS + 1)]
    return {
        "secret_sha256": hashlib.sha256(bytes.fromhex(study.secret)).hexdigest(),
        "hmac_sha256": {reader.label: commitments(study, reader) for reader in readers},
    }


def commitments(study: Study, reader: FutureReader) -> dict[str, str]:
    orders = {Part.READING: reading_order(study, reader), Part.PAIRS: order_of_pairs(study, reader)}
    keys = [keys_swapped(study.secret, reader.number)]
    return {
        "keys": commitment(study, reader.label, "keys", [keys]),
        **{
            part: commitment(study, reader.label, part, rows_of(study, reader, part, shown))
            for part, shown in orders.items()
        },
    }


def commitment(study: Study, label: str, what: str, rows: Iterable[list[Any]]) -> str:
    promised = canonical({"reader": label, "what": what, "rows": list(rows)})
    return drawn(study.secret, f"commitment/{promised}")


def rows_of(
    study: Study, reader: FutureReader, part: Part, shown: list[Shown]
) -> Iterable[list[Any]]:
    """One row a presentation: sitting, set, image, image on the right, orientation."""
    images = {each.id: each for each in study.shown_in(part)}
    for each, turn in zip(shown, orientations_of(study, reader, part, shown), strict=True):
        left, right = images[each.stimulus], images.get(each.beside or 0)
        yield [each.sitting, each.set_number, name_of(left), right and name_of(right), turn]


def name_of(image: Stimulus) -> list[str]:
    """The same in every database, unlike its number."""
    return [image.case.name, image.condition.name if image.condition else ""]
