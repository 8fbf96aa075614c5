"""The report as PDF: A4, with an outline, and on every page what it is of and what made it."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    KeepTogether,
    SimpleDocTemplate,
    Spacer,
    Table,
)

from app.analysis.blocks import Block
from app.analysis.charts import Chart
from app.analysis.pages import TableView
from app.analysis.report import Report
from app.analysis.report_style import (
    BODY_FONT,
    BOLD_FONT,
    CAPTION,
    EDGE,
    HEADING,
    LAST,
    LESSER,
    LINES,
    MARGIN,
    SMALL,
    TITLE,
    WIDTH,
    NumberedCanvas,
    Picture,
    columns,
    words,
)
from app.analysis.sentences import Verdict

LEAST = 45 * mm
"""What must fit under the caption of a table, or it begins on the next page."""
LARGEST = 0.72
"""Points of a chart's pixel: its words are as large as those beside it."""
TALLEST = 195 * mm
"""Of a chart with many readers: heading, title and description fit on its page."""
NARROW = 400
"""Charts so narrow stand beside each other."""


class Document(SimpleDocTemplate):  # type: ignore[misc] # reportlab is untyped
    """Headings are in the outline."""

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 (reportlab's)
        style = getattr(flowable, "style", None)
        if style in (TITLE, HEADING):
            key = f"heading-{self.seq.nextf('heading')}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.getPlainText(), key, 0 if style is TITLE else 1)


def report_pdf(report: Report) -> bytes:
    origin = dict(report.origin)
    foot = (
        f"Protocol, SHA-256: {origin['Protocol, SHA-256']}",
        f"{origin['Made by']}, {origin['Made at']}",
    )
    buffer = io.BytesIO()
    document = Document(
        buffer,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=24 * mm,
        bottomMargin=22 * mm,
        title=report.title,
        author="Plainsight",
        subject=report.mark or "Report of a blinded reading study",
        lang="en",
    )

    def frame(canvas: Any, page: SimpleDocTemplate) -> None:
        canvas.setFont(BODY_FONT, 7)
        canvas.setFillColorRGB(0.3, 0.36, 0.4)
        head = shortened(report.title, WIDTH - 40 * mm)
        canvas.drawString(EDGE, A4[1] - 14 * mm, head if page.page > 1 else "")
        canvas.drawRightString(A4[0] - EDGE, A4[1] - 14 * mm, "Plainsight")
        for row, line in enumerate(foot):
            canvas.drawString(EDGE, (13.5 - 3.5 * row) * mm, line)
        if report.mark:
            watermark(canvas, report.mark)

    document.build(
        list(story(report)), onFirstPage=frame, onLaterPages=frame, canvasmaker=NumberedCanvas
    )
    return buffer.getvalue()


def watermark(canvas: Any, mark: str) -> None:
    """At the head and, large and pale, behind the text: no page of it is taken for a finding."""
    canvas.drawCentredString(A4[0] / 2, A4[1] - 18 * mm, mark)
    canvas.saveState()
    canvas.translate(A4[0] / 2, A4[1] / 2)
    canvas.rotate(52)
    canvas.setFillColorRGB(0.95, 0.9, 0.82)
    canvas.setFont(BOLD_FONT, min(32, 32 * 280 * mm / pdfmetrics.stringWidth(mark, BOLD_FONT, 32)))
    canvas.drawCentredString(0, 0, mark)
    canvas.restoreState()


def shortened(text: str, width: float) -> str:
    while pdfmetrics.stringWidth(text, BODY_FONT, 7) > width:
        text = text.rstrip("\N{HORIZONTAL ELLIPSIS}")[:-1] + "\N{HORIZONTAL ELLIPSIS}"
    return text


def story(report: Report) -> Iterator[Flowable]:
    yield words(report.title, TITLE)
    yield from (words(f"{name}: {value}", SMALL) for name, value in report.origin)
    if report.mark:
        yield words(report.mark, LESSER)
    yield from headed("Table", [part for table in report.tables for part in paper_table(table)])
    yield from headed("Primary result", verdicts(report.primary))
    yield from headed("The sixteen points of a report", list(points(report)))
    for block in report.blocks:
        yield from headed(block.title, list(block_parts(block)))
    yield from headed("A paragraph for the paper", [words(x) for x in report.paragraph.split("\n")])


def headed(title: str, parts: Sequence[Flowable]) -> Iterator[Flowable]:
    """Never at the foot of a page without the beginning of what follows."""
    first, *others = parts
    if isinstance(first, CondPageBreak):
        yield CondPageBreak(LEAST + HEADING.leading)
        yield words(title, HEADING)
    else:
        yield KeepTogether([words(title, HEADING), *together(first)])
    yield from others


def together(part: Flowable) -> Sequence[Flowable]:
    inner: Sequence[Flowable] = getattr(part, "_content", [part])
    return inner


def verdicts(listed: Sequence[Verdict]) -> list[Flowable]:
    return [
        KeepTogether(
            [
                words(f"{verdict.about}: {verdict.word or 'not known'}", LESSER),
                words(verdict.sentence),
            ]
        )
        for verdict in listed
    ] or [words("There is no perturbed image in this study.")]


def points(report: Report) -> Iterator[Flowable]:
    for point in report.points:
        said = [
            *point.said,
            *(f"Not known to Plainsight: {each}" for each in point.unknown),
        ]
        title = f"{point.number}. {point.title} ({point.guidelines})"
        yield KeepTogether([words(title, LESSER), *(words(each) for each in said)])


def block_parts(block: Block) -> Iterator[Flowable]:
    yield from (words(sentence) for sentence in block.sentences)
    wide = [chart for chart in block.charts if chart.drawing.width > NARROW]
    narrow = [chart for chart in block.charts if chart.drawing.width <= NARROW]
    yield from (KeepTogether(figure(chart, WIDTH)) for chart in wide)
    for start in range(0, len(narrow), 3):
        cells = [figure(chart, WIDTH / 3 - 8) for chart in narrow[start : start + 3]]
        yield Table(
            [cells + [[]] * (3 - len(cells))],
            [WIDTH / 3] * 3,
            style=[("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)],
        )
    for grid in block.grids:
        if grid.rows:
            yield from table_of(grid.caption, grid.header, grid.rows)


def paper_table(table: TableView) -> Iterator[Flowable]:
    rows = [
        (
            line.reader,
            line.set_name,
            *(f"{each.count}\n{each.interval}" for each in line.counts),
        )
        for line in table.lines
    ]
    difference = "Original minus perturbed, all readers and sets, percentage points"
    yield from table_of(
        f"{table.caption}. {table.note}; differences clustered by case, with 95 % intervals",
        ("Reader", "Set", *table.columns),
        rows,
        (difference, "", "", *(f"{each.count}\n{each.interval}" for each in table.differences)),
    )


def table_of(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    last: Sequence[str] = (),
) -> Iterator[Flowable]:
    """`last` is below a line; what is first in it spans three columns."""
    cells = [[words(cell, SMALL) for cell in row] for row in (header, *rows, last) if row]
    yield CondPageBreak(LEAST)
    yield words(caption, CAPTION)
    yield Table(
        cells,
        columns(header, [*rows, *([("", *last[1:])] if last else [])]),
        repeatRows=1,
        hAlign="LEFT",
        style=[*LINES, *(LAST if last else ())],
        spaceAfter=8,
    )


def figure(chart: Chart, width: float) -> list[Flowable]:
    scale = min(LARGEST, width / chart.drawing.width, TALLEST / chart.drawing.height)
    return [
        words(chart.title, LESSER),
        Picture(chart.drawing, scale),
        words(chart.description, SMALL),
        Spacer(1, 8),
    ]
