"""Rehearsals: their robots and how far they have come; and all of one can be deleted

Revision: 0007, after 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = [
    "seed BIGINT NOT NULL DEFAULT 0",
    "robots JSON NOT NULL DEFAULT '[]'",
    "actor VARCHAR(320) NOT NULL DEFAULT ''",
    (
        "state VARCHAR(20) NOT NULL DEFAULT 'done' CONSTRAINT ck_rehearsal_rehearsalstate "
        "CHECK (state IN ('waiting', 'running', 'done', 'failed'))"
    ),
    "done INTEGER NOT NULL DEFAULT 0",
    "total INTEGER NOT NULL DEFAULT 0",
    "problem TEXT NOT NULL DEFAULT ''",
    "created_at {moment} NOT NULL DEFAULT '2026-01-01 00:00:00+00:00'",
]
REFUSAL = "BEGIN SELECT RAISE(ABORT, 'rows are only ever added'); END"

# Whose study a row belongs to.
STUDY_OF = {
    "response": (
        "SELECT r.study_id FROM presentation p JOIN reader r ON r.id = p.reader_id "
        "WHERE p.id = OLD.presentation_id"
    ),
    "undone": (
        "SELECT r.study_id FROM response a JOIN presentation p ON p.id = a.presentation_id "
        "JOIN reader r ON r.id = p.reader_id WHERE a.id = OLD.response_id"
    ),
    "event": "SELECT OLD.study_id",
}
IS_DRAFT = "EXISTS (SELECT 1 FROM study WHERE id = OLD.study_id AND state = 'draft')"


def is_rehearsed(table: str) -> str:
    return f"EXISTS (SELECT 1 FROM rehearsal WHERE study_id = ({STUDY_OF[table]}))"  # noqa: S608


def may_go(table: str) -> str:
    also = f" OR {IS_DRAFT}" if table == "event" else ""
    return is_rehearsed(table) + also


def upgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE rehearsal ADD COLUMN {column.format(moment=moment())}")
    for table in STUDY_OF:
        if is_postgres():
            op.execute(
                f"CREATE FUNCTION refuse_deletion_of_{table}() RETURNS trigger LANGUAGE plpgsql "
                f"AS $$ BEGIN IF {may_go(table)} THEN RETURN OLD; END IF; "
                "RAISE EXCEPTION 'rows are only ever added'; END $$"
            )
        replace(
            table,
            f"EXECUTE FUNCTION refuse_deletion_of_{table}()"
            if is_postgres()
            else f"WHEN NOT ({may_go(table)}) {REFUSAL}",
        )


def downgrade() -> None:
    """Rehearsals stay, and cannot be deleted any more."""
    for table in STUDY_OF:
        replace(table, refusal_before(table))
        if is_postgres():
            op.execute(f"DROP FUNCTION refuse_deletion_of_{table}()")
    for column in COLUMNS:
        op.execute(f"ALTER TABLE rehearsal DROP COLUMN {column.split()[0]}")


def replace(table: str, refusal: str) -> None:
    of_table = f" ON {table}" if is_postgres() else ""
    op.execute(f"DROP TRIGGER {table}_is_not_deleted{of_table}")
    op.execute(
        f"CREATE TRIGGER {table}_is_not_deleted BEFORE DELETE ON {table} FOR EACH ROW {refusal}"
    )


def refusal_before(table: str) -> str:
    """As 0002 made it, for events 0006."""
    if is_postgres():
        return f"EXECUTE FUNCTION refuse_{'deletion' if table == 'event' else 'change'}()"
    return f"WHEN NOT {IS_DRAFT} {REFUSAL}" if table == "event" else REFUSAL


def is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def moment() -> str:
    return "TIMESTAMP WITH TIME ZONE" if is_postgres() else "DATETIME"
