"""Fig. 4: how often the attack succeeds within a budget; and how small a perturbation does."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ml.figures import style
from ml.figures.rows import CurvePoint, MinimalEpsilon, Proportion

NORMS = ("l0", "l1", "l2", "linf")


def band(
    axes: Axes,
    epsilons: Sequence[float],
    points: Sequence[Proportion],
    *,
    colour: str,
    dash: str = "-",
    marker: str = "o",
    label: str,
) -> None:
    """A line of rates with the interval of Wilson around it."""
    axes.fill_between(
        epsilons,
        [point.low for point in points],
        [point.high for point in points],
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
    axes.plot(
        epsilons,
        [point.rate for point in points],
        color=colour,
        linestyle=dash,
        marker=marker,
        label=label,
    )


def draw_curves(rows: Sequence[CurvePoint]) -> Figure:
    """One panel a norm: 8 bits as line, float dashed, PGD at every epsilon as points."""
    norms = [norm for norm in NORMS if any(row.norm == norm for row in rows)]
    figure = style.new_figure(height=2.7)
    panels = figure.subplots(1, len(norms), sharey=True, squeeze=False)[0]
    for axes, norm in zip(panels, norms, strict=True):
        _draw_panel(axes, norm, [row for row in rows if row.norm == norm])
    for axes in panels[1:]:
        axes.set_ylabel("")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_panel(axes: Axes, norm: str, rows: Sequence[CurvePoint]) -> None:
    style.share_axis(axes)
    style.epsilon_axis(axes, [row.epsilon for row in rows], as_share=norm == "l0")
    axes.set_title(style.norm_name(norm))
    axes.set_xlabel(style.norm_unit(norm))
    looks = {
        "float": (style.VERMILLION, "--", "^", "in float, before rounding"),
        "8": (style.BLUE, "-", "o", "8-bit images"),
    }
    for bits, (colour, dash, marker, label) in looks.items():
        line = _points(rows, "minimal", bits)
        if line:
            epsilons = [row.epsilon for row in line]
            band(axes, epsilons, line, colour=colour, dash=dash, marker=marker, label=label)
        _draw_checks(axes, _points(rows, "pgd", bits), colour, bits)
    if norm == "linf":
        _mark_where_8_bits_forbid(axes)


def _points(rows: Sequence[CurvePoint], method: str, bits: str) -> list[CurvePoint]:
    chosen = [row for row in rows if (row.method, row.bits) == (method, bits)]
    return sorted(chosen, key=lambda row: row.epsilon)


def _draw_checks(axes: Axes, rows: Sequence[CurvePoint], colour: str, bits: str) -> None:
    if not rows:
        return
    axes.plot(
        [row.epsilon for row in rows],
        [row.rate for row in rows],
        linestyle="none",
        marker="D",
        markersize=5,
        markerfacecolor="none",
        color=colour,
        label=f"PGD check, {'float' if bits == 'float' else '8-bit'}",
        zorder=3,
    )


def _mark_where_8_bits_forbid(axes: Axes) -> None:
    """Below one grey level no whole number but 0 is within Linf."""
    left, right = axes.get_xlim()
    if left >= 1:
        return
    axes.axvspan(
        left,
        1,
        facecolor="white",
        edgecolor=style.LINE,
        hatch="////",
        linewidth=0,
        zorder=0,
        label="8 bits allow no change",
    )
    axes.set_xlim(left, right)


def draw_minimal(rows: Sequence[MinimalEpsilon]) -> Figure:
    """The smallest perturbation of each image, one panel a norm."""
    norms = [norm for norm in NORMS if any(row.norm == norm for row in rows)]
    figure = style.new_figure(height=2.5)
    panels = figure.subplots(1, len(norms), squeeze=False)[0]
    for axes, norm in zip(panels, norms, strict=True):
        _draw_histogram(axes, norm, [row for row in rows if row.norm == norm])
    panels[0].set_ylabel("images")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_histogram(axes: Axes, norm: str, rows: Sequence[MinimalEpsilon]) -> None:
    as_share = norm == "l0"
    in_float = np.array([row.epsilon_float for row in rows])
    in_8_bits = np.array([row.epsilon_8bit for row in rows])
    found = np.concatenate([in_float[np.isfinite(in_float)], in_8_bits[np.isfinite(in_8_bits)]])
    found = found[found > 0]
    axes.set_title(style.norm_name(norm))
    axes.set_xlabel(style.norm_unit(norm))
    if found.size:
        style.epsilon_axis(axes, list(found), as_share=as_share)
        edges = _edges(found, logarithmic=axes.get_xscale() == "log")
        kept = in_8_bits[np.isfinite(in_8_bits)]
        axes.hist(kept, edges, color=style.BLUE, alpha=0.75, label="8-bit images")
        axes.hist(
            in_float[np.isfinite(in_float)],
            edges,
            histtype="step",
            color=style.VERMILLION,
            linestyle="--",
            linewidth=1.2,
            label="in float, before rounding",
        )
    median = float(np.median(in_8_bits)) if in_8_bits.size else np.inf
    told = (
        "median not found"
        if np.isinf(median)
        else f"median {style.plain(median, as_share=as_share)}"
    )
    missing = int(np.isinf(in_8_bits).sum())
    told += f"\n{missing} of {len(rows)} not found" if missing else ""
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(top=1.3 * axes.get_ylim()[1])
    axes.text(0.98, 0.98, told, transform=axes.transAxes, ha="right", va="top", fontsize=6.5)


def _edges(
    found: np.ndarray[tuple[int], np.dtype[np.float64]], *, logarithmic: bool
) -> list[float]:
    """Twelve bins that hold every value, the largest too."""
    smallest, largest = float(found.min()) * 0.98, float(found.max()) * 1.02
    space = np.geomspace if logarithmic else np.linspace
    return [float(edge) for edge in space(smallest, largest, 13)]
