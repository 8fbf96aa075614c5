"""The report of a study, once the key is open: one HTML file that prints, and a PDF."""

from fastapi import APIRouter
from fastapi.responses import Response

from app.analysis.marks import file_name
from app.analysis.report import policy, report_of, report_page
from app.analysis.report_pdf import report_pdf
from app.analysis.results_routes import download, found_in
from app.storage.session import ReadingDep
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep, now
from app.web.templating import render

router = APIRouter()


@router.get("/studies/{study_id}/report")
def report(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    study, findings = found_in(session, study_id, researcher)
    page = report_page(study, report_of(study, findings.analysis, now()))
    response = render("researcher/report.html", page)
    response.headers["Content-Security-Policy"] = policy()
    return response


@router.get("/studies/{study_id}/report.pdf")
def pdf(study_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    study, findings = found_in(session, study_id, researcher)
    content = report_pdf(report_of(study, findings.analysis, now()))
    return download(content, file_name(study, "-report.pdf"), "application/pdf")
