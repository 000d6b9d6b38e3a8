"""Schemas, and what each database role may do in them by default."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
