"""${message}: see the .sql file beside this one."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
