"""Pairs of presentations of one reader: is it the same case twice?

A minimum gap openly tells that near presentations show different cases, so chance is not a plain
half at every distance. Every pair of one case is therefore compared with a pair of different cases
whose places are drawn from other orders of the same design: what the design itself tells is the
same in both, and what is left is a leak.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations

import numpy as np

from app.reading.order import order
from app.reading.pairs import pair_order
from app.vocabulary import PairTask
from benchmarks.blinding.classifier import Labels, Numbers, Table
from benchmarks.blinding.facts import Facts
from benchmarks.blinding.secrets import Secret

REFERENCE_ORDERS = 3
Pair = tuple[int, int]


@dataclass(frozen=True)
class Design:
    cases: int
    versions: int
    sets: int
    minimum_gap: int

    @property
    def images(self) -> dict[int, list[int]]:
        return {
            case: [case * self.versions + version for version in range(self.versions)]
            for case in range(self.cases)
        }

    def reference(self, seed: object) -> list[int]:
        """The images in an order that nobody reads; of a case they follow each other by number."""
        placed = order(
            self.images, sets=self.sets, minimum_gap=self.minimum_gap, seed=f"reference/{seed}"
        )
        return [each.stimulus for each in placed]

    def reference_arms(self, seed: object) -> list[int]:
        return [image % self.versions for image in self.reference(seed)]

    def reference_sides(self, task: PairTask, seed: object) -> list[bool]:
        """Of each pair of different images, whether the perturbed one is left."""
        pairs = pair_order(self.images, task=task, seed=f"reference/{seed}")
        return [pair.left > pair.right for pair in pairs if pair.left != pair.right]


@dataclass(frozen=True)
class Pairs:
    """Rows of presentations, and whether each pair is of one case."""

    pairs: list[Pair]
    labels: Labels
    readers: Labels


def same(names: Sequence[int]) -> list[Pair]:
    """All pairs of places with one name."""
    at: dict[int, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        at[name].append(row)
    return [pair for rows in at.values() for pair in combinations(rows, 2)]


def reference_places(design: Design, seed: object, *, copies: bool) -> list[Pair]:
    """Where other orders of the design show one case twice, or one image."""
    several = design.versions if not copies else 1
    return [
        pair
        for number in range(REFERENCE_ORDERS)
        for pair in same([image // several for image in design.reference(f"{seed}/{number}")])
    ]


def balanced_pairs(
    secrets: Sequence[Secret], design: Design, seed: int, *, copies: bool = False
) -> Pairs:
    """All pairs of one case, and as many of different cases at places of other orders.

    With `copies` pairs of one image. Each reader has other orders of their own to compare with:
    else what these few have in common could be learnt.
    """
    chance = random.Random(seed)  # noqa: S311 (a simulation)
    pairs: list[Pair] = []
    labels: list[int] = []
    readers: list[int] = []
    for reader in sorted({secret.reader for secret in secrets}):
        rows = [row for row, secret in enumerate(secrets) if secret.reader == reader]
        cases = [secrets[row].case for row in rows]
        alike = same([secrets[row].stimulus for row in rows] if copies else cases)
        places = reference_places(design, f"{seed}/{reader}", copies=copies)
        fitting = [(i, j) for i, j in places if j < len(rows) and cases[i] != cases[j]]
        different = chance.sample(fitting, min(len(alike), len(fitting)))
        for found, label in ((alike, 1), (different, 0)):
            pairs += [(rows[i], rows[j]) for i, j in found]
            labels += [label] * len(found)
            readers += [reader] * len(found)
    return Pairs(pairs, np.array(labels), np.array(readers))


def pair_table(facts: Sequence[Facts], rows: Table, pairs: Pairs) -> Table:
    """Of numbers both and their difference, of names whether they are equal; and their places."""
    first = np.array([i for i, _ in pairs.pairs])
    second = np.array([j for _, j in pairs.pairs])
    one, other = rows.numbers[first], rows.numbers[second]
    equal = (rows.names[first] == rows.names[second]).astype(float)
    columns = [one, other, np.abs(one - other), equal, places(facts, pairs), likeness(facts, pairs)]
    numbers = np.hstack([kept for kept in map(varying, columns) if kept.shape[1]])
    return Table(numbers, np.empty((len(first), 0), object))


def varying(columns: Numbers) -> Numbers:
    keep = [len(np.unique(columns[:, i])) > 1 for i in range(columns.shape[1])]
    return columns[:, keep]


def places(facts: Sequence[Facts], pairs: Pairs) -> Numbers:
    positions = np.array([float(each["place: position"]) for each in facts])
    first, second = (positions[[pair[i] for pair in pairs.pairs]] for i in (0, 1))
    distance = second - first
    return np.stack([first, second, distance, distance % 2], axis=1)


def likeness(facts: Sequence[Facts], pairs: Pairs) -> Numbers:
    """Of two tokens: how many signs agree at the beginning, in place, and anywhere in order."""
    tokens = [str(each["token: whole"]) for each in facts]
    rows = [alike(tokens[i], tokens[j]) for i, j in pairs.pairs]
    return np.array(rows, float)


def alike(one: str, other: str) -> tuple[int, int, int]:
    agree = [a == b for a, b in zip(one, other, strict=False)]
    beginning = agree.index(False) if False in agree else len(agree)
    longest = SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size
    return beginning, sum(agree), longest
