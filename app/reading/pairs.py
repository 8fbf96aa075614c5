"""The order of the pairs: which two images, on which side, with nothing to guess from."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from app.reading.balance import deal_evenly
from app.reading.order import largest_gap, order_of_cases
from app.vocabulary import PairTask

CALM_RUN = 4  # so many equal right answers in a row are no pattern yet
SWAPS = 4000
DEALS = 16  # the most even of so many is taken

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
    """No case twice in a row, unless there are too few others; as many catches in either half."""
    shown = Counter(trial.case for trial in trials)
    cases = order_of_cases(shown, min(2, largest_gap(shown)), chance)
    deals = [deal(trials, cases, chance) for _ in range(DEALS)]
    return min(deals, key=catches_apart)


def deal(trials: Sequence[Trial], cases: Sequence[int], chance: random.Random) -> list[Trial]:
    hands: dict[int, list[Trial]] = defaultdict(list)
    for trial in chance.sample(trials, len(trials)):
        hands[trial.case].append(trial)
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
    """Pairs change places until no run of right answers is long and the halves are even."""
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


def faults(trials: Sequence[Trial], task: PairTask) -> tuple[int, ...]:
    """What to have less of, the worst first; of the first two there is none if it can be avoided.

    Sides uneven in a half, neighbours of one case, catches uneven over the halves, long runs.
    """
    sides = [0, 0]
    for place, trial in enumerate(trials):
        if not trial.is_catch:
            sides[half(place, len(trials))] += 1 if trial.is_swapped else -1
    runs = (len(list(run)) for _, run in groupby(trial.right_answer(task) for trial in trials))
    return (
        sum(max(0, abs(side) - 1) for side in sides),
        sum(one.case == other.case for one, other in pairwise(trials)),
        max(0, catches_apart(trials) - 1),
        sum(max(0, run - CALM_RUN) for run in runs),
    )


def catches_apart(trials: Sequence[Trial]) -> int:
    """How many more catches one half has than the other."""
    middle = (len(trials) + 1) // 2
    marks = [trial.is_catch for trial in trials]
    return abs(sum(marks[:middle]) - sum(marks[middle:]))
