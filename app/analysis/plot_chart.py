"""Points and lines over two axes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.analysis.charts import BOTTOM, MARGIN, WIDTH, Axis, steps, widest
from app.analysis.drawing import SECOND, Dot, Drawing, Line, Point, Shape, Words

PLOT_HEIGHT, LEGEND = 340, 130
MOST_TWOS = 2**8
LINE = 20
"""From one line of words to the next."""


@dataclass(frozen=True)
class Series:
    """Of an x-y chart. `limits` are (low, high) of each point."""

    label: str
    points: Sequence[Point]
    is_second: bool = False
    is_joined: bool = True
    has_dots: bool = True
    limits: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Layout:
    """Of an x-y chart: in all, and what is left for the legend beside it. Without that it is
    inside, at the lower right."""

    width: int = WIDTH
    height: int = PLOT_HEIGHT
    legend: int = LEGEND


WIDE, SQUARE = Layout(), Layout(360, 372, 0)


def plot(
    series: Sequence[Series],
    x_axis: Axis,
    y_axis: Axis,
    extra: Sequence[Line] = (),
    notes: Sequence[tuple[Point, str]] = (),
    layout: Layout = WIDE,
) -> Drawing:
    """Points and lines over two axes; `extra` lines and `notes` are in the units of the axes."""
    left, right = 56.0, layout.width - layout.legend - 24.0
    top = float(MARGIN + LINE)
    bottom = float(layout.height - BOTTOM)

    def at(point: Point) -> Point:
        return x_axis.place(point[0], left, right), y_axis.place(point[1], bottom, top)

    shapes: list[Shape] = [*frame(x_axis, y_axis, at, (left, right, top, bottom))]
    shapes += [replace(line, points=[at(point) for point in line.points]) for line in extra]
    shapes += [Words(at(point)[0] + 6, at(point)[1] + 4.5, text) for point, text in notes]
    for each in series:
        shapes += series_shapes(each, at)
    x, y = right + 16, top + 12
    if not layout.legend:
        x = right - widest(each.label for each in series) - 40
        y = bottom - LINE * len(series)
    for number, each in enumerate(series):
        shapes += legend(each, x, y + LINE * number)
    return Drawing(layout.width, layout.height, shapes)


def frame(
    x_axis: Axis,
    y_axis: Axis,
    at: Callable[[Point], Point],
    box: tuple[float, float, float, float],
) -> list[Shape]:
    left, right, top, bottom = box
    shapes: list[Shape] = [Words(MARGIN, MARGIN + 4, y_axis.label)]
    for value in steps(y_axis.low, y_axis.high):
        _, y = at((x_axis.low, value))
        shapes.append(Line([(left, y), (right, y)], "grid"))
        shapes.append(Words(left - 8, y + 4.5, y_axis.written(value), "end"))
    ticks = log_steps(x_axis) if x_axis.is_log else steps(x_axis.low, x_axis.high)
    for value in ticks:
        x, _ = at((value, y_axis.low))
        shapes.append(Line([(x, bottom), (x, bottom + 5)], "axis"))
        shapes.append(Words(x, bottom + 20, x_axis.written(value), "middle"))
    shapes.append(Line([(left, top), (left, bottom), (right, bottom)], "axis"))
    shapes.append(Words((left + right) / 2, bottom + 42, x_axis.label, "middle"))
    return shapes


def log_steps(axis: Axis) -> list[float]:
    """Powers of two; of ten where those would be many."""
    base = 2.0 if axis.high / axis.low <= MOST_TWOS else 10.0
    first, last = (math.log(end, base) for end in (axis.low, axis.high))
    return [base**power for power in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]


def series_shapes(series: Series, at: Callable[[Point], Point]) -> list[Shape]:
    kind, dot = (SECOND, SECOND) if series.is_second else ("line", "mark")
    placed = [at(point) for point in series.points]
    shapes: list[Shape] = []
    if series.is_joined and len(placed) > 1:
        shapes.append(Line(placed, kind, 2, series.is_second))
    for (x, _), limits in zip(series.points, series.limits, strict=False):
        shapes.append(Line([at((x, limits[0])), at((x, limits[1]))], kind, 1.5))
    if series.has_dots:
        shapes += [Dot(x, y, dot, series.is_second, 4) for x, y in placed]
    return shapes


def legend(series: Series, x: float, y: float) -> list[Shape]:
    kind, dot = (SECOND, SECOND) if series.is_second else ("line", "mark")
    shapes: list[Shape] = []
    if series.is_joined:
        shapes.append(Line([(x, y), (x + 24, y)], kind, 2, series.is_second))
    if series.has_dots:
        shapes.append(Dot(x + 12, y, dot, series.is_second, 4))
    return [*shapes, Words(x + 32, y + 4.5, series.label)]
