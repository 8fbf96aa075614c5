"""Pages: every template gets one frozen dataclass, `page`, and an undefined name is an error."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app import ROOT


class Page(Protocol):
    """What every page has; a page's own class lists all that its template may show."""

    @property
    def title(self) -> str: ...


@dataclass(frozen=True)
class Message:
    """A page that only says something."""

    title: str
    message: str


environment = Environment(
    loader=FileSystemLoader(ROOT / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def utc(time: datetime) -> str:
    """To the minute, as pages show it; the database gives every time in UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


environment.filters["utc"] = utc


def render(template: str, page: Page, *, status: int = 200) -> HTMLResponse:
    """No page is kept by a browser: what a reader or researcher sees stays on the server."""
    html = environment.get_template(template).render(page=page)
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


def wants_json(request: Request) -> bool:
    return "text/html" not in request.headers.get("accept", "")
