"""The labels of a study in the shapes that its statistics ask for."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np

from app.analysis.exported import Attack, Catch, Impressions, NetworkEpsilon, Pair, Shown, Tidy
from app.analysis.statistics import PairedTable
from app.analysis.statistics.common import CannotSay, Floats
from app.analysis.statistics.flips import Unit


class Partial(NamedTuple):
    """A unit of which labels are missing: None."""

    case: str
    reader: str
    original: list[int | None]
    perturbed: list[int | None]


class Place(NamedTuple):
    """`condition` is None for the original."""

    reader: str
    case: str
    condition: str | None
    set_number: int

    def of_original(self) -> "Place":
        return Place(self.reader, self.case, None, self.set_number)


@dataclass(frozen=True)
class Options:
    """What was set before the data were seen; of the network, one entry a norm."""

    margin_flips: float = 0.05
    margin_tp: float = 0.10
    alpha: float = 0.05
    catch_least: float | None = None
    seed: int = 20210614
    network: Sequence[NetworkEpsilon] = ()

    def network_in(self, norm: str) -> NetworkEpsilon | None:
        """One whose norm nobody said is in every norm."""
        return next((each for each in self.network if each.norm in {None, norm}), None)


@dataclass(frozen=True)
class Rows:
    """All presentations, and those that no rule excludes: everything is computed from these.
    Catch images are apart from all of them."""

    everything: Sequence[Shown]
    pairs: Sequence[Pair]
    impressions: Sequence[Impressions] | None
    attacks: Mapping[str, Attack]
    catch: Sequence[Catch] = ()

    @cached_property
    def shown(self) -> list[Shown]:
        return [each for each in self.everything if each.exclusion is None]

    @cached_property
    def readers(self) -> list[str]:
        return sorted({each.reader for each in self.everything})

    @cached_property
    def sets(self) -> list[int]:
        return sorted({each.set_number for each in self.everything})

    @cached_property
    def conditions(self) -> list[str]:
        """By epsilon as far as it is known, then by name."""
        names = {each.condition for each in self.everything if each.condition is not None}
        return sorted(names, key=lambda name: (self.epsilon_of(name) or 0.0, name))

    @cached_property
    def truths(self) -> dict[str, int]:
        return {each.case: each.truth for each in self.everything}

    @cached_property
    def labels(self) -> dict[Place, int]:
        return {place(each): each.label for each in self.shown if each.label is not None}

    @cached_property
    def labels_by_line(self) -> dict[tuple[str, int, str | None, int], list[int]]:
        """Of one reader, set, condition and truth."""
        found: dict[tuple[str, int, str | None, int], list[int]] = defaultdict(list)
        for at, label in self.labels.items():
            line = (at.reader, at.set_number, at.condition, self.truths[at.case])
            found[line].append(label)
        return found

    @cached_property
    def readings(self) -> dict[tuple[str, str | None, int], dict[str, int]]:
        """Case to label, of one reader, arm and set."""
        found: dict[tuple[str, str | None, int], dict[str, int]] = defaultdict(dict)
        for at, label in self.labels.items():
            found[at.reader, at.condition, at.set_number][at.case] = label
        return found

    @cached_property
    def answers(self) -> dict[tuple[str, int], list["Answered"]]:
        """Of one condition and truth, where both images have a label."""
        found: dict[tuple[str, int], list[Answered]] = defaultdict(list)
        for at, label in self.labels.items():
            original = None if at.condition is None else self.labels.get(at.of_original())
            if at.condition is not None and original is not None:
                truth = self.truths[at.case]
                pair = Answered(at, original == truth, label == truth)
                found[at.condition, truth].append(pair)
        return found

    @cached_property
    def indices(self) -> dict[Place, int]:
        """The place of each presentation in its reader's order."""
        return {place(each): each.index for each in self.shown}

    @cached_property
    def last_index(self) -> dict[str, int]:
        """Of each reader."""
        found: dict[str, int] = defaultdict(int)
        for each in self.everything:
            found[each.reader] = max(found[each.reader], each.index)
        return found

    @cached_property
    def ratings(self) -> dict[Place, float]:
        return {place(each): float(each.rating) for each in self.shown if each.rating is not None}

    def cases(self, truth: int | None = None) -> list[str]:
        return sorted(case for case, found in self.truths.items() if truth in {None, found})

    def epsilon_of(self, condition: str) -> float | None:
        attack = self.attacks.get(condition)
        return attack.epsilon if attack else None


def rows_of(tidy: Tidy) -> Rows:
    """In one order, so that the order of the file changes no digit."""
    in_order = sorted(
        tidy.shown, key=lambda each: (each.reader, each.set_number, each.case, each.condition or "")
    )
    return Rows(in_order, tidy.pairs, tidy.impressions, tidy.attacks, tidy.catch)


def place(shown: Shown) -> Place:
    return Place(shown.reader, shown.case, shown.condition, shown.set_number)


class Answered(NamedTuple):
    """Of one reader, case and set: whether original and perturbed were answered rightly."""

    place: Place
    original: bool
    perturbed: bool


def answered(rows: Rows, condition: str, truth: int) -> list[Answered]:
    """Where both images have a label."""
    return rows.answers.get((condition, truth), [])


def paired_table(pairs: Sequence[Answered]) -> PairedTable:
    counted = Counter((pair.original, pair.perturbed) for pair in pairs)
    return PairedTable(
        counted[True, True], counted[True, False], counted[False, True], counted[False, False]
    )


def units(rows: Rows, condition: str) -> tuple[list[Unit], list[Partial]]:
    """Those with every label, and those without. What was shown in no set of an arm is neither."""
    shown = {(each.case, each.reader, each.condition) for each in rows.shown}
    whole: list[Unit] = []
    partial: list[Partial] = []
    for case, reader in product(rows.cases(), rows.readers):
        if not {(case, reader, None), (case, reader, condition)} <= shown:
            continue
        original, perturbed = (
            [rows.labels.get(Place(reader, case, arm, number)) for number in rows.sets]
            for arm in (None, condition)
        )
        if None in original or None in perturbed:
            partial.append(Partial(case, reader, original, perturbed))
        else:
            whole.append(Unit(case, reader, known(original), known(perturbed)))
    return whole, partial


def known(labels: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(label for label in labels if label is not None)


@dataclass(frozen=True)
class Crossed:
    """values[arm, reader, case, set], original first, without a gap; and who was left out."""

    values: Floats
    readers: Sequence[str]
    cases: Sequence[str]
    readers_left_out: Sequence[str]
    cases_left_out: int


def crossed(
    rows: Rows, values: Mapping[Place, float], condition: str, cases: Sequence[str]
) -> Crossed:
    """Readers with less than half of the cases whole are left out, then cases not whole for all."""
    whole = {
        reader: {case for case in cases if is_whole(rows, values, condition, reader, case)}
        for reader in rows.readers
    }
    most = max((len(found) for found in whole.values()), default=0)
    readers = [reader for reader in rows.readers if most and 2 * len(whole[reader]) >= most]
    kept = [case for case in cases if all(case in whole[reader] for reader in readers)]
    if not readers or len(kept) < 2:
        raise CannotSay("Fewer than two cases have all their answers from the readers who read.")
    array = np.array(
        [
            [
                [
                    [values[Place(reader, case, arm, number)] for number in rows.sets]
                    for case in kept
                ]
                for reader in readers
            ]
            for arm in (None, condition)
        ]
    )
    left_out = [reader for reader in rows.readers if reader not in readers]
    return Crossed(array, readers, kept, left_out, len(cases) - len(kept))


def is_whole(
    rows: Rows, values: Mapping[Place, float], condition: str, reader: str, case: str
) -> bool:
    return all(
        Place(reader, case, arm, number) in values
        for arm in (None, condition)
        for number in rows.sets
    )
