"""`planning`: what so many cases can show, whatever was answered."""

import math
from collections import Counter
from functools import partial

from app.analysis.sections.rows import Options, Rows, units
from app.analysis.sections.told import Json, number
from app.analysis.statistics import CannotSay
from app.analysis.statistics.planning import (
    choice_power,
    mid_p_power,
    pairs_for_difference,
    pairs_without_flip,
    similarity_power,
    tost_power,
    units_for_flips,
)
from app.analysis.statistics.proportions import bound_of_no_event

DISCORDANT = (0.05, 0.10, 0.20, 0.30)
LOSS, GAIN = 0.20, 0.05
"""The flips of the example in docs/statistics.md: 1 in 5 is lost, 1 in 20 gained."""
LIMITS = (0.5, 1.0)
MOST_ENUMERATED = 400


def planning(rows: Rows, options: Options) -> Json:
    cases, positives = len(rows.cases()), len(rows.cases(1))
    alpha, margin = options.alpha, options.margin_tp
    return {
        "cases": cases,
        "positives": positives,
        "excess_excluded_by_no_flip": bound_of_no_event(cases, alpha),
        "positives_for_equivalence_without_flip": pairs_without_flip(margin, alpha),
        "power_of_equivalence": [
            {"discordant": share} | number("power", partial(equivalence, positives, share, options))
            for share in DISCORDANT
        ],
        "difference": {
            "lost": LOSS,
            "gained": GAIN,
            "positives_for_80_percent": math.ceil(pairs_for_difference(LOSS, GAIN, alpha)),
            **number("power", lambda: mid_p_power(enumerable(positives), LOSS, GAIN, alpha)),
        },
        "flips": [
            {"condition": condition}
            | number("units_for_80_percent", partial(of_flips, rows, condition, options))
            for condition in rows.conditions
        ],
        "choice": [
            {
                "pairs": pairs,
                "d_prime": d_prime,
                "power_of_difference": choice_power(pairs, d_prime, alpha),
                "power_of_similarity": similarity_power(pairs, d_prime, alpha),
            }
            for pairs in pair_numbers(rows)
            for d_prime in LIMITS
        ],
    }


def enumerable(pairs: int) -> int:
    if pairs == 0:
        raise CannotSay("There is no tumour case.")
    if pairs > MOST_ENUMERATED:
        raise CannotSay(f"Enumerated up to {MOST_ENUMERATED} cases only.")
    return pairs


def equivalence(positives: int, discordant: float, options: Options) -> float:
    """Of one reader in one set, when as many flip one way as the other."""
    half, n = discordant / 2, enumerable(positives)
    return tost_power(n, half, half, options.margin_tp, options.alpha)


def of_flips(rows: Rows, condition: str, options: Options) -> float:
    """From how many units were seen to be unstable, if nothing but noise makes them so."""
    whole, _ = units(rows, condition)
    if not whole or len(rows.sets) != 2:
        raise CannotSay("The formula needs units that were shown twice.")
    unstable = sum(unit.x + unit.y == 2 for unit in whole) / len(whole)
    return units_for_flips(unstable, options.margin_flips, options.alpha)


def pair_numbers(rows: Rows) -> list[int]:
    """Pairs of one condition that were shown in two-alternative forced choice."""
    shown = Counter((pair.left, pair.right) for pair in rows.pairs if pair.task == "choice")
    of_condition: Counter[str] = Counter()
    for (left, right), times in shown.items():
        of_condition[left or right or ""] += times
    return sorted(set(of_condition.values()))
