"""One look for every figure: colours, markers, letters; and files of always the same bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ml.files import whole_file

# Okabe and Ito 2008: told apart with every common colour vision; never the only difference.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#7d898f"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "p", "*")
DASHES = ("-", "--", "-.", ":")
INK, MUTED, LINE = "#1a2226", "#4c565c", "#d9dfe1"
FULL_WIDTH, HALF_WIDTH = 7.2, 3.5
"""Inches: two columns and one of a journal's page."""

SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    # Verdana has the widths of DejaVu Sans, for whoever opens the SVG without it.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 8,
    "text.color": INK,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 0,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "plainsight",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Within it figures are drawn and saved; whatever the machine's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, SETTINGS))
        yield


def new_figure(width: float = FULL_WIDTH, height: float = 2.6) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes) -> Axes:
    """For pictures: no ticks, no spines, no grid."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return axes


def share_axis(axes: Axes, label: str = "success rate") -> None:
    """A y axis of shares from 0 to 1, told in per cent."""
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y * 100:.0f} %"))
    axes.set_ylabel(label)


def epsilon_axis(axes: Axes, epsilons: Sequence[float], *, as_share: bool = False) -> None:
    """Logarithmic where the epsilons span a decade; plain numbers either way."""
    positive = [epsilon for epsilon in epsilons if epsilon > 0]
    if positive and max(positive) / min(positive) >= 10:
        axes.set_xscale("log")
        narrow = max(positive) / min(positive) < 200
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if narrow else (1,), numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: plain(x, as_share=as_share)))


TOLERANCE = 1e-6
"""The share by which the rounding of fp32 may pass an epsilon, as in `ml.curves`."""


def plain(value: float, *, as_share: bool = False) -> str:
    return f"{value * 100:.4g} %" if as_share else f"{value:.4g}"


def norm_name(norm: str) -> str:
    return {"l0": "L₀", "l1": "L₁", "l2": "L₂", "linf": "L∞", "none": "no budget"}.get(norm, norm)


def norm_unit(norm: str) -> str:
    match norm:
        case "l0":
            return "share of\npixels changed"
        case "l1":
            return "mean difference\n(grey levels)"
        case "linf":
            return "largest difference\n(grey levels)"
        case _:
            return "RMS difference\n(grey levels)"


def svg_of(figure: Figure) -> bytes:
    stream = BytesIO()
    metadata = {"Date": None, "Creator": "Plainsight"}
    figure.savefig(stream, format="svg", metadata=metadata)
    return stream.getvalue()


def png_of(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def write_bytes(path: Path, content: bytes) -> None:
    with whole_file(path) as beside:
        beside.write_bytes(content)
