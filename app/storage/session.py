"""One request, one transaction: committed before the answer, or not at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from sqlite3 import Connection as SQLiteConnection
from typing import Annotated, Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi import Depends, Request
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app import ROOT
from app.errors import Conflict

WRITES = "plainsight_writes"
BUSY_TIMEOUT_MS = 10_000

# Requests beyond these wait without a thread. FastAPI has 40 threads: if all of them waited for
# the lock or for a connection, those who hold these could never go on.
AT_ONCE = 15
CONNECTIONS = {"pool_size": 20, "max_overflow": 20, "hide_parameters": True}


class Database:
    """Where everything is kept: SQLite in WAL with synchronous=FULL, or Postgres.

    On SQLite one transaction writes at a time: a lock here is fair, SQLite's own waiting is not
    (docs/decisions/0003).
    """

    def __init__(self, url: URL) -> None:
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = create_engine(
                url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}, **CONNECTIONS
            )
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(url, pool_pre_ping=True, **CONNECTIONS)
        self._writer = self.engine.execution_options(**{WRITES: True})
        self._one_writer = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that looks and changes nothing."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """The same for several queries that belong together: all see the database at one time."""
        with self.reading() as session:
            if not self.is_sqlite:  # whose transactions are like that
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed at the end of the block, or rolled back by its error."""
        with (
            self._one_writer,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def upgrade(self) -> None:
        """Bring the tables to the newest version."""
        with self.engine.connect() as connection:
            command.upgrade(migrations(connection), "head")

    def require_current(self) -> None:
        """Conflict when the tables are missing or of another version than this code."""
        head = ScriptDirectory.from_config(migrations()).get_current_head()
        try:
            with self.engine.connect() as connection:
                current = MigrationContext.configure(connection).get_current_revision()
        except DBAPIError as error:
            raise Conflict(
                f"The database cannot be opened ({error.orig}); "
                "check PLAINSIGHT_HOME and PLAINSIGHT_DATABASE_URL, then run: plainsight db upgrade"
            ) from error
        if current != head:
            raise Conflict(
                f"The database is at version {current or 'none'}, this code needs {head}; "
                "run: plainsight db upgrade"
            )

    def close(self) -> None:
        self.engine.dispose()


def migrations(connection: Connection | None = None) -> Config:
    """Alembic's configuration; migrations/env.py uses the connection when there is one."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return config


def _prepare_sqlite(connection: SQLiteConnection, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A writing transaction takes the lock at once: a deferred one fails when it must wait."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def get_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _reading(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    with database.reading() as session:
        yield session


def _writing(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    with database.writing() as session:
        yield session


# The scope is what makes "committed before the answer" true: with FastAPI's default the commit
# would run after the response has started, and a failed commit would still answer 200.
DatabaseDep = Annotated[Database, Depends(get_database)]
ReadingDep = Annotated[Session, Depends(_reading, scope="function", max_concurrency=AT_ONCE)]
WritingDep = Annotated[Session, Depends(_writing, scope="function", max_concurrency=AT_ONCE)]
