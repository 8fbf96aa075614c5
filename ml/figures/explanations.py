"""Fig. 2: where attacked images lie among the features, and the valley that training went down."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from ml.figures import style
from ml.figures.pictures import method_name
from ml.figures.rows import EmbeddingPoint, LandscapePoint, SaliencyShare, TrajectoryPoint
from ml.figures.run_folder import in_order

GROUPS = {
    "true_positive": ("true positives", style.BLUE, "o", True),
    "true_negative": ("true negatives", style.ORANGE, "s", True),
    "adversarial_positive": ("adversarial positives", style.BLUE, "^", False),
    "adversarial_negative": ("adversarial negatives", style.VERMILLION, "v", False),
}
"""Label, colour, marker, and whether the marker is filled."""


def draw_embedding(rows: Sequence[EmbeddingPoint]) -> Figure:
    """Fig. 2a: unperturbed images are filled, perturbed ones open; the track is a line."""
    figure = style.new_figure(style.HALF_WIDTH, 4.0)
    axes = figure.subplots()
    for group, (label, colour, marker, filled) in GROUPS.items():
        points = [row for row in rows if row.group == group]
        if not points:
            continue
        axes.plot(
            [row.x for row in points],
            [row.y for row in points],
            linestyle="none",
            marker=marker,
            color=colour,
            markerfacecolor=colour if filled else "white",
            markeredgewidth=0.8,
            alpha=0.85,
            label=f"{label} ({len(points)})",
        )
    _draw_track(figure, rows)
    axes.set_xlabel("UMAP 1")
    axes.set_ylabel("UMAP 2")
    figure.legend(loc="outside lower left", ncols=2, columnspacing=1, handletextpad=0.3)
    return figure


def _draw_track(figure: Figure, rows: Sequence[EmbeddingPoint]) -> None:
    axes = figure.axes[0]
    points = sorted((row for row in rows if row.group == "track"), key=lambda row: row.step or 0)
    if not points:
        return
    x, y = [row.x for row in points], [row.y for row in points]
    label = f"one image's track ({len(points) - 1} steps)"
    axes.plot(x, y, color=style.BLACK, marker=".", linewidth=1, label=label)
    for end, name in ((0, "start"), (-1, "end")):
        axes.annotate(
            name,
            (x[end], y[end]),
            (5, 5),
            textcoords="offset points",
            fontsize=7,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
        )


def neighbour_shares(rows: Sequence[EmbeddingPoint]) -> dict[str, float]:
    """A group's mean share of nearest neighbours, as embedding.csv tells it of each image."""
    shares: dict[str, list[float]] = {}
    for row in rows:
        if row.neighbour_share is not None:
            shares.setdefault(row.group, []).append(row.neighbour_share)
    return {group: fmean(values) for group, values in shares.items()}


def draw_landscape(rows: Sequence[LandscapePoint], trajectory: Sequence[TrajectoryPoint]) -> Figure:
    """Fig. 2b: the loss over the plane of the two main directions of training."""
    figure = style.new_figure(style.HALF_WIDTH, 3.2)
    axes = figure.subplots()
    x, y, loss = grid_of(rows)
    finite = loss[np.isfinite(loss)]
    lowest, highest = float(finite.min()), float(finite.max())
    decades = lowest > 0 and highest / lowest > 10
    highest = max(highest, lowest * (1 + 1e-6) + 1e-9)
    levels = (np.geomspace if decades else np.linspace)(lowest, highest, 15)
    scale = LogNorm(lowest, highest) if decades else Normalize(lowest, highest)
    surface = axes.contourf(x, y, loss, levels=levels, norm=scale, cmap="cividis")
    axes.contour(x, y, loss, levels=levels, colors=["white"], linewidths=0.3, alpha=0.6)
    steps = sorted(trajectory, key=lambda row: row.epoch)
    if steps:
        axes.plot(
            [row.x for row in steps],
            [row.y for row in steps],
            color=style.VERMILLION,
            marker="o",
            markersize=3,
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
        for step in (steps[0], steps[-1]):
            axes.annotate(
                f"epoch {step.epoch}",
                (step.x, step.y),
                (5, 5),
                textcoords="offset points",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
            )
    axes.grid(False)
    axes.set_xlabel("first principal direction of the weights")
    axes.set_ylabel("second principal direction")
    bar = figure.colorbar(
        surface, ax=axes, format=lambda value, _: style.plain(float(f"{value:.2g}"))
    )
    bar.set_label("loss")
    return figure


def grid_of(
    rows: Sequence[LandscapePoint],
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.float64]],
    np.ndarray[tuple[int], np.dtype[np.float64]],
    np.ndarray[tuple[int, int], np.dtype[np.float64]],
]:
    """The values of x, those of y, and the loss as (y, x); nan where the table has no point."""
    x, y = (np.unique([getattr(row, name) for row in rows]) for name in ("x", "y"))
    loss = np.full((len(y), len(x)), np.nan)
    for row in rows:
        loss[np.searchsorted(y, row.y), np.searchsorted(x, row.x)] = row.loss
    return x, y, loss


def draw_shares(rows: Sequence[SaliencyShare]) -> Figure:
    """The share of saliency inside tumour nuclei, before and after, a line an image."""
    methods = in_order([row.method for row in rows])
    figure = style.new_figure(height=2.6)
    panels = figure.subplots(1, len(methods), sharey=True, squeeze=False)[0]
    for axes, method in zip(panels, methods, strict=True):
        pairs = share_pairs(rows, method)
        for before, after in pairs:
            axes.plot([0, 1], [before, after], color=style.GREY, linewidth=0.4, alpha=0.5)
        if pairs:
            means = [fmean(pair[side] for pair in pairs) for side in (0, 1)]
            label = f"mean of {len(pairs)}"
            axes.plot([0, 1], means, color=style.VERMILLION, marker="o", linewidth=2, label=label)
            axes.legend(loc="upper right")
        areas = [row.mask_share for row in rows if row.method == method and row.mask_share]
        if areas:
            axes.axhline(fmean(areas), color=style.BLUE, linestyle=":", linewidth=1)
        style.share_axis(axes, "saliency in tumour nuclei")
        axes.set_xticks([0, 1], ["before", "after"])
        axes.set_xlim(-0.3, 1.3)
        axes.set_title(method_name(method))
    for axes in panels[1:]:
        axes.set_ylabel("")
    return figure


def share_pairs(rows: Sequence[SaliencyShare], method: str) -> list[tuple[float, float]]:
    """Before and after, of the images where both are known."""
    return [
        (row.share_before, row.share_after)
        for row in rows
        if row.method == method and row.share_before is not None and row.share_after is not None
    ]


def mean_shares(rows: Sequence[SaliencyShare]) -> list[tuple[str, float, float]]:
    """(method, mean before, mean after) of the methods that have such images."""
    found = []
    for method in in_order([row.method for row in rows]):
        pairs = share_pairs(rows, method)
        if pairs:
            before, after = (fmean(pair[side] for pair in pairs) for side in (0, 1))
            found.append((method, before, after))
    return found
