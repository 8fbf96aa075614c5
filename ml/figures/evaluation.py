"""Table 1a and what stands behind it: scores of the folds, ROC curves, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ml.evaluation import CalibrationBin, wilson
from ml.figures import style
from ml.figures.rows import FoldScore, RocPoint
from ml.figures.run_folder import in_order


@dataclass(frozen=True)
class MeanAndSd:
    """Over all folds of all runs; the standard deviation is that of a sample, 0 for one fold."""

    mean: float
    sd: float


PAPER_AUC, PAPER_ACCURACY = MeanAndSd(0.96, 0.004), MeanAndSd(0.89, 0.014)


def mean_and_sd(values: Sequence[float]) -> MeanAndSd:
    return MeanAndSd(fmean(values), stdev(values) if len(values) > 1 else 0.0)


def draw_table1a(rows: Sequence[FoldScore]) -> Figure:
    """Every fold as a point, our mean and standard deviation, and the paper's beside them."""
    figure = style.new_figure(height=2.0)
    panels = figure.subplots(1, 2)
    scores = {
        "Accuracy": ([row.accuracy for row in rows], PAPER_ACCURACY),
        "AUC-ROC": ([row.auc for row in rows], PAPER_AUC),
    }
    for axes, (name, (values, papers)) in zip(panels, scores.items(), strict=True):
        _draw_scores(axes, name, values, papers)
    return figure


def _draw_scores(axes: Axes, name: str, values: Sequence[float], papers: MeanAndSd) -> None:
    ours = mean_and_sd(values)
    axes.plot(
        values,
        _spread(len(values)),
        linestyle="none",
        marker="o",
        markersize=3.5,
        markerfacecolor="none",
        color=style.SKY,
        label="one fold",
    )
    looks = ((ours, 1.0, style.BLUE, "s"), (papers, 0.0, style.VERMILLION, "D"))
    for scores, y, colour, marker in looks:
        axes.errorbar(scores.mean, y, xerr=scores.sd, color=colour, marker=marker, capsize=3)
    axes.set_title(name)
    axes.set_yticks(
        [2, 1, 0],
        ["each fold", f"this run: {told(ours)}", f"the paper: {told(papers)}"],
    )
    axes.set_ylim(-0.6, 2.6)
    axes.grid(axis="y", visible=False)


def told(scores: MeanAndSd) -> str:
    return f"{scores.mean:.3f} (SD {scores.sd:.3f})"


def _spread(count: int) -> list[float]:
    """Heights around 2, so that equal folds are seen apart."""
    return [2 + 0.3 * ((i % 5) - 2) / 2 for i in range(count)]


def draw_roc(rows: Sequence[RocPoint], scores: Sequence[FoldScore]) -> Figure:
    """One thin curve a fold and their mean at each false-positive rate."""
    figure = style.new_figure(style.HALF_WIDTH, 3.2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.8, linestyle=":", label="chance")
    grid = np.linspace(0, 1, 201)
    curves = []
    folds = in_order([(row.run, row.fold) for row in rows])
    for i, fold in enumerate(folds):
        points = [row for row in rows if (row.run, row.fold) == fold]
        x = [row.false_positive_rate for row in points]
        y = [row.true_positive_rate for row in points]
        curves.append(np.interp(grid, x, y))
        label = f"{len(folds)} fold{'s' if len(folds) > 1 else ''}" if i == 0 else None
        axes.plot(x, y, color=style.SKY, linewidth=0.6, alpha=0.7, label=label)
    auc = f", AUC {told(mean_and_sd([row.auc for row in scores]))}" if scores else ""
    if curves:
        mean = np.mean(curves, axis=0)
        axes.plot(grid, mean, color=style.BLUE, linewidth=1.8, label=f"mean{auc}")
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return figure


def draw_calibration(rows: Sequence[CalibrationBin]) -> Figure:
    """Reliability: in each bin of probability, the share that has a tumour; and how many are."""
    figure = style.new_figure(style.HALF_WIDTH, 3.6)
    axes, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.8, linestyle=":", label="calibrated")
    known = filled_bins(rows)
    bounds = [wilson(round(share * n), n) for n, _, share in known]
    axes.errorbar(
        [p for _, p, _ in known],
        [share for _, _, share in known],
        yerr=[
            [max(share - low, 0) for (_, _, share), (low, _) in zip(known, bounds, strict=True)],
            [max(high - share, 0) for (_, _, share), (_, high) in zip(known, bounds, strict=True)],
        ],
        color=style.BLUE,
        marker="o",
        elinewidth=0.8,
        label="this run",
    )
    axes.set_ylabel("share with tumour")
    axes.set_ylim(-0.03, 1.03)
    axes.legend(loc="upper left")
    counts.bar(
        [(row.low + row.high) / 2 for row in rows],
        [row.n for row in rows],
        [(row.high - row.low) * 0.9 for row in rows],
        color=style.SKY,
    )
    counts.set_ylabel("patches")
    counts.set_xlabel("the network's probability of tumour")
    counts.set_xlim(-0.02, 1.02)
    return figure


def filled_bins(rows: Sequence[CalibrationBin]) -> list[tuple[int, float, float]]:
    """(patches, mean probability, share with tumour) of the bins that are not empty."""
    return [
        (row.n, row.mean_p, row.share_positive)
        for row in rows
        if row.n and row.mean_p is not None and row.share_positive is not None
    ]
