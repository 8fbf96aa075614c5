"""`tp_difference`: original minus perturbed in how often the answer is right, by paired methods.

Of tumour cases that is sensitivity, of the others specificity; they are never pooled.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from app.analysis.sections.judged import judged
from app.analysis.sections.rows import Answered, Options, Rows, answered, paired_table
from app.analysis.sections.told import Json, number, told
from app.analysis.statistics import (
    CannotSay,
    CaseCounts,
    Difference,
    PairedTable,
    clustered_difference,
    paired_difference,
)
from app.analysis.statistics.clustered import (
    CLUSTERED_TESTS,
    ChiSquare,
    cluster_error,
    clustered_tost,
    columns,
)
from app.analysis.statistics.equivalence import Tost, tost
from app.analysis.statistics.mixed import mixed
from app.analysis.statistics.paired import (
    McNemar,
    bonett_price_difference,
    mcnemar,
    newcombe_difference,
)
from app.analysis.statistics.regression import Effect, Model, gee
from app.analysis.statistics.unconditional import (
    exact_difference,
    noninferiority_p,
    unconditional_p,
)

MEASURES = {1: "sensitivity", 0: "specificity"}
Pairs = Sequence[Answered]


def tp_difference(rows: Rows, options: Options) -> list[Json]:
    return [
        of_measure(rows, condition, truth, options)
        for condition in rows.conditions
        for truth in MEASURES
        if rows.cases(truth)
    ]


def of_measure(rows: Rows, condition: str, truth: int, options: Options) -> Json:
    pairs = answered(rows, condition, truth)
    of_reader = {
        reader: [pair for pair in pairs if pair.place.reader == reader] for reader in rows.readers
    }
    return {
        "condition": condition,
        "truth": truth,
        "measure": MEASURES[truth],
        "margin": options.margin_tp,
        "lines": [
            {"reader": reader, "set": number_of_set}
            | independent(
                [pair for pair in of_reader[reader] if pair.place.set_number == number_of_set],
                options,
            )
            for reader in rows.readers
            for number_of_set in rows.sets
        ],
        "readers": [
            {"reader": reader} | clustered(of_reader[reader], options) for reader in rows.readers
        ],
        "pooled": clustered(pairs, options)
        | {
            "log_odds": told(Effect, lambda: log_odds(pairs, 1 - options.alpha)),
            "mixed_model": told(MixedModel, lambda: mixed_model(pairs, 1 - options.alpha)),
        },
    }


def independent(pairs: Pairs, options: Options) -> Json:
    """Of one reader in one set every case is a pair of its own."""
    table = paired_table(pairs)
    confidence = 1 - options.alpha
    return {
        **cells(table),
        "tango_95": told(Difference, lambda: paired_difference(table, 0.95)),
        "tango_90": told(Difference, lambda: paired_difference(table, 0.90)),
        "newcombe_10": told(Difference, lambda: newcombe_difference(table, confidence)),
        "newcombe_8": told(
            Difference, lambda: newcombe_difference(table, confidence, corrected=False)
        ),
        "bonett_price": told(Difference, lambda: bonett_price_difference(table, confidence)),
        "exact": told(Difference, lambda: exact_difference(table, confidence)),
        "mcnemar": told(McNemar, lambda: mcnemar(table)),
        "unconditional": number("p", lambda: unconditional_p(table)),
        "tost": told(Tost, lambda: tost(table, options.margin_tp, options.alpha)),
        "noninferiority": number("p", lambda: noninferiority_p(table, options.margin_tp)),
        **judged(lambda level: paired_difference(table, level), options.margin_tp, options.alpha),
    }


def clustered(pairs: Pairs, options: Options) -> Json:
    """Over sets, and readers: the cases are what is independent."""
    tables = by_case(pairs)
    counts = [CaseCounts(table.b, table.c, table.n) for table in tables]

    def error() -> float:
        if len(tables) < 2:
            raise CannotSay("An error over cases needs two cases.")
        return cluster_error(*columns(tables))

    return {
        **cells(paired_table(pairs)),
        "cases": len(tables),
        "interval_95": told(Difference, lambda: clustered_difference(counts, 0.95)),
        "interval_90": told(Difference, lambda: clustered_difference(counts, 0.90)),
        "error": number("value", error),
        "tost": told(Tost, lambda: clustered_tost(counts, options.margin_tp, options.alpha)),
        "tests": {name: tested(test, tables) for name, test in CLUSTERED_TESTS.items()},
        **judged(
            lambda level: clustered_difference(counts, level), options.margin_tp, options.alpha
        ),
    }


def tested(test: Callable[[Sequence[PairedTable]], ChiSquare], tables: list[PairedTable]) -> Json:
    def found() -> ChiSquare:
        if len(tables) < 2:
            raise CannotSay("A test over cases needs two cases.")
        return test(tables)

    return told(ChiSquare, found)


def by_case(pairs: Pairs) -> list[PairedTable]:
    of_case: dict[str, list[Answered]] = defaultdict(list)
    for pair in pairs:
        of_case[pair.place.case].append(pair)
    return [paired_table(of_case[case]) for case in sorted(of_case)]


def cells(table: PairedTable) -> Json:
    """a, b, c, d: both right, only the original, only the perturbed, neither."""

    def difference() -> float:
        if table.n == 0:
            raise CannotSay("No case has an answer to both images.")
        return (table.b - table.c) / table.n

    counts = {"a": table.a, "b": table.b, "c": table.c, "d": table.d, "n": table.n}
    return counts | number("difference", difference)


def log_odds(pairs: Pairs, confidence: float) -> Effect:
    """Of a right answer, perturbed against original; GEE with cases as clusters."""
    model = model_of(pairs)
    model.add_groups("reader", [pair.place.reader for pair in pairs for _ in range(2)])
    return gee(model, "binomial", "exchangeable", confidence).effect("perturbed")


def model_of(pairs: Pairs) -> Model:
    """One row an answer, with columns for the arm and each set but the first."""
    places = [pair.place for pair in pairs for _ in range(2)]
    right = np.array([float(each) for pair in pairs for each in pair[1:]])
    model = Model(right, [place.case for place in places])
    model.add("perturbed", np.tile([0.0, 1.0], len(pairs)))
    model.add_groups("set", [place.set_number for place in places])
    return model


class MixedModel(NamedTuple):
    """The log odds of a right answer, perturbed against original, and the standard deviations of
    cases, of the effect from case to case, and of readers (0: they are fixed)."""

    effect: Effect
    deviation_of_cases: float
    deviation_of_effects: float
    deviation_of_readers: float


def mixed_model(pairs: Pairs, confidence: float) -> MixedModel:
    """Readers are random from three on."""
    model, readers = model_of(pairs), [pair.place.reader for pair in pairs for _ in range(2)]
    if len(set(model.cases)) < 3:
        raise CannotSay("A model of cases at random needs three cases.")
    are_random = len(set(readers)) > 2
    if not are_random:
        model.add_groups("reader", readers)
    found = mixed(model, slope="perturbed", readers=readers if are_random else None)
    deviations = [*found.deviations, 0.0][:3]
    return MixedModel(found.effect("perturbed", confidence), *deviations)
