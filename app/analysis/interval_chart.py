"""Intervals below each other, before a margin."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.analysis.charts import BOTTOM, MARGIN, WIDTH, Axis, steps, widest
from app.analysis.drawing import SECOND, Dot, Drawing, Line, Shape, Words, Zone
from app.analysis.wording import decimals, percent, points

ROW, GAP = 30, 14


class Margin(NamedTuple):
    """Without a lower end it reaches as far down as the axis does."""

    low: float | None
    high: float


@dataclass(frozen=True)
class Bar:
    """One line of an interval chart; without limits where there are none. `inner` limits are
    drawn thick, inside the others."""

    label: str
    estimate: float | None
    low: float | None
    high: float | None
    is_second: bool = False
    inner: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Scale:
    """What an interval chart measures in, and how that is written at the axis and at a line."""

    tick: Callable[[float], str]
    value: Callable[[float], str]


SIGNED = Scale(points, lambda value: points(value, 1))
"""Percentage points, of shares."""
SHARES = Scale(lambda value: percent(value, 0), percent)
PLAIN = Scale(lambda value: decimals(value, 1), lambda value: decimals(value, 2))


def intervals(
    bars: Sequence[Bar], *, margin: Margin | None, axis_label: str, scale: Scale
) -> Drawing:
    """Intervals below each other; the margin is a zone behind them, zero a line."""
    axis = interval_axis(bars, margin, axis_label)
    values = [value_words(bar, scale) for bar in bars]
    left = widest(bar.label for bar in bars) + 2 * GAP
    right = max(WIDTH - widest(values) - 2 * GAP, left + 160)
    top, bottom = MARGIN, MARGIN + ROW * len(bars)

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
        shapes.append(Words(x(value), bottom + 20, scale.tick(value), "middle"))
    shapes.append(Words((left + right) / 2, bottom + 42, axis_label, "middle"))
    for number, (bar, words) in enumerate(zip(bars, values, strict=True)):
        y = top + ROW * (number + 0.5)
        shapes.append(Words(left - GAP, y + 4.5, bar.label, "end"))
        shapes += bar_shapes(bar, y, x)
        shapes.append(Words(right + GAP, y + 4.5, words))
    return Drawing(math.ceil(right + GAP + widest(values) + GAP), bottom + BOTTOM, shapes)


def value_words(bar: Bar, scale: Scale) -> str:
    if bar.estimate is None:
        return "not known"
    if bar.low is None or bar.high is None:
        return scale.value(bar.estimate)
    return f"{scale.value(bar.estimate)} ({scale.value(bar.low)} to {scale.value(bar.high)})"


def interval_axis(bars: Sequence[Bar], margin: Margin | None, label: str) -> Axis:
    found = [
        value for bar in bars for value in (bar.estimate, bar.low, bar.high) if value is not None
    ]
    found += [0.0, *(each for each in margin or () if each is not None)]
    low, high = min(found), max(found)
    room = 0.06 * max(high - low, 0.05)
    return Axis(label, low - room if low < 0 else low, high + room)


def bar_shapes(bar: Bar, y: float, x: Callable[[float], float]) -> list[Shape]:
    if bar.estimate is None:
        return []
    shapes: list[Shape] = []
    kind = SECOND if bar.is_second else "line"
    if bar.low is not None and bar.high is not None:
        shapes.append(Line([(x(bar.low), y), (x(bar.high), y)], kind, 2))
        shapes += [Line([(x(at), y - 5), (x(at), y + 5)], kind, 2) for at in (bar.low, bar.high)]
    low, high = bar.inner
    if low is not None and high is not None:
        shapes.append(Line([(x(low), y), (x(high), y)], kind, 6))
    mark = SECOND if bar.is_second else "mark"
    return [*shapes, Dot(x(bar.estimate), y, mark, bar.is_second, 5)]
