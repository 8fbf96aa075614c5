"""The order of the pairs: which two images, on which side, with nothing to guess from."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from app.reading.balance import deal_evenly
from app.reading.order import largest_gap, order_of_cases
from app.vocabulary import PairTask

CALM_RUN = 4  # so many equal right answers in a row are no pattern yet
SWAPS = 4000

Versions = Mapping[int, Sequence[int | None]]
"""Of each case its images: the original, then one for each condition; None where it has none."""


@dataclass(frozen=True)
class Pair:
    """Two images side by side, `position` from 1."""

    position: int
    left: int
    right: int


@dataclass(frozen=True)
class Trial:
    """A pair before it has its place; two showings of one image when it is a catch."""

    case: int
    condition: int
    original: int
    version: int
    is_swapped: bool = False

    @property
    def is_catch(self) -> bool:
        return self.original == self.version

    def right_answer(self, task: PairTask) -> bool:
        return self.is_swapped if task is PairTask.CHOICE else self.is_catch

    def at(self, position: int) -> Pair:
        sides = (self.original, self.version)
        return Pair(position, *(reversed(sides) if self.is_swapped else sides))


def pair_order(versions: Versions, *, task: PairTask, seed: str) -> list[Pair]:
    """The pairs for one reader; the same arguments give the same pairs.

    CHOICE: each version once beside its original. COMPARE: besides as many catches, one image on
    both sides; half of them originals, the others spread evenly over the conditions.
    """
    chance = random.Random(seed)  # noqa: S311 (the seed itself is a secret HMAC)
    trials = list(different(versions))
    if task is PairTask.COMPARE:
        trials = [*trials, *catches(trials, chance)]
    if not trials:
        return []
    placed = calmed(with_sides(in_random_order(trials, chance), chance), task, chance)
    return [trial.at(position) for position, trial in enumerate(placed, start=1)]


def different(versions: Versions) -> Iterator[Trial]:
    for case, (original, *others) in sorted(versions.items()):
        for condition, version in enumerate(others):
            if original is not None and version is not None:
                yield Trial(case, condition, original, version)


def catches(trials: Sequence[Trial], chance: random.Random) -> Iterator[Trial]:
    """As many as `trials`: versions that are spread evenly over conditions, and originals."""
    is_version = deal_evenly([(trial.condition, None) for trial in trials], (0, 1), chance)
    for trial, chosen in zip(trials, is_version, strict=True):
        if chosen:
            yield replace(trial, original=trial.version)
    originals = {trial.case: replace(trial, version=trial.original) for trial in trials}
    cases: list[int] = []
    for _ in range(is_version.count(0)):
        cases = cases or chance.sample(list(originals), len(originals))
        yield originals[cases.pop()]


def in_random_order(trials: Sequence[Trial], chance: random.Random) -> list[Trial]:
    """No case twice in a row, unless there are too few others."""
    hands: dict[int, list[Trial]] = {}
    for trial in chance.sample(trials, len(trials)):
        hands.setdefault(trial.case, []).append(trial)
    shown = {case: len(hand) for case, hand in hands.items()}
    cases = order_of_cases(shown, min(2, largest_gap(shown)), chance)
    return [hands[case].pop() for case in cases]


def half(place: int, total: int) -> int:
    return 2 * place // total


def with_sides(trials: Sequence[Trial], chance: random.Random) -> list[Trial]:
    """The version is as often left as right, under every condition and in either half."""
    places = [place for place, trial in enumerate(trials) if not trial.is_catch]
    groups = [(trials[place].condition, half(place, len(trials))) for place in places]
    placed = list(trials)
    for place, swapped in zip(places, deal_evenly(groups, (0, 1), chance), strict=True):
        placed[place] = replace(trials[place], is_swapped=bool(swapped))
    return placed


def calmed(trials: Sequence[Trial], task: PairTask, chance: random.Random) -> list[Trial]:
    """Pairs change places until no run of right answers is long and both halves are even."""
    best = list(trials)
    fault = faults(best, task)
    for _ in range(SWAPS):
        if not any(fault):
            break
        tried = list(best)
        one, other = chance.randrange(len(tried)), chance.randrange(len(tried))
        tried[one], tried[other] = tried[other], tried[one]
        if (after := faults(tried, task)) <= fault:
            best, fault = tried, after
    return best


def faults(trials: Sequence[Trial], task: PairTask) -> tuple[int, int, int]:
    """What to have less of, the worst first."""
    neighbours = sum(one.case == other.case for one, other in pairwise(trials))
    answers = [trial.right_answer(task) for trial in trials]
    runs = (len(list(run)) for _, run in groupby(answers))
    return neighbours, lopsided(trials), sum(max(0, run - CALM_RUN) for run in runs)


def lopsided(trials: Sequence[Trial]) -> int:
    """By how much the halves differ in catches, or a half in its sides, more than need be."""
    halves: tuple[list[Trial], list[Trial]] = ([], [])
    for place, trial in enumerate(trials):
        halves[half(place, len(trials))].append(trial)
    shown = [[trial.is_swapped for trial in part if not trial.is_catch] for part in halves]
    sides = (abs(2 * sum(swapped) - len(swapped)) - 1 for swapped in shown)
    return max(0, abs(len(shown[0]) - len(shown[1])) - 1) + sum(max(0, side) for side in sides)
