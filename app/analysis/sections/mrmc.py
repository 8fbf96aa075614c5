"""`mrmc`: sensitivity, specificity and AUC, for other readers and other cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.analysis.sections.judged import judged
from app.analysis.sections.rows import Crossed, Options, Place, Rows, crossed
from app.analysis.sections.told import Json, told
from app.analysis.statistics import CannotSay, Difference
from app.analysis.statistics.common import Floats
from app.analysis.statistics.mrmc import (
    ArmMean,
    Comparison,
    arm_mean,
    case_covariance,
    fixed_readers,
    random_readers,
)
from app.analysis.statistics.roc import (
    delong_covariance,
    jackknife_covariance,
    placements,
    wins,
)
from app.analysis.statistics.ustatistic import MeanVariance, mean_variance

METRICS = ("sensitivity", "specificity", "auc")
NEGATIVE = "The variance is not positive."


@dataclass(frozen=True)
class Figures:
    """theta[arm, reader] with its covariances over cases, and what its mean is a mean of:
    kernel[arm, reader, case ...]."""

    theta: Floats
    covariance: Floats
    jackknife: Floats | None
    kernel: Floats


def mrmc(rows: Rows, options: Options) -> list[Json]:
    """All sets averaged, then each by itself."""
    choices = [rows.sets] + ([[each] for each in rows.sets] if len(rows.sets) > 1 else [])
    return [
        of_metric(rows, condition, metric, sets, options)
        for condition in rows.conditions
        for metric in METRICS
        for sets in choices
    ]


def of_metric(
    rows: Rows, condition: str, metric: str, sets: Sequence[int], options: Options
) -> Json:
    heading: Json = {"condition": condition, "metric": metric, "sets": list(sets)}
    try:
        found = gathered(rows, condition, metric)
        figures = figures_of(rows, found, metric, [rows.sets.index(each) for each in sets])
    except CannotSay as reason:
        return {**heading, "reason": str(reason)}
    return {
        **heading,
        "readers": list(found.readers),
        "readers_left_out": list(found.readers_left_out),
        "cases": len(found.cases),
        "cases_left_out": found.cases_left_out,
        **compared(figures, metric, options),
    }


def gathered(rows: Rows, condition: str, metric: str) -> Crossed:
    if metric == "auc":
        if not rows.ratings:
            raise CannotSay("Confidence was not asked for, so there are no ratings.")
        return crossed(rows, rows.ratings, condition, rows.cases())
    truth = int(metric == "sensitivity")
    right: dict[Place, float] = {
        place: float(label == rows.truths[place.case]) for place, label in rows.labels.items()
    }
    return crossed(rows, right, condition, rows.cases(truth))


def figures_of(rows: Rows, found: Crossed, metric: str, sets: Sequence[int]) -> Figures:
    values = found.values[..., sets]
    arms, readers, cases, copies = values.shape
    if metric != "auc":
        shares = values.mean(axis=3)
        covariance = case_covariance(shares.reshape(arms * readers, cases))
        return Figures(shares.mean(axis=2), covariance, None, shares)
    truths = [rows.truths[case] for case in found.cases]
    places = placements(values.transpose(0, 1, 3, 2).reshape(-1, cases), truths)
    over_sets = type(places)(
        *(each.reshape(arms * readers, copies, -1).mean(axis=1) for each in places)
    )
    is_positive = [truth == 1 for truth in truths]
    kernel = sum(stacked_wins(values[..., copy], is_positive) for copy in range(copies)) / copies
    return Figures(
        over_sets.areas.reshape(arms, readers),
        delong_covariance(over_sets),
        jackknife_covariance(over_sets),
        kernel,
    )


def stacked_wins(ratings: Floats, is_positive: Sequence[bool]) -> Floats:
    """[arm, reader, positive case, negative case]."""
    chosen = np.array(is_positive)
    found: Floats = np.array(
        [[wins(row[chosen], row[~chosen]) for row in of_arm] for of_arm in ratings]
    )
    return found


def compared(figures: Figures, metric: str, options: Options) -> Json:
    theta, covariance = figures.theta, figures.covariance
    confidence = 1 - options.alpha
    random = theta.shape[1] >= 3
    method = random_readers if random else fixed_readers

    def interval(level: float) -> Difference:
        return method(theta, covariance, level).difference

    verdict: Json = {"verdict": None, "reason": "No margin was set for the AUC."}
    if metric != "auc":
        verdict = judged(interval, options.margin_tp, options.alpha)
    unbiased = told(
        MeanVariance,
        lambda: mean_variance(figures.kernel[0] - figures.kernel[1]),
        infinite=NEGATIVE,
    )
    comparison = told(Comparison, lambda: random_readers(theta, covariance, confidence))
    jackknife: Json = {}
    if figures.jackknife is not None:
        other = figures.jackknife
        jackknife = {
            "jackknife": told(Comparison, lambda: random_readers(theta, other, confidence))
        }
    return {
        "by_reader": {"original": theta[0].tolist(), "perturbed": theta[1].tolist()},
        "original": told(ArmMean, lambda: arm_mean(theta, covariance, 0, confidence)),
        "perturbed": told(ArmMean, lambda: arm_mean(theta, covariance, 1, confidence)),
        "random_readers": comparison,
        **jackknife,
        "fixed_readers": told(Comparison, lambda: fixed_readers(theta, covariance, confidence)),
        "u_statistic": {
            "original": told(
                MeanVariance, lambda: mean_variance(figures.kernel[0]), infinite=NEGATIVE
            ),
            "perturbed": told(
                MeanVariance, lambda: mean_variance(figures.kernel[1]), infinite=NEGATIVE
            ),
            "difference": unbiased,
        },
        "judged_by": "random_readers" if random else "fixed_readers",
        "said": " ".join(remarks(random, comparison, unbiased)),
        **verdict,
    }


def remarks(random: bool, comparison: Json, unbiased: Json) -> list[str]:
    """What had to be done otherwise than planned, in words."""
    said = []
    if not random:
        said.append("Fewer than three readers: the result is for these readers, and any cases.")
    if comparison["clamped"]:
        said.append("Cov2 - Cov3 is negative and was set to 0, as Hillis does.")
    if unbiased["unbiased"] is not None and unbiased["unbiased"] <= 0:
        said.append(
            f"The U-statistic's variance of the difference is {unbiased['unbiased']:.3g}, which is "
            "no variance: what Obuchowski and Rockette's method gives stands."
        )
    return said
