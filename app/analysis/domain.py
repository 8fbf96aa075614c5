"""The table of the paper: true positives on original and on perturbed images, set by set."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.analysis.statistics import (
    CaseCounts,
    Difference,
    Interval,
    PairedTable,
    clustered_difference,
    paired_difference,
    wilson_interval,
)
from app.vocabulary import Answer


@dataclass(frozen=True)
class Reading:
    """One answered presentation. `condition` is None for the original."""

    reader: str
    set_number: int
    case: str
    condition: str | None
    truth: int
    answer: Answer

    @property
    def says_tumour(self) -> bool:
        return self.answer is Answer.TUMOUR


@dataclass(frozen=True)
class Share:
    """How many of `n` were called tumour, with a 95 % Wilson interval; none when n is 0."""

    tumour: int
    n: int
    interval: Interval | None


@dataclass(frozen=True)
class TableLine:
    """One reader and set. `difference` (original minus perturbed) is over the cases of which
    both images are answered; None without one."""

    reader: str
    set_number: int
    original: Share
    perturbed: Share
    difference: Difference | None


@dataclass(frozen=True)
class Table:
    """`overall` takes all readers and sets together, clustered by case; None below 2 cases."""

    condition: str
    truth: int
    lines: Sequence[TableLine]
    overall: Difference | None


def paper_tables(readings: Sequence[Reading], conditions: Iterable[str]) -> list[Table]:
    """One table a condition and truth: true positives first, then false positives if any."""
    return [
        table([r for r in readings if r.truth == truth], condition, truth)
        for condition in conditions
        for truth in (1, 0)
        if any(r.truth == truth for r in readings)
    ]


def table(readings: Sequence[Reading], condition: str, truth: int) -> Table:
    rows: dict[tuple[str, int], list[Reading]] = defaultdict(list)
    for reading in readings:
        rows[reading.reader, reading.set_number].append(reading)
    lines = [line(*key, rows[key], condition) for key in sorted(rows)]
    return Table(condition, truth, lines, overall(rows.values(), condition))


def line(reader: str, set_number: int, rows: Sequence[Reading], condition: str) -> TableLine:
    pairs = [pair for _, pair in answered_pairs(rows, condition)]
    counts = PairedTable(
        a=pairs.count((True, True)),
        b=pairs.count((True, False)),
        c=pairs.count((False, True)),
        d=pairs.count((False, False)),
    )
    return TableLine(
        reader,
        set_number,
        share([r.says_tumour for r in rows if r.condition is None]),
        share([r.says_tumour for r in rows if r.condition == condition]),
        paired_difference(counts) if pairs else None,
    )


def answered_pairs(rows: Sequence[Reading], condition: str) -> list[tuple[str, tuple[bool, bool]]]:
    """Of each case with both answered: whether original and perturbed were called tumour."""
    originals = {r.case: r.says_tumour for r in rows if r.condition is None}
    return [
        (r.case, (originals[r.case], r.says_tumour))
        for r in rows
        if r.condition == condition and r.case in originals
    ]


def share(said: Sequence[bool]) -> Share:
    interval = wilson_interval(sum(said), len(said)) if said else None
    return Share(sum(said), len(said), interval)


def overall(groups: Iterable[Sequence[Reading]], condition: str) -> Difference | None:
    """The paired difference over readers and sets, with the case as the unit of independence."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for rows in groups:
        for case, (original, perturbed) in answered_pairs(rows, condition):
            counts[case][0] += original and not perturbed
            counts[case][1] += perturbed and not original
            counts[case][2] += 1
    if len(counts) < 2:
        return None
    return clustered_difference([CaseCounts(*count) for count in counts.values()])
