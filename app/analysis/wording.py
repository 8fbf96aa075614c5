"""Numbers in words: shares, differences in percentage points, intervals, p values, verdicts."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

MINUS = "\N{MINUS SIGN}"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NOT_KNOWN, NO_LIMIT = "not known", "no limit"


def harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA)
    return f"'{value}" if is_formula else value


def percent(share: float | None, digits: int = 1) -> str:
    if share is None:
        return NOT_KNOWN
    return decimals(100 * share, digits) + " %"


def points(share: float | None, digits: int | None = None) -> str:
    """Percentage points with their sign, no sign for nothing; whole ones when `digits` is None
    and they are whole."""
    if share is None:
        return NOT_KNOWN
    value = 100 * share
    if digits is None:
        digits = 0 if abs(value - round(value)) < 1e-9 else 1
    text = decimals(value, digits)
    return f"+{text}" if float(text.replace(MINUS, "-")) > 0 else text


def unsigned(share: float) -> str:
    """Percentage points of a margin."""
    return points(share).lstrip("+")


def decimals(value: float | None, digits: int) -> str:
    """Half of the last digit goes up, away from nothing. With a minus as long as the plus, and
    never a minus before nothing."""
    if value is None:
        return NOT_KNOWN
    last = Decimal(1).scaleb(-digits)
    text = str(Decimal(repr(float(value))).quantize(last, ROUND_HALF_UP))
    return text.replace("-", "" if float(text) == 0 else MINUS)


def interval_points(found: dict[str, Any], digits: int | None = 1) -> str:
    if found.get("estimate") is None:
        return reason_of(found)
    low, high = (points(found[end], digits) for end in ("low", "high"))
    return f"{points(found['estimate'], digits)} ({low} to {high})"


def interval(found: dict[str, Any], digits: int = 2) -> str:
    """Such as 3.32 (2.46 to 4.16)."""
    if found.get("estimate") is None:
        return reason_of(found)
    low, high = (
        NO_LIMIT if found[end] is None else decimals(found[end], digits) for end in ("low", "high")
    )
    return f"{decimals(found['estimate'], digits)} ({low} to {high})"


def interval_percent(found: dict[str, Any], digits: int = 1) -> str:
    if found.get("estimate") is None:
        return reason_of(found)
    low, high = (percent(found[end], digits) for end in ("low", "high"))
    return f"{percent(found['estimate'], digits)} ({low} to {high})"


def reason_of(found: dict[str, Any]) -> str:
    return str(found.get("reason") or NOT_KNOWN)


def p_value(p: float | None) -> str:
    if p is None:
        return NOT_KNOWN
    return "< 0.001" if p < 0.001 else decimals(p, 3)


def number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


LETTERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


def in_letters(count: int, one: str) -> str:
    """At the beginning of a sentence."""
    said = number(count, one)
    return said.replace(str(count), LETTERS[count], 1) if count < len(LETTERS) else said


def budget(condition: dict[str, Any]) -> str:
    """Such as: pgd, norm linf, epsilon 2."""
    if condition["attack"] is None:
        return str(condition["condition"])
    epsilon = f", epsilon {condition['epsilon']:g}" if condition["epsilon"] is not None else ""
    return f"{condition['attack']}, norm {condition['norm']}{epsilon}"


def budget_of(found: dict[str, Any], condition: str) -> str:
    [listed] = [x for x in found["study"]["conditions"] if x["condition"] == condition]
    return budget(listed)


def slug(text: str) -> str:
    """What may be in an address and in the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
