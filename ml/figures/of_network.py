"""Figures of what the network is: how well it tells tumour, and what it sees; with their words."""

from ml.evaluation import CalibrationBin, expected_calibration_error
from ml.figures import arrays, evaluation, explanations, pictures, rows
from ml.figures.plan import Drawing
from ml.figures.run_folder import RunFolder
from ml.figures.words import embedding_words, paired_words, percent


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


def embedding(run: RunFolder) -> Drawing | None:
    points = run.rows("embedding.csv", rows.EmbeddingPoint)
    if not points:
        return None
    told = embedding_words(points)
    return Drawing(
        explanations.draw_embedding(points),
        "UMAP of the penultimate layer. True positives (negatives) are unperturbed images "
        "classified so; adversarial positives (negatives) are perturbed images classified so. The "
        f"track is one image's way through the attack, a point a step. {told}".strip(),
        f"Scatter plot of features in two dimensions. {told}".strip(),
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
        f"training's way over it.{way} {_plane(run)}".strip(),
        f"Contour plot of the loss with the training's trajectory of {len(ways)} epochs.{way}",
    )


def _plane(run: RunFolder) -> str:
    """How much of the training the plane holds, and what was done about batch norm."""
    facts = run.facts("landscape.json")
    explained = facts.get("variance_explained")
    told = f"The plane holds {percent(sum(explained))} of the variance. " if explained else ""
    return told + str(facts.get("batch_norm", ""))


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
    tests = run.facts("saliency.json").get("before_and_after") or {}
    told = [
        f"{pictures.method_name(method)}: {percent(before)} before, {percent(after)} after"
        f"{paired_words(tests.get(method))}"
        for method, before, after in explanations.mean_shares(found)
    ]
    if not told:
        return None
    return Drawing(
        explanations.draw_shares(found),
        "The share of saliency that lies inside tumour nuclei, a line an image, and the mean. The "
        "dotted line is the share of the pixels that are tumour nuclei: what chance would give. "
        f"Means: {'; '.join(told)}.",
        f"Mean share of saliency in tumour nuclei. {'; '.join(told)}.",
    )
