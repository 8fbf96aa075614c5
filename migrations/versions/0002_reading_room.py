"""The reading room: parts, sittings, answers that can be taken back, and what the screen is like

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

from app.storage import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Every earlier study keeps what it was: one sitting, no practice, no pairs, and final answers.
STUDY = [
    "waves INTEGER NOT NULL DEFAULT 1 CONSTRAINT ck_study_waves CHECK (waves BETWEEN 1 AND sets)",
    "washout_days INTEGER NOT NULL DEFAULT 14",
    "feedback BOOLEAN NOT NULL DEFAULT FALSE",
    "confidence BOOLEAN NOT NULL DEFAULT FALSE",
    "few_cells BOOLEAN NOT NULL DEFAULT FALSE",
    "cannot_assess BOOLEAN NOT NULL DEFAULT FALSE",
    (
        "undo VARCHAR(20) NOT NULL DEFAULT 'none' "
        "CONSTRAINT ck_study_undo CHECK (undo IN ('none', 'one', 'all'))"
    ),
    "break_after_images INTEGER NOT NULL DEFAULT 0",
    "break_after_minutes INTEGER NOT NULL DEFAULT 0",
    "masking BOOLEAN NOT NULL DEFAULT FALSE",
    (
        "pair_task VARCHAR(20) "
        "CONSTRAINT ck_study_pairtask CHECK (pair_task IN ('choice', 'same_different'))"
    ),
    "not_sure BOOLEAN NOT NULL DEFAULT FALSE",
]
READER = [
    "keys_swapped BOOLEAN NOT NULL DEFAULT FALSE",
    "expires_at {moment}",
    "revoked_at {moment}",
    "language VARCHAR(10)",
    "consent_sha256 VARCHAR(64)",
]
COLUMNS = {"study": STUDY, "reader": READER}
CHECKS = {"study": ("ck_study_waves", "ck_study_undo", "ck_study_pairtask")}
ONLY_ADDED = ("response", "undone", "event")
FORBIDDEN = (("updated", "UPDATE"), ("deleted", "DELETE"))
CHANGED = ("response", "presentation", "study_stimulus")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True).compile(op.get_bind().dialect)
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column.format(moment=moment)}")
    set_aside()
    create_tables()
    op.execute(
        "INSERT INTO sitting (reader_id, number, seed, finished_at) "
        "SELECT id, 1, seed, finished_at FROM reader WHERE seed IS NOT NULL"
    )
    op.execute("ALTER TABLE reader DROP COLUMN seed")
    op.execute(
        "INSERT INTO study_stimulus (study_id, stimulus_id, part) "
        "SELECT study_id, stimulus_id, 'reading' FROM old_study_stimulus"
    )
    op.execute(
        "INSERT INTO presentation (id, reader_id, part, sitting, position, stimulus_id, "
        "set_number, orientation, token) SELECT id, reader_id, 'reading', 1, position, "
        "stimulus_id, set_number, 0, token FROM old_presentation"
    )
    op.execute(
        "INSERT INTO response (presentation_id, attempt, answer, given_at, answered_at, "
        "reading_time_ms, hidden_ms, idle_ms, device_pixel_ratio, viewport_width, viewport_height, "
        "display_width, display_height, scale, zoom, pixel_exact) "
        "SELECT presentation_id, 0, answer, answered_at, answered_at, reading_time_ms, hidden_ms, "
        "0, device_pixel_ratio, viewport_width, viewport_height, display_width, display_height, "
        "scale, 1, pixel_exact FROM old_response ORDER BY answered_at, presentation_id"
    )
    put_away()
    number_on("presentation")
    forbid_changes()


def downgrade() -> None:
    """What the earlier version cannot hold is dropped: practice, pairs, and undone answers."""
    allow_changes()
    set_aside()
    op.execute("CREATE TEMPORARY TABLE old_undone AS SELECT * FROM undone")
    for table in ("problem_report", "undone"):
        op.drop_table(table)
    for table in CHANGED:
        op.drop_table(table)
    create_earlier_tables()
    op.execute("ALTER TABLE reader ADD COLUMN seed VARCHAR(64)")
    op.execute(
        "UPDATE reader SET seed = "
        "(SELECT seed FROM sitting WHERE reader_id = reader.id AND number = 1)"
    )
    op.execute(
        "INSERT INTO study_stimulus (study_id, stimulus_id) "
        "SELECT study_id, stimulus_id FROM old_study_stimulus WHERE part = 'reading'"
    )
    op.execute(
        "INSERT INTO presentation (id, reader_id, stimulus_id, position, set_number, token) "
        "SELECT id, reader_id, stimulus_id, position, set_number, token "
        "FROM old_presentation WHERE part = 'reading'"
    )
    op.execute(
        "INSERT INTO response (presentation_id, answer, answered_at, reading_time_ms, hidden_ms, "
        "device_pixel_ratio, viewport_width, viewport_height, display_width, display_height, "
        "scale, pixel_exact) "
        "SELECT presentation_id, answer, answered_at, reading_time_ms, hidden_ms, "
        "device_pixel_ratio, viewport_width, viewport_height, display_width, display_height, "
        "scale, pixel_exact FROM old_response "
        "WHERE id NOT IN (SELECT response_id FROM old_undone) "
        "AND answer IN ('tumour', 'non_tumour') "
        "AND presentation_id IN (SELECT id FROM presentation)"
    )
    put_away()
    op.drop_table("old_undone")
    number_on("presentation")
    for table in ("sitting", "screen_check", "debrief"):
        op.drop_table(table)
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table) as batch_op:
            for check in CHECKS.get(table, ()):
                batch_op.drop_constraint(op.f(check), type_="check")
            for column in reversed(columns):
                batch_op.drop_column(column.split()[0])


def set_aside() -> None:
    """Keep the rows of the tables whose keys change, which SQLite can only make anew."""
    for table in CHANGED:
        op.execute(f"CREATE TEMPORARY TABLE old_{table} AS SELECT * FROM {table}")  # noqa: S608


def put_away() -> None:
    for table in CHANGED:
        op.drop_table(f"old_{table}")


def number_on(table: str) -> None:
    """Postgres counts on from the highest number that was put in by hand."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "  # noqa: S608
            f"(SELECT coalesce(max(id), 0) + 1 FROM {table}), false)"
        )


def forbid_changes() -> None:
    """Whatever a program does wrong: what was answered, undone or done stays in the record."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''rows are only ever added''; END'"
        )
    for table in ONLY_ADDED:
        for trigger, change in triggers(table):
            op.execute(
                f"CREATE TRIGGER {trigger} BEFORE {change} ON {table} FOR EACH ROW "
                + (
                    "EXECUTE FUNCTION refuse_change()"
                    if op.get_bind().dialect.name == "postgresql"
                    else "BEGIN SELECT RAISE(ABORT, 'rows are only ever added'); END"
                )
            )


def allow_changes() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table in ONLY_ADDED:
        for trigger, _ in triggers(table):
            op.execute(f"DROP TRIGGER {trigger}" + (f" ON {table}" if is_postgres else ""))
    if is_postgres:
        op.execute("DROP FUNCTION refuse_change()")


def triggers(table: str) -> list[tuple[str, str]]:
    return [(f"{table}_is_not_{past}", change) for past, change in FORBIDDEN]


def create_tables() -> None:
    for table in CHANGED:
        op.drop_table(table)
    op.create_table(
        "debrief",
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column(
            "saw_repeats",
            sa.Enum(
                "yes",
                "no",
                "unsure",
                name="impression",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column("odd", sa.String(length=1000), nullable=False),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_debrief_reader_id")),
        sa.PrimaryKeyConstraint("reader_id", name=op.f("pk_debrief")),
    )
    op.create_table(
        "presentation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column(
            "part",
            sa.Enum(
                "practice",
                "reading",
                "pairs",
                name="part",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("sitting", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("stimulus_id", sa.Integer(), nullable=False),
        sa.Column("beside_id", sa.Integer(), nullable=True),
        sa.Column("set_number", sa.Integer(), nullable=True),
        sa.Column("orientation", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=40), nullable=False),
        sa.CheckConstraint(
            "(part = 'pairs') = (beside_id IS NOT NULL)", name=op.f("ck_presentation_beside")
        ),
        sa.CheckConstraint(
            "(part = 'reading') = (set_number IS NOT NULL)", name=op.f("ck_presentation_set_number")
        ),
        sa.CheckConstraint("orientation BETWEEN 0 AND 7", name=op.f("ck_presentation_orientation")),
        sa.ForeignKeyConstraint(
            ["beside_id"], ["stimulus.id"], name=op.f("fk_presentation_beside_id")
        ),
        sa.ForeignKeyConstraint(
            ["reader_id"], ["reader.id"], name=op.f("fk_presentation_reader_id")
        ),
        sa.ForeignKeyConstraint(
            ["stimulus_id"], ["stimulus.id"], name=op.f("fk_presentation_stimulus_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presentation")),
        sa.UniqueConstraint(
            "reader_id", "part", "position", name=op.f("uq_presentation_reader_id_part_position")
        ),
        sa.UniqueConstraint(
            "reader_id",
            "stimulus_id",
            "set_number",
            name=op.f("uq_presentation_reader_id_stimulus_id_set_number"),
        ),
        sa.UniqueConstraint("token", name=op.f("uq_presentation_token")),
    )
    op.create_table(
        "screen_check",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("is_silent", sa.Boolean(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("device_pixel_ratio", sa.Double(), nullable=False),
        sa.Column("browser_zoom", sa.Double(), nullable=False),
        sa.Column("screen_width", sa.Integer(), nullable=False),
        sa.Column("screen_height", sa.Integer(), nullable=False),
        sa.Column("viewport_width", sa.Integer(), nullable=False),
        sa.Column("viewport_height", sa.Integer(), nullable=False),
        sa.Column("colour_depth", sa.Integer(), nullable=True),
        sa.Column("pointer", sa.String(length=10), nullable=True),
        sa.Column("keys_tried", sa.Boolean(), nullable=True),
        sa.Column("storage_works", sa.Boolean(), nullable=True),
        sa.Column("letters_shown", sa.String(length=10), nullable=True),
        sa.Column("letters_read", sa.String(length=10), nullable=True),
        sa.ForeignKeyConstraint(
            ["reader_id"], ["reader.id"], name=op.f("fk_screen_check_reader_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screen_check")),
    )
    with op.batch_alter_table("screen_check", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_screen_check_reader_id"), ["reader_id"], unique=False)

    op.create_table(
        "sitting",
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("seed", sa.String(length=64), nullable=False),
        sa.Column("opens_at", types.UTCDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", types.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_sitting_reader_id")),
        sa.PrimaryKeyConstraint("reader_id", "number", name=op.f("pk_sitting")),
    )
    op.create_table(
        "study_stimulus",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("stimulus_id", sa.Integer(), nullable=False),
        sa.Column(
            "part",
            sa.Enum(
                "practice",
                "reading",
                "pairs",
                name="part",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["stimulus_id"], ["stimulus.id"], name=op.f("fk_study_stimulus_stimulus_id")
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_study_stimulus_study_id")
        ),
        sa.PrimaryKeyConstraint("study_id", "stimulus_id", "part", name=op.f("pk_study_stimulus")),
    )
    op.create_table(
        "problem_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("presentation_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "not_shown",
                "unclear",
                "other",
                name="problem",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("reported_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.id"], name=op.f("fk_problem_report_presentation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problem_report")),
    )
    with op.batch_alter_table("problem_report", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_problem_report_presentation_id"), ["presentation_id"], unique=False
        )

    op.create_table(
        "response",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("presentation_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column(
            "answer",
            sa.Enum(
                "tumour",
                "non_tumour",
                "few_cells",
                "cannot_assess",
                "left",
                "right",
                "same",
                "different",
                "not_sure",
                name="answer",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("confidence", sa.Integer(), nullable=True),
        sa.Column("given_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("answered_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("reading_time_ms", sa.Integer(), nullable=False),
        sa.Column("hidden_ms", sa.Integer(), nullable=False),
        sa.Column("idle_ms", sa.Integer(), nullable=False),
        sa.Column("device_pixel_ratio", sa.Double(), nullable=False),
        sa.Column("viewport_width", sa.Integer(), nullable=False),
        sa.Column("viewport_height", sa.Integer(), nullable=False),
        sa.Column("display_width", sa.Integer(), nullable=False),
        sa.Column("display_height", sa.Integer(), nullable=False),
        sa.Column("scale", sa.Integer(), nullable=False),
        sa.Column("zoom", sa.Integer(), nullable=False),
        sa.Column("pixel_exact", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.id"], name=op.f("fk_response_presentation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_response")),
        sa.UniqueConstraint(
            "presentation_id", "attempt", name=op.f("uq_response_presentation_id_attempt")
        ),
    )
    op.create_table(
        "undone",
        sa.Column("response_id", sa.Integer(), nullable=False),
        sa.Column("undone_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["response_id"], ["response.id"], name=op.f("fk_undone_response_id")
        ),
        sa.PrimaryKeyConstraint("response_id", name=op.f("pk_undone")),
    )


def create_earlier_tables() -> None:
    op.create_table(
        "presentation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("stimulus_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("set_number", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["reader_id"], ["reader.id"], name=op.f("fk_presentation_reader_id")
        ),
        sa.ForeignKeyConstraint(
            ["stimulus_id"], ["stimulus.id"], name=op.f("fk_presentation_stimulus_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presentation")),
        sa.UniqueConstraint(
            "reader_id", "position", name=op.f("uq_presentation_reader_id_position")
        ),
        sa.UniqueConstraint(
            "reader_id",
            "stimulus_id",
            "set_number",
            name=op.f("uq_presentation_reader_id_stimulus_id_set_number"),
        ),
        sa.UniqueConstraint("token", name=op.f("uq_presentation_token")),
    )
    op.create_table(
        "study_stimulus",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("stimulus_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["stimulus_id"], ["stimulus.id"], name=op.f("fk_study_stimulus_stimulus_id")
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_study_stimulus_study_id")
        ),
        sa.PrimaryKeyConstraint("study_id", "stimulus_id", name=op.f("pk_study_stimulus")),
    )
    op.create_table(
        "response",
        sa.Column("presentation_id", sa.Integer(), nullable=False),
        sa.Column(
            "answer",
            sa.Enum(
                "tumour",
                "non_tumour",
                name="answer",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("answered_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("reading_time_ms", sa.Integer(), nullable=False),
        sa.Column("hidden_ms", sa.Integer(), nullable=False),
        sa.Column("device_pixel_ratio", sa.Double(), nullable=False),
        sa.Column("viewport_width", sa.Integer(), nullable=False),
        sa.Column("viewport_height", sa.Integer(), nullable=False),
        sa.Column("display_width", sa.Integer(), nullable=False),
        sa.Column("display_height", sa.Integer(), nullable=False),
        sa.Column("scale", sa.Integer(), nullable=False),
        sa.Column("pixel_exact", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.id"], name=op.f("fk_response_presentation_id")
        ),
        sa.PrimaryKeyConstraint("presentation_id", name=op.f("pk_response")),
    )
