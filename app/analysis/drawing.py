"""A drawing of lines, dots and words, as SVG and as PNG: the same shapes in both."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PAPER, INK = "#ffffff", "#1a2226"
# Light colours, for files. The stylesheet gives pages those of the theme, by the same classes.
COLOURS = {
    "axis": "#7d898f",
    "grid": "#d9dfe1",
    "zone": "#e3f0f1",
    "mark": "#0b6470",
    "line": "#0b6470",
    "second": "#7a4b00",
    "limit": "#0b6470",
}
SECOND = "second"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
FONT_PX = 13
SANS = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
"""Latin, Greek, Cyrillic and mathematics; its licence lies beside it."""
PNG_SCALE = 2
SMOOTH = 2
"""The PNG is drawn so many times larger, and made smaller at the end."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Through all the points; dashed if so said."""

    points: Sequence[Point]
    kind: str
    width: float = 1
    is_dashed: bool = False


@dataclass(frozen=True)
class Zone:
    """A filled area: a margin."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Dot:
    """Round, or square for what must differ without colour."""

    x: float
    y: float
    kind: str
    is_square: bool = False
    radius: float = 4.5


@dataclass(frozen=True)
class Words:
    """`anchor`: start, middle or end; `y` is the baseline."""

    x: float
    y: float
    text: str
    anchor: str = "start"


Shape = Line | Zone | Dot | Words


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    shapes: Sequence[Shape]


def width_of(text: str) -> float:
    """In the widest font of those that may draw it."""
    return font(FONT_PX).getlength(text)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(SANS, size)


def svg(drawing: Drawing, name: str, title: str, description: str) -> str:
    """Stands alone, and inside a page; `name` makes its ids unique there."""
    size = f'width="{drawing.width}" height="{drawing.height}"'
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {drawing.width} '
        f'{drawing.height}" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'font-family="{FONT}" font-size="{FONT_PX}">'
    )
    parts = [start, f'<title id="{name}-title">{escape(title)}</title>']
    parts.append(f'<desc id="{name}-desc">{escape(description)}</desc>')
    parts.append(f'<rect class="paper" {size} fill="{PAPER}"/>')
    return "\n".join([*parts, *(element(shape) for shape in drawing.shapes), "</svg>"])


def element(shape: Shape) -> str:
    match shape:
        case Line(points, kind, width, is_dashed):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dashes = ' stroke-dasharray="6 4"' if is_dashed else ""
            return (
                f'<polyline class="{kind}" points="{path}" fill="none" '
                f'stroke="{COLOURS[kind]}" stroke-width="{width}"{dashes}/>'
            )
        case Zone(x, y, width, height):
            return (
                f'<rect class="zone" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                f'height="{height:.1f}" fill="{COLOURS["zone"]}"/>'
            )
        case Dot(x, y, kind, True, radius):
            return (
                f'<rect class="mark {kind}" x="{x - radius:.1f}" y="{y - radius:.1f}" '
                f'width="{2 * radius}" height="{2 * radius}" fill="{COLOURS[kind]}"/>'
            )
        case Dot(x, y, kind, _, radius):
            return (
                f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}" '
                f'fill="{COLOURS[kind]}"/>'
            )
        case Words(x, y, text, anchor):
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">'
                f"{escape(text)}</text>"
            )


def png(drawing: Drawing) -> bytes:
    """At twice the size of the SVG, on white."""
    scale = PNG_SCALE * SMOOTH
    image = Image.new("RGB", (drawing.width * scale, drawing.height * scale), PAPER)
    pen = Pen(ImageDraw.Draw(image), scale)
    for shape in drawing.shapes:
        pen.draw(shape)
    size = (drawing.width * PNG_SCALE, drawing.height * PNG_SCALE)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG", dpi=(192, 192))
    return buffer.getvalue()


class Pen:
    """Draws shapes on an image that is `scale` times larger."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: int) -> None:
        self._draw, self._scale = draw, scale
        self._font = font(FONT_PX * scale)

    def draw(self, shape: Shape) -> None:
        match shape:
            case Line(points, kind, width, is_dashed):
                for part in dashes_of(points) if is_dashed else [points]:
                    self._draw.line(
                        [self._at(*point) for point in part],
                        COLOURS[kind],
                        round(width * self._scale),
                    )
            case Zone(x, y, width, height):
                box = [self._at(x, y), self._at(x + width, y + height)]
                self._draw.rectangle(box, COLOURS["zone"])
            case Dot(x, y, kind, is_square, radius):
                box = [self._at(x - radius, y - radius), self._at(x + radius, y + radius)]
                filled = self._draw.rectangle if is_square else self._draw.ellipse
                filled(box, COLOURS[kind])
            case Words(x, y, text, anchor):
                place = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
                self._draw.text(self._at(x, y), text, INK, self._font, place)

    def _at(self, x: float, y: float) -> Point:
        return x * self._scale, y * self._scale


def dashes_of(points: Sequence[Point], on: float = 6, off: float = 4) -> Iterator[list[Point]]:
    """The dashes of each straight part."""
    for (x, y), (to_x, to_y) in pairwise(points):
        length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
        at = 0.0
        while at < length:
            start, end = at / length, min(at + on, length) / length
            yield [(x + share * (to_x - x), y + share * (to_y - y)) for share in (start, end)]
            at += on + off
