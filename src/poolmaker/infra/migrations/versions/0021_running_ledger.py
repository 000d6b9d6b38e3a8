"""What outside attempts taught about running."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0021"
down_revision: str | None = "0020"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
