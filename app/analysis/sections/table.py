"""`table`: the paper's table, with the intervals of each count, and each reader's d'."""

from collections.abc import Sequence
from functools import partial
from itertools import product

from app.analysis.sections.rows import Options, Rows
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CannotSay, Interval
from app.analysis.statistics.detection import (
    YesNo,
    fisher_p,
    log_linear,
    yes_no,
    yes_no_error,
)
from app.analysis.statistics.proportions import (
    exact_interval,
    jeffreys_interval,
    mid_p_interval,
    wilson_interval,
)

INTERVALS = {
    "wilson": wilson_interval,
    "exact": exact_interval,
    "mid_p": mid_p_interval,
    "jeffreys": jeffreys_interval,
}
COUNTED = {1: "true positives", 0: "false positives"}


def table(rows: Rows, options: Options) -> Json:
    places = list(product(rows.conditions, rows.readers, rows.sets))
    return {
        "lines": [
            line(rows, condition, reader, number, truth, 1 - options.alpha)
            for condition, reader, number in places
            for truth in (1, 0)
            if rows.cases(truth)
        ],
        "discrimination": [
            {
                "condition": condition,
                "reader": reader,
                "set": number,
                "original": discrimination(rows, reader, number, None),
                "perturbed": discrimination(rows, reader, number, condition),
            }
            for condition, reader, number in places
        ],
    }


def line(
    rows: Rows, condition: str, reader: str, number: int, truth: int, confidence: float
) -> Json:
    return {
        "condition": condition,
        "reader": reader,
        "set": number,
        "truth": truth,
        "counted": COUNTED[truth],
        "original": share(labels_of(rows, reader, number, None, truth), confidence),
        "perturbed": share(labels_of(rows, reader, number, condition, truth), confidence),
    }


def labels_of(
    rows: Rows, reader: str, number: int, condition: str | None, truth: int
) -> Sequence[int]:
    return rows.labels_by_line.get((reader, number, condition, truth), ())


def share(labels: Sequence[int], confidence: float) -> Json:
    tumour, n = sum(labels), len(labels)

    def interval(name: str) -> Interval:
        if n == 0:
            raise CannotSay("Nothing was answered.")
        return INTERVALS[name](tumour, n, confidence)

    intervals = {name: told(Interval, partial(interval, name)) for name in INTERVALS}
    return {"tumour": tumour, "n": n, **intervals}


def discrimination(rows: Rows, reader: str, number: int, condition: str | None) -> Json:
    """d' and criterion of telling tumour from none, log-linear; p of "it cannot tell"."""
    positives = labels_of(rows, reader, number, condition, 1)
    negatives = labels_of(rows, reader, number, condition, 0)
    counts = (sum(positives), len(positives), sum(negatives), len(negatives))
    hit, false_alarm = log_linear(*counts[:2]), log_linear(*counts[2:])

    def found() -> YesNo:
        if not (positives and negatives):
            raise CannotSay("d' needs answers to cases with and without tumour.")
        return yes_no(hit, false_alarm)

    values = told(YesNo, found)
    if "reason" in values:
        return {**values, "error": None, "p_fisher": None}
    error = yes_no_error(hit, counts[1], false_alarm, counts[3])
    return {**values, "error": error, "p_fisher": fisher_p(*counts)}
