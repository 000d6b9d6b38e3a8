"""Alembic's entry: runs the pending revisions on the connection that the runner hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from poolmaker.infra.migrations.names import MIGRATION_LOCK, VERSION_SCHEMA, VERSION_TABLE
from poolmaker.kernel.errors import PreconditionError


def _run() -> None:
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise PreconditionError("revisions are run by poolmaker, not by the command alembic")
    context.configure(
        connection=connection,
        version_table=VERSION_TABLE,
        version_table_schema=VERSION_SCHEMA,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        # Two starters may arrive together: the second waits here and then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}"))
        context.run_migrations()


_run()
