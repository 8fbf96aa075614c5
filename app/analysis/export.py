"""The files that a statistician takes away, made while they are read: none is in memory as a whole.

`export_files` yields them one after the other; each must be read to its end before the next.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

from app.analysis import dictionary
from app.analysis.archive import File
from app.analysis.audit import audit_lines
from app.analysis.columns import TABLES
from app.analysis.material import attack_rows, image_rows, smallest_rows
from app.analysis.ratings import IMRMC_COLUMNS, imrmc_lines, imrmc_rows, mrmcaov_rows
from app.analysis.reader_rows import reader_rows, undone_rows
from app.analysis.record import study_json
from app.analysis.rows import detection_rows, presentation_rows
from app.analysis.service import require_open_key
from app.analysis.values import Values
from app.analysis.wording import harmless
from app.storage.models import Study

ROWS = {
    "presentations.csv": presentation_rows,
    "detections.csv": detection_rows,
    "readers.csv": reader_rows,
    "undone.csv": undone_rows,
    "images.csv": image_rows,
    "attacks.csv": attack_rows,
    "network.csv": smallest_rows,
    "mrmcaov.csv": mrmcaov_rows,
}
SNIPPETS_FOLDER = Path(__file__).parent / "snippets"
SNIPPETS = ("analyse.py", "analyse.R")
PIECE = 1 << 16

Text = Iterator[str]


def export_files(session: Session, study: Study, now: datetime) -> Iterator[File]:
    """Every file's name and content, at last their digests. Conflict while the key is sealed."""
    require_open_key(study)
    return with_sums(texts(session, study, now))


def with_sums(files: Iterable[tuple[str, Text]]) -> Iterator[File]:
    sums: dict[str, str] = {}
    for name, text in files:
        digest = hashlib.sha256()
        yield name, watched(text, digest)
        sums[name] = digest.hexdigest()
    yield "SHA256SUMS", iter(["".join(f"{said}  {name}\n" for name, said in sums.items()).encode()])


def texts(session: Session, study: Study, now: datetime) -> Iterator[tuple[str, Text]]:
    for name in TABLES:
        yield name, table_text(session, study, name)
    for number in range(1, study.sets + 1):
        yield f"imrmc-set{number}.csv", csv_text(IMRMC_COLUMNS, imrmc_rows(session, study, number))
        yield f"imrmc-set{number}.imrmc", imrmc_lines(session, study, number)
    yield "data_dictionary.csv", csv_text(dictionary.HEADER, dictionary.dictionary_rows())
    yield "study.json", iter([study_json(session, study, now)])
    yield "audit.jsonl", audit_lines(session, study)
    for name in SNIPPETS:
        yield name, iter([(SNIPPETS_FOLDER / name).read_text(encoding="utf-8")])


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def watched(text: Text, digest: Digest) -> Iterator[bytes]:
    for piece in in_pieces(text):
        digest.update(piece)
        yield piece


def in_pieces(text: Text) -> Iterator[bytes]:
    """Of a useful size: a line is too little to be compressed or sent for itself."""
    waiting = bytearray()
    for part in text:
        waiting += part.encode()
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def table_text(session: Session, study: Study, name: str) -> Text:
    require_open_key(study)
    return csv_text([column.name for column in TABLES[name]], ROWS[name](session, study))


def table_csv(session: Session, study: Study, name: str) -> str:
    return "".join(table_text(session, study, name))


def csv_text(header: Sequence[str], values: Iterable[Values]) -> Text:
    """Line by line. ValueError for a value that the header has no column for."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, restval="", lineterminator="\n")
    writer.writeheader()
    for row in values:
        writer.writerow({name: harmless(value) for name, value in row.items()})
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()
