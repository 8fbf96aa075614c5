"""What the key says about the orders: a reader sees them, and readers can compare notes."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from scipy import stats

from app.vocabulary import PairTask
from benchmarks.blinding.links import Design
from benchmarks.blinding.secrets import Secret

REFERENCES = 60
CERTAIN = 1e-4  # so improbable that chance is no explanation


def of_key(secrets: Sequence[Secret], design: Design) -> Iterator[str]:
    parts: dict[str, dict[int, list[Secret]]] = defaultdict(lambda: defaultdict(list))
    for secret in sorted(secrets, key=lambda each: each.position):
        parts[secret.part][secret.reader].append(secret)
    yield from of_reading(list(parts["reading"].values()), design)
    yield from of_pairs(list(parts["pairs"].values()), design)
    read = {secret.case for secret in secrets if secret.part == "reading"}
    if any(s.case in read for s in secrets if s.part == "practice"):
        yield "practice: a case is read as well"


def of_reading(readers: Sequence[Sequence[Secret]], design: Design) -> Iterator[str]:
    for secrets in readers:
        if least_gap([secret.case for secret in secrets]) < design.minimum_gap:
            yield "order: copies come nearer than the minimum gap"
    orders = [tuple(secret.stimulus for secret in secrets) for secrets in readers]
    if len(set(orders)) < len(orders):
        yield "order: two readers have the same"
    usual = [agreement(design.reference_arms(f"arms/{n}")) for n in range(REFERENCES)]
    found = [agreement([secret.arm for secret in secrets]) for secrets in readers]
    if stats.mannwhitneyu(found, usual, method="asymptotic").pvalue < CERTAIN:
        yield "order: neighbours have the same arm too rarely or too often"
    late = [lateness(secrets) for secrets in readers]
    if stats.ttest_1samp(late, 0).pvalue < CERTAIN:
        yield f"order: one arm comes {statistics.fmean(late):.1f} places later"
    yield from of_orientations([secret for secrets in readers for secret in secrets])


def of_orientations(secrets: Sequence[Secret]) -> Iterator[str]:
    """With masking all symmetries, as many in either arm; and no two copies alike."""
    used = sorted({secret.orientation for secret in secrets})
    if used == [0]:
        return
    counts = Counter((secret.arm, secret.orientation) for secret in secrets)
    table = [[counts[arm, orientation] for orientation in range(8)] for arm in (0, 1)]
    if len(used) < 8 or stats.chi2_contingency(table).pvalue < CERTAIN:
        yield f"orientation: {table} in the two arms"
    shown = Counter((s.reader, s.case, s.orientation) for s in secrets)
    if max(shown.values()) > 1:
        yield "orientation: a reader sees a case twice in one"


def of_pairs(readers: Sequence[Sequence[Secret]], design: Design) -> Iterator[str]:
    """Of two different images the perturbed one is as often left as right, in no pattern.

    The sides are even in either half of a block, so they change more often than a coin's: how
    often is compared with other orders of the design.
    """
    sides = [[s.arm for s in secrets if s.arm != s.beside_arm] for secrets in readers]
    flat = [side for mine in sides for side in mine]
    if not flat:
        return
    if stats.binomtest(sum(flat), len(flat)).pvalue < CERTAIN:
        yield f"pairs: the altered image is left in {sum(flat)} of {len(flat)}"
    has_catches = any(s.arm == s.beside_arm for secrets in readers for s in secrets)
    task = PairTask.COMPARE if has_catches else PairTask.CHOICE
    others = [design.reference_sides(task, f"sides/{n}") for n in range(REFERENCES)]
    usual = [changes(mine) for mine in others]
    found = [changes(mine) for mine in sides]
    if (
        len({*found, *usual}) > 1
        and stats.mannwhitneyu(found, usual, method="asymptotic").pvalue < CERTAIN
    ):
        yield f"pairs: the side changes {statistics.fmean(found):.1f} times"
    alike = statistics.fmean(one == other for one, other in combinations(others, 2))
    if len({tuple(mine) for mine in sides}) == 1 and alike ** (len(sides) - 1) < CERTAIN:
        yield "pairs: all readers have the same sides"


def lateness(secrets: Sequence[Secret]) -> float:
    """By how many places perturbed images come later than originals."""
    places = [[s.position for s in secrets if s.arm == arm] for arm in (0, 1)]
    return statistics.fmean(places[1]) - statistics.fmean(places[0])


def changes(sides: Sequence[int]) -> int:
    return sum(one != other for one, other in pairwise(sides))


def agreement(arms: Sequence[int]) -> float:
    """How often two neighbours are of one arm."""
    return statistics.fmean(one == other for one, other in pairwise(arms))


def least_gap(cases: Sequence[int]) -> int:
    last: dict[int, int] = {}
    least = len(cases)
    for position, case in enumerate(cases):
        if case in last:
            least = min(least, position - last[case])
        last[case] = position
    return least
