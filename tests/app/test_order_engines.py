"""One study's secret gives one reader the same orders, whichever database keeps them."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, select

from app.batches.service import find_batch, import_batch
from app.designer.service import start_study
from app.main import create_app
from app.readers.service import invite
from app.researchers.service import add_researcher
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.models import Presentation
from app.storage.session import Database
from app.studies import service as studies
from app.studies.service import NewStudy, create_study
from app.vocabulary import PairTask
from app.web.identity import now

NAME, ADDRESS = "ada@example.org", "http://127.0.0.1"
Make = Callable[..., Path]
Read = Callable[..., int]
Begin = Callable[[TestClient, str], None]
Enter = Callable[[TestClient], dict[str, Any]]
Stored = list[tuple[object, ...]]


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    yield database
    database.close()


def prepared(settings: Settings, batches: list[Path], task: PairTask) -> str:
    """A reader's link to a study of the last of the batches."""
    with opened(settings) as database:
        store = ImageStore(settings.images)
        numbers = [import_batch(path, database, store, now()) for path in batches]
        new = NewStudy(
            *("Linf 2", "Tissue images"),
            sets=2,
            cases=4,
            practice=2,
            catch=2,
            waves=2,
            washout_days=0,
            masking=True,
            pair_task=task,
            scan_reason="Made for a test.",
        )
        with database.writing() as session:
            researcher = add_researcher(session, NAME, "correct horse battery", now())
            batch = find_batch(session, numbers[-1])
            study = create_study(session, researcher, batch, new, now())
            start_study(session, store, study, NAME, now())
            return invite(session, study, NAME, now()).url(ADDRESS)


def stored(settings: Settings) -> Stored:
    """Every presentation; an image is its place in its batch."""
    with opened(settings) as database, database.reading() as session:
        shown = session.scalars(select(Presentation).order_by(Presentation.id)).all()
        first = min(min(each.stimulus_id, each.beside_id or each.stimulus_id) for each in shown)
        rows: Stored = [
            (
                *(each.part.value, each.sitting, each.position, each.set_number),
                *(each.stimulus_id - first, each.beside_id and each.beside_id - first),
                *(each.orientation, each.is_catch),
            )
            for each in shown
        ]
    return sorted(rows, key=str)


@pytest.fixture
def engines(
    tmp_path: Path, migrated_sqlite: Path, migrated_postgres: Callable[[], URL]
) -> dict[str, Settings]:
    shutil.copyfile(migrated_sqlite, tmp_path / "plainsight.db")
    urls = {
        "sqlite": f"sqlite:///{tmp_path / 'plainsight.db'}",
        "postgres": migrated_postgres().render_as_string(hide_password=False),
    }
    return {name: Settings(home=tmp_path / name, database_url=url) for name, url in urls.items()}


@pytest.mark.parametrize("task", PairTask)
def test_the_same_orders_are_stored_by_sqlite_and_by_postgres(
    task: PairTask,
    engines: dict[str, Settings],
    make_batch: Make,
    begin: Begin,
    enter: Enter,
    read: Read,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the whole study; in one database another batch came before, so its ids differ."""
    monkeypatch.setattr(studies, "secrets", SimpleNamespace(token_hex=lambda size: "5e" * size))
    batch, other = (
        make_batch(tmp_path / name, cases=cases, conditions=2, truths=(1,) * cases, size=16)
        for name, cases in (("batch", 8), ("other", 3))
    )
    found: dict[str, Stored] = {}
    for name, settings in engines.items():
        link = prepared(settings, [other, batch] if name == "postgres" else [batch], task)
        app = create_app(settings)
        with TestClient(app, base_url=ADDRESS, follow_redirects=False) as reader:
            begin(reader, link)
            assert read(reader) == 2
            for expected in (13, 13):
                enter(reader)
                assert read(reader) == expected
            reader.post("/reading/questions", data={"saw_repeats": "no", "odd": ""})
            assert reader.post("/reading/pairs").status_code == 303
        app.state.database.close()
        found[name] = stored(settings)
    assert len(found["sqlite"]) == 2 + 24 + 2 + 8 * (2 if task is PairTask.COMPARE else 1)
    assert len({row[-2] for row in found["sqlite"]}) == 8, "all orientations are met"
    assert digest(found["sqlite"]) == digest(found["postgres"])


def digest(rows: Stored) -> str:
    return hashlib.sha256("\n".join(map(repr, rows)).encode()).hexdigest()
