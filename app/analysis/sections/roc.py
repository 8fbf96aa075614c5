"""`roc`: curves, areas and the ratings behind them, per reader, set and arm."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.analysis.sections.rows import Options, Place, Rows
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CannotSay
from app.analysis.statistics.roc import PairedRoc, curve, paired_roc


def roc(rows: Rows, options: Options) -> Json:
    if not rows.ratings:
        return {"lines": [], "reason": "Confidence was not asked for, so there are no ratings."}
    return {
        "lines": [
            line(rows, condition, reader, number, 1 - options.alpha)
            for condition in rows.conditions
            for reader in rows.readers
            for number in rows.sets
        ]
    }


def line(rows: Rows, condition: str, reader: str, number: int, confidence: float) -> Json:
    arms = (None, condition)
    cases = [
        case
        for case in rows.cases()
        if all(Place(reader, case, arm, number) in rows.ratings for arm in arms)
    ]
    truths = [rows.truths[case] for case in cases]
    ratings = np.array(
        [[rows.ratings[Place(reader, case, arm, number)] for case in cases] for arm in arms]
    )

    def found() -> PairedRoc:
        if len(cases) < 4:
            raise CannotSay("An ROC curve needs two tumour cases and two without tumour.")
        return paired_roc(ratings, truths, confidence)

    return {
        "condition": condition,
        "reader": reader,
        "set": number,
        "positives": sum(truths),
        "negatives": len(truths) - sum(truths),
        "areas": told(PairedRoc, found),
        "curves": {
            name: [list(point) for point in curve(of_arm, truths)]
            if 0 < sum(truths) < len(truths)
            else []
            for name, of_arm in zip(("original", "perturbed"), ratings, strict=True)
        },
        "ratings": {
            name: distribution(of_arm.tolist(), truths)
            for name, of_arm in zip(("original", "perturbed"), ratings, strict=True)
        },
    }


def distribution(ratings: Sequence[float], truths: Sequence[int]) -> list[Json]:
    """How often each rating was given to cases with tumour, and to those without."""
    counted = Counter(zip(ratings, truths, strict=True))
    return [
        {"rating": rating, "positives": counted[rating, 1], "negatives": counted[rating, 0]}
        for rating in sorted(set(ratings))
    ]
