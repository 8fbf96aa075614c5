"""How the PDF of a report looks: its fonts and styles, its charts, its page numbers."""

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph

from app.analysis.drawing import COLOURS, FONT_PX, INK, SANS, Dot, Drawing, Line, Shape, Words, Zone

BODY_FONT, BOLD_FONT = "PlainsightSans", "PlainsightSans-Bold"
pdfmetrics.registerFont(TTFont(BODY_FONT, str(SANS)))
pdfmetrics.registerFont(TTFont(BOLD_FONT, str(SANS.with_name("DejaVuSans-Bold.ttf"))))
pdfmetrics.registerFontFamily(BODY_FONT, BODY_FONT, BOLD_FONT, BODY_FONT, BOLD_FONT)

BODY = ParagraphStyle("body", fontName=BODY_FONT, fontSize=9, leading=13, spaceAfter=4)
SMALL = ParagraphStyle("small", BODY, fontSize=7.5, leading=10, spaceAfter=0, splitLongWords=1)
TITLE = ParagraphStyle("title", BODY, fontName=BOLD_FONT, fontSize=17, leading=22)
HEADING = ParagraphStyle(
    "heading", BODY, fontName=BOLD_FONT, fontSize=12, leading=16, spaceBefore=14
)
CAPTION = ParagraphStyle("caption", BODY, fontName=BOLD_FONT, spaceBefore=6)
LESSER = ParagraphStyle("lesser", BODY, fontName=BOLD_FONT, spaceBefore=6, keepWithNext=1)
LINES = (
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(COLOURS["grid"])),
    ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.HexColor(COLOURS["axis"])),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 6),
)
LAST = (
    ("SPAN", (0, -1), (2, -1)),
    ("LINEABOVE", (0, -1), (-1, -1), 0.8, colors.HexColor(COLOURS["axis"])),
)


MARGIN, PADDING = 20 * mm, 6
EDGE = MARGIN + PADDING
WIDTH = A4[0] - 2 * EDGE


def words(text: str, style: Any = BODY) -> Paragraph:
    return Paragraph(escape(held(text)).replace("\n", "<br/>"), style)


def held(text: str) -> str:
    """Numbers and their signs on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace("< ", "<\N{NO-BREAK SPACE}")


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
    """Each has room for its longest word; what is left of the page goes to those that need more."""

    def width(text: str) -> float:
        return float(pdfmetrics.stringWidth(text, BODY_FONT, SMALL.fontSize)) + 10

    cells = [
        [held(each) for each in (name, *(row[place] for row in rows))]
        for place, name in enumerate(header)
    ]
    least = [max(map(width, re.split("[ \n]", " ".join(column)))) for column in cells]
    wanted = [max(width(line) for cell in column for line in cell.split("\n")) for column in cells]
    missing = [max(0.0, want - need) for want, need in zip(wanted, least, strict=True)]
    share = min(1.0, (WIDTH - sum(least)) / (sum(missing) or 1))
    found = [need + share * more for need, more in zip(least, missing, strict=True)]
    return [each * min(1.0, WIDTH / sum(found)) for each in found]


class Picture(Flowable):  # type: ignore[misc] # reportlab is untyped
    """A chart by lines and words, sharp at any size; `scale` is points a pixel."""

    def __init__(self, drawing: Drawing, scale: float) -> None:
        super().__init__()
        self._drawing, self._scale = drawing, scale
        self.width, self.height = drawing.width * scale, drawing.height * scale

    def draw(self) -> None:
        self.canv.scale(self._scale, self._scale)
        for shape in self._drawing.shapes:
            self._draw(shape)

    def _draw(self, shape: Shape) -> None:
        canvas, height = self.canv, self._drawing.height
        match shape:
            case Line(points, kind, width, is_dashed):
                canvas.setStrokeColor(colors.HexColor(COLOURS[kind]))
                canvas.setLineWidth(width)
                canvas.setDash([6, 4] if is_dashed else [])
                canvas.lines(
                    [(x, height - y, u, height - v) for (x, y), (u, v) in pairwise(points)]
                )
            case Zone(x, y, width, tall):
                canvas.setFillColor(colors.HexColor(COLOURS["zone"]))
                canvas.rect(x, height - y - tall, width, tall, stroke=0, fill=1)
            case Dot(x, y, kind, is_square, radius):
                canvas.setFillColor(colors.HexColor(COLOURS[kind]))
                if is_square:
                    corner = (x - radius, height - y - radius)
                    canvas.rect(*corner, 2 * radius, 2 * radius, stroke=0, fill=1)
                else:
                    canvas.circle(x, height - y, radius, stroke=0, fill=1)
            case Words(x, y, text, anchor):
                canvas.setFillColor(colors.HexColor(INK))
                canvas.setFont(BODY_FONT, FONT_PX)
                draw = {
                    "start": canvas.drawString,
                    "middle": canvas.drawCentredString,
                    "end": canvas.drawRightString,
                }[anchor]
                draw(x, height - y, text)


class NumberedCanvas(Canvas):  # type: ignore[misc]
    """Writes "page of pages" on every page. How many there are is a form that is drawn last:
    pages that were kept back until then would all be the first one to the outline."""

    PAGES, PLACE = "pages", (A4[0] - EDGE - 4 * mm, 10 * mm)

    def showPage(self) -> None:  # noqa: N802 (reportlab's)
        self._small()
        self.drawRightString(*self.PLACE, f"{self.getPageNumber()} of")
        self.saveState()
        self.translate(*self.PLACE)
        self.doForm(self.PAGES)
        self.restoreState()
        super().showPage()

    def save(self) -> None:
        self.beginForm(self.PAGES)
        self._small()
        self.drawString(1 * mm, 0, str(self.getPageNumber() - 1))
        self.endForm()
        super().save()

    def _small(self) -> None:
        self.setFont(BODY_FONT, 7)
        self.setFillColor(colors.HexColor(INK))
