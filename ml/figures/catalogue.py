"""Every figure: which step and files it is of, how it is drawn, and what is told beside it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ml.evaluation import CalibrationBin, expected_calibration_error
from ml.figures import arrays, curves, evaluation, explanations, pictures, robustness, rows, style
from ml.figures.run_folder import RunFolder
from ml.figures.words import (
    curve_words,
    embedding_words,
    grey_levels,
    percent,
    ratio,
    telling_epsilon,
    universal_words,
)


@dataclass(frozen=True)
class Drawing:
    """`alt` tells somebody who cannot see the figure what it shows, with its main numbers."""

    figure: Figure
    caption: str
    alt: str


@dataclass(frozen=True)
class Plan:
    """`draw` gives None where the files hold nothing to draw."""

    name: str
    title: str
    step: str
    tables: tuple[str, ...]
    draw: Callable[[RunFolder], Drawing | None]


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


def embedding(run: RunFolder) -> Drawing | None:
    points = run.rows("embedding.csv", rows.EmbeddingPoint)
    if not points:
        return None
    return Drawing(
        explanations.draw_embedding(points),
        "UMAP of the penultimate layer. True positives (negatives) are unperturbed images "
        "classified so; adversarial positives (negatives) are perturbed images classified so. The "
        "track is one image's way through the attack, a point a step.",
        f"Scatter plot of features in two dimensions. {embedding_words(points)}",
    )


def landscape(run: RunFolder) -> Drawing | None:
    points = run.rows("landscape.csv", rows.LandscapePoint)
    steps = run.rows("trajectory.csv", rows.TrajectoryPoint)
    if not points:
        return None
    ways = sorted(steps, key=lambda step: step.epoch)
    way = f" The loss goes from {ways[0].loss:.3g} to {ways[-1].loss:.3g}." if ways else ""
    return Drawing(
        explanations.draw_landscape(points, steps),
        "The loss on the plane of the two main directions in which the weights moved, and the "
        f"training's way over it.{way}",
        f"Contour plot of the loss with the training's trajectory of {len(ways)} epochs.{way}",
    )


def saliency(run: RunFolder) -> Drawing | None:
    found = arrays.read_saliency(run)
    methods = list(found[0].maps) if found else []
    if not methods:
        return None
    method = "gradient" if "gradient" in methods else methods[0]
    return Drawing(
        pictures.draw_saliency(found, method),
        f"Original, perturbed, the perturbation {pictures.TIMES} times as strong around mid grey, "
        f"and the saliency map ({pictures.method_name(method)}) before and after. Tumour nuclei "
        "are outlined in blue where they are known. Each map is scaled to its own 99th percentile.",
        f"{len(found)} rows of five pictures: the two patches look alike, the saliency maps can be "
        "compared before and after the attack.",
    )


def shares(run: RunFolder) -> Drawing | None:
    found = run.rows("saliency.csv", rows.SaliencyShare)
    told = [
        f"{pictures.method_name(method)}: {percent(before)} before, {percent(after)} after"
        for method, before, after in explanations.mean_shares(found)
    ]
    if not told:
        return None
    return Drawing(
        explanations.draw_shares(found),
        "The share of saliency that lies inside tumour nuclei, a line an image, and the mean. The "
        "dotted line is the share of the pixels that are tumour nuclei: what chance would give.",
        f"Mean share of saliency in tumour nuclei. {'; '.join(told)}.",
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
        "One perturbation for all images: the share of correctly classified images that it turns, "
        f"with Wilson's 95 % intervals.{shown}",
        f"Success rate of the universal perturbation against epsilon. {universal_words(points)}",
    )


def table1a(run: RunFolder) -> Drawing | None:
    scores = run.rows("table1a.csv", rows.FoldScore)
    if not scores:
        return None
    accuracy = evaluation.mean_and_sd([row.accuracy for row in scores])
    auc = evaluation.mean_and_sd([row.auc for row in scores])
    return Drawing(
        evaluation.draw_table1a(scores),
        "Accuracy and AUC-ROC of every held-out fold, their mean and standard deviation, and the "
        "paper's.",
        f"Accuracy {evaluation.told(accuracy)}, the paper's "
        f"{evaluation.told(evaluation.PAPER_ACCURACY)}; AUC {evaluation.told(auc)}, the paper's "
        f"{evaluation.told(evaluation.PAPER_AUC)}.",
    )


def roc(run: RunFolder) -> Drawing | None:
    points = run.rows("roc.csv", rows.RocPoint)
    if not points:
        return None
    return Drawing(
        evaluation.draw_roc(points, run.rows("table1a.csv", rows.FoldScore)),
        "ROC curve of every held-out fold, and their mean at each false-positive rate.",
        "ROC curves, one for each fold, with their mean.",
    )


def calibration(run: RunFolder) -> Drawing | None:
    bins = run.rows("calibration.csv", CalibrationBin)
    if not bins:
        return None
    error = f"{expected_calibration_error(bins):.3f}"
    return Drawing(
        evaluation.draw_calibration(bins),
        f"Reliability of the held-out predictions of all runs together; their expected calibration "
        f"error is {error}.",
        f"Reliability diagram with an expected calibration error of {error}.",
    )


def natural(run: RunFolder) -> Drawing | None:
    points = run.rows("natural.csv", rows.NaturalPoint)
    if not points:
        return None
    most = max(points, key=lambda row: (not robustness.is_adversarial(row), row.rate))
    return Drawing(
        robustness.draw_natural(points),
        "Share of correctly classified images that change class, against the energy of the change. "
        "The attack (black) stands on the same axis as changes that nobody makes on purpose.",
        f"Of the natural changes, {robustness.readable(most.change)} changes most: {ratio(most)} "
        f"at a mean RMS difference of {most.l2_rmsd:.3g} grey levels.",
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
        "The same perturbed images shown to networks that the attack did not know.",
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


PLANS = (
    Plan("table1a", "Table 1a. Cross-validation", "crossval", ("table1a.csv",), table1a),
    Plan("roc", "ROC curves", "crossval", ("roc.csv",), roc),
    Plan("calibration", "Calibration", "crossval", ("calibration.csv",), calibration),
    Plan("fig1-examples", "Fig. 1. Examples", "curves", ("examples.npz",), examples),
    Plan("fig2a-embedding", "Fig. 2a. Features", "embedding", ("embedding.csv",), embedding),
    Plan(
        "fig2b-landscape",
        "Fig. 2b. Loss landscape",
        "landscape",
        ("landscape.csv", "trajectory.csv"),
        landscape,
    ),
    Plan("fig3-saliency", "Fig. 3. Saliency", "saliency", ("saliency.npz",), saliency),
    Plan("saliency-shares", "Saliency in tumour nuclei", "saliency", ("saliency.csv",), shares),
    Plan("fig4-curves", "Fig. 4. Success rate", "curves", ("curves.csv",), success_curves),
    Plan("minimal", "Smallest perturbations", "curves", ("minimal.csv",), minimal),
    Plan(
        "fig5-universal",
        "Fig. 5. One perturbation for all",
        "universal",
        ("universal.csv", "universal.npz"),
        universal,
    ),
    Plan("natural", "Natural changes", "natural", ("natural.csv",), natural),
    Plan("baselines", "Other attacks", "baselines", ("baselines.csv",), baselines),
    Plan("transfer", "Other networks", "baselines", ("transfer.csv",), transfer),
    Plan("defence", "Defence", "defence", ("defence.csv",), defence),
)
