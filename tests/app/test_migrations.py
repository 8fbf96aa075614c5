"""From nothing to the newest tables, and back, on both databases."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect, text

from app.errors import Conflict
from app.main import create_app
from app.settings import Settings
from app.storage.models import Base
from app.storage.session import Database, migrations

ENDS = ["sqlite", "postgres"]


@pytest.fixture(params=ENDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A database without any table."""
    if request.param == "postgres":
        create: Callable[[], URL] = request.getfixturevalue("new_postgres")
        return create()
    return URL.create("sqlite", database=str(tmp_path / "new.db"))


@pytest.fixture
def empty(empty_url: URL) -> Iterator[Database]:
    opened = Database(empty_url)
    yield opened
    opened.close()


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def migrate(database: Database, step: Callable[..., None], revision: str) -> None:
    with database.engine.connect() as connection:
        step(migrations(connection), revision)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[object] = compare_metadata(context, Base.metadata)
    return found


def test_from_nothing_up_there_is_every_table_and_no_difference(empty: Database) -> None:
    empty.upgrade()
    assert tables(empty) == set(Base.metadata.tables)
    with empty.engine.connect() as connection:
        assert differences(connection) == []
        command.check(migrations(connection))
    empty.require_current()


def test_the_migrated_tables_have_the_constraints_of_the_models(empty: Database) -> None:
    empty.upgrade()
    inspector = inspect(empty.engine)
    for table in Base.metadata.sorted_tables:
        named = {
            constraint["name"]
            for found in (
                inspector.get_unique_constraints(table.name),
                inspector.get_check_constraints(table.name),
                inspector.get_foreign_keys(table.name),
            )
            for constraint in found
        } | {inspector.get_pk_constraint(table.name)["name"]}
        expected = {constraint.name for constraint in table.constraints}
        assert expected <= named, table.name


def test_a_difference_would_be_noticed(empty: Database) -> None:
    empty.upgrade()
    with empty.engine.begin() as connection:
        connection.execute(text("ALTER TABLE study ADD COLUMN forgotten INTEGER"))
    with empty.engine.connect() as connection:
        assert len(differences(connection)) == 1


def test_down_to_nothing_and_up_again(empty: Database) -> None:
    empty.upgrade()
    migrate(empty, command.downgrade, "base")
    assert tables(empty) == set()
    empty.upgrade()
    assert tables(empty) == set(Base.metadata.tables)


def test_every_step_down_and_up_is_possible(empty: Database) -> None:
    revisions = list(ScriptDirectory.from_config(migrations()).walk_revisions())
    empty.upgrade()
    for revision in revisions:
        migrate(empty, command.downgrade, revision.down_revision or "base")  # type: ignore[arg-type]
        migrate(empty, command.upgrade, revision.revision)
        migrate(empty, command.downgrade, revision.down_revision or "base")  # type: ignore[arg-type]
    assert tables(empty) == set()


def test_upgrading_twice_changes_nothing(empty: Database) -> None:
    empty.upgrade()
    with empty.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO researcher (email, password_hash, created_at) "
                "VALUES ('ada@example.org', 'x', '2026-01-01 00:00:00+00:00')"
            )
        )
    empty.upgrade()
    with empty.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM researcher")) == 1


def test_there_is_one_newest_version() -> None:
    assert len(ScriptDirectory.from_config(migrations()).get_heads()) == 1


def test_the_server_refuses_to_start_without_tables(empty_url: URL, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=empty_url.render_as_string(hide_password=False))
    with pytest.raises(Conflict, match=r"at version none, this code needs .*plainsight db upgrade"):
        create_app(settings)


def test_the_server_refuses_to_start_on_tables_of_another_version(
    empty: Database, empty_url: URL, tmp_path: Path
) -> None:
    empty.upgrade()
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    settings = Settings(home=tmp_path, database_url=empty_url.render_as_string(hide_password=False))
    with pytest.raises(Conflict, match="at version 0000, this code needs"):
        create_app(settings)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all/plainsight.db",
        "sqlite:////dev/null",
        "postgresql://nobody@127.0.0.1:1/nothing",
    ],
)
def test_a_database_that_cannot_be_opened_is_told_in_words(url: str, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="plainsight db upgrade"):
        create_app(Settings(home=tmp_path, database_url=url))


def test_a_file_that_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "plainsight.db").write_text("no database" * 1000, encoding="utf-8")
    with pytest.raises(Conflict, match="cannot be opened"):
        create_app(Settings(home=tmp_path))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_postgres_without_that_database_is_told_in_words(postgres: URL, tmp_path: Path) -> None:
    url = postgres.set(database="never_created").render_as_string(hide_password=False)
    with pytest.raises(Conflict, match="cannot be opened"):
        create_app(Settings(home=tmp_path, database_url=url))
    gc.collect()  # pg8000 leaves the socket of a refused connection open
