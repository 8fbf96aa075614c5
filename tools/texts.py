"""Brings the catalogues of app/locale up to date with the sentences that readers see."""

from io import SEEK_END, BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
SOURCES = ("app/web", "app/readers", "app/reading", "app/responses", "templates/reader")
METHODS = [("**.py", "python"), ("**.html", "jinja2")]
OPTIONS = {"**.html": {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true"}}
HEADER = """\
msgid ""
msgstr ""
"Language: {0.locale}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {0.plural_forms}\\n"

"""
# The message of an error needs no other mark.
ERRORS = dict.fromkeys(("NotAllowed", "NotFound", "Conflict", "Invalid"))


def extracted() -> Catalog:
    """Every sentence of the sources, with the file that says it."""
    found = Catalog()
    for folder in SOURCES:
        for file, _, text, comments, _ in extract_from_dir(
            ROOT / folder, METHODS, OPTIONS, keywords={**DEFAULT_KEYWORDS, **ERRORS}
        ):
            found.add(text, locations=[(f"{folder}/{file}", 1)], auto_comments=comments)
    return found


def catalogues() -> dict[str, Path]:
    """The file of each language but English, whose sentences are the keys."""
    folder = ROOT / "app/locale"
    return {path.parts[-3]: path for path in folder.glob("*/LC_MESSAGES/messages.po")}


def written(catalogue: Catalog) -> bytes:
    """A file that changes with its sentences only: no dates, no line numbers."""
    file = BytesIO(HEADER.format(catalogue).encode())
    file.seek(0, SEEK_END)
    write_po(
        *(file, catalogue),
        width=100,
        omit_header=True,
        ignore_obsolete=True,
        sort_by_file=True,
        include_lineno=False,
    )
    return file.getvalue()


def main() -> None:
    sentences = extracted()
    for language, path in catalogues().items():
        with path.open("rb") as file:
            catalogue = read_po(file, locale=language)
        catalogue.update(sentences, no_fuzzy_matching=True)
        with path.open("wb") as file:
            file.write(written(catalogue))


if __name__ == "__main__":
    main()
