"""Leaks in the order of the presentations."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from app.reading import order as orders
from app.reading import orders as drawing
from app.reading.order import Placed
from app.reading.order import order as fair
from benchmarks.blinding.boundary import Mutant

Versions = dict[int, list[int]]


def on_orders() -> list[Mutant]:
    """What the places tell."""
    return [
        Mutant("a seed that can be guessed", (14,), patch=seeded(label_only), is_subtle=True),
        Mutant("copies next to each other", (15,), patch=ordered(adjacent)),
        Mutant("arms take turns", (15,), patch=ordered(alternating)),
        Mutant("sets as blocks of one shuffle", (15,), patch=ordered(blocks_of_sets)),
        Mutant("no minimum gap", (15,), patch=ordered(everything)),
        Mutant("cases in the order of the batch", (15,), patch=ordered(truth_first)),
        Mutant("one arm comes later", (16,), patch=later_arm, is_subtle=True),
        Mutant("one order for all readers", (36,), patch=seeded(secret_only)),
    ]


def later_arm() -> AbstractContextManager[object]:
    return patch.object(orders, "order", fatigue)


def label_only(_study: Any, reader: Any, _purpose: str) -> str:
    return str(reader.label)


def secret_only(study: Any, _reader: Any, _purpose: str) -> str:
    return str(study.secret)


def seeded(seed: Callable[[Any, Any, str], str]) -> Callable[[], AbstractContextManager[object]]:
    return lambda: patch.object(drawing, "seed_for", seed)


def ordered(make: Callable[[Versions, int, random.Random], list[int]]) -> Any:
    """Every reader's order is what `make` says of versions, sets and chance."""

    def order(versions: Versions, *, sets: int, seed: str, **_gap: object) -> list[Placed]:
        chance = random.Random(seed)  # noqa: S311 (what is wrong with it is the point)
        shown = make(versions, sets, chance)
        return numbered(shown)

    return lambda: patch.object(orders, "order", order)


def numbered(shown: list[int]) -> list[Placed]:
    return [
        Placed(position, shown[:position].count(stimulus), stimulus)
        for position, stimulus in enumerate(shown, start=1)
    ]


def everything(versions: Versions, sets: int, chance: random.Random) -> list[int]:
    shown = [image for images in versions.values() for image in images for _ in range(sets)]
    chance.shuffle(shown)
    return shown


def is_perturbed(versions: Versions, stimulus: int) -> bool:
    return all(images[0] != stimulus for images in versions.values())


def adjacent(versions: Versions, sets: int, chance: random.Random) -> list[int]:
    images = [image for images in versions.values() for image in images]
    chance.shuffle(images)
    return [image for image in images for _ in range(sets)]


def alternating(versions: Versions, sets: int, chance: random.Random) -> list[int]:
    shown = everything(versions, sets, chance)
    arms = [[s for s in shown if is_perturbed(versions, s) == arm] for arm in (False, True)]
    return [image for pair in zip(*arms, strict=True) for image in pair]


def blocks_of_sets(versions: Versions, sets: int, chance: random.Random) -> list[int]:
    """The same shuffle for each set."""
    images = [image for images in versions.values() for image in images]
    chance.shuffle(images)
    return images * sets


def fatigue(versions: Versions, *, sets: int, minimum_gap: int, seed: str) -> list[Placed]:
    """A fair order, but of each case the perturbed images tend to come later."""
    chance = random.Random(seed)  # noqa: S311 (what is wrong with it is the point)
    cases = [
        next(case for case, images in versions.items() if placed.stimulus in images)
        for placed in fair(versions, sets=sets, minimum_gap=minimum_gap, seed=seed)
    ]
    hands = {
        case: sorted(images * sets, key=lambda s: chance.gauss(0.9 * (s != images[0]), 1))
        for case, images in versions.items()
    }
    return numbered([hands[case].pop(0) for case in cases])


def truth_first(versions: Versions, sets: int, chance: random.Random) -> list[int]:
    """Cases keep the order of the batch, a little disturbed."""
    shown = everything(versions, sets, chance)
    return sorted(shown, key=lambda s: s + chance.gauss(0, 6))
