"""The order of presentations: complete, spaced, fair to both arms, and the same for one seed."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.errors import Invalid
from app.reading.order import Placed, order, sets_of_waves, sittings
from app.studies.domain import USUAL_GAP, Design, chosen_gap

Versions = Mapping[int, Sequence[int]]


def versions_of(cases: int, versions: int) -> Versions:
    """Image numbers that tell their case (tens) and their version (units, 0 is the original)."""
    return {case: [10 * case + version for version in range(versions)] for case in range(cases)}


def order_of(design: Design, *, gap: int, seed: str = "seed") -> list[Placed]:
    versions = versions_of(design.cases, design.versions)
    return order(versions, sets=design.sets, minimum_gap=gap, seed=seed)


def cases_shown(placed: Sequence[Placed]) -> list[int]:
    return [each.stimulus // 10 for each in placed]


def smallest_gap(cases: Sequence[int]) -> int:
    last: dict[int, int] = {}
    gaps = []
    for position, case in enumerate(cases):
        if case in last:
            gaps.append(position - last[case])
        last[case] = position
    return min(gaps, default=len(cases))


@st.composite
def legal_designs(draw: st.DrawFn) -> tuple[Design, int]:
    cases = draw(st.integers(2, 12))
    design = Design(cases, draw(st.integers(1, 4)), draw(st.integers(1, 3)))
    return design, draw(st.integers(2, design.largest_gap))


@settings(deadline=None, max_examples=60)
@given(legal_designs(), st.text("0123456789abcdef", min_size=1, max_size=64))
def test_every_image_is_shown_once_a_set(design_and_gap: tuple[Design, int], seed: str) -> None:
    design, gap = design_and_gap
    placed = order_of(design, gap=gap, seed=seed)
    shown = Counter((each.stimulus, each.set_number) for each in placed)
    images = [image for images in versions_of(*shape(design)).values() for image in images]
    assert shown == Counter(product(images, range(1, design.sets + 1)))
    assert [each.position for each in placed] == list(range(1, design.presentations + 1))


def shape(design: Design) -> tuple[int, int]:
    return design.cases, design.versions


@settings(deadline=None, max_examples=60)
@given(legal_designs(), st.integers(0, 2**32))
def test_two_showings_of_a_case_keep_the_minimum_gap(
    design_and_gap: tuple[Design, int], seed: int
) -> None:
    design, gap = design_and_gap
    assert smallest_gap(cases_shown(order_of(design, gap=gap, seed=str(seed)))) >= gap


@settings(deadline=None, max_examples=30)
@given(legal_designs(), st.integers(0, 2**32))
def test_the_nth_showing_of_an_image_is_set_n(
    design_and_gap: tuple[Design, int], seed: int
) -> None:
    design, gap = design_and_gap
    seen: Counter[int] = Counter()
    for each in order_of(design, gap=gap, seed=str(seed)):
        seen[each.stimulus] += 1
        assert each.set_number == seen[each.stimulus]


@settings(deadline=None, max_examples=20)
@given(legal_designs(), st.integers(0, 2**32))
def test_one_seed_is_one_order(design_and_gap: tuple[Design, int], seed: int) -> None:
    design, gap = design_and_gap
    first = order_of(design, gap=gap, seed=str(seed))
    assert order_of(design, gap=gap, seed=str(seed)) == first


def test_the_order_of_the_arguments_changes_nothing() -> None:
    versions = versions_of(6, 2)
    backwards = dict(reversed(list(versions.items())))
    orders = [order(each, sets=2, minimum_gap=3, seed="a") for each in (versions, backwards)]
    assert orders[0] == orders[1]


def test_other_seeds_are_other_orders() -> None:
    orders = [tuple(order_of(Design(8, 2, 2), gap=4, seed=str(seed))) for seed in range(20)]
    assert len(set(orders)) == len(orders)


def test_a_seed_gives_the_order_that_it_gave_in_earlier_versions() -> None:
    """A seed in an export must lead back to its order: change this only with the algorithm's name
    in study.json."""
    shown = [each.stimulus for each in order_of(Design(3, 2, 2), gap=2, seed="0" * 64)]
    assert shown == FROZEN_ORDER


FROZEN_ORDER = [20, 11, 21, 10, 1, 10, 1, 21, 0, 11, 20, 0]


def test_orders_of_many_designs_are_those_of_earlier_versions() -> None:
    seen = hashlib.sha256()
    for cases, versions, sets in product(range(2, 8), (2, 3, 4), (1, 2, 3)):
        placed = order_of(Design(cases, versions, sets), gap=cases // 2 + 1, seed="1" * 64)
        seen.update(bytes(each.stimulus for each in placed))
    assert seen.hexdigest() == FROZEN_DIGEST


FROZEN_DIGEST = "e7dbf220825b2691fb85f7985f5731a288bee76035a3d605c733c75da1a2f35a"


@given(st.integers(1, 12), st.data())
def test_the_sets_are_split_into_sittings_as_evenly_as_possible(
    sets: int, data: st.DataObject
) -> None:
    waves = data.draw(st.integers(1, sets))
    split = sets_of_waves(sets, waves)
    assert [number for each in split for number in each] == list(range(1, sets + 1))
    sizes = [len(each) for each in split]
    assert len(sizes) == waves
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("waves", [-1, 0, 4])
def test_sittings_without_a_set_are_refused(waves: int) -> None:
    with pytest.raises(Invalid, match="choose 1 to 3"):
        sets_of_waves(3, waves)


def test_one_sitting_is_the_order_itself() -> None:
    versions = versions_of(6, 2)
    placed = sittings(versions, sets=2, waves=1, minimum_gap=3, seeds=["a"])
    assert placed == [order(versions, sets=2, minimum_gap=3, seed="a")]


def test_each_sitting_is_an_order_of_its_own() -> None:
    """Its seed alone decides it; positions and sets run on from the sitting before."""
    versions = versions_of(6, 2)
    first, second = sittings(versions, sets=3, waves=2, minimum_gap=3, seeds=["a", "b"])
    assert first == order(versions, sets=2, minimum_gap=3, seed="a")
    alone = order(versions, sets=1, minimum_gap=3, seed="b")
    assert second == [Placed(24 + each.position, 3, each.stimulus) for each in alone]


def test_every_sitting_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="shorter"):
        sittings(versions_of(6, 2), sets=2, waves=2, minimum_gap=3, seeds=["a"])


@pytest.mark.parametrize(
    ("cases", "versions", "sets"), list(product(range(2, 7), (2, 3, 4), (1, 2, 3)))
)
def test_no_small_legal_design_is_without_an_order(cases: int, versions: int, sets: int) -> None:
    design = Design(cases, versions, sets)
    for gap, seed in product(range(2, design.largest_gap + 1), range(3)):
        shown = cases_shown(order_of(design, gap=gap, seed=str(seed)))
        assert smallest_gap(shown) >= gap


@pytest.mark.parametrize("cases", [2, 3, 20, 40])
def test_the_largest_gap_works_and_one_more_is_refused(cases: int) -> None:
    design = Design(cases, versions=2, sets=2)
    largest = chosen_gap(design, design.largest_gap)
    assert smallest_gap(cases_shown(order_of(design, gap=largest))) >= largest
    with pytest.raises(Invalid, match=rf"gap of {largest + 1} .* choose 2 to {largest}\."):
        chosen_gap(design, largest + 1)
    with pytest.raises(Invalid, match=rf"largest possible is {largest}\."):
        order_of(design, gap=largest + 1)


@pytest.mark.parametrize("asked", [-1, 0, 1])
def test_a_gap_that_would_allow_neighbours_is_refused(asked: int) -> None:
    with pytest.raises(Invalid, match="choose 2 to 8"):
        chosen_gap(Design(8, 2, 2), asked)


def test_without_a_wish_the_gap_is_the_usual_one_as_far_as_it_is_possible() -> None:
    assert chosen_gap(Design(40, 2, 2), None) == USUAL_GAP
    assert 2 <= chosen_gap(Design(4, 2, 2), None) <= 4


def test_one_case_alone_is_refused() -> None:
    with pytest.raises(Invalid, match="at least 2 cases"):
        chosen_gap(Design(1, 2, 2), None)


@cache
def many_orders(versions: int, orders: int) -> list[list[Placed]]:
    design = Design(8, versions, sets=1)
    return [order_of(design, gap=4, seed=f"{versions}/{seed}") for seed in range(orders)]


@pytest.mark.parametrize(("versions", "orders"), [(2, 2000), (3, 1000)])
def test_every_place_is_as_likely_to_show_any_arm(versions: int, orders: int) -> None:
    """Chi-square over place by arm, Bonferroni for the two designs. The places of one order are
    not independent, but their dependence only makes the statistic smaller."""
    counts = Counter(
        (each.position, each.stimulus % 10)
        for placed in many_orders(versions, orders)
        for each in placed
    )
    expected = orders / versions
    statistic = sum(
        (counts[position, arm] - expected) ** 2 / expected
        for position, arm in product(range(1, 8 * versions + 1), range(versions))
    )
    p = float(stats.chi2.sf(statistic, 8 * versions * (versions - 1)))
    assert p > 0.001 / 2, f"chi-square {statistic:.0f}, p {p:.2g}"


@pytest.mark.parametrize("orders", [2000])
def test_every_case_is_as_likely_at_every_place(orders: int) -> None:
    counts = Counter(
        (each.position, each.stimulus // 10) for placed in many_orders(2, orders) for each in placed
    )
    expected = orders / 8
    statistic = sum(
        (counts[position, case] - expected) ** 2 / expected
        for position, case in product(range(1, 17), range(8))
    )
    assert float(stats.chi2.sf(statistic, 16 * 7)) > 0.001


def test_the_arms_are_even_over_the_quarters() -> None:
    for placed in many_orders(2, 2000)[:300]:
        arms = [each.stimulus % 10 for each in placed]
        assert all(abs(sum(arms[start : start + 4]) - 2) <= 1 for start in range(0, 16, 4))


def test_the_sets_are_not_blocks() -> None:
    """A second showing may come before another image's first, and nearly always one does."""
    sets = [
        [each.set_number for each in order_of(Design(8, 2, 2), gap=4, seed=str(seed))]
        for seed in range(200)
    ]
    assert sum(each == sorted(each) for each in sets) < 20
    assert 1 < sum(each[:16].count(2) for each in sets) / len(sets) < 8


def test_the_cases_do_not_come_round_in_one_fixed_cycle() -> None:
    """Whoever has seen every case once must not be able to tell which one comes next."""
    design = Design(8, 2, 2)
    shown = cases_shown(order_of(design, gap=chosen_gap(design, None)))
    assert shown[8:16] != shown[:8] or shown[16:24] != shown[:8]
