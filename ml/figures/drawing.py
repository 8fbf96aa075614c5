"""Draws what a run folder has into its folder of figures."""

from dataclasses import dataclass

from ml.data import Progress
from ml.figures import style
from ml.figures.catalogue import PLANS
from ml.figures.plan import Plan
from ml.figures.run_folder import RunFolder


@dataclass(frozen=True)
class Drawn:
    """One figure that is there, as SVG beside its PNG."""

    plan: Plan
    caption: str
    alt: str
    svg: bytes
    inches: float
    """How wide it is on paper."""


def draw_figures(
    run: RunFolder, progress: Progress = lambda _done, _total: None
) -> dict[str, Drawn]:
    """Writes figures/NAME.svg and .png, and removes those of steps that are there no more."""
    drawn = {}
    for done, plan in enumerate(PLANS, start=1):
        figure = _draw(run, plan)
        if figure is not None:
            drawn[plan.name] = figure
        progress(done, len(PLANS))
    return drawn


def _draw(run: RunFolder, plan: Plan) -> Drawn | None:
    paths = {kind: run.path / "figures" / f"{plan.name}.{kind}" for kind in ("svg", "png")}
    with style.house_style():
        drawing = plan.draw(run)
        if drawing is None:
            for path in paths.values():
                path.unlink(missing_ok=True)
            return None
        svg = style.svg_of(drawing.figure)
        style.write_bytes(paths["svg"], svg)
        style.write_bytes(paths["png"], style.png_of(drawing.figure))
    return Drawn(plan, drawing.caption, drawing.alt, svg, drawing.figure.get_figwidth())
