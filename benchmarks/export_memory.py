"""The most memory that `plainsight study export` takes on a study of very many presentations.

Fills a database with a study that every reader has read, with answers taken back and problems
reported, and exports it as a zip in a process of its own, whose VmHWM is read from Linux. The
number of presentations is what is tested: memory must not grow with it.

    python benchmarks/export_memory.py --json --presentations 1000000
    python benchmarks/export_memory.py --json --postgres postgresql+pg8000://me@localhost/empty
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click
from sqlalchemy import URL, String, cast, insert, literal, make_url, select, text
from sqlalchemy.orm import Session

from app.storage.models import (
    Base,
    Batch,
    Case,
    Condition,
    Event,
    Presentation,
    ProblemReport,
    Reader,
    Researcher,
    Response,
    Sitting,
    Stimulus,
    Study,
    StudyStimulus,
    Undone,
)
from app.storage.session import Database
from app.vocabulary import Answer, Part, Problem, StudyState, Undo

CASES, SETS = 1000, 5
A_READER = CASES * 2 * SETS
TAKEN_BACK, REPORTED = 20, 100  # one in so many
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = 5000
SIZES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """`peak_mb` is VmHWM in 2^20 bytes; `rows` are those of presentations.csv."""

    backend: str
    presentations: int
    rows: int
    peak_mb: float
    seconds: float
    database_mb: float
    zip_mb: float


def fill(session: Session, readers: int) -> None:
    add_batch(session)
    add_study(session)
    add_reader(session, 1)
    add_answers(session)
    for reader in range(2, readers + 1):
        add_reader(session, reader)
        copy_answers(session, reader)
        session.commit()


def add_batch(session: Session) -> None:
    session.add(Researcher(id=1, email="a@example.org", password_hash="", created_at=BEGAN))
    session.add(
        Batch(
            id=1,
            name="many",
            digest="0" * 64,
            criterion="",
            network={"architecture": "none"},
            provenance={},
            imported_at=BEGAN,
        )
    )
    session.flush()
    run = {"steps": 20, "step_size": "1", "confidence_target": 0.9, "seed": "0"}
    session.add(
        Condition(id=1, batch_id=1, name="linf-2", attack="pgd", norm="linf", epsilon="2", **run)
    )
    session.flush()
    where = {"batch_id": 1, "data_set": "none", "fold": "1", "micrometres_per_pixel": 0.25}
    store(
        session,
        Case,
        (
            {"id": n, "name": f"case-{n:04}", "truth": n % 2, "index_in_fold": n, **where}
            for n in range(1, CASES + 1)
        ),
    )
    store(session, Stimulus, (image(n) for n in range(1, 2 * CASES + 1)))


def image(number: int) -> Row:
    """Odd ones are originals."""
    is_original = number % 2 == 1
    norms = {"l0_fraction": 0.5, "l1_mad": 1.0, "l2_rmsd": 1.2, "linf": 2, "ssim": 0.99}
    return {
        "id": number,
        "case_id": (number + 1) // 2,
        "condition_id": None if is_original else 1,
        "file": f"{number}.png",
        "sha256": f"{number:064}",
        "delivered_sha256": f"{number:064}",
        "stored_bytes": 1000,
        "width": 256,
        "height": 256,
        "p_positive": 0.9,
        "success": None if is_original else True,
        **(dict.fromkeys(norms) if is_original else norms),
    }


def add_study(session: Session) -> None:
    session.add(
        Study(
            id=1,
            researcher_id=1,
            batch_id=1,
            internal_title="Many",
            public_title="Many",
            question="Tumour?",
            criterion="",
            sets=SETS,
            minimum_gap=2,
            waves=1,
            washout_days=14,
            feedback=False,
            confidence=True,
            few_cells=False,
            cannot_assess=False,
            undo=Undo.ALL,
            break_after_images=0,
            break_after_minutes=0,
            masking=False,
            not_sure=False,
            is_demo=False,
            secret=secrets.token_hex(32),
            state=StudyState.UNBLINDED,
            created_at=BEGAN,
            unblinded_at=BEGAN,
        )
    )
    session.flush()
    images = range(1, 2 * CASES + 1)
    store(
        session,
        StudyStimulus,
        ({"study_id": 1, "stimulus_id": each, "part": Part.READING} for each in images),
    )
    session.add(Event(study_id=1, at=BEGAN, actor="a@example.org", kind="created"))
    session.commit()


def add_reader(session: Session, reader: int) -> None:
    session.add(
        Reader(
            id=reader,
            study_id=1,
            label=f"R{reader:02}",
            link_digest=secrets.token_hex(32),
            keys_swapped=reader % 2 == 0,
            invited_at=BEGAN,
            began_at=BEGAN,
            finished_at=BEGAN + timedelta(days=1),
        )
    )
    session.flush()
    session.add(Sitting(reader_id=reader, number=1, seed="0" * 64))
    session.flush()


def add_answers(session: Session) -> None:
    """Of the first reader, whose presentations have their places as numbers."""
    places = range(1, A_READER + 1)
    store(session, Presentation, (presentation(place) for place in places))
    again = [place for place in places if place % TAKEN_BACK == 0]
    store(session, Response, (response(place, 0) for place in places))
    taken_back = [{"response_id": 2 * place, "undone_at": at(place)} for place in again]
    store(session, Undone, iter(taken_back))
    store(session, Response, (response(place, 1) for place in again))
    reports = (
        {"presentation_id": place, "kind": Problem.UNCLEAR, "reported_at": at(place)}
        for place in places
        if place % REPORTED == 0
    )
    store(session, ProblemReport, reports)
    session.commit()


def copy_answers(session: Session, reader: int) -> None:
    """Of the first reader, inside the database."""
    shift = (reader - 1) * A_READER
    number = Presentation.id + shift
    token = literal("0" * 24) + cast(number, String)
    changes: dict[type[Base], tuple[Any, Row]] = {
        Presentation: (
            Presentation.id <= A_READER,
            {"id": number, "reader_id": literal(reader), "token": token},
        ),
        Response: (
            Response.presentation_id <= A_READER,
            {"id": Response.id + 2 * shift, "presentation_id": Response.presentation_id + shift},
        ),
        Undone: (
            Undone.response_id < 2 * (A_READER + 1),
            {"response_id": Undone.response_id + 2 * shift},
        ),
        ProblemReport: (
            ProblemReport.presentation_id <= A_READER,
            {"presentation_id": ProblemReport.presentation_id + shift},
        ),
    }
    for table, (chosen, changed) in changes.items():
        names = [each.name for each in table.__table__.columns]
        names = [name for name in names if name != "id" or name in changed]
        values = [changed.get(name, getattr(table, name)) for name in names]
        session.execute(insert(table).from_select(names, select(*values).where(chosen)))


def presentation(place: int) -> Row:
    return {
        "id": place,
        "reader_id": 1,
        "part": Part.READING,
        "sitting": 1,
        "position": place,
        "stimulus_id": 1 + (place * 7) % (2 * CASES),
        "set_number": 1 + (place - 1) // (2 * CASES),
        "orientation": 0,
        "token": f"{place:032}",
    }


def response(place: int, attempt: int) -> Row:
    return {
        "id": 2 * place + attempt,
        "presentation_id": place,
        "attempt": attempt,
        "answer": Answer.TUMOUR if (place + attempt) % 3 else Answer.NO_TUMOUR,
        "confidence": 1 + place % 5,
        "given_at": at(place),
        "answered_at": at(place),
        "reading_time_ms": 1500,
        "hidden_ms": 0,
        "idle_ms": 0,
        "device_pixel_ratio": 1.25,
        "viewport_width": 1280,
        "viewport_height": 800,
        "display_width": 512,
        "display_height": 512,
        "scale": 2,
        "zoom": 1,
        "pixel_exact": True,
    }


def at(place: int) -> datetime:
    return BEGAN + timedelta(seconds=2 * place)


def store(session: Session, table: type[Base], rows: Iterator[Row]) -> None:
    while chunk := list(islice(rows, AT_ONCE)):
        session.execute(insert(table), chunk)


def export(database: str, out: Path) -> float:
    """In this process, by the real command; its VmHWM in 2^20 bytes."""
    from app.cli import cli

    arguments = ["study", "export", "1", "--out", str(out), "--database", database, "--json"]
    cli.main(arguments, prog_name="plainsight", standalone_mode=False)
    status = Path("/proc/self/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak) / 1024


def address_of(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def measure(folder: Path, presentations: int, postgres: str | None) -> Measured:
    readers = max(1, presentations // A_READER)
    out = folder / "results.zip"
    url = make_url(postgres or f"sqlite:///{folder / 'plainsight.db'}")
    database = Database(url)
    database.upgrade()
    with Session(database.engine) as session:
        fill(session, readers)
        size = session.scalar(text(SIZES[url.get_backend_name()])) or 0
    database.close()
    began = time.monotonic()
    child = subprocess.run(
        [sys.executable, __file__, "--database", address_of(url), "--out", str(out)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    seconds = time.monotonic() - began
    with zipfile.ZipFile(out) as archive, archive.open("presentations.csv") as file:
        rows = sum(1 for _ in file) - 1
    return Measured(
        url.get_backend_name(),
        readers * A_READER,
        rows,
        round(float(child.stdout.splitlines()[-1]), 1),
        round(seconds, 1),
        round(size / 2**20, 1),
        round(out.stat().st_size / 2**20, 1),
    )


@click.command()
@click.option("--presentations", default=200_000, show_default=True, type=click.IntRange(A_READER))
@click.option("--postgres", metavar="URL", help="An empty database, instead of SQLite.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--database", hidden=True)
@click.option("--out", hidden=True, type=click.Path(path_type=Path))
def main(
    presentations: int,
    postgres: str | None,
    as_json: bool,
    database: str | None,
    out: Path | None,
) -> None:
    """Export a study of many presentations and tell the memory that it took."""
    if database and out:
        click.echo(export(database, out))
        return
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), presentations, postgres)
    facts = asdict(measured)
    click.echo(json.dumps(facts) if as_json else "  ".join(f"{k} {v}" for k, v in facts.items()))


if __name__ == "__main__":
    main()
