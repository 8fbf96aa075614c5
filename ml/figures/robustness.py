"""Beside the attack: natural changes, other attacks, other networks, and the defence."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ml.figures import style
from ml.figures.curves import NORMS, band
from ml.figures.rows import (
    BaselinePoint,
    DefencePoint,
    Proportion,
    TransferPoint,
)
from ml.figures.run_folder import in_order
from ml.matched_energy import ATTACK, RANDOM, NaturalRow

Point = TypeVar("Point", BaselinePoint, TransferPoint)


def draw_natural(rows: Sequence[NaturalRow]) -> Figure:
    """Share changed against energy; attacks, and noise as strong, stand on the same axis."""
    figure = style.new_figure(height=3.6)
    axes = figure.subplots()
    changes = in_order([row.change for row in rows])
    natural = [change for change in changes if not change.startswith((ATTACK, RANDOM))]
    for change in changes:
        line = sorted((r for r in rows if r.change == change), key=lambda row: row.l2_rmsd)
        look = _natural_look(natural.index(change)) if change in natural else _attack_look(change)
        energies, rates = [row.l2_rmsd for row in line], [row.rate for row in line]
        bounds = [row.low for row in line], [row.high for row in line]
        axes.vlines(energies, *bounds, look["color"], linewidth=0.6, alpha=0.4)
        axes.plot(energies, rates, label=readable(change), **look)
    style.share_axis(axes, "share of images whose class changes")
    style.epsilon_axis(axes, [row.l2_rmsd for row in rows])
    axes.set_xlabel("energy of the change: RMS difference (grey levels)")
    figure.legend(loc="outside right upper")
    return figure


def _natural_look(i: int) -> dict[str, Any]:
    return {
        "color": style.COLOURS[i % len(style.COLOURS)],
        "marker": style.MARKERS[i % len(style.MARKERS)],
        "linestyle": style.DASHES[i // len(style.COLOURS) % len(style.DASHES)],
        "linewidth": 1.0,
    }


def _attack_look(change: str) -> dict[str, Any]:
    """Attacks in black, noise in grey; full lines for Linf, dashed ones for L2."""
    is_attack, is_linf = change.startswith(ATTACK), change.endswith("linf")
    return {
        "color": style.BLACK if is_attack else style.GREY,
        "marker": "*" if is_linf else "X",
        "markersize": 7 if is_attack else 5,
        "linestyle": "-" if is_linf else "--",
        "linewidth": 2.2 if is_attack else 1.2,
    }


def readable(name: str) -> str:
    for norm in NORMS:
        name = name.replace(norm, style.norm_name(norm))
    name = name.replace("random_as_", "noise as strong as ")
    return name.replace("_", " ").replace("pgd", "PGD").replace("jpeg", "JPEG")


def draw_baselines(rows: Sequence[BaselinePoint]) -> Figure:
    """A dot an attack and epsilon, one panel a norm."""
    return _dots(rows, lambda row: readable(row.attack))


def draw_transfer(rows: Sequence[TransferPoint]) -> Figure:
    """The same perturbed images, shown to other networks."""
    return _dots(rows, network_name)


def network_name(row: TransferPoint) -> str:
    """With whether it was trained on the very images, where that is known."""
    seen = {"yes": ", trained on these", "no": "", "unknown": ", other data"}
    return readable(row.network) + seen.get(row.seen or "no", "")


def _dots(rows: Sequence[Point], name: Callable[[Point], str]) -> Figure:
    norms = [norm for norm in NORMS if any(row.norm == norm for row in rows)]
    names = in_order([name(row) for row in rows])
    figure = style.new_figure(height=1.0 + 0.24 * len(names))
    panels = figure.subplots(1, len(norms), sharey=True, squeeze=False)[0]
    for axes, norm in zip(panels, norms, strict=True):
        chosen = [row for row in rows if row.norm == norm]
        for i, epsilon in enumerate(sorted({row.epsilon for row in chosen})):
            points = [row for row in chosen if row.epsilon == epsilon]
            offset = 0.22 * (i - 1)
            heights = [names.index(name(row)) + offset for row in points]
            label = f"{style.norm_name(norm)} {style.plain(epsilon)}"
            in_float = any(getattr(row, "bits", "8") == "float" for row in points)
            _draw_dots(axes, points, heights, i, f"{label} (float)" if in_float else label)
        axes.set_title(style.norm_name(norm))
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.set_xlabel("success rate")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    figure.legend(title="budget in grey levels", title_fontsize=7, loc="outside right upper")
    return figure


def _draw_dots(
    axes: Axes, rows: Sequence[Proportion], heights: Sequence[float], i: int, label: str
) -> None:
    rates = np.array([row.rate for row in rows])
    axes.errorbar(
        rates,
        heights,
        xerr=[rates - [row.low for row in rows], [row.high for row in rows] - rates],
        linestyle="none",
        marker=style.MARKERS[i % len(style.MARKERS)],
        color=style.COLOURS[i % len(style.COLOURS)],
        elinewidth=0.7,
        label=label,
    )


def draw_defence(rows: Sequence[DefencePoint]) -> Figure:
    """Curves of each training in 8 bits, then what each training costs on clean images."""
    shown = [row for row in rows if row.bits == "8"] or list(rows)
    norms = [norm for norm in NORMS if any(row.norm == norm for row in shown)]
    methods = in_order([row.method for row in rows])
    columns = min(3, len(norms) + 1)
    lines = -(-(len(norms) + 1) // columns)
    figure = style.new_figure(height=2.5 * lines + 0.4)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[len(norms) + 1 :]:
        style.bare(axes)
    for axes, norm in zip(panels, norms, strict=False):
        for i, method in enumerate(methods):
            line = [row for row in shown if (row.norm, row.method) == (norm, method)]
            line.sort(key=lambda row: row.epsilon)
            band(
                axes,
                [row.epsilon for row in line],
                line,
                colour=style.COLOURS[i],
                marker=style.MARKERS[i],
                dash=style.DASHES[i % len(style.DASHES)],
                label=training_name(method),
            )
        style.share_axis(axes, "attack success rate")
        epsilons = [row.epsilon for row in shown if row.norm == norm]
        style.epsilon_axis(axes, epsilons, as_share=norm == "l0")
        axes.set_title(style.norm_name(norm))
        axes.set_xlabel(style.norm_unit(norm))
    _draw_accuracies(panels[len(norms)], shown, methods)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)))
    return figure


def training_name(method: str) -> str:
    match method:
        case "free":
            return "adversarial training for free"
        case "pgd":
            return "PGD adversarial training"
        case _:
            return f"{readable(method)} training"


def _draw_accuracies(axes: Axes, rows: Sequence[DefencePoint], methods: Sequence[str]) -> None:
    """Clean accuracy as a line across, robust accuracy at each Linf epsilon as markers."""
    norm = "linf" if any(row.norm == "linf" for row in rows) else rows[0].norm
    for i, method in enumerate(methods):
        line = [row for row in rows if (row.norm, row.method) == (norm, method)]
        if not line:
            continue
        line.sort(key=lambda row: row.epsilon)
        axes.plot(
            [0, *(row.epsilon for row in line)],
            [line[0].clean_accuracy, *(row.robust_accuracy for row in line)],
            color=style.COLOURS[i],
            marker=style.MARKERS[i],
            linestyle=style.DASHES[i % len(style.DASHES)],
        )
    epsilons = [row.epsilon for row in rows if row.norm == norm]
    if max(epsilons) / min(epsilons) >= 10:
        axes.set_xscale("symlog", linthresh=min(epsilons))
        axes.set_xlim(left=-0.2 * min(epsilons))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: style.plain(x)))
    style.share_axis(axes, "accuracy")
    axes.set_title("Accuracy (at 0: clean)")
    axes.set_xlabel(f"{style.norm_name(norm)}, {style.norm_unit(norm)}")
