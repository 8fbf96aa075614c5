"""Pages: every template gets one frozen dataclass, `page`, and an undefined name is an error."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app import ROOT
from app.web.language import ENGLISH, LANGUAGES, catalogue, day, translate


class Page(Protocol):
    """What every page has; a page's own class lists all that its template may show."""

    @property
    def title(self) -> str: ...


@dataclass(frozen=True)
class Message:
    """A page that only says something."""

    title: str
    message: str


def utc(time: datetime) -> str:
    """To the minute, as pages show it; the database gives every time in UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def environment_in(language: str) -> Environment:
    """Templates know `language`, and the filters `utc`, `date` and `translated`.

    `_("...")` is for sentences of the template: it takes them for safe HTML with %-places.
    What comes from the page goes through `translated`, which takes it as mere text.
    """
    made = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    texts = catalogue(language)
    # The extension adds this method, which the type of Environment does not know.
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(language=language, languages=LANGUAGES)
    made.filters["utc"] = utc
    made.filters["date"] = partial(day, language)
    made.filters["translated"] = partial(translate, language)
    return made


environments = {language: environment_in(language) for language in LANGUAGES}


def html(template: str, page: Page, language: str = ENGLISH) -> str:
    return environments[language].get_template(template).render(page=page)


def render(
    template: str, page: Page, *, status: int = 200, language: str = ENGLISH
) -> HTMLResponse:
    """No page is kept by a browser: what a reader or researcher sees stays on the server."""
    headers = {"Cache-Control": "no-store", "Content-Language": language}
    return HTMLResponse(html(template, page, language), status, headers)


def wants_json(request: Request) -> bool:
    return "text/html" not in request.headers.get("accept", "")
