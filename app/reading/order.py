"""The order of presentations: shuffled from a seed, repeats far apart, no pattern to notice.

Every image is shown once a set, and the sets are not blocks: one shuffle holds them all, and the
n-th showing of an image belongs to Set n. First only the cases are ordered, at random under the
minimum gap; then the images of each case are dealt at random to its places. So every place is as
likely to show an original as any perturbed version, whatever the gap.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from app.errors import Invalid

ATTEMPTS_AT_CASES = 2000
DEALS = 64  # the most even of so many is taken
QUARTERS = 4


@dataclass(frozen=True)
class Placed:
    """One presentation: `position` from 1 in the whole order, `set_number` from 1."""

    position: int
    set_number: int
    stimulus: int


def order(
    versions: Mapping[int, Sequence[int]], *, sets: int, minimum_gap: int, seed: str
) -> list[Placed]:
    """The order for one reader.

    versions: of each case, its images, the original first. minimum_gap: the least distance in
    positions between two presentations of one case. The same arguments give the same order.
    Invalid when no order keeps the gap.
    """
    chance = random.Random(seed)  # noqa: S311 (the seed itself is a secret HMAC)
    shown = {case: len(images) * sets for case, images in versions.items()}
    places = order_of_cases(shown, minimum_gap, chance)
    deals = [deal(places, versions, sets, chance) for _ in range(DEALS)]
    return number_sets(fairest(deals, versions))


def order_of_cases(shown: Mapping[int, int], gap: int, chance: random.Random) -> list[int]:
    """Each case as often as `shown` says, at random, `gap` or more positions apart."""
    largest = largest_gap(shown)
    for _ in range(ATTEMPTS_AT_CASES if gap <= largest else 0):
        if (places := try_order_of_cases(shown, gap, chance)) is not None:
            return places
    raise Invalid(f"No order keeps a minimum gap of {gap}; the largest possible is {largest}.")


def largest_gap(shown: Mapping[int, int]) -> int:
    """The largest distance that every two showings of one case can keep.

    The first and the last showing of a case are (most - 1) gaps apart, and the last round needs a
    place for every case that is shown as often. When none is shown twice, it is all the places.
    """
    most = max(shown.values())
    last_round = sum(count == most for count in shown.values())
    total = sum(shown.values())
    return (total - last_round) // (most - 1) if most > 1 else total


def try_order_of_cases(
    shown: Mapping[int, int], gap: int, chance: random.Random
) -> list[int] | None:
    """Fill the places from first to last; None at a dead end.

    Among the cases that may come now one is drawn with a chance in proportion to its remaining
    showings, as in a plain shuffle.
    """
    left = dict(sorted(shown.items()))
    free_at = dict.fromkeys(left, 0)
    places: list[int] = []
    total = sum(left.values())
    for position in range(total):
        least = fewest_left(list(left.values()), total - position, gap)
        candidates = [case for case in left if left[case] >= least and free_at[case] <= position]
        if not candidates:
            return None
        case = chance.choices(candidates, [left[case] for case in candidates])[0]
        places.append(case)
        left[case] -= 1
        free_at[case] = position + gap
    return places


def fewest_left(left: Sequence[int], places: int, gap: int) -> int:
    """How many showings the next case must have left, so that the rest still fits.

    All but the last m showings of every case must be over m gaps before the end. Where as many
    of them remain as places until then, one of them must come now.
    """
    for m in range(max(left) - 1, 0, -1):
        waiting = sum(count - m for count in left if count > m)
        if waiting >= places - m * gap:
            return m + 1
    return 1


def deal(
    places: Sequence[int], versions: Mapping[int, Sequence[int]], sets: int, chance: random.Random
) -> list[int]:
    """Each case's images, `sets` times each, dealt at random to the case's places."""
    hands: dict[int, list[int]] = {}
    for case, images in sorted(versions.items()):
        hands[case] = [image for image in images for _ in range(sets)]
        chance.shuffle(hands[case])
    return [hands[case].pop() for case in places]


def fairest(deals: Sequence[Sequence[int]], versions: Mapping[int, Sequence[int]]) -> Sequence[int]:
    """Where the arms are nearest to an even spread over the quarters; then the shortest runs.

    Fatigue must fall on all arms alike, and a long run of one arm could be felt. The original
    counts no more than any other version: else it would be rarer at some places than at others.
    """
    arm_of = {image: arm for images in versions.values() for arm, image in enumerate(images)}
    arms = [[arm_of[image] for image in dealt] for dealt in deals]
    share = {arm: count / len(arms[0]) for arm, count in Counter(arms[0]).items()}
    uneven = [unevenness(each, share) for each in arms]
    least = min(uneven)
    evenest = [number for number, each in enumerate(uneven) if each == least]
    return deals[min(evenest, key=lambda number: longest_run(arms[number]))]


def unevenness(arms: Sequence[int], share: Mapping[int, float]) -> float:
    """How far the count of an arm in a quarter is from its share, at most."""
    size = math.ceil(len(arms) / QUARTERS)
    quarters = [arms[start : start + size] for start in range(0, len(arms), size)]
    return max(
        abs(quarter.count(arm) - share[arm] * len(quarter)) for quarter in quarters for arm in share
    )


def longest_run(arms: Sequence[int]) -> int:
    return max(len(list(run)) for _, run in groupby(arms))


def number_sets(dealt: Sequence[int]) -> list[Placed]:
    """The n-th showing of an image belongs to Set n."""
    seen: Counter[int] = Counter()
    placed = []
    for position, stimulus in enumerate(dealt, start=1):
        seen[stimulus] += 1
        placed.append(Placed(position, seen[stimulus], stimulus))
    return placed


def sets_of_waves(sets: int, waves: int) -> list[range]:
    """The set numbers that each wave shows, as even as possible; the first waves show one more."""
    if not 1 <= waves <= sets:
        raise Invalid(f"{sets} sets cannot be split into {waves} sittings; choose 1 to {sets}.")
    size, longer = divmod(sets, waves)
    ends = [size * wave + min(wave, longer) for wave in range(waves + 1)]
    return [range(start + 1, end + 1) for start, end in pairwise(ends)]


def sittings(
    versions: Mapping[int, Sequence[int]],
    *,
    sets: int,
    waves: int,
    minimum_gap: int,
    seeds: Sequence[str],
) -> list[list[Placed]]:
    """The order of each wave, shuffled from its own seed; positions and sets run on over them."""
    placed: list[list[Placed]] = []
    before = 0
    for numbers, seed in zip(sets_of_waves(sets, waves), seeds, strict=True):
        wave = order(versions, sets=len(numbers), minimum_gap=minimum_gap, seed=seed)
        placed.append(
            [
                Placed(before + each.position, numbers[each.set_number - 1], each.stimulus)
                for each in wave
            ]
        )
        before += len(wave)
    return placed
