"""The charts of a batch's evidence, on a page and as files."""

from dataclasses import dataclass, replace

from fastapi import APIRouter
from fastapi.responses import Response

from app.analysis.evidence import evidence_charts, network_block
from app.analysis.pages import BlockView, block_view
from app.analysis.results_routes import Kind, chart_file
from app.batches.service import find_batch
from app.errors import NotFound
from app.storage.session import ReadingDep
from app.web.fields import RowNumber
from app.web.identity import ResearcherDep
from app.web.templating import render

router = APIRouter()


@dataclass(frozen=True)
class NetworkPage:
    title: str
    batch_id: int
    batch: str
    block: BlockView


@router.get("/batches/{batch_id}/network")
def network(batch_id: RowNumber, researcher: ResearcherDep, session: ReadingDep) -> Response:
    batch = find_batch(session, batch_id, researcher)
    if batch.evidence is None:
        raise NotFound("This batch brought no evidence of its network.")
    block = replace(block_view(network_block(batch.evidence)), title="Curves and changes")
    page = NetworkPage(f"The network of {batch.name}", batch.id, batch.name, block)
    return render("researcher/network.html", page)


@router.get("/batches/{batch_id}/charts/{chart}.{kind}")
def chart_here(
    batch_id: RowNumber, chart: str, kind: Kind, researcher: ResearcherDep, session: ReadingDep
) -> Response:
    batch = find_batch(session, batch_id, researcher)
    named = {each.name: each for each in evidence_charts(batch.evidence)}
    if chart not in named:
        raise NotFound("This batch has no such chart.")
    return chart_file(named[chart], kind)
