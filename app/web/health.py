"""Whether the server lives and reaches its database."""

from fastapi import APIRouter
from sqlalchemy import text

from app.storage.session import ReadingDep

router = APIRouter()


@router.get("/healthz")
def healthz(session: ReadingDep) -> dict[str, str]:
    session.execute(text("SELECT 1"))
    return {"status": "ok"}
