"""What a batch must say and show beyond its shape; see docs/batch-format.md."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.batches.manifest import (
    MANIFEST,
    Case,
    Contents,
    Measured,
)

MEASURED_TOLERANCE = 1e-5
ROUNDING = 1e-9
DIFFERENCE_FACTOR = 10
MIDDLE_GREY = 128
NORMS = {"l0": "l0_fraction", "l1": "l1_mad", "l2": "l2_rmsd", "linf": "linf"}

Pixels = NDArray[np.uint8]
"""Grey levels in RGB, shape (height, width, 3)."""


def contradictions(contents: Contents) -> Iterator[str]:
    """Names that are used twice or not known, and successes that the probabilities deny."""
    yield from used_twice("condition id", (condition.id for condition in contents.conditions))
    yield from used_twice("case id", (case.id for case in contents.cases))
    yield from used_twice("file", (image.file for case in contents.cases for image in case.images))
    for case in contents.cases:
        yield from contradictions_in_case(case, contents.condition_ids)


def used_twice(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"the {what} {name} is used {times} times; each must be used once."


def contradictions_in_case(case: Case, condition_ids: frozenset[str]) -> Iterator[str]:
    here = f"case {case.id}"
    if predicted_class(case.original.p_positive) != case.truth:
        yield (
            f"{here}: the network misclassifies the original (p_positive "
            f"{case.original.p_positive}, truth {case.truth}); leave the case out."
        )
    for condition, times in Counter(image.condition for image in case.perturbed).items():
        if condition not in condition_ids:
            yield f"{here}: there is no condition {condition} in the list of conditions."
        if times > 1:
            yield f"{here}: condition {condition} is used {times} times; each must be used once."
    for image in case.perturbed:
        if image.success != (predicted_class(image.p_positive) != case.truth):
            yield (
                f"{here}, condition {image.condition}: success is {str(image.success).lower()}, "
                f"but p_positive {image.p_positive} and truth {case.truth} say the opposite; "
                "correct what is wrong."
            )


def predicted_class(p_positive: float) -> int:
    return int(p_positive >= 0.5)


def pixel_digest(pixels: Pixels) -> str:
    """Equal for two images exactly when their sizes and all their values are."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def measure(original: Pixels, perturbed: Pixels) -> Measured:
    """The norms of docs/batch-format.md for two images of one size."""
    change = np.abs(original.astype(np.int16) - perturbed).astype(np.uint16)
    return Measured(
        l0_fraction=float(change.any(axis=2).mean()),
        l1_mad=float(change.mean(dtype=np.float64)),
        l2_rmsd=math.sqrt(np.square(change).mean(dtype=np.float64)),
        linf=int(change.max()),
    )


class Budget(Protocol):
    """How large a perturbation may be: no epsilon, no bound."""

    @property
    def norm(self) -> str: ...

    @property
    def epsilon(self) -> str | None: ...


def wrong_in_pair(
    original: Pixels, perturbed: Pixels, declared: Measured | None, budget: Budget | None
) -> Iterator[str]:
    """Each is the end of a sentence about the perturbed image; None where nobody said."""
    if original.shape != perturbed.shape:
        sizes = f"{size_in_words(perturbed)}, its original {size_in_words(original)}"
        yield f"is {sizes}; make both the same size"
        return
    found = measure(original, perturbed)
    if found.linf == 0:
        yield "has the same pixels as its original; leave it out"
    if declared is not None:
        yield from mismeasured(declared, found)
    if budget is not None and budget.epsilon is not None:
        norm = NORMS[budget.norm]
        size = getattr(found, norm)
        if size > float(budget.epsilon) * (1 + ROUNDING):
            yield (
                f"has {norm} {size:.7g}, above the declared epsilon of {budget.epsilon}; "
                "declare the epsilon it has, or attack it again"
            )


def mismeasured(declared: Measured, found: Measured) -> Iterator[str]:
    for norm in NORMS.values():
        said, seen = getattr(declared, norm), getattr(found, norm)
        if not math.isclose(said, seen, rel_tol=MEASURED_TOLERANCE, abs_tol=MEASURED_TOLERANCE):
            yield f"has {norm} {seen:.7g}, {MANIFEST} says {said:.7g}; measure it again"


def difference(original: Pixels, perturbed: Pixels) -> Pixels:
    """Ten times the perturbation, around a middle grey."""
    change = (perturbed.astype(np.int16) - original) * DIFFERENCE_FACTOR + MIDDLE_GREY
    shown: Pixels = np.clip(change, 0, 255).astype(np.uint8)
    return shown


def size_in_words(pixels: Pixels) -> str:
    height, width, _ = pixels.shape
    return f"{width} x {height} pixels"
