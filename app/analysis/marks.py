"""What tells at once, on every page and in every file, that robots and not people answered."""

from dataclasses import replace

from app.analysis.charts import Chart
from app.analysis.drawing import Drawing, Words
from app.storage.models import Study

REHEARSAL = "Rehearsal: answers of robots, not of people."
ROOM = 26


def mark_of(study: Study) -> str:
    return REHEARSAL if study.is_rehearsal else ""


def marked(chart: Chart, mark: str) -> Chart:
    """For a file of its own: the mark is below the drawing, and in each row of the table."""
    if not mark:
        return chart
    return replace(
        chart,
        title=f"{chart.title}. {mark}",
        drawing=with_words_below(chart.drawing, mark),
        header=(*chart.header, "mark"),
        rows=[(*row, mark) for row in chart.rows],
    )


def with_words_below(drawing: Drawing, words: str) -> Drawing:
    place = Words(drawing.width / 2, drawing.height + 2 * ROOM / 3, words, "middle")
    return Drawing(drawing.width, drawing.height + ROOM, [*drawing.shapes, place])


def file_name(study: Study, rest: str) -> str:
    """Of a file that is taken away."""
    return f"{'rehearsal' if study.is_rehearsal else 'study'}-{study.id}{rest}"
