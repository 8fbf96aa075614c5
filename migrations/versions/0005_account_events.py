"""What is done to accounts is recorded, and the record cannot be changed

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

from app.storage import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TRIGGERS = {
    "account_event_is_not_updated": "UPDATE",
    "account_event_is_not_deleted": "DELETE",
}


def upgrade() -> None:
    op.create_table(
        "account_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", types.UTCDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_event")),
    )
    is_postgres = op.get_bind().dialect.name == "postgresql"
    refusal = (
        "EXECUTE FUNCTION refuse_change()"  # made by 0002
        if is_postgres
        else "BEGIN SELECT RAISE(ABORT, 'rows are only ever added'); END"
    )
    for trigger, change in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER {trigger} BEFORE {change} ON account_event FOR EACH ROW {refusal}"
        )


def downgrade() -> None:
    op.drop_table("account_event")
