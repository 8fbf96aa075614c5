"""Leaks in names, counts and order of the list of what is next."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from app.reading import room
from app.reading.service import AHEAD
from app.web.identity import digest
from benchmarks.blinding import pngs
from benchmarks.blinding.boundary import Mutant
from benchmarks.blinding.leaks.common import ARMS
from benchmarks.blinding.secrets import Secret


def on_lists() -> list[Mutant]:
    """Names, counts and order in the list of what is next."""
    return [
        Mutant("ids that count", (12,), alias=lambda s: f"{s.stimulus:06x}{s.set_number:02x}"),
        Mutant(
            "ids that tell the time of import",
            (12,),
            alias=lambda s: f"{0x19A_0000_0000 + 37 * s.stimulus:012x}{s.token[:20]}",
            is_subtle=True,
        ),
        Mutant(
            "the condition in the list",
            (13,),
            told=in_list(condition=of_present(lambda s: ARMS[s.arm])),
        ),
        Mutant("the case in the list", (13,), told=in_list(item=of_present(lambda s: s.case))),
        Mutant(
            "the set in the list", (13,), told=in_list(order=of_present(lambda s: s.set_number))
        ),
        Mutant("a longer list before one arm", (17,), told=shorter_list),
        Mutant(
            "progress by set",
            (23,),
            told=in_list(done=of_present(lambda s: 100 * s.set_number)),
        ),
        Mutant(
            "the right answer after each image",
            (24,),
            told=in_list(feedback=of_answered(lambda s: ("non_tumour", "tumour")[s.truth])),
        ),
        Mutant(
            "the reader's agreement with themselves",
            (24,),
            told=in_list(again=of_answered(lambda s: s.set_number > 1)),
        ),
        Mutant(
            "the right answer by the digest of the answer",
            (24,),
            told=in_list(receipt=of_answered(lambda s: pngs.digest(s.truth)[:12])),
        ),
        Mutant(
            "totals by arm",
            (26,),
            told=in_list(left=lambda due, _a: [sum(s.arm == arm for s in due) for arm in (0, 1)]),
        ),
        Mutant(
            "the visit's name tells the reader",
            (33,),
            patch=lambda: patch.object(room, "take_place", speaking_place),
        ),
        Mutant("one queue for all readers", (20,), told=in_arrival("queue", "study-1-linf-2")),
        Mutant(
            "how many others said tumour",
            (29,),
            told=in_list(others=of_present(lambda s: 3 + 2 * s.truth)),
        ),
    ]


def in_list(**fields: Callable[[list[Secret], Secret | None], object]) -> Any:
    """Fields more, or other, in the list of what is next."""

    def change(due: list[Secret], answered: Secret | None, content: dict[str, Any]) -> None:
        for name, value in fields.items():
            content[name] = value(due, answered)

    return change


def in_arrival(name: str, value: str) -> Any:
    def change(_due: list[Secret], _answered: Secret | None, content: dict[str, Any]) -> None:
        if name in content:
            content[name] = value

    return change


def of_present(value: Callable[[Secret], object]) -> Callable[[list[Secret], Any], object]:
    return lambda due, _answered: value(due[0]) if due else None


def of_answered(value: Callable[[Secret], object]) -> Callable[[Any, Secret | None], object]:
    return lambda _due, answered: value(answered) if answered else None


def speaking_place(reader: Any) -> str:
    visit = f"{reader.label}-of-{reader.study.internal_title}".replace(" ", "-")
    reader.place_digest = digest(visit)
    return visit


def shorter_list(due: list[Secret], _answered: Secret | None, content: dict[str, Any]) -> None:
    keep = AHEAD - due[0].arm if due else AHEAD
    for name in ("tokens", "attempts"):
        content[name] = content[name][:keep]
