"""report.html: a run on one page that a researcher can send to a colleague."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ml.data import Progress
from ml.errors import MlError
from ml.figures import style
from ml.figures.comparison import Beside, beside_the_paper, why_they_differ
from ml.figures.drawing import Drawn, draw_figures
from ml.figures.facts import (
    STEPS,
    Facts,
    all_facts,
    data_flow,
    environment,
    first_of,
    network_facts,
    patch_count,
    settings_of,
    settings_text,
)
from ml.figures.headlines import headlines
from ml.figures.plan import Plan
from ml.figures.rows import Perceptibility, SanityCheck
from ml.figures.run_folder import RunFolder
from ml.figures.sheets import Sheet, perceptibility_sheet, read_sheet


@dataclass(frozen=True)
class FigureView:
    """`source` is a data URI; `files` are those it was drawn from; `wide` needs the whole page."""

    title: str
    caption: str
    alt: str
    source: str
    wide: bool
    files: tuple[str, ...]
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True)
class Section:
    """`not_run` names the steps whose part is missing."""

    id: str
    title: str
    figures: tuple[FigureView, ...]
    sheets: tuple[Sheet, ...]
    not_run: tuple[str, ...]
    facts: Facts


@dataclass(frozen=True)
class Report:
    """All that the page shows; `failed` says why a step could not be done."""

    title: str
    created_at: str
    headlines: list[str]
    warnings: list[str]
    checks: list[SanityCheck]
    beside: list[Beside]
    reasons: list[str]
    sections: list[Section]
    not_run: list[str]
    failed: dict[str, str]
    environment: Facts
    settings: str


@dataclass(frozen=True)
class Written:
    path: Path
    figures: tuple[str, ...]
    not_run: tuple[str, ...]


# Title, steps, figures, and tables that no figure shows.
OUTLINE: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "network": (
        "Network and cross-validation",
        ("crossval",),
        ("table1a", "roc", "calibration"),
        ("confusion.csv",),
    ),
    "curves": (
        "How small a perturbation is enough",
        ("curves",),
        ("fig1-examples", "fig4-curves", "minimal"),
        ("checks.csv",),
    ),
    "universal": ("One perturbation for all images", ("universal",), ("fig5-universal",), ()),
    "features": (
        "What the network sees",
        ("embedding", "landscape", "saliency"),
        ("fig2a-embedding", "fig2b-landscape", "fig3-saliency", "saliency-shares"),
        (),
    ),
    "natural": ("Natural changes at the same energy", ("natural",), ("natural",), ()),
    "baselines": (
        "Other attacks, other networks",
        ("baselines",),
        ("baselines", "transfer"),
        (),
    ),
    "defence": ("Defence", ("defence",), ("defence",), ()),
}


def write_report(run: Path, progress: Progress = lambda _done, _total: None) -> Written:
    """Draws the figures of the folder `run` and writes its report.html."""
    folder = RunFolder(run)
    facts = all_facts(folder)
    if not facts and not list(run.glob("*.csv")):
        raise MlError(f"{run} holds no step of a run; give the folder that the steps wrote to.")
    drawn = draw_figures(folder, progress)
    report = compose(folder, facts, drawn)
    path = run / "report.html"
    style.write_bytes(path, render(report).encode("utf-8"))
    return Written(path, tuple(drawn), tuple(report.not_run))


def render(report: Report) -> str:
    environment = Environment(
        loader=PackageLoader("ml", "figures"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_hold_together,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(report=report)


def _hold_together(value: Any) -> Any:
    """No line ends between a number and its per cent sign."""
    return value.replace(" %", "\u00a0%") if isinstance(value, str) else value


def compose(run: RunFolder, facts: dict[str, dict[str, Any]], drawn: dict[str, Drawn]) -> Report:
    settings = settings_of(facts)
    data_name = first_of(facts, "data_name", "data")
    checks = run.rows("sanity.csv", SanityCheck)
    not_run = [step for step in STEPS if step not in _steps_run(facts, drawn)]
    sections = [_section(run, key, drawn, not_run) for key in OUTLINE]
    first = Section("data", "Data", (), (), (), data_flow(run, facts))
    sections.insert(0, first)
    sections[1] = _with_facts(sections[1], network_facts(settings, facts))
    return Report(
        title=f"Adversarial evaluation: {data_name}" if data_name else "Adversarial evaluation",
        created_at=max((str(kept.get("created_at", "")) for kept in facts.values()), default="")
        .replace("T", " ")
        .replace("Z", " UTC"),
        headlines=headlines(run),
        warnings=[f"{row.check}: {row.told}" for row in checks if not row.passed],
        checks=checks,
        beside=beside_the_paper(run),
        reasons=why_they_differ(settings, data_name, patch_count(run)),
        sections=[*sections, *_perceptibility(run)],
        not_run=not_run,
        failed=facts.get("run", {}).get("failed") or {},
        environment=environment(facts),
        settings=settings_text(settings),
    )


def _steps_run(facts: dict[str, dict[str, Any]], drawn: dict[str, Drawn]) -> set[str]:
    return {*facts, *(figure.plan.step for figure in drawn.values())}


def _with_facts(section: Section, facts: Facts) -> Section:
    return Section(
        section.id, section.title, section.figures, section.sheets, section.not_run, facts
    )


def _section(run: RunFolder, key: str, drawn: dict[str, Drawn], not_run: list[str]) -> Section:
    title, steps, names, tables = OUTLINE[key]
    sheets = [read_sheet(run.path / name) for name in tables]
    return Section(
        id=key,
        title=title,
        figures=tuple(_view(run, drawn[name]) for name in names if name in drawn),
        sheets=tuple(table for table in sheets if table is not None),
        not_run=tuple(step for step in steps if step in not_run),
        facts=[],
    )


def _view(run: RunFolder, drawn: Drawn) -> FigureView:
    plan: Plan = drawn.plan
    sheets = [read_sheet(run.path / name) for name in plan.tables]
    return FigureView(
        title=plan.title,
        caption=drawn.caption,
        alt=drawn.alt,
        source="data:image/svg+xml;base64," + base64.b64encode(drawn.svg).decode("ascii"),
        wide=drawn.inches > style.HALF_WIDTH,
        files=tuple(name for name in plan.tables if run.has(name)),
        sheets=tuple(table for table in sheets if table is not None),
    )


def _perceptibility(run: RunFolder) -> list[Section]:
    table = perceptibility_sheet(run.rows("perceptibility.csv", Perceptibility))
    if table is None:
        return []
    return [Section("perceptibility", "Can it be seen?", (), (table,), (), [])]
