"""`plainsight serve` as a process of its own, with studies to read; for tests and benchmarks."""

import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.batches.service import find_batch, import_batch
from app.designer.service import start_study
from app.readers.domain import CheckRecord
from app.readers.service import CONSENT_VERSION, Consent, find_reader, invite, note_check
from app.reading.service import begin, place_of, window
from app.researchers.service import add_researcher, find_researcher
from app.responses.domain import GivenAnswer
from app.responses.service import record_response
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.session import Database
from app.studies.service import NewStudy, create_study, find_study, lock_study
from app.vocabulary import Answer
from app.web.identity import now
from ml.data import load_patches
from ml.phantom import write_phantom

BIN = Path(sys.executable).parent
EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
ANSWERS = """
    SELECT p.part, p.position, r.attempt, r.answer
    FROM response r JOIN presentation p ON p.id = r.presentation_id
    JOIN reader d ON d.id = p.reader_id LEFT JOIN undone u ON u.response_id = r.id
    WHERE d.study_id = ? AND d.label = ? {}
    ORDER BY r.id
"""

DELIVERED = """
    SELECT s.delivered_sha256 FROM presentation p JOIN reader d ON d.id = p.reader_id
    JOIN stimulus s ON s.id = p.stimulus_id
    WHERE d.study_id = ? AND p.position = ? AND p.part = 'reading'
"""
DISPLAY: dict[str, Any] = {
    "device_pixel_ratio": 1.0,
    "viewport_width": 1280,
    "viewport_height": 800,
}
CHECK: dict[str, Any] = {
    **DISPLAY,
    "is_silent": False,
    "code": "0123456789abcdef",
    "browser_zoom": 1.0,
    "screen_width": 1280,
    "screen_height": 800,
    "colour_depth": 24,
    "pointer": "fine",
    "keys_tried": True,
    "storage_works": True,
    "letters_shown": "KRSVXZ",
    "letters_read": "KRS",
}
READ: dict[str, Any] = {
    **DISPLAY,
    "attempt": 0,
    "confidence": None,
    "given_at": 1_790_000_000_000,
    "reading_time_ms": 2345,
    "hidden_ms": 0,
    "idle_ms": 0,
    "display_width": 512,
    "display_height": 512,
    "scale": 4,
    "zoom": 1,
    "pixel_exact": True,
}

Stored = tuple[str, int, int, str]
"""Part, position, attempt, answer."""


@dataclass(frozen=True)
class Study:
    """Its number, and the personal links of its readers R01, R02, ..."""

    number: int
    links: tuple[str, ...]

    @property
    def link(self) -> str:
        return self.links[0]


@dataclass
class Server:
    """Its folder and port stay the same through every restart."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    batches: list[int] = field(default_factory=list)

    @classmethod
    def new(cls, home: Path) -> "Server":
        """With a researcher and no batch; not started yet."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            made = cls(home, probe.getsockname()[1])
        home.mkdir(parents=True)
        database = made.database()
        database.upgrade()
        with database.writing() as session:
            add_researcher(session, EMAIL, PASSWORD, now())
        database.close()
        return made

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, database_url="", public_url=self.url)

    def database(self) -> Database:
        return Database(self.settings.database)

    def add_batch(self, path: Path) -> int:
        database = self.database()
        self.batches.append(import_batch(path, database, ImageStore(self.settings.images), now()))
        database.close()
        return self.batches[-1]

    def add_study(
        self,
        *,
        readers: int = 1,
        title: str = "",
        practice_batch: int | None = None,
        **options: Any,
    ) -> Study:
        """A study of the first batch; options are those of NewStudy."""
        database = self.database()
        with database.writing() as session:
            number = len(self.rows("SELECT id FROM study")) + 1
            practice = find_batch(session, practice_batch) if practice_batch else None
            new = NewStudy(
                title or f"Linf 2, study {number}",
                "Reading study of tissue images",
                practice_batch=practice,
                **{"scan_reason": "Made for a test.", **options},
            )
            batch = find_batch(session, self.batches[0])
            study = create_study(session, find_researcher(session, EMAIL), batch, new, now())
            start_study(session, ImageStore(self.settings.images), study, EMAIL, now())
            links = [invite(session, study, EMAIL, now()).url(self.url) for _ in range(readers)]
            made = Study(study.id, tuple(links))
        database.close()
        return made

    def lock(self, study: Study) -> None:
        database = self.database()
        with database.writing() as session:
            lock_study(session, find_study(session, study.number), EMAIL, now())
        database.close()

    def begin(self, study: Study) -> None:
        """The first reader agrees and checks the screen, without a browser."""
        database = self.database()
        with database.writing() as session:
            reader = find_reader(session, find_study(session, study.number), "R01")
            consent = Consent(CONSENT_VERSION, "en", "0" * 64)
            begin(session, reader, consent, now())
            note_check(session, reader, CheckRecord(**CHECK), now())
        database.close()

    def read(self, study: Study, answers: Sequence[str]) -> None:
        """The first reader answers what comes next, without a browser."""
        database = self.database()
        for answer in answers:
            with database.writing() as session:
                reader = find_reader(session, find_study(session, study.number), "R01")
                here = place_of(session, reader, now())
                token = window(session, reader, here).tokens[0]
                given = GivenAnswer(token=token, answer=Answer(answer), **READ)
                record_response(session, reader, given, now())
        database.close()

    def start(self) -> None:
        command = [str(BIN / "plainsight"), "serve", "--port", str(self.port)]
        own = {"PLAINSIGHT_HOME": str(self.home), "PLAINSIGHT_PUBLIC_URL": self.url}
        environment = {**os.environ, "PLAINSIGHT_DATABASE_URL": "", **own}
        self.process = subprocess.Popen(command, env=environment)
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):  # noqa: S310
                    return
            except urllib.error.HTTPError as not_yet:
                not_yet.close()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise RuntimeError(f"the server ended with {self.process.returncode}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def delivered(self, study: Study, position: int) -> NDArray[np.uint8]:
        """The pixels of the file in the batch that the first reader sees at this place."""
        [(digest,)] = self.rows(DELIVERED, study.number, position)
        for path in self.home.parent.glob("*/images/*.png"):
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                with Image.open(path) as opened:
                    return np.asarray(opened)
        raise LookupError(digest)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database has at this moment."""
        with closing(sqlite3.connect(self.home / "plainsight.db", timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.home / "plainsight.db", timeout=10)) as connection:
            connection.execute(statement, values)
            connection.commit()

    def all_answers(self, study: Study, reader: str = "R01") -> list[Stored]:
        """Every answer that was ever stored, in the order in which it was."""
        return self.rows(ANSWERS.format(""), study.number, reader)

    def answers(self, study: Study, reader: str = "R01") -> list[Stored]:
        """Those that were not taken back."""
        standing = ANSWERS.format("AND u.response_id IS NULL")
        return self.rows(standing, study.number, reader)


def with_tissue(folder: Path, write_batch: Callable[..., Path]) -> Server:
    """With 20 cases of generated tumour in two conditions, and a batch for practice."""
    write_phantom(folder / "phantom", patches_per_fold=48, folds=1, size=128, seed=7)
    patches = load_patches(folder / "phantom")
    images: dict[int, list[Any]] = {0: [], 1: []}
    for index, truth in enumerate(patches.labels):
        images[int(truth)].append(patches.image(index))
    delivered = write_batch(
        folder / "batch",
        cases=20,
        conditions=2,
        truths=[1] * 20,
        images=images[1],
        name="Generated tissue",
    )
    practice = write_batch(
        folder / "practice",
        truths=[1, 0, 1, 0],
        images=[images[1][20], images[0][0], images[1][21], images[0][1]],
        seed=1,
        name="For practice",
    )
    server = Server.new(folder / "home")
    server.add_batch(delivered)
    server.add_batch(practice)
    return server


def in_order(answers: Sequence[str], *, part: str = "reading", start: int = 1) -> list[Stored]:
    """What the database must have when these were given one after another."""
    return [(part, position, 0, answer) for position, answer in enumerate(answers, start)]
