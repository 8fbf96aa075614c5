"""What happened to a draft can go with the draft; of a study that has started nothing can

Revision: 0006, after 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IS_DRAFT = "EXISTS (SELECT 1 FROM study WHERE id = OLD.study_id AND state = 'draft')"
IN_POSTGRES = f"""
CREATE FUNCTION refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF {IS_DRAFT} THEN RETURN OLD; END IF;
  RAISE EXCEPTION 'rows are only ever added';
END $$
"""
REFUSAL = "BEGIN SELECT RAISE(ABORT, 'rows are only ever added'); END"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(IN_POSTGRES)
        replace("EXECUTE FUNCTION refuse_deletion()")
    else:
        replace(f"WHEN NOT {IS_DRAFT} {REFUSAL}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        replace("EXECUTE FUNCTION refuse_change()")  # made by 0002
        op.execute("DROP FUNCTION refuse_deletion()")
    else:
        replace(REFUSAL)


def replace(refusal: str) -> None:
    of_table = " ON event" if op.get_bind().dialect.name == "postgresql" else ""
    op.execute(f"DROP TRIGGER event_is_not_deleted{of_table}")
    op.execute(f"CREATE TRIGGER event_is_not_deleted BEFORE DELETE ON event FOR EACH ROW {refusal}")
