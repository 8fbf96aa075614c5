"""The results, once the key is open: the page, its charts as files, and every number."""

import json
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.analysis.charts import Chart, csv_of
from app.analysis.drawing import png, svg
from app.analysis.evidence import evidence_charts
from app.analysis.figures import charts_of
from app.analysis.findings import Findings, findings_of
from app.analysis.flipped import flips_of
from app.analysis.marks import file_name, mark_of, marked
from app.analysis.pages import results_page
from app.errors import NotFound
from app.researchers.domain import Right
from app.storage.models import Researcher, Study
from app.storage.session import ReadingDep
from app.studies.service import find_study
from app.web.fields import LARGEST, RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()
PageNumber = Annotated[int, Query(ge=1, le=LARGEST)]


class Kind(StrEnum):
    SVG = "svg"
    PNG = "png"
    CSV = "csv"


def found_in(session: Session, study_id: int, researcher: Researcher) -> tuple[Study, Findings]:
    study = find_study(session, study_id, researcher, Right.VIEW)
    return study, findings_of(session, study, now())


@router.get("/studies/{study_id}/results")
def results(
    study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep, flips: PageNumber = 1
) -> Response:
    study, findings = found_in(session, study_id, researcher)
    page = results_page(study, findings.analysis, flips_of(study, findings.rows, flips))
    return render("researcher/results.html", page)


@router.get("/studies/{study_id}/analysis.json")
def analysis(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    """What `plainsight analyse --json` prints of the export."""
    study, findings = found_in(session, study_id, researcher)
    text = json.dumps(findings.analysis, indent=2, ensure_ascii=False, allow_nan=False)
    return download(text.encode(), file_name(study, "-analysis.json"), "application/json")


@router.get("/studies/{study_id}/charts/{chart}.{kind}")
def chart_here(
    study_id: RowNumber, chart: str, kind: Kind, researcher: ResearcherDep, session: ReadingDep
) -> Response:
    study, findings = found_in(session, study_id, researcher)
    charts = (*charts_of(findings.analysis), *evidence_charts(study.batch.evidence))
    named = {each.name: each for each in charts}
    if chart not in named:
        raise NotFound("This study has no such chart.")
    return chart_file(marked(named[chart], mark_of(study)), kind)


def chart_file(chart: Chart, kind: Kind) -> Response:
    match kind:
        case Kind.SVG:
            text = svg(chart.drawing, chart.name, chart.title, chart.description)
            return download(text.encode(), f"{chart.name}.svg", "image/svg+xml")
        case Kind.PNG:
            return download(png(chart.drawing), f"{chart.name}.png", "image/png")
        case Kind.CSV:
            return download(csv_of(chart).encode(), f"{chart.name}.csv", "text/csv")


def download(content: bytes, name: str, media_type: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(content, 200, headers, media_type)
