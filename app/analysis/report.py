"""The report of a study: what the page of results has, and the sixteen points, on paper."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from markupsafe import Markup

from app import ROOT
from app.analysis.blocks import Block, blocks_of
from app.analysis.checklist import Point, checklist
from app.analysis.evidence import with_network
from app.analysis.figures import charts_of
from app.analysis.marks import REHEARSAL, mark_of
from app.analysis.pages import BlockView, TableView, block_view, facts_of, table_views
from app.analysis.paragraph import paragraph
from app.analysis.sections.told import Json
from app.analysis.sentences import Verdict, primary
from app.analysis.tidy import PRESENTATIONS
from app.storage.models import Study
from app.web.templating import utc


@dataclass(frozen=True)
class Report:
    """`mark` is said above all of what is not a blinded study by people. `origin`: what the
    report is of, and what made it, by name."""

    title: str
    origin: Sequence[tuple[str, str]]
    mark: str
    tables: Sequence[TableView]
    primary: Sequence[Verdict]
    points: Sequence[Point]
    blocks: Sequence[Block]
    paragraph: str


@dataclass(frozen=True)
class ReportPage:
    """One file: its style is in it."""

    title: str
    study_id: int
    report: Report
    views: Sequence[BlockView]
    style: Markup


DEMO = "Demo: results were shown while it was read. This is not a blinded study."


def report_of(study: Study, found: Json, made_at: datetime) -> Report:
    return Report(
        f"Report: {study.internal_title}",
        origin(study, found, made_at),
        mark(study),
        table_views(found),
        primary(found, study.estimand),
        checklist(study, found),
        with_network(blocks_of(found, charts_of(found)), study.batch.evidence, found),
        f"{mark_of(study)} {paragraph(found, facts_of(study))}".strip(),
    )


def mark(study: Study) -> str:
    return REHEARSAL if study.is_rehearsal else DEMO if study.is_demo else ""


def origin(study: Study, found: Json, made_at: datetime) -> list[tuple[str, str]]:
    code = found["code"]
    commit = f", commit {code['commit']}" if code["commit"] else ""
    data = next(x["sha256"] for x in found["inputs"] if x["file"] == PRESENTATIONS)
    return [
        ("Study", study.internal_title),
        ("Protocol, SHA-256", study.protocol_hash or "no protocol was frozen"),
        ("Unblinded", utc(study.unblinded_at) if study.unblinded_at else "not unblinded"),
        (f"{PRESENTATIONS}, SHA-256", data),
        ("Made by", f"{code['name'].capitalize()} {code['version']}{commit}"),
        ("Made at", utc(made_at)),
    ]


def report_page(study: Study, report: Report) -> ReportPage:
    views = [block_view(block) for block in report.blocks]
    return ReportPage(report.title, study.id, report, views, Markup(style()))  # noqa: S704 (ours)


@cache
def style() -> str:
    return (ROOT / "static/plainsight.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Of content: this very style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
