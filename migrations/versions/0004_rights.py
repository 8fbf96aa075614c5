"""Titles and batches are unique to a researcher, so nobody learns what others have; failed sign-ins

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

from app.storage import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE event ADD COLUMN detail VARCHAR(400) NOT NULL DEFAULT ''")
    with op.batch_alter_table("study") as study:
        study.drop_constraint(op.f("uq_study_internal_title"), type_="unique")
        study.create_unique_constraint(
            op.f("uq_study_researcher_id_internal_title"), ["researcher_id", "internal_title"]
        )
    with op.batch_alter_table("batch") as batch:
        batch.drop_constraint(op.f("uq_batch_digest"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_batch_researcher_id_digest"), ["researcher_id", "digest"]
        )
        batch.create_index(
            "uq_batch_of_nobody",
            ["digest"],
            unique=True,
            sqlite_where=sa.text("researcher_id IS NULL"),
            postgresql_where=sa.text("researcher_id IS NULL"),
        )
    op.create_table(
        "sign_in_failure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("at", types.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_failure")),
    )
    op.create_index(op.f("ix_sign_in_failure_key"), "sign_in_failure", ["key"])


def downgrade() -> None:
    """Refused by the database when two researchers have a title or a batch in common."""
    op.drop_table("sign_in_failure")
    with op.batch_alter_table("batch") as batch:
        batch.drop_index("uq_batch_of_nobody")
        batch.drop_constraint(op.f("uq_batch_researcher_id_digest"), type_="unique")
        batch.create_unique_constraint(op.f("uq_batch_digest"), ["digest"])
    with op.batch_alter_table("study") as study:
        study.drop_constraint(op.f("uq_study_researcher_id_internal_title"), type_="unique")
        study.create_unique_constraint(op.f("uq_study_internal_title"), ["internal_title"])
    op.execute("ALTER TABLE event DROP COLUMN detail")
