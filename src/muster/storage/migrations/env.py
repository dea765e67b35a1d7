"""Alembic's entry: run what was asked for on the connection that `muster.storage.migrate` hands over.

`alembic revision --autogenerate` works too, through `alembic_run.alembic_config`. There is no offline mode,
and logging is left alone: it belongs to the program.
"""

import sqlalchemy as sa
from alembic import context

from muster.storage.migrations.alembic_run import is_in_metadata
from muster.storage.schema import metadata


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # SQLite can't alter most of a table: Alembic makes it anew there
        render_as_batch=connection.dialect.name == "sqlite",
        include_object=is_in_metadata,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
