"""Runs the migrations, on the connection it is given or on the configured database."""

from alembic import context
from sqlalchemy import Connection

from app.settings import Settings
from app.storage.models import Base
from app.storage.session import Database


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        user_module_prefix="types.",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with Database(Settings().database).engine.connect() as own:
        migrate(own)
