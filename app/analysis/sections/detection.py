"""`detection`: whether readers see which image, or that an image, was altered, by epsilon."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from app.analysis.exported import Pair
from app.analysis.sections.psychometric import psychometric
from app.analysis.sections.rows import Options, Rows
from app.analysis.sections.told import Json, number, told
from app.analysis.statistics import CannotSay
from app.analysis.statistics.bootstrap import case_weights, percentiles
from app.analysis.statistics.common import Estimate, Floats
from app.analysis.statistics.detection import (
    Choice,
    choice,
    fisher_p,
    log_linear,
    same_different,
    similarity_p,
)
from app.analysis.statistics.ustatistic import MeanVariance, mean_variance

CHOICE, COMPARE, NOT_SURE = "choice", "same_different", "not_sure"
LIMITS = (0.5, 1.0)
"""The d' of which "or more" is tested: half, and once, the noise of an image."""
ALL_OR_NONE = "All answers, or none, were right: d' is infinite."


def detection(rows: Rows, options: Options) -> Json:
    if not rows.pairs:
        return {"pairs": 0, "reason": "There is no detections.csv, or no pair in it."}
    return {
        "pairs": len(rows.pairs),
        "not_answered": sum(not pair.response for pair in rows.pairs),
        "not_sure": sum(pair.response == NOT_SURE for pair in rows.pairs),
        "choice": [
            of_choice(rows, condition, options) for condition in conditions_of(rows, CHOICE)
        ],
        "said_left": said_left(rows.pairs, 1 - options.alpha),
        "same_different": [
            of_comparison(rows, condition, options) for condition in conditions_of(rows, COMPARE)
        ],
        "psychometric": psychometric(rows, options),
    }


def altered(pair: Pair) -> str | None:
    """The condition of the one altered image beside an original; None of any other pair."""
    sides = {pair.left, pair.right}
    return next(iter(sides - {None})) if None in sides and len(sides) == 2 else None


def conditions_of(rows: Rows, task: str) -> list[str]:
    found = {altered(pair) for pair in rows.pairs if pair.task == task} - {None}
    return sorted(
        (each for each in found if each), key=lambda name: (rows.epsilon_of(name) or 0.0, name)
    )


def told_apart(rows: Rows, task: str, condition: str) -> list[Pair]:
    """With an answer other than not sure."""
    return [
        pair
        for pair in rows.pairs
        if (pair.task, altered(pair)) == (task, condition) and pair.is_correct is not None
    ]


def heading(rows: Rows, task: str, condition: str) -> Json:
    shown = [pair for pair in rows.pairs if (pair.task, altered(pair)) == (task, condition)]
    return {
        "condition": condition,
        **number("epsilon", lambda: epsilon_of(rows, condition)),
        "shown": len(shown),
        "not_sure": sum(pair.response == NOT_SURE for pair in shown),
    }


def epsilon_of(rows: Rows, condition: str) -> float:
    epsilon = rows.epsilon_of(condition)
    if epsilon is None:
        raise CannotSay(f"The epsilon of {condition} is not told in study.json.")
    return epsilon


def of_choice(rows: Rows, condition: str, options: Options) -> Json:
    pairs = told_apart(rows, CHOICE, condition)
    confidence = 1 - options.alpha
    readers = sorted({pair.reader for pair in pairs})
    return {
        **heading(rows, CHOICE, condition),
        **counted(pairs, confidence),
        "similarity": [
            {"d_prime": limit, "p": similarity_p(right(pairs), len(pairs), limit)}
            for limit in LIMITS
            if pairs
        ],
        "over_cases": told(Estimate, lambda: share_over_cases(pairs, options)),
        "u_statistic": told(
            MeanVariance,
            lambda: mean_variance(readers_by_cases(pairs)),
            infinite="The variance is not positive.",
        ),
        "readers": [
            {"reader": reader}
            | counted([pair for pair in pairs if pair.reader == reader], confidence)
            for reader in readers
        ],
    }


def counted(pairs: Sequence[Pair], confidence: float) -> Json:
    found = told(
        Choice, partial(choice, right(pairs), len(pairs), confidence), infinite=ALL_OR_NONE
    )
    return {"n": len(pairs), "right": right(pairs), **found}


def right(pairs: Sequence[Pair]) -> int:
    return sum(pair.is_correct is True for pair in pairs)


def by_case(pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """Of every case: right answers, and answers."""
    cases = sorted({pair.case for pair in pairs})
    place = {case: index for index, case in enumerate(cases)}
    found = np.zeros((2, len(cases)))
    for pair in pairs:
        found[0, place[pair.case]] += pair.is_correct is True
        found[1, place[pair.case]] += 1
    return found[0], found[1]


def share_over_cases(pairs: Sequence[Pair], options: Options) -> Estimate:
    """The share of right answers; limits from resampled cases."""
    correct, n = by_case(pairs)
    weights = case_weights(len(n), options.seed)
    limits = percentiles((weights @ correct) / (weights @ n), 1 - options.alpha)
    return Estimate(float(correct.sum() / n.sum()), *limits)


def readers_by_cases(pairs: Sequence[Pair]) -> Floats:
    values = {(pair.reader, pair.case): float(pair.is_correct is True) for pair in pairs}
    readers, cases = (sorted({key[axis] for key in values}) for axis in (0, 1))
    if len(values) < len(readers) * len(cases):
        raise CannotSay("Not every reader has told the pair of every case.")
    return np.array([[values[reader, case] for case in cases] for reader in readers])


def said_left(pairs: Sequence[Pair], confidence: float) -> Json:
    """The share of answers that named the left image, whatever was there; 1/2 is no bias."""
    sides = [pair.response for pair in pairs if pair.response in {"left", "right"}]

    def found() -> Choice:
        if not sides:
            raise CannotSay("No answer named a side.")
        return choice(sides.count("left"), len(sides), confidence)

    value = told(Choice, found)
    return {"n": len(sides), "share": value["share"]} | (
        {"reason": value["reason"]} if value["share"] is None else {}
    )


def of_comparison(rows: Rows, condition: str, options: Options) -> Json:
    """ "Different" said of different pairs, and of pairs of one image: never against 1/2."""
    pairs = told_apart(rows, COMPARE, condition)
    same = [
        pair
        for pair in rows.pairs
        if pair.task == COMPARE and pair.left == pair.right and pair.is_correct is not None
    ]
    counts = (right(pairs), len(pairs), len(same) - right(same), len(same))
    return {
        **heading(rows, COMPARE, condition),
        "hits": counts[0],
        "different": counts[1],
        "false_alarms": counts[2],
        "same": counts[3],
        **number("p_chance", lambda: fisher_p(*needed(counts))),
        "differencing": told(Estimate, lambda: d_prime_over_cases(pairs, same, 0, options)),
        "independent_observation": told(
            Estimate, lambda: d_prime_over_cases(pairs, same, 1, options)
        ),
    }


def needed(counts: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if not (counts[1] and counts[3]):
        raise CannotSay("Same-different needs answers to different pairs and to equal ones.")
    return counts


def d_prime_over_cases(
    pairs: Sequence[Pair], same: Sequence[Pair], model: int, options: Options
) -> Estimate:
    """Of log-linear shares; limits from resampled cases of either kind of pair."""
    (hits, n), (kept, m) = by_case(pairs), by_case(same)
    needed((0, len(pairs), 0, len(same)))

    def d_prime(hit: float, of: float, correct: float, of_same: float) -> float:
        false_alarm = log_linear(of_same - correct, of_same)
        return same_different(log_linear(hit, of), false_alarm)[model]

    w, v = case_weights(len(n), options.seed, 400), case_weights(len(m), options.seed + 1, 400)
    drawn = zip(w @ hits, w @ n, v @ kept, v @ m, strict=True)
    limits = percentiles((d_prime(*each) for each in drawn), 1 - options.alpha)
    return Estimate(d_prime(hits.sum(), n.sum(), kept.sum(), m.sum()), *limits)
