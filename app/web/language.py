"""The languages of the pages for readers: which one is wanted, and its sentences.

The English sentences stand in the sources and are the keys of the catalogues in app/locale;
`make texts` brings the catalogues up to date. Pages for researchers are in English.
"""

from datetime import date
from functools import cache
from io import BytesIO

from babel.dates import format_date, format_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from fastapi import Request

from app import ROOT
from app.vocabulary import N_

LANGUAGES = {"en": "English", "de": "Deutsch"}
ENGLISH = "en"
LANGUAGE_COOKIE = "plainsight_language"
LOCALES = {"en": "en_GB", "de": "de"}  # how dates are written

# What studies and batches bring, which know nothing of the web.
KNOWN = (
    N_("Does this image show tumour?"),
    N_("Tumour: 5 or more tumour cells. No tumour: no tumour cell."),
)


@cache
def catalogue(language: str) -> NullTranslations:
    if language == ENGLISH:
        return NullTranslations()
    compiled = BytesIO()
    with (ROOT / f"app/locale/{language}/LC_MESSAGES/messages.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def translate(language: str, text: str) -> str:
    """`text` in this language, or as it is when the catalogue does not have it."""
    return str(catalogue(language).gettext(text)) if text else text


def day(language: str, when: date) -> str:
    """A day without its year: "7 December" or "7. Dezember"."""
    return format_skeleton("MMMMd", when, locale=LOCALES[language])


def whole_day(language: str, when: date) -> str:
    """A day with its year: "7 December 2026" or "7. Dezember 2026"."""
    return format_date(when, "long", locale=LOCALES[language])


def language_of(request: Request) -> str:
    """What the reader chose, else what their browser asks for, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    wanted = [chosen, *accepted(request.headers.get("accept-language", ""))]
    return next((language for language in wanted if language in LANGUAGES), ENGLISH)


def accepted(header: str) -> list[str]:
    """The languages of an Accept-Language header, without their regions, the dearest first."""
    weighed: list[tuple[float, str]] = []
    for entry in header.lower().split(","):
        tag, _, weight = entry.partition(";")
        weighed.append((weight_of(weight), tag.strip().partition("-")[0]))
    weighed.sort(key=lambda entry: -entry[0])
    return [language for weight, language in weighed if weight > 0]


def weight_of(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
