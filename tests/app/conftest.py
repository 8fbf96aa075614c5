"""What tests of the server share: both databases, a running application, a study."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import URL, create_engine, make_url, text

from app.batches.service import find_batch, import_batch
from app.designer.service import start_study
from app.main import create_app
from app.readers.service import CONSENT_VERSION, invite
from app.reading.visitor import VISIT_HEADER
from app.researchers import service as researchers
from app.researchers.service import add_researcher
from app.settings import Settings
from app.storage.images import ImageStore
from app.storage.models import Base
from app.storage.session import Database
from app.studies.service import NewStudy, create_study
from app.web.identity import now

GIVEN_POSTGRES = "PLAINSIGHT_TEST_POSTGRES_URL"
EMAIL, PASSWORD = "ada@example.org", "correct horse battery"


@pytest.fixture(scope="session", autouse=True)
def real_hasher() -> Iterator[PasswordHasher]:
    """Hashing is slow on purpose; the tests use a quick hasher, and this is the real one."""
    with pytest.MonkeyPatch.context() as patch:
        real = researchers.hasher
        patch.setattr(researchers, "hasher", PasswordHasher(1, memory_cost=8, parallelism=1))
        yield real


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def postgres_programs() -> Path:
    """Debian keeps them off PATH, one folder a version."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"))


def as_postgres(*command: str | Path) -> list[str]:
    """Postgres refuses to run as root."""
    words = [str(word) for word in command]
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else words


def wait_for(programs: Path, port: int) -> None:
    question = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(150):
        if subprocess.run(question, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise TimeoutError(f"no Postgres at port {port}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """PLAINSIGHT_TEST_POSTGRES_URL, or a server of our own for this run."""
    if given := os.environ.get(GIVEN_POSTGRES):
        yield make_url(given).set(drivername="postgresql+pg8000")
        return
    programs, port = postgres_programs(), free_port()
    with tempfile.TemporaryDirectory(prefix="plainsight-postgres-") as folder:
        data = Path(folder) / "data"
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        options = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
        subprocess.run(
            as_postgres(programs / "initdb", "-D", data, *options),
            check=True,
            capture_output=True,
            cwd=folder,
        )
        server = subprocess.Popen(
            as_postgres(
                *(programs / "postgres", "-D", data, "-p", str(port), "-k", folder),
                *("-h", "127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off"),
            ),
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        try:
            url = URL.create("postgresql+pg8000", "postgres", None, "127.0.0.1", port, "postgres")
            wait_for(programs, port)
            yield url
        finally:
            subprocess.run(
                as_postgres(programs / "pg_ctl", "stop", "-m", "immediate", "-D", data),
                capture_output=True,
                cwd=folder,
            )
            server.wait()


@pytest.fixture(scope="session")
def new_postgres(postgres: URL) -> Iterator[Callable[[], URL]]:
    """Makes databases without any table."""
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def create() -> URL:
        made.append(f"plainsight_{secrets.token_hex(8)}")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {made[-1]}"))
        return postgres.set(database=made[-1])

    yield create
    if os.environ.get(GIVEN_POSTGRES):  # a server of our own goes as a whole
        with engine.connect() as connection:
            for name in made:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def migrated_postgres(new_postgres: Callable[[], URL]) -> Callable[[], URL]:
    """The one database with all tables, emptied: faster than a new one for every test."""
    url = new_postgres()
    migrated = Database(url)
    migrated.upgrade()
    migrated.close()
    tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)

    def empty() -> URL:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
        engine.dispose()
        return url

    return empty


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "plainsight.db"
    migrated = Database(URL.create("sqlite", database=str(path)))
    migrated.upgrade()
    migrated.close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated, empty database of either kind."""
    if request.param == "postgres":
        empty: Callable[[], URL] = request.getfixturevalue("migrated_postgres")
        return empty().render_as_string(hide_password=False)
    copy = tmp_path / "plainsight.db"
    shutil.copyfile(request.getfixturevalue("migrated_sqlite"), copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=database_url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database)
    yield opened
    opened.close()


@pytest.fixture
def store(settings: Settings) -> ImageStore:
    return ImageStore(settings.images)


@pytest.fixture
def browser(settings: Settings) -> Iterator[Callable[[], TestClient]]:
    """Makes browsers that talk to one running application; each has cookies of its own."""
    app = create_app(settings)
    opened: list[TestClient] = []

    def open_browser() -> TestClient:
        opened.append(
            TestClient(
                app,
                base_url="http://127.0.0.1",
                follow_redirects=False,
                headers={"accept": "text/html"},
                raise_server_exceptions=False,
            )
        )
        return opened[-1]

    yield open_browser
    for each in opened:
        each.close()
    app.state.database.close()


@dataclass(frozen=True)
class Ready:
    """A study that may be read: its number, and personal links of its readers."""

    study: int
    batch: int
    links: tuple[str, ...]


@pytest.fixture
def ready(
    database: Database, store: ImageStore, tmp_path: Path, make_batch: Callable[..., Path]
) -> Callable[..., Ready]:
    """`ready(cases=4, sets=2, readers=1, is_demo=False, ...)` makes a study of a new batch;
    `at_most` of its cases are read, further names are those of NewStudy."""

    def make(
        *,
        cases: int = 4,
        conditions: int = 1,
        sets: int = 2,
        readers: int = 1,
        is_demo: bool = False,
        truths: tuple[int, ...] | None = None,
        title: str = "Linf 2",
        email: str = EMAIL,
        at_most: int | None = None,
        evidence: bool = False,
        **options: Any,
    ) -> Ready:
        path = make_batch(
            tmp_path / f"batch-{secrets.token_hex(4)}",
            cases=cases,
            conditions=conditions,
            truths=truths or (1,) * cases,
            size=24,
            seed=secrets.randbits(32),
            evidence=evidence,
        )
        batch = import_batch(path, database, store, now())
        with database.writing() as session:
            researcher = add_researcher(session, email, PASSWORD, now())
            new = NewStudy(
                title,
                "Tissue images",
                sets=sets,
                is_demo=is_demo,
                cases=at_most,
                **{"scan_reason": "Made for a test.", **options},
            )
            study = create_study(session, researcher, find_batch(session, batch), new, now())
            start_study(session, store, study, EMAIL, now())
            links = tuple(
                invite(session, study, EMAIL, now()).url("http://127.0.0.1") for _ in range(readers)
            )
            return Ready(study.id, batch, links)

    return make


def begin_reading(reader: TestClient, link: str) -> None:
    """Follow a personal link, agree, check the screen, and enter the room."""
    assert reader.get(link).headers["location"] == "/reading"
    begun = reader.post("/reading/begin", data={"consent": CONSENT_VERSION})
    assert begun.headers["location"] == "/reading"
    assert reader.post("/reading/check", json=CHECK).json() == {"code": CHECK["code"]}
    assert reader.get("/reading").headers["location"] == "/reading/room"
    enter_room(reader)


def enter_room(reader: TestClient) -> dict[str, Any]:
    """Take the one active place; what the server says there."""
    arrived = reader.post("/reading/arrive")
    assert arrived.status_code == 200, arrived.text
    arrival: dict[str, Any] = arrived.json()
    reader.headers[VISIT_HEADER] = arrival["visit"]
    return arrival


DISPLAY = {
    "is_silent": True,
    "device_pixel_ratio": 1.25,
    "browser_zoom": 1.0,
    "screen_width": 1536,
    "screen_height": 864,
    "viewport_width": 1280,
    "viewport_height": 720,
}
CHECK = {
    **DISPLAY,
    "is_silent": False,
    "code": "0123456789abcdef",
    "colour_depth": 24,
    "pointer": "fine",
    "keys_tried": True,
    "storage_works": True,
    "letters_shown": "KRSVXZ",
    "letters_read": "KRS",
}


def answer_to(token: str, answer: str = "tumour", **changes: object) -> dict[str, object]:
    return {
        "token": token,
        "attempt": 0,
        "answer": answer,
        "confidence": None,
        "given_at": 1_790_000_000_000,
        "reading_time_ms": 1234,
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
        **changes,
    }


@pytest.fixture
def begin() -> Callable[[TestClient, str], None]:
    return begin_reading


@pytest.fixture
def enter() -> Callable[[TestClient], dict[str, Any]]:
    """`enter(reader)` takes the active place in the room, as a newly loaded page does."""
    return enter_room


@pytest.fixture
def check_record() -> dict[str, Any]:
    """What the page of the screen check posts."""
    return dict(CHECK)


@pytest.fixture
def display_record() -> dict[str, Any]:
    """What the room posts when the screen is another one."""
    return dict(DISPLAY)


@pytest.fixture
def answer() -> Callable[..., dict[str, object]]:
    """`answer(token, "tumour")` is what a reader's browser posts."""
    return answer_to


@pytest.fixture
def sign_in() -> Callable[..., None]:
    """`sign_in(browser, email)` signs a researcher in."""

    def sign(browser: TestClient, email: str = EMAIL) -> None:
        response = browser.post("/sign-in", data={"email": email, "password": PASSWORD})
        assert response.headers["location"] == "/studies"

    return sign


@pytest.fixture
def employ(database: Database) -> Callable[[str], str]:
    """`employ(email)` adds one more researcher."""

    def add(email: str) -> str:
        with database.writing() as session:
            return add_researcher(session, email, PASSWORD, now()).email

    return add


@pytest.fixture
def office(
    browser: Callable[[], TestClient], sign_in: Callable[..., None]
) -> Callable[..., TestClient]:
    """`office(email)` is the browser of a researcher who is signed in."""

    def enter(email: str = EMAIL) -> TestClient:
        opened = browser()
        sign_in(opened, email)
        return opened

    return enter


@pytest.fixture
def read() -> Callable[..., int]:
    """`read(reader, decide, at_most=5)` answers what is due, `decide(token)` says what."""

    def answer_all(
        reader: TestClient,
        decide: Callable[[str], str] = lambda _token: "tumour",
        at_most: int = 10_000,
    ) -> int:
        window = reader.get("/reading/window").json()
        answered = 0
        while window["tokens"] and answered < at_most:
            token = window["tokens"][0]
            response = reader.post("/reading/responses", json=answer_to(token, decide(token)))
            assert response.status_code == 200, response.text
            window = response.json()
            answered += 1
        return answered

    return answer_all
