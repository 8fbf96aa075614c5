"""Charts as data: what is drawn, in words, and as a table; from the numbers of an analysis."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.analysis.drawing import SECOND, Dot, Drawing, Line, Point, Shape, Words, Zone
from app.analysis.wording import harmless, percent, points

WIDTH, ROW, MARGIN = 680, 34, 16
LABELS, RIGHT = 190, 130
BOTTOM = 52
PLOT_HEIGHT = 340
LETTER = 7.2
"""Roughly the width of a letter."""


@dataclass(frozen=True)
class Chart:
    """`name` is that of its files; `rows` are the numbers behind the drawing, unrounded."""

    name: str
    title: str
    description: str
    drawing: Drawing
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


class Margin(NamedTuple):
    """Without a lower end it reaches as far down as the axis does."""

    low: float | None
    high: float


@dataclass(frozen=True)
class Bar:
    """One line of an interval chart, in shares; without limits where there are none."""

    label: str
    estimate: float | None
    low: float | None
    high: float | None
    is_second: bool = False


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
class Axis:
    label: str
    low: float
    high: float
    is_log: bool = False
    written: Callable[[float], str] = str

    def place(self, value: float, start: float, end: float) -> float:
        low, high, at = self.low, self.high, value
        if self.is_log:
            low, high, at = (math.log(each) for each in (low, high, max(value, low)))
        share = (at - low) / (high - low)
        return start + min(1.0, max(0.0, share)) * (end - start)


def csv_of(chart: Chart) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(chart.header)
    writer.writerows([harmless(value) for value in row] for row in chart.rows)
    return buffer.getvalue()


def round_step(span: float, most: int = 6) -> float:
    """1, 2 or 5 times a power of ten, so that about `most` steps fill the span."""
    rough = span / most
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))


def steps(low: float, high: float) -> list[float]:
    step = round_step(high - low)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def intervals(
    bars: Sequence[Bar], *, margin: Margin | None, axis_label: str, signed: bool
) -> Drawing:
    """Intervals below each other; the margin is a zone behind them, zero a line."""
    axis = interval_axis(bars, margin, axis_label)
    top, bottom = MARGIN, MARGIN + ROW * len(bars)
    left, right = LABELS, WIDTH - RIGHT

    def x(value: float) -> float:
        return axis.place(value, left, right)

    shapes: list[Shape] = []
    if margin:
        start, end = x(axis.low if margin.low is None else margin.low), x(margin.high)
        shapes.append(Zone(start, top, end - start, bottom - top))
        drawn = (end,) if margin.low is None else (start, end)
        shapes += [Line([(at, top), (at, bottom)], "limit", 1, True) for at in drawn]
    if axis.low <= 0 <= axis.high:
        shapes.append(Line([(x(0), top), (x(0), bottom)], "axis"))
    shapes.append(Line([(left, bottom), (right, bottom)], "axis"))
    for value in steps(axis.low, axis.high):
        shapes.append(Line([(x(value), bottom), (x(value), bottom + 5)], "axis"))
        text = points(value) if signed else percent(value, 0)
        shapes.append(Words(x(value), bottom + 20, text, "middle"))
    shapes.append(Words((left + right) / 2, bottom + 42, axis_label, "middle"))
    for number, bar in enumerate(bars):
        shapes += bar_shapes(bar, top + ROW * (number + 0.5), x, right, signed)
    return Drawing(WIDTH, bottom + BOTTOM, shapes)


def interval_axis(bars: Sequence[Bar], margin: Margin | None, label: str) -> Axis:
    found = [
        value for bar in bars for value in (bar.estimate, bar.low, bar.high) if value is not None
    ]
    found += [0.0, *(each for each in margin or () if each is not None)]
    low, high = min(found), max(found)
    room = 0.06 * max(high - low, 0.05)
    return Axis(label, low - room if low < 0 else low, high + room)


def bar_shapes(
    bar: Bar, y: float, x: Callable[[float], float], right: float, signed: bool
) -> list[Shape]:
    label = bar.label if len(bar.label) <= 26 else f"{bar.label[:25]}\N{HORIZONTAL ELLIPSIS}"
    shapes: list[Shape] = [Words(LABELS - 12, y + 4.5, label, "end")]
    if bar.estimate is None:
        return [*shapes, Words(LABELS + 8, y + 4.5, "not known")]
    kind = SECOND if bar.is_second else "line"
    if bar.low is not None and bar.high is not None:
        shapes.append(Line([(x(bar.low), y), (x(bar.high), y)], kind, 2))
        shapes += [Line([(x(at), y - 5), (x(at), y + 5)], kind, 2) for at in (bar.low, bar.high)]
    shapes.append(Dot(x(bar.estimate), y, SECOND if bar.is_second else "mark", bar.is_second))
    written = points(bar.estimate) if signed else percent(bar.estimate)
    return [*shapes, Words(right + 12, y + 4.5, written)]


def plot(
    series: Sequence[Series], x_axis: Axis, y_axis: Axis, extra: Sequence[Line] = ()
) -> Drawing:
    """Points and lines over two axes; `extra` lines are in the units of the axes."""
    left, right, top = 64.0, WIDTH - RIGHT - 24.0, float(MARGIN)
    bottom = top + PLOT_HEIGHT - BOTTOM

    def at(point: Point) -> Point:
        return x_axis.place(point[0], left, right), y_axis.place(point[1], bottom, top)

    shapes: list[Shape] = [*frame(x_axis, y_axis, at, (left, right, top, bottom))]
    shapes += [replace(line, points=[at(point) for point in line.points]) for line in extra]
    for number, each in enumerate(series):
        shapes += series_shapes(each, at)
        shapes += legend(each, right + 16, top + 12 + 24 * number)
    return Drawing(WIDTH, int(bottom + BOTTOM), shapes)


def frame(
    x_axis: Axis,
    y_axis: Axis,
    at: Callable[[Point], Point],
    box: tuple[float, float, float, float],
) -> list[Shape]:
    left, right, top, bottom = box
    shapes: list[Shape] = []
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
    """Powers of two."""
    first, last = math.ceil(math.log2(axis.low)), math.floor(math.log2(axis.high))
    return [2.0**power for power in range(first, last + 1)]


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
