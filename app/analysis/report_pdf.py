"""The report as PDF."""

import io
from collections.abc import Iterator, Sequence
from html import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    Flowable,
    Image,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from app.analysis.charts import Chart
from app.analysis.drawing import SANS, png
from app.analysis.pages import TableView
from app.analysis.report import Report
from app.analysis.sentences import Verdict
from app.web.templating import utc

BODY_FONT, BOLD_FONT = "PlainsightSans", "PlainsightSans-Bold"
WIDTH = A4[0] - 40 * mm
pdfmetrics.registerFont(TTFont(BODY_FONT, str(SANS)))
pdfmetrics.registerFont(TTFont(BOLD_FONT, str(SANS.with_name("VeraBd.ttf"))))
pdfmetrics.registerFontFamily(BODY_FONT, BODY_FONT, BOLD_FONT, BODY_FONT, BOLD_FONT)

BODY = ParagraphStyle("body", fontName=BODY_FONT, fontSize=9, leading=13, spaceAfter=4)
SMALL = ParagraphStyle("small", BODY, fontSize=7.5, leading=10, spaceAfter=0)
TITLE = ParagraphStyle("title", BODY, fontName=BOLD_FONT, fontSize=17, leading=22)
HEADING = ParagraphStyle(
    "heading", BODY, fontName=BOLD_FONT, fontSize=12, leading=16, spaceBefore=12, keepWithNext=1
)
LESSER = ParagraphStyle("lesser", BODY, fontName=BOLD_FONT, spaceBefore=6, keepWithNext=1)
LINES = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#d9dfe1")),
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.HexColor("#7d898f")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ]
)


def report_pdf(report: Report) -> bytes:
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=report.title,
        author="Plainsight",
        lang="en",
    )
    document.build(list(story(report)), onFirstPage=numbered, onLaterPages=numbered)
    return buffer.getvalue()


def numbered(canvas: object, document: SimpleDocTemplate) -> None:
    canvas.setFont(BODY_FONT, 8)  # type: ignore[attr-defined] # reportlab is untyped
    canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, str(document.page))  # type: ignore[attr-defined]


def words(text: str, style: ParagraphStyle = BODY) -> Paragraph:
    return Paragraph(escape(text).replace("\n", "<br/>"), style)


def story(report: Report) -> Iterator[Flowable]:
    yield words(report.title, TITLE)
    yield words(f"Made by Plainsight at {utc(report.made_at)}.")
    if report.mark:
        yield words(report.mark, LESSER)
    for table in report.tables:
        yield from paper_table(table)
    yield words("Primary result", HEADING)
    yield from verdicts(report.primary)
    yield words("Beside it", HEADING)
    yield from verdicts(report.secondary)
    yield words("The sixteen points of a report", HEADING)
    for point in report.points:
        yield words(f"{point.number}. {point.title} ({point.guidelines})", LESSER)
        yield from (words(said) for said in point.said)
        yield from (words(f"Not known to Plainsight: {each}") for each in point.unknown)
    for block in report.blocks:
        yield words(block.title, HEADING)
        yield from (words(sentence) for sentence in block.sentences)
        yield from (figure(chart) for chart in block.charts)
        for grid in block.grids:
            if grid.rows:
                yield from table_of(grid.caption, grid.header, grid.rows)
    yield words("A paragraph for the paper", HEADING)
    yield words(report.paragraph)


def verdicts(listed: Sequence[Verdict]) -> Iterator[Flowable]:
    for verdict in listed:
        yield words(f"{verdict.about}: {verdict.word or 'not known'}", LESSER)
        yield words(verdict.sentence)


def paper_table(table: TableView) -> Iterator[Flowable]:
    yield words(table.caption, HEADING)
    rows = [
        (
            f"{line.reader}, {line.set_name}",
            f"{line.original} ({line.original_interval})",
            f"{line.perturbed} ({line.perturbed_interval})",
            line.difference,
        )
        for line in table.lines
    ]
    rows.append(("All, clustered by case", "", "", table.overall))
    yield from table_of(
        f"{table.budget}; Wilson {table.confidence} intervals; differences with Tango 95 % "
        "intervals, in percentage points",
        ("Reader and set", "Original", "Perturbed", "Original minus perturbed"),
        rows,
    )


def table_of(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[Flowable]:
    yield words(caption, LESSER)
    cells = [[words(cell, SMALL) for cell in row] for row in (header, *rows)]
    columns = [WIDTH / len(header)] * len(header)
    yield Table(cells, columns, repeatRows=1, style=LINES, spaceAfter=8)


def figure(chart: Chart) -> Flowable:
    width = min(WIDTH, chart.drawing.width * 0.7)
    height = width * chart.drawing.height / chart.drawing.width
    drawn = Image(io.BytesIO(png(chart.drawing)), width, height)
    return KeepTogether(
        [words(chart.title, LESSER), drawn, words(chart.description, SMALL), Spacer(1, 8)]
    )
