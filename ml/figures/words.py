"""Numbers of a run as words, the same in captions and in the report."""

from collections.abc import Sequence
from typing import Any

from ml.figures import style
from ml.figures.explanations import GROUPS, neighbour_shares
from ml.figures.rows import CurvePoint, EmbeddingPoint, Proportion, UniversalPoint


def percent(share: float) -> str:
    """With one decimal, except where there is none."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def grey_levels(epsilon: float) -> str:
    return f"{style.plain(epsilon)} grey level{'' if epsilon == 1 else 's'}"


def ratio(row: Proportion) -> str:
    return f"{row.successes} of {row.n} ({percent(row.rate)})"


def curve_words(points: Sequence[CurvePoint]) -> str:
    """Of each norm, the smallest epsilon at which the most images are turned in 8 bits."""
    told = []
    for norm in ("l0", "l1", "l2", "linf"):
        line = [p for p in points if p.n and (p.norm, p.method, p.bits) == (norm, "minimal", "8")]
        if not line:
            continue
        best = min(line, key=lambda row: (-row.rate, row.epsilon))
        epsilon = style.plain(best.epsilon, as_share=norm == "l0")
        told.append(f"{style.norm_name(norm)} reaches {percent(best.rate)} in 8 bits at {epsilon}")
    return "; ".join(told) + "." if told else ""


PAPER_UNIVERSAL = 319 / 376
"""The share of test images that the paper's universal perturbation turns."""


def telling_epsilon(points: Sequence[UniversalPoint]) -> float | None:
    """The smallest that turns as many test images as the paper's, else the largest there is."""
    enough = [p.epsilon for p in points if p.split == "test" and p.rate >= PAPER_UNIVERSAL]
    return min(enough, default=max((p.epsilon for p in points), default=None))


def universal_of(
    points: Sequence[UniversalPoint], split: str, epsilon: float | None
) -> UniversalPoint | None:
    return next((p for p in points if (p.split, p.epsilon) == (split, epsilon)), None)


def universal_words(points: Sequence[UniversalPoint]) -> str:
    told = [
        f"{row.split} at {grey_levels(row.epsilon)}: {ratio(row)}"
        for row in points
        if row.split in {"train", "test"}
    ]
    return "; ".join(told) + "." if told else ""


def embedding_words(points: Sequence[EmbeddingPoint]) -> str:
    told = [
        f"{GROUPS[group][0]} {percent(share)}"
        for group, share in neighbour_shares(points).items()
        if group in GROUPS
    ]
    if not told:
        return ""
    return (
        "Share of the nearest unperturbed images, among the features, that have the class which "
        f"the network gives: {', '.join(told)}."
    )


def paired_words(test: dict[str, Any] | None) -> str:
    """Of a paired test as saliency.json tells it."""
    if not test:
        return ""
    points = [f"{100 * test[name]:+.1f}" for name in ("mean_difference", "low", "high")]
    return (
        f" (difference {points[0]} points, 95 % interval {points[1]} to {points[2]}; "
        f"p = {test['permutation_p']:.2g} by permutation of {test['n']} pairs)"
    )
