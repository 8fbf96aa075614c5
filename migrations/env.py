"""Runs the migrations, on the connection it is given or on the configured database."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection

from app.settings import Settings
from app.storage.models import Base
from app.storage.session import Database


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        user_module_prefix="types.",
        compare_type=True,
    )
    with without_foreign_keys(connection):
        with context.begin_transaction():
            context.run_migrations()
            require_parents(connection)
        connection.commit()


@contextmanager
def without_foreign_keys(connection: Connection) -> Iterator[None]:
    """SQLite changes most tables by making them anew, which a row that points there forbids.

    The switch works outside a transaction only, so it goes past SQLAlchemy, which begins one.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    sqlite = connection.connection
    sqlite.cursor().execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        sqlite.cursor().execute("PRAGMA foreign_keys=ON")


def require_parents(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if orphans:
            raise RuntimeError(f"the migration left rows that point nowhere: {orphans[:5]}")


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with Database(Settings().database).engine.connect() as own:
        migrate(own)
