"""The pairs: complete, balanced on both sides, and with nothing to guess from."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.reading.pairs import Pair, pair_order
from app.vocabulary import PairTask

ALPHA = 0.001
MANY = 2000
Versions = Mapping[int, Sequence[int | None]]


def versions_of(cases: int, conditions: int) -> Versions:
    """Image numbers that tell their case (tens) and condition (units, 0 is the original)."""
    return {case: [10 * case + unit for unit in range(conditions + 1)] for case in range(cases)}


@st.composite
def designs(draw: st.DrawFn) -> Versions:
    """Up to 10 cases and 4 conditions; a case may lack some of them."""
    conditions = range(1, draw(st.integers(1, 4)) + 1)
    has = st.lists(st.booleans(), min_size=len(conditions), max_size=len(conditions))
    return {
        case: [
            10 * case,
            *(
                10 * case + unit if is_there else None
                for unit, is_there in zip(conditions, draw(has), strict=True)
            ),
        ]
        for case in range(draw(st.integers(1, 10)))
    }


seeds = st.text("0123456789abcdef", min_size=1, max_size=64)
tasks = st.sampled_from(PairTask)


def altered(pair: Pair) -> int:
    """The version of a pair, be it left or right."""
    return pair.left if pair.left % 10 else pair.right


def different(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.left != pair.right]


def catches(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.left == pair.right]


def halves(pairs: Sequence[Pair]) -> tuple[Sequence[Pair], Sequence[Pair]]:
    middle = (len(pairs) + 1) // 2
    return pairs[:middle], pairs[middle:]


def is_left(pair: Pair) -> bool:
    return pair.left % 10 > 0


def is_even(marks: Sequence[bool]) -> bool:
    return abs(2 * sum(marks) - len(marks)) <= 1


def right_answers(pairs: Sequence[Pair], task: PairTask) -> list[bool]:
    """Which of the two answers is right for each pair."""
    if task is PairTask.CHOICE:
        return [is_left(pair) for pair in pairs]
    return [pair.left == pair.right for pair in pairs]


def longest_run(answers: Sequence[bool]) -> int:
    return max(len(list(run)) for _, run in groupby(answers))


def cases_of(pairs: Sequence[Pair]) -> list[int]:
    return [pair.left // 10 for pair in pairs]


def has_neighbours(pairs: Sequence[Pair]) -> bool:
    return any(one == other for one, other in pairwise(cases_of(pairs)))


@settings(deadline=None)
@given(designs(), tasks, seeds)
def test_every_version_is_once_beside_its_original(
    versions: Versions, task: PairTask, seed: str
) -> None:
    pairs = pair_order(versions, task=task, seed=seed)
    assert [pair.position for pair in pairs] == list(range(1, len(pairs) + 1))
    wanted = {image for mine in versions.values() for image in mine if image and image % 10}
    assert sorted(altered(pair) for pair in different(pairs)) == sorted(wanted)
    for pair in different(pairs):
        assert {pair.left, pair.right} == {altered(pair), altered(pair) // 10 * 10}
    assert len(catches(pairs)) == (len(wanted) if task is PairTask.COMPARE else 0)


@settings(deadline=None)
@given(designs(), tasks, seeds)
def test_a_version_is_as_often_left_as_right_under_every_condition_and_in_both_halves(
    versions: Versions, task: PairTask, seed: str
) -> None:
    pairs = pair_order(versions, task=task, seed=seed)
    for condition in {altered(pair) % 10 for pair in different(pairs)}:
        mine = [pair for pair in different(pairs) if altered(pair) % 10 == condition]
        assert is_even([is_left(pair) for pair in mine])
    for half in halves(pairs):
        assert is_even([is_left(pair) for pair in different(half)])


@settings(deadline=None)
@given(designs(), seeds)
def test_half_of_the_catches_are_originals_the_others_spread_over_the_conditions(
    versions: Versions, seed: str
) -> None:
    pairs = pair_order(versions, task=PairTask.COMPARE, seed=seed)
    shown = catches(pairs)
    assert is_even([is_left(pair) for pair in shown])
    for condition in range(1, 5):
        possible = [pair for pair in different(pairs) if altered(pair) % 10 == condition]
        chosen = [pair.left for pair in shown if pair.left % 10 == condition]
        assert abs(2 * len(chosen) - len(possible)) <= 1
        assert len(set(chosen)) == len(chosen), "no version is a catch twice"
    originals = Counter(pair.left for pair in shown if not is_left(pair))
    cases = {altered(pair) // 10 for pair in different(pairs)}
    spread = [originals[10 * case] for case in cases]
    assert not spread or max(spread) - min(spread) <= 1


@settings(deadline=None)
@given(designs(), tasks, seeds)
def test_one_seed_is_one_order(versions: Versions, task: PairTask, seed: str) -> None:
    backwards = dict(reversed(list(versions.items())))
    orders = [pair_order(each, task=task, seed=seed) for each in (versions, versions, backwards)]
    assert orders[0] == orders[1] == orders[2]


def test_a_study_without_any_version_has_no_pairs() -> None:
    for task in PairTask:
        assert pair_order({1: [10], 2: [20, None]}, task=task, seed="a") == []


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(1, 4), tasks, seeds)
def test_neighbours_are_of_two_cases(
    cases: int, conditions: int, task: PairTask, seed: str
) -> None:
    assert not has_neighbours(pair_order(versions_of(cases, conditions), task=task, seed=seed))


@settings(deadline=None, max_examples=50)
@given(st.integers(4, 30), st.integers(1, 6), tasks, seeds)
def test_no_long_run_of_right_answers(
    cases: int, conditions: int, task: PairTask, seed: str
) -> None:
    pairs = pair_order(versions_of(cases, conditions), task=task, seed=seed)
    assert longest_run(right_answers(pairs, task)) <= 4
    for half in halves(pairs):
        assert abs(2 * sum(right_answers(half, task)) - len(half)) <= 2


def test_a_seed_gives_the_pairs_that_it_gave_in_earlier_versions() -> None:
    for task, frozen in FROZEN.items():
        pairs = pair_order(versions_of(3, 2), task=task, seed="0" * 64)
        assert [(pair.left, pair.right) for pair in pairs] == frozen


FROZEN = {
    PairTask.CHOICE: [(22, 20), (10, 12), (21, 20), (0, 1), (11, 10), (0, 2)],
    PairTask.COMPARE: [
        (21, 21),
        (2, 2),
        (11, 11),
        (22, 20),
        (10, 12),
        (2, 0),
        (21, 20),
        (0, 0),
        (10, 11),
        (20, 20),
        (10, 10),
        (0, 1),
    ],
}

Make = Callable[[int, PairTask], Sequence[Pair]]


def as_it_is(number: int, task: PairTask) -> Sequence[Pair]:
    return pair_order(versions_of(5, 3), task=task, seed=f"{number}")


def unfair(make: Make, task: PairTask) -> set[str]:
    """What can be guessed from, by chi-square with Bonferroni.

    One pair of each of many orders is looked at, at another place each time: so the observations
    are independent, whatever the dependence within an order.
    """
    tables: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for number in range(MANY):
        pairs = make(number, task)
        place = number * 7 % len(pairs)
        pair = pairs[place]
        quarter, answer = 4 * place // len(pairs), right_answers([pair], task)[0]
        tables["the right answer at a place"][place, answer] += 1
        tables["the right answer in a quarter"][quarter, answer] += 1
        if pair.left != pair.right:
            side = is_left(pair)
            tables["the side at a place"][quarter, side] += 1
            tables["the side of a condition"][altered(pair) % 10, side] += 1
            tables["the side of a case"][altered(pair) // 10, side] += 1
            tables["the condition at a place"][quarter, altered(pair) % 10] += 1
    chances = {name: chance_of(table) for name, table in tables.items()}
    return {name for name, chance in chances.items() if chance < ALPHA / len(chances)}


def chance_of(table: Counter[tuple[int, int]]) -> float:
    """That rows and columns depend on each other so much by chance alone."""
    rows, columns = ({cell[side] for cell in table} for side in (0, 1))
    counts = [[table[row, column] for column in columns] for row in rows]
    if len(columns) == 1:
        return 0.0
    return float(stats.chi2_contingency(counts).pvalue)


@pytest.mark.parametrize("task", PairTask)
def test_nothing_can_be_guessed(task: PairTask) -> None:
    assert unfair(as_it_is, task) == set()


def always_left(number: int, task: PairTask) -> Sequence[Pair]:
    return [
        Pair(pair.position, max(pair.left, pair.right), min(pair.left, pair.right))
        for pair in as_it_is(number, task)
    ]


def first_condition_rather_left(number: int, task: PairTask) -> Sequence[Pair]:
    """In one of five orders."""
    pairs = as_it_is(number, task)
    if random.Random(number).random() > 0.2:
        return pairs
    return [
        Pair(pair.position, max(pair.left, pair.right), min(pair.left, pair.right))
        if altered(pair) % 10 == 1
        else pair
        for pair in pairs
    ]


def catches_late(number: int, task: PairTask) -> Sequence[Pair]:
    """In one of five orders."""
    pairs = as_it_is(number, task)
    if random.Random(number).random() > 0.2:
        return pairs
    return sorted(pairs, key=lambda pair: pair.left == pair.right)


@pytest.mark.parametrize(
    ("make", "task", "sign"),
    [
        (always_left, PairTask.CHOICE, "the side of a case"),
        (first_condition_rather_left, PairTask.CHOICE, "the side of a condition"),
        (catches_late, PairTask.COMPARE, "the right answer in a quarter"),
    ],
)
def test_a_worse_order_is_found_out(make: Make, task: PairTask, sign: str) -> None:
    assert sign in unfair(make, task)
