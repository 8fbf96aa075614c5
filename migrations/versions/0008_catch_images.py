"""Catch images: which images of a study, and which presentations, count in no result

Revision: 0008, after 0007
"""

from alembic import op
from sqlalchemy import text

from app.errors import Conflict

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MARKED = ("study_stimulus", "presentation")


def upgrade() -> None:
    for table in MARKED:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN is_catch BOOLEAN NOT NULL DEFAULT false "
            f"CONSTRAINT ck_{table}_is_catch CHECK (NOT is_catch OR part = 'reading')"
        )
    share = "DOUBLE PRECISION" if op.get_bind().dialect.name == "postgresql" else "DOUBLE"
    op.execute(f"ALTER TABLE study ADD COLUMN catch_least {share}")


def downgrade() -> None:
    """Conflict when there are catch images: an earlier version would count them as read."""
    for table in MARKED:
        if op.get_bind().scalar(text(f"SELECT count(*) FROM {table} WHERE is_catch")):  # noqa: S608
            raise Conflict("There are studies with catch images; this version alone knows them.")
    op.execute("ALTER TABLE study DROP COLUMN catch_least")
    for table in MARKED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN is_catch")
