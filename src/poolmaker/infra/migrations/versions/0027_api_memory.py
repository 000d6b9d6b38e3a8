"""What the API remembers."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0027"
down_revision: str | None = "0021"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
