"""Numbers as JSON has them: what cannot be said is null, with the reason beside it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any

from app.analysis.statistics import CannotSay

Json = dict[str, Any]
INFINITE = "It is infinite."


def told(kind: type, make: Callable[[], Any], *, infinite: str = INFINITE) -> Json:
    """The fields of what `make` makes, which is of `kind`; all null where it cannot say.

    Where a number is infinite, `infinite` is the reason.
    """
    try:
        return written(make(), infinite)
    except CannotSay as reason:
        return {**dict.fromkeys(names_of(kind)), "reason": str(reason)}


def number(name: str, make: Callable[[], float], *, infinite: str = INFINITE) -> Json:
    """`told` of a single number."""
    try:
        return numbers({name: make()}, infinite)
    except CannotSay as reason:
        return {name: None, "reason": str(reason)}


def names_of(kind: type) -> tuple[str, ...]:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    found: tuple[str, ...] = kind._fields  # type: ignore[attr-defined] # a NamedTuple
    return found


def written(value: Any, infinite: str = INFINITE) -> Json:
    """A dataclass or NamedTuple, with those inside it, as a dict."""
    return numbers({name: getattr(value, name) for name in names_of(type(value))}, infinite)


def numbers(values: Mapping[str, Any], infinite: str) -> Json:
    found: Json = {name: plain(value, infinite) for name, value in values.items()}
    if any(value is None for value in found.values()):
        found["reason"] = infinite
    return found


def plain(value: Any, infinite: str) -> Any:
    match value:
        case bool() | int() | StrEnum() | str() | None:
            return value
        case float():
            return float(value) if math.isfinite(value) else None
        case _:
            return written(value, infinite)
