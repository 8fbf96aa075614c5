"""What a figure is, before and after it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ml.figures.run_folder import RunFolder


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
