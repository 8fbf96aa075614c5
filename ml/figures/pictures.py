"""Figs 1, 3 and 5: patches, what was added to them, and where the network looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml.figures import style
from ml.figures.curves import band
from ml.figures.rows import UniversalPoint
from ml.figures.run_folder import in_order

Pixels = NDArray[np.uint8]
Map = NDArray[np.floating]
TIMES = 10
"""How much stronger a perturbation is shown than it is."""
STRONGER = f"perturbation \u00d7 {TIMES}"


@dataclass(frozen=True)
class Example:
    """Pixels are (height, width, 3); maps (height, width), by method, as before and after."""

    original: Pixels
    perturbed: Pixels
    case: str = ""
    truth: int | None = None
    p_original: float | None = None
    p_perturbed: float | None = None
    mask: NDArray[np.bool_] | None = None
    maps: Mapping[str, tuple[Map, Map]] = field(default_factory=dict)

    @property
    def difference(self) -> NDArray[np.int16]:
        """In grey levels, -255 to 255."""
        return self.perturbed.astype(np.int16) - self.original


def around_grey(difference: NDArray[np.int16], times: int = TIMES) -> Pixels:
    """A perturbation in grey levels as a picture: mid grey is no change."""
    picture: Pixels = np.clip(128 + times * difference.astype(np.int64), 0, 255).astype(np.uint8)
    return picture


def show(axes: Axes, pixels: Pixels, title: str = "") -> None:
    style.bare(axes).imshow(pixels, interpolation="none")
    axes.set_title(title, fontsize=7, fontweight="normal", loc="center", pad=3)


def verdict(p_positive: float | None) -> str:
    """The network's class and its probability of that class."""
    if p_positive is None:
        return ""
    name = "tumour" if p_positive >= 0.5 else "no tumour"
    return f"{name}, {100 * max(p_positive, 1 - p_positive):.1f} %"


def draw_examples(examples: Sequence[Example]) -> Figure:
    """Fig. 1: two pairs a row, with the network's verdict under each picture."""
    rows = -(-len(examples) // 2)
    figure = style.new_figure(height=2.05 * rows + 0.1)
    panels = figure.subplots(rows, 4, squeeze=False)
    for axes in panels.flat:
        style.bare(axes)
    for i, example in enumerate(examples):
        left, right = panels[i // 2, 2 * (i % 2) : 2 * (i % 2) + 2]
        largest = int(np.abs(example.difference).max())
        show(left, example.original, "original")
        show(right, example.perturbed, f"perturbed, at most {largest} grey level{_s(largest)}")
        left.set_xlabel(verdict(example.p_original))
        right.set_xlabel(verdict(example.p_perturbed), color=style.VERMILLION)
    return figure


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def draw_saliency(examples: Sequence[Example], method: str) -> Figure:
    """Fig. 3: a row an image; the maps share one scale, tumour nuclei are outlined."""
    figure = style.new_figure(height=1.55 * len(examples) + 0.2)
    panels = figure.subplots(len(examples), 5, squeeze=False)
    titles = (
        "original",
        "perturbed",
        STRONGER,
        f"{method_name(method)}, before",
        f"{method_name(method)}, after",
    )
    for i, (axes, example) in enumerate(zip(panels, examples, strict=True)):
        named = titles if i == 0 else ("",) * 5
        show(axes[0], example.original, named[0])
        show(axes[1], example.perturbed, named[1])
        show(axes[2], around_grey(example.difference), named[2])
        axes[0].set_xlabel(verdict(example.p_original), fontsize=7)
        axes[1].set_xlabel(verdict(example.p_perturbed), fontsize=7, color=style.VERMILLION)
        for panel, heat, title in zip(axes[3:], example.maps[method], named[3:], strict=True):
            _show_map(panel, np.asarray(heat), example, title)
    return figure


def method_name(method: str) -> str:
    match method:
        case "integrated_gradients":
            return "integrated gradients"
        case "grad_cam" | "gradcam":
            return "Grad-CAM"
        case _:
            return method.replace("_", " ")


def _show_map(axes: Axes, heat: Map, example: Example, title: str) -> None:
    strength = np.abs(heat)
    ceiling = float(np.percentile(strength, 99)) or 1.0
    style.bare(axes).imshow(strength, cmap="magma", vmin=0, vmax=ceiling, interpolation="none")
    axes.set_title(title, fontsize=7, fontweight="normal", loc="center", pad=3)
    if example.mask is not None and example.mask.any() and not example.mask.all():
        axes.contour(example.mask, [0.5], colors=[style.SKY], linewidths=0.7)


def draw_universal(
    rows: Sequence[UniversalPoint],
    perturbation: NDArray[np.int16] | None,
    example: Pixels | None,
) -> Figure:
    """Fig. 5: success of one perturbation by epsilon, and the perturbation itself."""
    pictures = 0 if perturbation is None else (1 if example is None else 3)
    height = 4.3 if pictures else 2.6
    figure = style.new_figure(height=height)
    if perturbation is None:
        _draw_success(figure.subplots(), rows)
        return figure
    grid = figure.add_gridspec(2, 1, height_ratios=(1.15, 1))
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _draw_success(above.subplots(), rows)
    panels = below.subplots(1, pictures, squeeze=False)[0]
    show(panels[-1], around_grey(perturbation), f"the {STRONGER}")
    if example is not None:
        perturbed = np.clip(example.astype(np.int16) + perturbation, 0, 255).astype(np.uint8)
        show(panels[0], example, "an original")
        show(panels[1], perturbed, "with the perturbation")
    return figure


def _draw_success(axes: Axes, rows: Sequence[UniversalPoint]) -> None:
    """Train and test with their intervals; every other network as a thin line."""
    looks = {"train": (style.BLUE, "s", "--"), "test": (style.VERMILLION, "o", "-")}
    for split, (colour, marker, dash) in looks.items():
        line = sorted((r for r in rows if r.split == split), key=lambda row: row.epsilon)
        if line:
            epsilons = [row.epsilon for row in line]
            label = f"{split} images"
            band(axes, epsilons, line, colour=colour, marker=marker, dash=dash, label=label)
    others = in_order([row.network for row in rows if row.split not in looks])
    for i, network in enumerate(others):
        line = [row for row in rows if row.network == network and row.split not in looks]
        line.sort(key=lambda row: row.epsilon)
        axes.plot(
            [row.epsilon for row in line],
            [row.rate for row in line],
            color=style.GREY,
            marker=".",
            linewidth=0.8,
            label=f"{len(others)} other network{_s(len(others))}" if i == 0 else None,
        )
    style.share_axis(axes)
    style.epsilon_axis(axes, [row.epsilon for row in rows])
    axes.set_xticks(sorted({row.epsilon for row in rows}))
    axes.set_xlabel("L∞: largest difference (grey levels)")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
