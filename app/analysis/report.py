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
from app.analysis.pages import BlockView, TableView, block_view, facts_of, table_views
from app.analysis.sections.told import Json
from app.analysis.sentences import Verdict, paragraph, primary, secondary
from app.storage.models import Study


@dataclass(frozen=True)
class Report:
    """`mark` is said above all of a demo, whose results are not those of a blinded study."""

    title: str
    made_at: datetime
    mark: str
    tables: Sequence[TableView]
    primary: Sequence[Verdict]
    secondary: Sequence[Verdict]
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
        made_at,
        DEMO if study.is_demo else "",
        table_views(found),
        primary(found, study.estimand),
        secondary(found, study.estimand),
        checklist(study, found),
        with_network(blocks_of(found, charts_of(found)), study.batch.evidence),
        paragraph(found, facts_of(study)),
    )


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
