"""`agreement`: of a reader with themselves, and of readers with each other."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from app.analysis.sections.rows import Options, Rows
from app.analysis.sections.told import Json, number, told
from app.analysis.statistics import CannotSay, PairedTable
from app.analysis.statistics.agreement import (
    Coefficient,
    brennan_prediger,
    cohen_kappa,
    conger_kappa,
    fleiss_kappa,
    gwet_ac1,
    gwet_ac1_of_table,
    krippendorff_alpha,
    mean_agreement,
    pabak,
    percent_agreement,
    ratings_of,
    scott_pi,
    specific_agreement,
)
from app.analysis.statistics.bootstrap import case_weights, percentiles
from app.analysis.statistics.common import Estimate, Floats

LABELS = 2


def agreement(rows: Rows, options: Options) -> Json:
    """A reading is one reader's labels of one arm in one set."""
    arms: list[str | None] = [None, *rows.conditions]
    confidence = 1 - options.alpha
    return {
        "intra": [
            {"reader": reader, "condition": arm or "original", "sets": [first, second]}
            | of_two(
                reading(rows, reader, arm, first), reading(rows, reader, arm, second), confidence
            )
            for reader in rows.readers
            for arm in arms
            for first, second in combinations(rows.sets, 2)
        ],
        "inter": [
            {"condition": arm or "original", "set": each}
            | of_several([reading(rows, reader, arm, each) for reader in rows.readers], options)
            for arm in arms
            for each in rows.sets
        ],
        "inter_pairs": [
            {"readers": [first, second], "condition": arm or "original", "set": each}
            | of_two(reading(rows, first, arm, each), reading(rows, second, arm, each), confidence)
            for first, second in combinations(rows.readers, 2)
            for arm in arms
            for each in rows.sets
        ],
    }


Labels = Mapping[str, int]


def reading(rows: Rows, reader: str, arm: str | None, set_number: int) -> Labels:
    """Case to label."""
    return rows.readings.get((reader, arm, set_number), {})


def of_two(first: Labels, second: Labels, confidence: float) -> Json:
    pairs = [(first[case], second[case]) for case in first if case in second]
    table = PairedTable(*(pairs.count(cell) for cell in ((1, 1), (1, 0), (0, 1), (0, 0))))
    discordant = table.b + table.c

    def ac1() -> Coefficient:
        return gwet_ac1(ratings_of(table), LABELS, confidence)

    return {
        "table": {"a": table.a, "b": table.b, "c": table.c, "d": table.d, "n": table.n},
        "percent": told(Estimate, lambda: percent_agreement(table, confidence)),
        "positive": told(Estimate, lambda: specific_agreement(table.a, discordant, confidence)),
        "negative": told(Estimate, lambda: specific_agreement(table.d, discordant, confidence)),
        "kappa": told(Coefficient, lambda: cohen_kappa(table, confidence)),
        "pabak": told(Coefficient, lambda: pabak(table, confidence)),
        "ac1": told(Coefficient, ac1),
        "ac1_error_of_table": number("value", lambda: gwet_ac1_of_table(table)[1]),
        "scott_pi": number("value", lambda: scott_pi(table)),
    }


def of_several(readings: Sequence[Labels], options: Options) -> Json:
    confidence = 1 - options.alpha
    cases = sorted({case for each in readings for case in each})
    ratings: Floats = np.array(
        [[each.get(case, np.nan) for each in readings] for case in cases], dtype=np.float64
    ).reshape(-1, len(readings))
    methods = {
        "percent": lambda: mean_agreement(ratings, confidence),
        "ac1": lambda: gwet_ac1(ratings, LABELS, confidence),
        "fleiss": lambda: fleiss_kappa(ratings, confidence),
        "krippendorff": lambda: krippendorff_alpha(ratings, confidence),
        "brennan_prediger": lambda: brennan_prediger(ratings, LABELS, confidence),
    }
    both, neither, discordant = pair_counts(ratings)
    return {
        "readers": len(readings),
        "cases": len(cases),
        **{name: told(Coefficient, method) for name, method in methods.items()},
        "conger": number("value", lambda: conger_kappa(ratings)),
        "positive": told(Estimate, lambda: specific(both, discordant, options)),
        "negative": told(Estimate, lambda: specific(neither, discordant, options)),
    }


def pair_counts(ratings: Floats) -> tuple[Floats, Floats, Floats]:
    """Of every case its pairs of readings: both tumour, neither, and one of two."""
    ones, zeros = (ratings == 1).sum(axis=1), (ratings == 0).sum(axis=1)
    return ones * (ones - 1) / 2, zeros * (zeros - 1) / 2, ones * zeros * 1.0


def specific(agreed: Floats, discordant: Floats, options: Options) -> Estimate:
    """Over all pairs of readers; the limits are from resampled cases."""
    if agreed.sum() + discordant.sum() == 0:
        raise CannotSay("No two readers gave this answer to one case.")
    weights = case_weights(len(agreed), options.seed)
    twice, once = 2 * weights @ agreed, weights @ discordant
    told_of = twice + once > 0
    limits = percentiles(twice[told_of] / (twice + once)[told_of], 1 - options.alpha)
    return Estimate(2 * agreed.sum() / (2 * agreed.sum() + discordant.sum()), *limits)
