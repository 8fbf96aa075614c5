"""Charts are drawings with words beside them, the same as SVG and as PNG, from any numbers."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import SimpleDocTemplate

from app.analysis.blocks import Block
from app.analysis.charts import Axis, Chart, csv_of, steps
from app.analysis.drawing import Drawing, Words, png, svg
from app.analysis.interval_chart import SIGNED, Bar, Margin, intervals
from app.analysis.plot_chart import Series, plot
from app.analysis.report_pdf import block_parts, headed
from app.analysis.sections.told import Json
from app.analysis.sentences import MEANING, difference_verdict, flips_verdict
from app.analysis.wording import p_value, percent, points

SVG = "{http://www.w3.org/2000/svg}"


def drawn(bars: list[Bar], margin: Margin | None = None) -> Drawing:
    return intervals(bars, margin=margin, axis_label="Percentage points", scale=SIGNED)


def test_an_svg_is_an_image_with_a_title_and_a_description_whatever_is_in_them() -> None:
    text = svg(drawn([Bar("<R&D>", 0.1, 0, 0.2)]), "one", 'A "title" & <more>', "It shows")
    root = ElementTree.fromstring(text)  # noqa: S314 (our own)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "one-title one-desc"
    assert root.findtext(f"{SVG}title") == 'A "title" & <more>'
    assert root.findtext(f"{SVG}desc") == "It shows"
    assert "<R&D>" in [each.text for each in root.iter(f"{SVG}text")]
    assert "style" not in text, "no page would let it through"


def test_a_png_is_the_same_drawing_at_twice_the_size() -> None:
    drawing = drawn([Bar("R01", 0.05, -0.02, 0.12), Bar("R02", None, None, None)])
    image = Image.open(io.BytesIO(png(drawing)))
    assert image.size == (2 * drawing.width, 2 * drawing.height)
    assert len(image.getcolors(1 << 20) or ()) > 3


def test_an_interval_lies_between_its_ends_and_the_margin_behind_it() -> None:
    text = svg(drawn([Bar("a", 0.0, -0.1, 0.1)], Margin(-0.1, 0.1)), "n", "t", "d")
    root = ElementTree.fromstring(text)  # noqa: S314 (our own)
    [zone] = [each for each in root.iter(f"{SVG}rect") if each.get("class") == "zone"]
    left, width = float(zone.get("x", "")), float(zone.get("width", ""))
    [dot] = root.iter(f"{SVG}circle")
    assert float(dot.get("cx", "")) == pytest.approx(left + width / 2, abs=0.2)


@pytest.mark.parametrize("bars", [[], [Bar("only", 0.0, 0.0, 0.0)], [Bar("x", 1.0, 1.0, 1.0)]])
def test_hardly_anything_is_still_a_drawing(bars: list[Bar]) -> None:
    assert png(drawn(bars)).startswith(b"\x89PNG")


def test_a_chart_of_many_readers_fits_on_a_page() -> None:
    bars = [Bar(f"R{number:02d}", 0.0, -0.1, 0.1) for number in range(300)]
    chart = Chart("by-reader", "Reader by reader", "Each a line.", drawn(bars), ("reader",), [])
    block = Block("by-reader", "By reader", charts=[chart])
    pages = io.BytesIO()
    made = SimpleDocTemplate(pages, pagesize=A4, topMargin=24 * mm, bottomMargin=22 * mm)
    made.build(list(headed(block.title, list(block_parts(block)))))
    assert pages.getvalue().count(b"/Type /Page\n") == 1


def test_curves_may_be_empty_and_an_axis_may_be_logarithmic() -> None:
    axis = Axis("epsilon", 0.5, 16, is_log=True)
    drawing = plot([Series("readers", [])], axis, Axis("", 0, 1))
    labels = [each.text for each in drawing.shapes if isinstance(each, Words)]
    assert {"0.5", "1.0", "2.0", "4.0", "8.0", "16.0"} <= {str(label) for label in labels}
    assert axis.place(2.0, 0, 100) == pytest.approx(40)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.4, 0.2), (0, 1e-3), (0, 7)])
def test_steps_are_round_and_within_the_axis(low: float, high: float) -> None:
    found = steps(low, high)
    assert 2 <= len(found) <= 8
    assert low - 1e-9 <= found[0]
    assert found[-1] <= high + 1e-9


def test_a_csv_has_whole_numbers_and_no_formula() -> None:
    chart = Chart("n", "t", "d", drawn([]), ("who", "share"), [("=1+1", 1 / 3), ("R01", None)])
    assert csv_of(chart) == f"who,share\n'=1+1,{1 / 3}\nR01,\n"


def test_numbers_in_words() -> None:
    assert [points(x) for x in (0.1, -0.083, 0, -0.0001)] == ["+10", "\u22128.3", "0", "0.0"]
    assert [percent(x) for x in (0.125, None)] == ["12.5 %", "not known"]
    assert [points(x, 0) for x in (0.125, -0.125)] == ["+13", "\u221213"]
    assert [p_value(x) for x in (0.0001, 0.04, None)] == ["< 0.001", "0.040", "not known"]


CONDITION = {"condition": "linf-2", "attack": "pgd", "norm": "linf", "epsilon": 2.0}
FOUND: Json = {"study": {"conditions": [CONDITION]}, "options": {"alpha": 0.05}}


@pytest.mark.parametrize("verdict", MEANING)
def test_a_verdict_is_told_with_its_interval_and_margin_and_never_a_p(verdict: str) -> None:
    flips = {
        "condition": "linf-2",
        "verdict": verdict,
        "d_op": 0.2,
        "d_oo": 0.1,
        "d_pp": 0.1,
        "excess": 0.1,
        "margin": 0.05,
        "bound": {"high": 0.15},
    }
    told = flips_verdict(FOUND, flips)
    assert told.word == verdict
    assert told.about == "pgd, norm linf, epsilon 2"
    for part in ("+10.0 percentage points", "at most +15.0", "margin of 5.", MEANING[verdict]):
        assert part in told.sentence
    assert "significant" not in told.sentence


def test_what_cannot_be_said_is_told_with_its_reason() -> None:
    pooled = {"verdict": None, "reason": "An error over cases needs two cases."}
    told = difference_verdict(
        FOUND,
        {"condition": "linf-2", "measure": "sensitivity", "margin": 0.1, "pooled": pooled},
    )
    assert (told.word, told.sentence) == (None, "An error over cases needs two cases.")
