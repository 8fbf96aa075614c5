"""Catch images: which images of a study, and which presentations, count in no result

Revision: 0008, after 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MARKED = ("study_stimulus", "presentation")


def upgrade() -> None:
    for table in MARKED:
        op.execute(f"ALTER TABLE {table} ADD COLUMN is_catch BOOLEAN NOT NULL DEFAULT false")
    share = "DOUBLE PRECISION" if op.get_bind().dialect.name == "postgresql" else "FLOAT"
    op.execute(f"ALTER TABLE study ADD COLUMN catch_least {share}")


def downgrade() -> None:
    """Catch images, and the answers to them, stay: an earlier version would count them as read."""
    op.execute("ALTER TABLE study DROP COLUMN catch_least")
    for table in MARKED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN is_catch")
