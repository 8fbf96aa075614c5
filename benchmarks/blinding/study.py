"""A study of generated tissue, on a real server in this process."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.batches.service import find_batch, import_batch
from app.designer.service import start_study
from app.main import create_app
from app.readers.service import invite
from app.researchers.service import add_researcher
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.session import Database
from app.studies.service import NewStudy, create_study
from app.web.identity import now
from benchmarks.blinding.links import Design


@dataclass(frozen=True)
class Prepared:
    """A folder with a study nobody has begun; `links` are the secrets of the readers' links."""

    home: Path
    links: tuple[str, ...]
    design: Design

    def copy(self, home: Path) -> "Prepared":
        shutil.copytree(self.home, home)
        return Prepared(home, self.links, self.design)


WriteBatch = Callable[..., Path]


def prepare(
    home: Path,
    write_batch: WriteBatch,
    *,
    cases: int,
    readers: int,
    images: Sequence[Any] = (),
    **options: Any,
) -> Prepared:
    """Half of the cases are tumour; every image is shown in two sets. Options are NewStudy's."""
    settings = Settings(home=home, database_url="")
    home.mkdir(parents=True)
    database = Database(settings.database)
    database.upgrade()
    in_batch = cases + options.get("practice", 0)
    truths = [case % 2 for case in range(in_batch)]
    path = write_batch(home / "batch", cases=in_batch, truths=truths, images=images)
    batch = import_batch(path, database, ImageStore(settings.images), now())
    with database.writing() as session:
        researcher = add_researcher(session, "ada@example.org", "correct horse battery", now())
        new = NewStudy(
            "Linf 2", "Tissue images", cases=cases, scan_reason="Made for a test.", **options
        )
        study = create_study(session, researcher, find_batch(session, batch), new, now())
        start_study(session, ImageStore(settings.images), study, researcher.email, now())
        links = tuple(invite(session, study, researcher.email, now()).token for _ in range(readers))
        design = Design(cases, 2, study.sets, study.minimum_gap)
    database.close()
    shutil.rmtree(home / "batch")
    return Prepared(home, links, design)


@contextmanager
def served(prepared: Prepared, around: Callable[[ASGIApp], ASGIApp]) -> Iterator[str]:
    """The address of the server; `around` may stand between it and its readers."""
    app = create_app(Settings(home=prepared.home, database_url=""))
    config = uvicorn.Config(around(app), port=0, log_level=logging.CRITICAL, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    [listening] = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
