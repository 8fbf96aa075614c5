"""A run in plain sentences, each of numbers that its tables hold."""

from collections.abc import Callable
from statistics import fmean, median

from ml.figures import style
from ml.figures.evaluation import mean_and_sd
from ml.figures.explanations import mean_shares
from ml.figures.robustness import readable, training_name
from ml.figures.rows import (
    DefencePoint,
    EmbeddingPoint,
    FoldScore,
    MinimalEpsilon,
    SaliencyShare,
    UniversalPoint,
)
from ml.figures.run_folder import RunFolder
from ml.figures.words import grey_levels, percent, ratio, telling_epsilon, universal_of
from ml.matched_energy import NaturalRow, match

FOOLED = 0.9
"""From this success rate on, a network counts as one that is always fooled."""


def headlines(run: RunFolder) -> list[str]:
    """One sentence a step that has been run."""
    tellers: tuple[Callable[[RunFolder], str], ...] = (
        _crossval,
        _smallest,
        _half_a_grey_level,
        _few_pixels,
        _universal,
        _natural,
        _saliency,
        _features,
        _defence,
    )
    return [sentence for tell in tellers if (sentence := tell(run))]


def _crossval(run: RunFolder) -> str:
    rows = run.rows("table1a.csv", FoldScore)
    if not rows:
        return ""
    auc = mean_and_sd([row.auc for row in rows])
    accuracy = mean_and_sd([row.accuracy for row in rows])
    return (
        f"On {len(rows)} held-out folds the network reaches an AUC of {auc.mean:.3f} "
        f"(SD {auc.sd:.3f}) and an accuracy of {accuracy.mean:.3f} (SD {accuracy.sd:.3f})."
    )


def _smallest(run: RunFolder) -> str:
    found = minimal_of(run, "linf")
    if not found:
        return ""
    middle = median(row.epsilon_8bit for row in found)
    told = "more than was tried" if middle == float("inf") else grey_levels(middle)
    return (
        f"In whole grey levels, the smallest change that makes the network wrong is {told} in the "
        f"median (L∞: the largest change of any value); a single grey level is enough for "
        f"{within(found, 1, bits='8')} of the attacked images."
    )


def _half_a_grey_level(run: RunFolder) -> str:
    found = minimal_of(run, "linf")
    if not found:
        return ""
    return (
        f"The paper's L∞ budget of 0.5 grey levels turns {within(found, 0.5, bits='float')} images "
        "in float; in 8 bits that budget allows no change at all, and the smallest that a reader "
        f"can be shown, 1 grey level, turns {within(found, 1, bits='8')}."
    )


def _few_pixels(run: RunFolder) -> str:
    found = minimal_of(run, "l0")
    if not found:
        return ""
    return (
        f"Changing no more than 20 % of the pixels turns {within(found, 0.2, bits='8')} images in "
        "8 bits (L₀)."
    )


def _universal(run: RunFolder) -> str:
    rows = run.rows("universal.csv", UniversalPoint)
    epsilon = telling_epsilon(rows)
    train, test = (universal_of(rows, split, epsilon) for split in ("train", "test"))
    if not train or not test:
        return ""
    least = min(row.epsilon for row in rows)
    at_least = universal_of(rows, "test", least)
    smaller = (
        f"; within {grey_levels(least)}, {ratio(at_least)} of the test images"
        if at_least and least < test.epsilon
        else ""
    )
    return (
        f"One perturbation for all images, within L∞ {grey_levels(test.epsilon)}, turns "
        f"{ratio(test)} of the unseen test images and {ratio(train)} of those that it was made "
        f"for{smaller}."
    )


def _natural(run: RunFolder) -> str:
    """Of the attack that turns most, with the least energy."""
    matched = match(run.rows("natural.csv", NaturalRow))
    if not matched:
        return ""
    attack = min(matched, key=lambda row: (-row.rate, row.l2_rmsd))
    told = (
        f"{readable(attack.change)} within {grey_levels(attack.level)} (RMS difference "
        f"{attack.l2_rmsd:.2g}) turns {percent(attack.rate)} of the images, and random noise as "
        f"strong {percent(attack.random_rate)}"
    )
    if attack.natural_rate is None:
        return f"{told}; no natural change that was tried has so much energy."
    worst = max(attack.natural, key=lambda peer: peer.rate)
    if worst.rate == 0:
        return f"{told}; natural changes of that energy, each at its mildest such level, turn none."
    return (
        f"{told}; natural changes of that energy or more, each at its mildest such level, turn "
        f"{percent(attack.natural_rate)} on average, the most harmful ({readable(worst.change)} "
        f"{style.plain(worst.level)}, RMS difference {worst.l2_rmsd:.2g}) {percent(worst.rate)}."
    )


def _features(run: RunFolder) -> str:
    shares = [
        row.neighbour_share
        for row in run.rows("embedding.csv", EmbeddingPoint)
        if row.group.startswith("adversarial") and row.neighbour_share is not None
    ]
    if not shares:
        return ""
    return (
        f"Among the features, {percent(fmean(shares))} of the nearest unperturbed patches of an "
        "adversarial image are of the class that the network gives it, not of its own."
    )


def _saliency(run: RunFolder) -> str:
    shares = mean_shares(run.rows("saliency.csv", SaliencyShare))
    told = next((part for part in shares if part[0] == "gradient"), None)
    if told is None:
        return ""
    _, before, after = told
    return (
        f"Of the gradient's saliency {percent(before)} lie inside tumour nuclei before the attack "
        f"and {percent(after)} after it."
    )


def _defence(run: RunFolder) -> str:
    rows = [
        row
        for row in run.rows("defence.csv", DefencePoint)
        if (row.norm, row.bits) == ("linf", "8")
    ]
    if not rows:
        return ""
    undefended = [row for row in rows if row.method == rows[0].method]
    fooled = [row for row in undefended if row.rate >= FOOLED]
    most = max(undefended, key=lambda row: row.rate)
    before = min(fooled, key=lambda row: row.epsilon, default=most)
    told = [
        f"{training_name(row.method)} takes it to {percent(row.rate)}, with an accuracy of "
        f"{percent(row.clean_accuracy)} on clean images"
        for row in rows
        if row.epsilon == before.epsilon and row.method != before.method
    ]
    if not told:
        return ""
    return (
        f"Within L∞ {grey_levels(before.epsilon)} the attack turns {percent(before.rate)} of the "
        f"undefended network's images (accuracy on clean ones {percent(before.clean_accuracy)}); "
        f"{'; '.join(told)}."
    )


def minimal_of(run: RunFolder, norm: str) -> list[MinimalEpsilon]:
    return [row for row in run.rows("minimal.csv", MinimalEpsilon) if row.norm == norm]


def within(rows: list[MinimalEpsilon], epsilon: float, *, bits: str) -> str:
    """How many images a perturbation within `epsilon` turns."""
    sizes = [row.epsilon_8bit if bits == "8" else row.epsilon_float for row in rows]
    count = sum(size <= epsilon * (1 + style.TOLERANCE) for size in sizes)
    return f"{count} of {len(rows)} ({percent(count / len(rows))})"
