"""The largest gap that a design allows, against trying every order."""

import random
from collections import Counter
from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.reading.order import largest_gap, order_of_cases, sets_of_waves
from app.studies.domain import Design


def possible(shown: Mapping[int, int], gap: int) -> bool:
    """Whether any order keeps the gap, by trying all of them."""

    def goes_on(left: tuple[int, ...], last: tuple[int, ...], position: int) -> bool:
        return not any(left) or any(
            goes_on(
                changed(left, case, left[case] - 1), changed(last, case, position), position + 1
            )
            for case in range(len(left))
            if left[case] and position - last[case] >= gap
        )

    return goes_on(tuple(shown.values()), (-gap,) * len(shown), 0)


def changed(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])


@pytest.mark.parametrize("cases", range(2, 6))
def test_the_largest_gap_of_a_design_is_the_largest_one(cases: int) -> None:
    """By trying every order; of designs with sittings each sitting is such a design."""
    for versions, sets in product(range(2, 5), range(1, 4)):
        design = Design(cases, versions, sets)
        for waves in range(1, sets + 1):
            for numbers in sets_of_waves(sets, waves):
                shown = dict.fromkeys(range(cases), versions * len(numbers))
                assert possible(shown, design.largest_gap)
                assert not possible(shown, design.largest_gap + 1)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 2**32))
def test_the_largest_gap_is_known_also_for_cases_that_are_not_shown_equally_often(
    counts: list[int], seed: int
) -> None:
    shown = dict(enumerate(counts))
    largest = largest_gap(shown)
    cases = order_of_cases(shown, largest, random.Random(seed))
    assert Counter(cases) == shown
    assert possible(shown, largest)
    if max(counts) > 1:
        assert not possible(shown, largest + 1)
