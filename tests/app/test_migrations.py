"""The tables come from the migrations alone, and are those that the models describe."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, inspect, make_url, text

from app.errors import Conflict
from app.main import create_app
from app.settings import Settings
from app.storage.models import Base
from app.storage.session import Database, migrations


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a single table."""
    if request.param == "sqlite":
        url = URL.create("sqlite", database=str(tmp_path / "empty.db"))
    else:
        new: Callable[[], URL] = request.getfixturevalue("new_postgres")
        url = new()
    database = Database(url)
    yield database
    database.close()


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def test_from_nothing_up_gives_what_the_models_describe(empty: Database) -> None:
    empty.upgrade()
    assert tables(empty) == set(Base.metadata.tables)
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_leaves_nothing_and_up_again_works(empty: Database) -> None:
    empty.upgrade()
    with empty.engine.connect() as connection:
        command.downgrade(migrations(connection), "base")
    assert tables(empty) == set()
    empty.upgrade()
    assert tables(empty) == set(Base.metadata.tables)


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    before = tables(database)
    database.upgrade()
    assert tables(database) == before


def test_a_server_refuses_a_database_without_tables(empty: Database) -> None:
    with pytest.raises(Conflict, match="plainsight db upgrade"):
        empty.require_current()


def test_a_server_refuses_tables_of_another_version(empty: Database) -> None:
    empty.upgrade()
    with empty.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match=r"9999.*plainsight db upgrade"):
        empty.require_current()


def test_the_application_does_not_start_on_a_database_it_does_not_know(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    with pytest.raises(Conflict, match="plainsight db upgrade"):
        create_app(Settings(home=tmp_path / "home"))


def test_sqlite_is_kept_safe_from_a_power_cut(migrated_sqlite: Path) -> None:
    database = Database(make_url(f"sqlite:///{migrated_sqlite}"))
    with database.writing() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    database.close()
