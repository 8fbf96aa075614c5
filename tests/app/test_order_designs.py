"""Ten thousand orders of random legal designs: none breaks a rule, and no place tells anything.

The chi-square tests pool designs of all sizes. Within one order the places depend on each other
(each image comes once a set, a case keeps its gap, the deals are chosen for evenness), and the
usual statistic would take them for independent. So each order gives one row of numbers, how far
its counts are from their expectation; the rows are independent and by symmetry have the mean 0.
Their sum S, measured by their own covariance V, is S' V^-1 S: asymptotically chi-square with the
rank of V as degrees of freedom, whatever the dependence within an order.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from app.errors import Invalid
from app.reading import order as module
from app.reading.order import Placed, order, sets_of_waves
from app.studies.domain import Design, chosen_gap

ORDERS = 10_000
FEWER = 1_000
ALPHA = 0.001
BINS = 8  # the relative place in a sitting: designs of any size can be pooled by it
FAR_APART = 0.05
MANY_ALIKE = 0.05
USUAL_NEIGHBOURS = (0.6, 1.1)

Row = NDArray[np.float64]
Order = tuple["Drawn", list[list[Placed]]]


@dataclass(frozen=True)
class Drawn:
    """A legal design that was drawn at random."""

    design: Design
    waves: int
    gap: int
    seeds: tuple[str, ...]

    @property
    def versions(self) -> dict[int, list[int]]:
        """Image numbers that tell their case (tens) and their arm (units, 0 is the original)."""
        return {
            case: [10 * case + arm for arm in range(self.design.versions)]
            for case in range(self.design.cases)
        }

    def order(self) -> list[list[Placed]]:
        return module.sittings(
            self.versions,
            sets=self.design.sets,
            waves=self.waves,
            minimum_gap=self.gap,
            seeds=self.seeds,
        )


def draw(chance: random.Random) -> Drawn:
    design = Design(chance.randint(2, 9), chance.randint(2, 4), chance.randint(1, 3))
    waves = chance.randint(1, design.sets)
    seeds = tuple(f"{chance.getrandbits(256):064x}" for _ in range(waves))
    return Drawn(design, waves, chance.randint(2, design.largest_gap), seeds)


def orders(number: int) -> list[Order]:
    chance = random.Random("designs")
    return [(drawn, drawn.order()) for drawn in (draw(chance) for _ in range(number))]


@cache
def all_orders() -> list[Order]:
    return orders(ORDERS)


def broken(drawn: Drawn, waves: Sequence[Sequence[Placed]]) -> Iterator[str]:
    """The rules that an order breaks."""
    placed = [each for wave in waves for each in wave]
    if [each.position for each in placed] != list(range(1, len(placed) + 1)):
        yield "the positions run on"
    images = [image for mine in drawn.versions.values() for image in mine]
    wanted = product(images, range(1, drawn.design.sets + 1))
    if Counter((each.stimulus, each.set_number) for each in placed) != Counter(wanted):
        yield "every image once a set"
    numbers = sets_of_waves(drawn.design.sets, drawn.waves)
    if [{each.set_number for each in wave} for wave in waves] != [set(each) for each in numbers]:
        yield "every set in its sitting"
    if any(distance < drawn.gap for wave in waves for distance in distances(wave)):
        yield "the minimum gap"
    seen: Counter[int] = Counter()
    for each in placed:
        seen[each.stimulus] += 1
        if seen[each.stimulus] != each.set_number:
            yield "the nth showing is set n"
            break


def distances(wave: Sequence[Placed]) -> Iterator[int]:
    """From each showing of a case to its next one."""
    last: dict[int, int] = {}
    for each in wave:
        case = each.stimulus // 10
        if case in last:
            yield each.position - last[case]
        last[case] = each.position


def place(wave: Sequence[Placed], each: Placed) -> int:
    """The relative place in the sitting, from 0 to BINS - 1."""
    return (each.position - wave[0].position) * BINS // len(wave)


def by_arm(drawn: Drawn, waves: Sequence[Sequence[Placed]]) -> Row:
    """Position x arm: every arm is as likely at every place."""
    row = np.zeros((BINS, drawn.design.versions))
    for wave in waves:
        for each in wave:
            row[place(wave, each), each.stimulus % 10] += 1
            row[place(wave, each)] -= 1 / drawn.design.versions
    return row.ravel()


def by_set_and_arm(drawn: Drawn, waves: Sequence[Sequence[Placed]]) -> Row:
    """Position x set: at every place every set is as likely for every arm."""
    row = np.zeros((BINS, drawn.design.sets, drawn.design.versions))
    for wave in waves:
        for each in wave:
            row[place(wave, each), each.set_number - 1, each.stimulus % 10] += 1
            row[place(wave, each), each.set_number - 1] -= 1 / drawn.design.versions
    return row.ravel()


def by_case(drawn: Drawn, waves: Sequence[Sequence[Placed]]) -> Row:
    """Position x case: the first case is as likely as any other at every place."""
    row = np.zeros(BINS)
    for wave in waves:
        for each in wave:
            row[place(wave, each)] += (each.stimulus < 10) - 1 / drawn.design.cases
    return row


def chi_square(rows: Sequence[Row]) -> float:
    """The probability of so large a sum of rows whose mean is 0."""
    table = np.array(rows)
    total, covariance = table.sum(axis=0), table.T @ table
    statistic = total @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ total
    rank = np.linalg.matrix_rank(covariance, rtol=1e-9, hermitian=True)
    return float(stats.chi2.sf(statistic, rank))


def probabilities(made: Sequence[Order]) -> dict[str, float]:
    """Of every test of evenness; designs with equally many cells are one group."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for drawn, waves in made:
        arms, sets = drawn.design.versions, drawn.design.sets
        rows[f"position x arm, {arms} arms"].append(by_arm(drawn, waves))
        if sets > 1:
            name = f"position x set, {arms} arms, {sets} sets"
            rows[name].append(by_set_and_arm(drawn, waves))
        rows["position x case"].append(by_case(drawn, waves))
    return {name: chi_square(mine) for name, mine in rows.items()}


def uneven(made: Sequence[Order]) -> dict[str, float]:
    """What is not even, by Bonferroni over all tests."""
    found = probabilities(made)
    return {name: p for name, p in found.items() if p < ALPHA / len(found)}


def sets_apart(made: Sequence[Order]) -> float:
    """By how much more than noise the sets are from being spread by chance, as shares.

    Set n is the nth showing, so no place is as likely to be of any set: the first is always of
    Set 1. But of the showings of a case dealt at random, those of one image are a random choice,
    and the rth showing of a case is of Set n with a known (hypergeometric) probability.
    """
    shown: dict[tuple[int, int, int], Counter[int]] = defaultdict(Counter)
    for drawn, waves in made:
        for wave in waves:
            ranks: Counter[int] = Counter()
            sets = len({each.set_number for each in wave})
            for each in wave:
                ranks[each.stimulus // 10] += 1
                kind = drawn.design.versions, sets, ranks[each.stimulus // 10]
                shown[kind][each.set_number - wave[0].set_number + 1] += 1
    return max(
        abs(found[n] / found.total() - share_by_chance(n, rank, sets, arms * sets))
        - 2 / math.sqrt(found.total())  # four standard deviations at most
        for (arms, sets, rank), found in shown.items()
        for n in range(1, sets + 1)
    )


def share_by_chance(n: int, rank: int, sets: int, showings: int) -> float:
    if rank > showings:
        return 0.0
    earlier = math.comb(rank - 1, n - 1) * math.comb(showings - rank, sets - n)
    return earlier / math.comb(showings - 1, sets - 1)


def equal_neighbours(made: Sequence[Order]) -> float:
    """How often neighbours are of one arm, against so often by chance."""
    found, expected = 0, 0.0
    for drawn, waves in made:
        for wave in waves:
            arms = [each.stimulus % 10 for each in wave]
            found += sum(one == other for one, other in pairwise(arms))
            expected += len(wave) / drawn.design.versions - 1
    return found / expected


def alike(made: Sequence[Order]) -> float:
    """How often a long sitting has the very order of the one before."""
    pairs = [
        [[each.stimulus for each in wave] for wave in pair]
        for _, waves in made
        for pair in pairwise(waves)
        if len(pair[0]) >= 12
    ]
    return sum(one == other for one, other in pairs) / max(1, len(pairs))


def findings(made: Sequence[Order]) -> set[str]:
    """All that is wrong with these orders."""
    found = {rule for drawn, waves in made for rule in broken(drawn, waves)}
    found |= {name.split(",")[0] for name in uneven(made)}
    low, high = USUAL_NEIGHBOURS
    faults = {
        "sets in blocks": sets_apart(made) > FAR_APART,
        "arms in turn": not low < equal_neighbours(made) < high,
        "sittings alike": alike(made) > MANY_ALIKE,
    }
    return found | {name for name, is_so in faults.items() if is_so}


def test_ten_thousand_orders_break_no_rule_and_tell_nothing() -> None:
    assert findings(all_orders()) == set()
    assert findings(all_orders()[:FEWER]) == set(), "nor do fewer orders raise a false alarm"
    sizes = {(drawn.design.versions, drawn.design.sets, drawn.waves) for drawn, _ in all_orders()}
    assert len(sizes) == 3 * (1 + 2 + 3), "every kind of design is among them"


order_of_cases, fairest = module.order_of_cases, module.fairest


def original_first(
    places: Sequence[int], versions: Mapping[int, Sequence[int]], sets: int, _: random.Random
) -> list[int]:
    """Of every case the original comes first."""
    hands = {case: sorted(list(images) * sets) for case, images in versions.items()}
    return [hands[case].pop(0) for case in places]


def original_first_in_one_of_ten(
    deals: Sequence[Sequence[int]], versions: Mapping[int, Sequence[int]]
) -> Sequence[int]:
    chosen = fairest(deals, versions)
    if hash(tuple(chosen)) % 10:
        return chosen
    places = [image // 10 for image in chosen]
    sets = len(chosen) // sum(map(len, versions.values()))
    return original_first(places, versions, sets, random.Random(0))


def later_versions_earlier(
    deals: Sequence[Sequence[int]], _: Mapping[int, Sequence[int]]
) -> Sequence[int]:
    """Of two deals the one whose first image has the larger number."""
    return max(deals[:2], key=list)


def arms_in_turn(
    places: Sequence[int], versions: Mapping[int, Sequence[int]], sets: int, chance: random.Random
) -> list[int]:
    """A neighbour is of another arm wherever the case has one left."""
    hands = {case: list(images) * sets for case, images in versions.items()}
    dealt = [-1]
    for case in places:
        others = [image for image in hands[case] if image % 10 != dealt[-1] % 10]
        dealt.append(chance.choice(others or hands[case]))
        hands[case].remove(dealt[-1])
    return dealt[1:]


def sets_as_blocks(
    versions: Mapping[int, Sequence[int]], *, sets: int, minimum_gap: int, seed: str
) -> list[Placed]:
    placed: list[Placed] = []
    for number in range(1, sets + 1):
        block = order(versions, sets=1, minimum_gap=minimum_gap, seed=f"{seed}/{number}")
        placed += [Placed(len(placed) + each.position, number, each.stimulus) for each in block]
    return placed


def one_seed_for_all(
    versions: Mapping[int, Sequence[int]], *, sets: int, minimum_gap: int, seed: str
) -> list[Placed]:
    return order(versions, sets=sets, minimum_gap=minimum_gap, seed=f"0{seed[:0]}")


def no_gap(shown: Mapping[int, int], _: int, chance: random.Random) -> list[int]:
    return order_of_cases(shown, 1, chance)


def first_case_last(shown: Mapping[int, int], gap: int, chance: random.Random) -> list[int]:
    """The first case is a little rarer at the beginning."""
    tried = [order_of_cases(shown, gap, chance) for _ in range(2)]
    return max(tried, key=lambda cases: cases.index(min(shown)))


def all_of_set_one(dealt: Sequence[int]) -> list[Placed]:
    return [Placed(position, 1, image) for position, image in enumerate(dealt, start=1)]


MUTANTS: list[tuple[str, Callable[..., object], set[str]]] = [
    ("deal", original_first, {"position x arm", "position x set"}),
    ("fairest", original_first_in_one_of_ten, {"position x arm"}),
    ("deal", arms_in_turn, {"arms in turn"}),
    ("order", sets_as_blocks, {"sets in blocks"}),
    ("order", one_seed_for_all, {"sittings alike"}),
    ("order_of_cases", no_gap, {"the minimum gap"}),
    ("order_of_cases", first_case_last, {"position x case"}),
    ("fairest", later_versions_earlier, {"position x arm"}),
    ("number_sets", all_of_set_one, {"every image once a set", "every set in its sitting"}),
]


@pytest.mark.parametrize(("name", "worse", "signs"), MUTANTS, ids=[m[1].__name__ for m in MUTANTS])
def test_a_worse_algorithm_is_found_out(
    name: str, worse: Callable[..., object], signs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, worse)
    assert findings(orders(FEWER)) >= signs


def test_an_impossible_gap_is_refused_and_the_largest_possible_one_works() -> None:
    chance = random.Random("impossible")
    for _ in range(300):
        drawn = draw(chance)
        design, largest = drawn.design, drawn.design.largest_gap
        with pytest.raises(Invalid, match=rf"choose 2 to {largest}\."):
            chosen_gap(design, largest + chance.randint(1, 20))
        assert chosen_gap(design, largest) == largest
        widest = replace(drawn, gap=largest)
        assert list(broken(widest, widest.order())) == []
