"""`flips`, the primary result: how much more original and perturbed disagree than two showings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from app.analysis.exported import Shown
from app.analysis.sections.rows import Options, Partial, Rows, units
from app.analysis.sections.told import Json, number, told
from app.analysis.statistics import CannotSay, Interval
from app.analysis.statistics.common import Floats
from app.analysis.statistics.equivalence import verdict
from app.analysis.statistics.flips import (
    Bound,
    ExactTest,
    Rates,
    Unit,
    directions,
    exact_test,
    exact_test_within_sets,
    excess_bound,
    mean_rates,
    rates,
    worst_case,
)
from app.analysis.statistics.ustatistic import MeanVariance, mean_variance

FEW_CASES = 60
COVERAGE = (
    "Below 60 cases the upper limit holds in 89 to 95 of 100 studies instead of in 95 "
    "(simulated, docs/statistics.md)."
)


def flips(rows: Rows, options: Options) -> list[Json]:
    return [flips_of(rows, condition, options) for condition in rows.conditions]


def flips_of(rows: Rows, condition: str, options: Options) -> Json:
    whole, partial = units(rows, condition)
    to_none, to_tumour = directions(whole)
    test = told(ExactTest, lambda: exact_test(whole))
    cases = len({unit.case for unit in whole})
    return {
        "condition": condition,
        "units": len(whole),
        "units_incomplete": len(partial),
        "cases": cases,
        "readers": len({unit.reader for unit in whole}),
        **told(Rates, lambda: mean_rates(whole)),
        "K": test["K"],
        "M": test["M"],
        "p_exact": test["p"],
        **limits(whole, options),
        "set_robust": told(ExactTest, lambda: exact_test_within_sets(whole)),
        "flipped_to_no_tumour": to_none,
        "flipped_to_tumour": to_tumour,
        "margin": options.margin_flips,
        "verdict": judged(whole, options),
        "u_statistics": u_statistics(whole),
        "by_reader": by_reader(whole),
        "sensitivity": sensitivity(rows, condition, whole, partial),
        "caution": COVERAGE if cases < FEW_CASES else "",
    }


def limits(whole: Sequence[Unit], options: Options) -> Json:
    """`upper95` always; `bound` at the study's own alpha, which the verdict is from."""
    upper = number("upper95", lambda: excess_bound(whole).high)
    return {**upper, "bound": told(Bound, lambda: excess_bound(whole, options.alpha))}


def judged(whole: Sequence[Unit], options: Options) -> str | None:
    """From one-sided limits of 1 - alpha. An excess below 0 is noise, not a difference."""
    try:
        bound = excess_bound(whole, options.alpha)
    except CannotSay:
        return None
    from_zero = Interval(bound.low, max(0.0, bound.high))
    return verdict(from_zero, Interval(0.0, bound.high), options.margin_flips)


def u_statistics(whole: Sequence[Unit]) -> Json:
    """Of readers and cases both drawn at random, where every reader has every case."""

    def of_rate(index: int) -> MeanVariance:
        return mean_variance(of_units(whole)[:, :, index])

    return {
        name: told(MeanVariance, partial(of_rate, index), infinite="The variance is not positive.")
        for index, name in enumerate(Rates._fields)
    }


def of_units(whole: Sequence[Unit]) -> Floats:
    """[case, reader, rate]."""
    if not whole or min(unit.copies for unit in whole) < 2:
        raise CannotSay("Every image was shown once: there is no test-retest noise to compare.")
    values = {(unit.case, unit.reader): rates(unit) for unit in whole}
    cases, readers = (sorted({key[axis] for key in values}) for axis in (0, 1))
    if len(values) < len(cases) * len(readers):
        raise CannotSay("Not every reader has labelled every case.")
    return np.array([[values[case, reader] for reader in readers] for case in cases])


def by_reader(whole: Sequence[Unit]) -> list[Json]:
    readers = sorted({unit.reader for unit in whole})
    of_reader = {name: [unit for unit in whole if unit.reader == name] for name in readers}
    return [
        {"reader": name, "units": len(of_reader[name])}
        | told(Rates, partial(mean_rates, of_reader[name]))
        for name in readers
    ]


def sensitivity(
    rows: Rows,
    condition: str,
    whole: Sequence[Unit],
    partial: Sequence[Partial],
) -> Json:
    """The same with other treatment of what is missing, unassessable, or excluded."""
    filled = [
        Unit(each.case, each.reader, *worst_case(each.original, each.perturbed))
        for each in partial
        if len(each.original) > 1
    ]

    def treated(applies: Callable[[Shown], bool], **change: Any) -> Sequence[Unit]:
        if not any(map(applies, rows.everything)):
            return whole
        changed = [replace(each, **change) if applies(each) else each for each in rows.everything]
        return units(replace(rows, everything=changed), condition)[0]

    return {
        "missing_as_worst": alternative([*whole, *filled]),
        "cannot_assess_as_no_tumour": alternative(
            treated(lambda each: each.response == "cannot_assess", label=0)
        ),
        "nothing_excluded": alternative(
            treated(lambda each: each.exclusion is not None, exclusion=None)
        ),
    }


def alternative(whole: Sequence[Unit]) -> Json:
    return {"units": len(whole)} | told(Bound, lambda: excess_bound(whole))
