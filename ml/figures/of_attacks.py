"""Figures of what fools the network, and what does not; with their words."""

from ml.figures import arrays, curves, pictures, robustness, rows, style
from ml.figures.plan import Drawing
from ml.figures.run_folder import RunFolder, in_order
from ml.figures.words import (
    curve_words,
    grey_levels,
    percent,
    ratio,
    telling_epsilon,
    universal_words,
)
from ml.matched_energy import NaturalRow


def examples(run: RunFolder) -> Drawing | None:
    found = arrays.read_examples(run)
    if not found:
        return None
    verdicts = "; ".join(
        f"{pictures.verdict(e.p_original)} before, {pictures.verdict(e.p_perturbed)} after"
        for e in found
        if e.p_original is not None
    )
    return Drawing(
        pictures.draw_examples(found),
        "Correctly classified patches and their misclassified perturbed versions, in 8 bits; under "
        "each the network's class and its probability of that class.",
        f"{len(found)} pairs of patches that look alike. {verdicts}".strip(),
    )


def success_curves(run: RunFolder) -> Drawing | None:
    points = run.rows("curves.csv", rows.CurvePoint)
    if not points:
        return None
    return Drawing(
        curves.draw_curves(points),
        "Share of the attacked images that are misclassified within each budget, with Wilson's 95 "
        "% intervals. Lines are from each image's minimal perturbation, diamonds from PGD at that "
        "one budget on a sample.",
        f"Success rate against epsilon, one panel a norm. {curve_words(points)}",
    )


def minimal(run: RunFolder) -> Drawing | None:
    found = run.rows("minimal.csv", rows.MinimalEpsilon)
    if not found:
        return None
    return Drawing(
        curves.draw_minimal(found),
        "The smallest perturbation found for each image, in float and as whole grey levels.",
        "Histograms of the smallest perturbation of each image, one panel a norm.",
    )


def universal(run: RunFolder) -> Drawing | None:
    points = run.rows("universal.csv", rows.UniversalPoint)
    if not points:
        return None
    epsilon = telling_epsilon(points)
    perturbation = arrays.universal_perturbation(run, epsilon)
    shown = ""
    if epsilon is not None and perturbation is not None:
        shown = f" Shown is the one within {grey_levels(epsilon)}."
    example = None if perturbation is None else arrays.original_of(run, perturbation.shape)
    return Drawing(
        pictures.draw_universal(points, perturbation, example),
        "One perturbation for all images, in 8 bits: how many of the training images it was found "
        "on are misclassified with it, and how many of the test images that were classified "
        f"correctly, with Wilson's 95 % intervals.{shown}",
        f"Success rate of the universal perturbation against epsilon. {universal_words(points)}",
    )


def natural(run: RunFolder) -> Drawing | None:
    points = run.rows("natural.csv", NaturalRow)
    if not points:
        return None
    told = []
    for change in in_order([row.change for row in points]):
        most = max((row for row in points if row.change == change), key=lambda row: row.rate)
        told.append(
            f"{robustness.readable(change)} at most {percent(most.rate)}, at a mean RMS difference "
            f"of {most.l2_rmsd:.2g}"
        )
    return Drawing(
        robustness.draw_natural(points),
        "Share of correctly classified images that change class, against the energy of the change, "
        "with Wilson's 95 % intervals. The attack (black) and noise as strong (grey) stand on the "
        "same axis as changes that nobody makes on purpose.",
        f"Share of images whose class changes. {'; '.join(told)}.",
    )


def baselines(run: RunFolder) -> Drawing | None:
    points = run.rows("baselines.csv", rows.BaselinePoint)
    if not points:
        return None
    told = "; ".join(
        f"{robustness.readable(row.attack)} within {style.norm_name(row.norm)} "
        f"{style.plain(row.epsilon)}: {ratio(row)}"
        for row in points
    )
    return Drawing(
        robustness.draw_baselines(points),
        "Other attacks and random noise within the same budgets, with Wilson's 95 % intervals.",
        f"Success rate by attack. {told}.",
    )


def transfer(run: RunFolder) -> Drawing | None:
    points = run.rows("transfer.csv", rows.TransferPoint)
    if not points:
        return None
    told = "; ".join(f"{robustness.network_name(row)}: {ratio(row)}" for row in points)
    return Drawing(
        robustness.draw_transfer(points),
        "The images that PGD perturbed, shown to each network of the run; the one attacked "
        "may be among them.",
        f"Success rate by network. {told}.",
    )


def defence(run: RunFolder) -> Drawing | None:
    points = run.rows("defence.csv", rows.DefencePoint)
    if not points:
        return None
    told = "; ".join(
        f"{robustness.training_name(row.method)}: accuracy {percent(row.clean_accuracy)} clean, "
        f"{percent(row.robust_accuracy)} within {style.norm_name(row.norm)} "
        f"{style.plain(row.epsilon)}"
        for row in points
        if row.norm == "linf" and row.bits == "8"
    )
    return Drawing(
        robustness.draw_defence(points),
        "The same attack on the network as the paper trains it and on networks trained on attacked "
        "images, in 8 bits; on the right what that costs on clean images.",
        f"Curves before and after the defence. {told}.",
    )
