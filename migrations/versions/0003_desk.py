"""The desk: rights, deliveries, evidence, the frozen plan and its amendments, rehearsals

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

from app.storage import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = {
    "researcher": [
        "is_administrator BOOLEAN NOT NULL DEFAULT FALSE",
        "deactivated_at {moment}",
    ],
    "stimulus": ["ssim {double}"],
    "reader": ["last_seen_at {moment}"],
    "study": [
        (
            "estimand VARCHAR(20) NOT NULL DEFAULT 'flips' "
            "CONSTRAINT ck_study_estimand CHECK (estimand IN ('flips', 'tp_difference'))"
        ),
        "margin_flips {double} NOT NULL DEFAULT 0.05",
        "margin_tp {double} NOT NULL DEFAULT 0.10",
        "alpha {double} NOT NULL DEFAULT 0.05",
        "minimum_time_ms INTEGER",
        "maximum_time_ms INTEGER",
        "instructions VARCHAR(2000) NOT NULL DEFAULT ''",
        "scan_reason VARCHAR(500) NOT NULL DEFAULT ''",
        "protocol TEXT",
        "protocol_hash VARCHAR(64)",
        "started_at {moment}",
    ],
}
CHECKS = {"study": ("ck_study_estimand",)}
TABLES = ("rehearsal", "amendment", "member", "delivery", "api_token")


def upgrade() -> None:
    dialect = op.get_bind().dialect
    kinds = {
        "moment": sa.DateTime(timezone=True).compile(dialect),
        "double": sa.Double().compile(dialect),
    }
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column.format(**kinds)}")
    with op.batch_alter_table("batch") as batch_op:
        batch_op.add_column(sa.Column("evidence", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("scan", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("researcher_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_batch_researcher_id"), "researcher", ["researcher_id"], ["id"]
        )
    create_tables()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    with op.batch_alter_table("batch") as batch_op:
        batch_op.drop_constraint(op.f("fk_batch_researcher_id"), type_="foreignkey")
        for column in ("researcher_id", "scan", "evidence"):
            batch_op.drop_column(column)
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table) as batch_op:
            for check in CHECKS.get(table, ()):
                batch_op.drop_constraint(op.f(check), type_="check")
            for column in reversed(columns):
                batch_op.drop_column(column.split()[0])


def create_tables() -> None:
    op.create_table(
        "api_token",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("researcher_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", types.UTCDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", types.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["researcher_id"], ["researcher.id"], name=op.f("fk_api_token_researcher_id")
        ),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_api_token")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_api_token_researcher_id"), ["researcher_id"], unique=False
        )

    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=40), nullable=False),
        sa.Column("researcher_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "batch",
                "folders",
                "manifest",
                name="deliverykind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "receiving",
                "waiting",
                "running",
                "done",
                "failed",
                name="deliverystate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("created_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", types.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_delivery_batch_id")),
        sa.ForeignKeyConstraint(
            ["researcher_id"], ["researcher.id"], name=op.f("fk_delivery_researcher_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("token", name=op.f("uq_delivery_token")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_delivery_researcher_id"), ["researcher_id"], unique=False
        )

    op.create_table(
        "amendment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("protocol_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_amendment_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_amendment")),
    )
    with op.batch_alter_table("amendment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_amendment_study_id"), ["study_id"], unique=False)

    op.create_table(
        "member",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("researcher_id", sa.Integer(), nullable=False),
        sa.Column("may_manage", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["researcher_id"], ["researcher.id"], name=op.f("fk_member_researcher_id")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_member_study_id")),
        sa.PrimaryKeyConstraint("study_id", "researcher_id", name=op.f("pk_member")),
    )
    op.create_table(
        "rehearsal",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("of_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["of_id"], ["study.id"], name=op.f("fk_rehearsal_of_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_rehearsal_study_id")),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_rehearsal")),
    )
    with op.batch_alter_table("rehearsal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rehearsal_of_id"), ["of_id"], unique=False)
