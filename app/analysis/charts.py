"""Charts as data: what is drawn, in words, and as a table; from the numbers of an analysis."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.analysis.drawing import Drawing, width_of
from app.analysis.wording import harmless

WIDTH, MARGIN, BOTTOM = 680, 16, 52
"""Of a drawing; what is free around it; for the words below an axis."""


@dataclass(frozen=True)
class Chart:
    """`name` is that of its files; `rows` are the numbers behind the drawing, unrounded."""

    name: str
    title: str
    description: str
    drawing: Drawing
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


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


def widest(texts: Iterable[str]) -> float:
    return max((width_of(text) for text in texts), default=0.0)
