"""From nothing to the newest tables, and back, on both databases."""

import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, MetaData, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError

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


AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
STUDY_OF_0001: dict[str, Any] = {
    "id": 1,
    "researcher_id": 1,
    "batch_id": 1,
    "internal_title": "Linf 2",
    "public_title": "Tissue images",
    "question": "Does this image show tumour?",
    "criterion": "Five or more cells",
    "sets": 2,
    "minimum_gap": 2,
    "is_demo": False,
    "secret": "0" * 64,
    "state": "reading",
    "created_at": AT,
}
READER_OF_0001: dict[str, Any] = {
    "id": 1,
    "study_id": 1,
    "label": "R01",
    "link_digest": "1" * 64,
    "invited_at": AT,
    "consent_version": "2026-11",
    "seed": "5" * 64,
    "began_at": AT,
}
PRESENTATION_OF_0001: dict[str, Any] = {
    "reader_id": 1,
    "stimulus_id": 1,
    "set_number": 1,
    "position": 1,
    "token": "a" * 32,
}
RESPONSE_OF_0001: dict[str, Any] = {
    "presentation_id": 7,
    "answer": "tumour",
    "answered_at": AT,
    "reading_time_ms": 1234,
    "hidden_ms": 5,
    "device_pixel_ratio": 1.25,
    "viewport_width": 1280,
    "viewport_height": 800,
    "display_width": 512,
    "display_height": 512,
    "scale": 2,
    "pixel_exact": True,
}
ROWS_OF_0001: dict[str, list[dict[str, Any]]] = {
    "researcher": [{"id": 1, "email": "ada@example.org", "password_hash": "x", "created_at": AT}],
    "batch": [
        {
            "id": 1,
            "name": "A batch",
            "digest": "b" * 64,
            "criterion": "Five or more cells",
            "network": {},
            "provenance": {},
            "imported_at": AT,
        }
    ],
    "case": [
        {
            "id": 1,
            "batch_id": 1,
            "name": "c01",
            "truth": 1,
            "data_set": "generated",
            "fold": "test",
            "index_in_fold": 0,
            "micrometres_per_pixel": 0.25,
        }
    ],
    "stimulus": [
        {
            "id": 1,
            "case_id": 1,
            "file": "one",
            "sha256": "c" * 64,
            "delivered_sha256": "d" * 64,
            "stored_bytes": 1000,
            "width": 24,
            "height": 24,
            "p_positive": 0.9,
        }
    ],
    "study": [STUDY_OF_0001],
    "study_stimulus": [{"study_id": 1, "stimulus_id": 1}],
    "reader": [
        READER_OF_0001,
        {
            "id": 2,
            "study_id": 1,
            "label": "R02",
            "link_digest": "2" * 64,
            "invited_at": AT,
            "consent_version": None,
            "seed": None,
            "began_at": None,
        },
    ],
    "presentation": [
        {"id": 7, **PRESENTATION_OF_0001},
        {"id": 8, **PRESENTATION_OF_0001, "set_number": 2, "position": 2, "token": "b" * 32},
    ],
    "response": [RESPONSE_OF_0001],
    "event": [{"id": 1, "study_id": 1, "at": AT, "actor": "ada@example.org", "kind": "created"}],
}


def table_of(connection: Connection, name: str) -> Table:
    """As it is in the database now."""
    return Table(name, MetaData(), autoload_with=connection)


def rows_of(connection: Connection, name: str) -> list[dict[str, Any]]:
    table = table_of(connection, name)
    first, *_ = table.primary_key.columns
    return [dict(row) for row in connection.execute(select(table).order_by(first)).mappings()]


def without_zones(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """SQLite keeps no time zone; every time is UTC."""
    return [
        {
            name: value.replace(tzinfo=None) if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in rows
    ]


@pytest.fixture
def of_0001(empty: Database) -> Database:
    """A database of the earlier version, in which a study is being read."""
    migrate(empty, command.upgrade, "0001")
    with empty.engine.begin() as connection:
        for name, rows in ROWS_OF_0001.items():
            connection.execute(table_of(connection, name).insert(), rows)
    return empty


def test_what_was_read_before_the_reading_room_is_kept(of_0001: Database) -> None:
    migrate(of_0001, command.upgrade, "0002")
    with of_0001.engine.connect() as connection:
        [study] = rows_of(connection, "study")
        readers = rows_of(connection, "reader")
        [sitting] = rows_of(connection, "sitting")
        first, second = rows_of(connection, "presentation")
        [response] = rows_of(connection, "response")
        shown = rows_of(connection, "study_stimulus")
    assert {name: study[name] for name in ("waves", "undo", "masking", "pair_task")} == {
        "waves": 1,
        "undo": "none",
        "masking": False,
        "pair_task": None,
    }
    assert [reader["keys_swapped"] for reader in readers] == [False, False]
    assert "seed" not in readers[0]
    assert (sitting["reader_id"], sitting["number"], sitting["seed"]) == (1, 1, "5" * 64)
    assert (first["id"], first["token"], second["token"]) == (7, "a" * 32, "b" * 32)
    for each in (first, second):
        assert (each["part"], each["sitting"], each["orientation"]) == ("reading", 1, 0)
    assert (response["presentation_id"], response["attempt"]) == (7, 0)
    assert (response["answer"], response["reading_time_ms"]) == ("tumour", 1234)
    assert (response["zoom"], response["idle_ms"], response["confidence"]) == (1, 0, None)
    assert response["given_at"] == response["answered_at"]
    assert shown == [{"study_id": 1, "stimulus_id": 1, "part": "reading"}]


def test_what_the_first_version_has_is_kept_by_the_newest(of_0001: Database) -> None:
    """SQLite makes tables anew to change them, while rows of other tables point there."""
    of_0001.upgrade()
    with of_0001.engine.connect() as connection:
        for name, rows in ROWS_OF_0001.items():
            assert len(rows_of(connection, name)) == len(rows), name


def test_rows_that_point_nowhere_are_refused_again_after_a_migration(of_0001: Database) -> None:
    of_0001.upgrade()
    delete = text("DELETE FROM researcher")
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"), of_0001.engine.begin() as connection:
        connection.execute(delete)


def test_new_rows_are_numbered_after_those_that_were_kept(of_0001: Database) -> None:
    migrate(of_0001, command.upgrade, "0002")
    with of_0001.engine.begin() as connection:
        table = table_of(connection, "presentation")
        new = {**PRESENTATION_OF_0001, "part": "reading", "sitting": 1, "orientation": 0}
        added = {**new, "set_number": 3, "position": 3, "token": "c" * 32}
        [number] = connection.execute(table.insert(), added).inserted_primary_key or (None,)
    assert number == 9


def test_down_again_nothing_of_it_is_lost(of_0001: Database) -> None:
    migrate(of_0001, command.upgrade, "0002")
    migrate(of_0001, command.downgrade, "0001")
    with of_0001.engine.connect() as connection:
        for name, rows in ROWS_OF_0001.items():
            kept = [
                {column: row[column] for column in given}
                for row, given in zip(rows_of(connection, name), rows, strict=True)
            ]
            assert without_zones(kept) == without_zones(rows), name


def test_down_again_only_what_the_earlier_version_knows_is_left(of_0001: Database) -> None:
    """Practice, and answers that were taken back, have no place there."""
    migrate(of_0001, command.upgrade, "0002")
    with of_0001.engine.begin() as connection:
        presentation, response, undone = (
            table_of(connection, name) for name in ("presentation", "response", "undone")
        )
        practice = {**PRESENTATION_OF_0001, "part": "practice", "sitting": 1, "orientation": 0}
        practice |= {"id": 9, "set_number": None, "token": "c" * 32}
        connection.execute(presentation.insert(), practice)
        answer = {**RESPONSE_OF_0001, "idle_ms": 0, "zoom": 1, "given_at": AT}
        for number, presented, attempt, said in [
            (2, 8, 0, "non_tumour"),
            (3, 8, 1, "tumour"),
            (4, 9, 0, "tumour"),
        ]:
            row = {"id": number, "presentation_id": presented, "attempt": attempt, "answer": said}
            connection.execute(response.insert(), {**answer, **row})
        connection.execute(undone.insert(), {"response_id": 2, "undone_at": AT})
    migrate(of_0001, command.downgrade, "0001")
    with of_0001.engine.connect() as connection:
        kept = [(row["presentation_id"], row["answer"]) for row in rows_of(connection, "response")]
        shown = [row["id"] for row in rows_of(connection, "presentation")]
    assert (kept, shown) == ([(7, "tumour"), (8, "tumour")], [7, 8])


def test_nothing_that_was_read_before_is_a_catch_image(of_0001: Database) -> None:
    of_0001.upgrade()
    with of_0001.engine.connect() as connection:
        marked = [*rows_of(connection, "presentation"), *rows_of(connection, "study_stimulus")]
        assert [bool(row["is_catch"]) for row in marked] == [False] * 3
        assert [row["catch_least"] for row in rows_of(connection, "study")] == [None]


def test_a_version_that_would_count_catch_images_does_not_get_them(of_0001: Database) -> None:
    of_0001.upgrade()
    with of_0001.engine.begin() as connection:
        connection.execute(text("UPDATE study_stimulus SET is_catch = true"))
    with pytest.raises(Conflict, match="studies with catch images"):
        migrate(of_0001, command.downgrade, "0007")


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
