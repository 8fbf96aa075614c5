"""Flips and rotations: exact, different within a case, fair to the arms, and without a pattern."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from app.reading.orientation import (
    ALL,
    SHAPE_KEEPING,
    Pixels,
    orientations,
    oriented,
    symmetries_of,
)

ALPHA = 0.001
MANY = 4000
Shown = Sequence[tuple[int, int]]


@st.composite
def images(draw: st.DrawFn) -> Pixels:
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)), 3)
    drawn: Pixels = draw(arrays(np.uint8, shape))
    return drawn


def asymmetric(height: int, width: int) -> Pixels:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def inverse(orientation: int) -> int:
    """A mirror image is its own inverse."""
    return orientation if orientation >= 4 else -orientation % 4


@given(images(), st.sampled_from(ALL))
def test_turning_back_restores_the_very_pixels(pixels: Pixels, orientation: int) -> None:
    assert np.array_equal(oriented(oriented(pixels, orientation), inverse(orientation)), pixels)


@given(images(), st.sampled_from(ALL))
def test_every_pixel_is_kept(pixels: Pixels, orientation: int) -> None:
    turned = oriented(pixels, orientation)
    assert Counter(map(tuple, turned.reshape(-1, 3))) == Counter(map(tuple, pixels.reshape(-1, 3)))
    assert turned.dtype == np.uint8
    assert turned.flags.c_contiguous
    assert turned.shape in {pixels.shape, (pixels.shape[1], pixels.shape[0], 3)}


@given(images(), st.sampled_from(ALL), st.sampled_from(ALL))
def test_one_orientation_after_another_is_one_of_the_eight(
    pixels: Pixels, first: int, second: int
) -> None:
    both = oriented(oriented(pixels, first), second)
    assert any(np.array_equal(both, oriented(pixels, each)) for each in ALL)


def test_all_eight_are_different_and_the_first_is_the_image_itself() -> None:
    pixels = asymmetric(5, 5)
    assert len({oriented(pixels, each).tobytes() for each in ALL}) == 8
    assert np.array_equal(oriented(pixels, 0), pixels)


def test_they_are_quarter_turns_to_the_left_then_mirrored() -> None:
    pixels = asymmetric(2, 2)
    (a, b), (c, d) = pixels[:, :, 0].tolist()
    assert oriented(pixels, 1)[:, :, 0].tolist() == [[b, d], [a, c]]
    assert oriented(pixels, 4)[:, :, 0].tolist() == [[b, a], [d, c]]
    assert oriented(pixels, 5)[:, :, 0].tolist() == [[d, b], [c, a]]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_the_symmetries_of_a_study_keep_the_shape_of_all_its_images(
    shapes: list[tuple[int, int]],
) -> None:
    symmetries = symmetries_of(shapes)
    assert symmetries in (ALL, SHAPE_KEEPING)
    for (height, width), each in product(shapes, symmetries):
        assert oriented(asymmetric(height, width), each).shape == (height, width, 3)
    assert (symmetries == ALL) == all(height == width for height, width in shapes)


def test_an_image_that_is_not_square_has_four() -> None:
    assert len(SHAPE_KEEPING) == 4
    assert len({oriented(asymmetric(3, 4), each).tobytes() for each in SHAPE_KEEPING}) == 4


shown_images = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=120)
seeds = st.text("0123456789abcdef", min_size=1, max_size=64)
sets_of_symmetries = st.sampled_from([ALL, SHAPE_KEEPING])


def counts_of(values: Sequence[int], symmetries: Sequence[int]) -> list[int]:
    counts = Counter(values)
    assert counts.keys() <= set(symmetries)
    return [counts[each] for each in symmetries]


@settings(deadline=None)
@given(shown_images, sets_of_symmetries, seeds)
def test_a_case_and_an_arm_have_every_orientation_equally_often(
    shown: Shown, symmetries: Sequence[int], seed: str
) -> None:
    """Or one more of some; so the presentations of a case differ as long as there are enough."""
    turns = orientations(shown, symmetries=symmetries, seed=seed)
    assert len(turns) == len(shown)
    for side in (0, 1):
        for group in {each[side] for each in shown}:
            mine = [turn for each, turn in zip(shown, turns, strict=True) if each[side] == group]
            counts = counts_of(mine, symmetries)
            assert max(counts) - min(counts) <= 1


@settings(deadline=None, max_examples=30)
@given(shown_images, sets_of_symmetries, seeds)
def test_one_seed_is_one_deal(shown: Shown, symmetries: Sequence[int], seed: str) -> None:
    first = orientations(shown, symmetries=symmetries, seed=seed)
    assert orientations(shown, symmetries=symmetries, seed=seed) == first


def test_a_seed_gives_the_orientations_that_it_gave_in_earlier_versions() -> None:
    shown = [(place % 4, place // 4 % 2) for place in range(16)]
    assert orientations(shown, symmetries=ALL, seed="0" * 64) == FROZEN


FROZEN = [6, 7, 5, 4, 0, 3, 7, 2, 3, 2, 0, 1, 1, 5, 4, 6]

# A study of 8 cases, 2 arms, 2 sets.
STUDY = [(case, arm) for _ in range(2) for case in range(8) for arm in range(2)]  # 16 and 16
Deal = Callable[[int], Sequence[int]]


def as_it_is(number: int) -> Sequence[int]:
    return orientations(STUDY, symmetries=ALL, seed=f"{number}")


def unfair(deal: Deal) -> set[str]:
    """What orientations depend on, by chi-square with Bonferroni.

    One presentation of each of many deals is looked at, another one each time: so the
    observations are independent, whatever the dependence within a deal.
    """
    tables: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for number in range(MANY):
        place = number * 7 % len(STUDY)
        (case, arm), turns = STUDY[place], deal(number)
        for name, value in (("position", place), ("case", case), ("arm", arm)):
            tables[name][value, turns[place]] += 1
        tables["the other showing"][turns[place % 16], turns[place % 16 + 16]] += 1
    cells = {name: set(product({row for row, _ in tables[name]}, ALL)) for name in tables}
    cells["the other showing"] = set(permutations(ALL, 2)) | set(tables["the other showing"])
    chances = {
        name: float(stats.chisquare([table[cell] for cell in cells[name]]).pvalue)
        for name, table in tables.items()
    }
    return {name for name, chance in chances.items() if chance < ALPHA / len(chances)}


def test_an_orientation_depends_on_nothing() -> None:
    assert unfair(as_it_is) == set()


def turned_in_turn(_: int) -> Sequence[int]:
    return [place % 8 for place in range(len(STUDY))]


def versions_mirrored(number: int) -> Sequence[int]:
    chance = random.Random(number)
    return [chance.randrange(4) + 4 * arm for _, arm in STUDY]


def versions_a_little_more_often_mirrored(number: int) -> Sequence[int]:
    turns = as_it_is(number)
    lean = random.Random(number).random() < 0.1
    return [
        turn % 4 + 4 * arm if lean else turn for turn, (_, arm) in zip(turns, STUDY, strict=True)
    ]


def one_step_further(number: int) -> Sequence[int]:
    """The second showing of an image is turned by one step from its first."""
    chance = random.Random(number)
    first = {each: chance.randrange(8) for each in STUDY}
    return [(first[each] + place // 16) % 8 for place, each in enumerate(STUDY)]


@pytest.mark.parametrize(
    ("deal", "sign"),
    [
        (turned_in_turn, "position"),
        (versions_mirrored, "arm"),
        (versions_a_little_more_often_mirrored, "arm"),
        (one_step_further, "the other showing"),
    ],
)
def test_a_worse_deal_is_found_out(deal: Deal, sign: str) -> None:
    assert sign in unfair(deal)
