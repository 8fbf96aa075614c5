"""`order`: whether answers drift with the place in the order, from set to set, or carry over."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.analysis.sections.course import course
from app.analysis.sections.rows import Answered, Options, Place, Rows, answered
from app.analysis.sections.time import model_of
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CaseCounts, Difference, clustered_difference
from app.analysis.statistics.regression import Effect, Model, gee


def order(rows: Rows, options: Options) -> Json:
    return {
        "position": position(rows, options),
        "course": course(rows),
        "sets": [
            {"sets": [first, second]} | of_sets(rows, first, second, options)
            for first, second in pairwise(rows.sets)
        ],
        "carry_over": [
            {"condition": condition, "truth": truth}
            | carry_over(rows, answered(rows, condition, truth), options)
            for condition in rows.conditions
            for truth in (1, 0)
            if rows.cases(truth)
        ],
    }


def position(rows: Rows, options: Options) -> Json:
    """The change in the share of right answers from a reader's first presentation to the last."""
    labelled = [each for each in rows.shown if each.label is not None]
    last = rows.last_index

    def found() -> Effect:
        right = np.array([float(each.label == each.truth) for each in labelled])
        places = [(each.index - 1) / max(1, last[each.reader] - 1) for each in labelled]
        model = model_of(labelled, right)
        model.add("position", np.array(places))
        return gee(model, "gaussian", "independence", 1 - options.alpha).effect("position")

    return told(Effect, found)


def of_sets(rows: Rows, first: int, second: int, options: Options) -> Json:
    """Right answers in the first less those in the second set, to the same images."""
    pairs = [
        (at.case, label == rows.truths[at.case], rows.labels[at._replace(set_number=second)])
        for at, label in rows.labels.items()
        if at.set_number == first and at._replace(set_number=second) in rows.labels
    ]
    right = [(case, before, after == rows.truths[case]) for case, before, after in pairs]
    return {"pairs": len(right)} | told(
        Difference, lambda: clustered_difference(counts(right), 1 - options.alpha)
    )


def counts(pairs: Sequence[tuple[str, bool, bool]]) -> list[CaseCounts]:
    found: dict[str, CaseCounts] = {}
    for case, first, second in pairs:
        b, c, n = found.get(case, CaseCounts(0, 0, 0))
        found[case] = CaseCounts(b + (first and not second), c + (second and not first), n + 1)
    return list(found.values())


def carry_over(rows: Rows, pairs: Sequence[Answered], options: Options) -> Json:
    """Original minus perturbed where the original came first in its set, and where it came second.

    If having seen the one changed the answer to the other, the two differ.
    """
    index = rows.indices

    def original_first(at: Place) -> bool:
        return index[at.of_original()] < index[at]

    def of_group(first: bool) -> Difference:
        group = [
            (pair.place.case, pair.original, pair.perturbed)
            for pair in pairs
            if original_first(pair.place) == first
        ]
        return clustered_difference(counts(group), 1 - options.alpha)

    def effect() -> Effect:
        change = np.array([float(pair.original) - float(pair.perturbed) for pair in pairs])
        model = Model(change, [pair.place.case for pair in pairs])
        model.add("original first", np.array([original_first(pair.place) for pair in pairs]))
        fitted = gee(model, "gaussian", "independence", 1 - options.alpha)
        return fitted.effect("original first")

    return {
        "original_first": told(Difference, lambda: of_group(True)),
        "perturbed_first": told(Difference, lambda: of_group(False)),
        "effect": told(Effect, effect),
    }
