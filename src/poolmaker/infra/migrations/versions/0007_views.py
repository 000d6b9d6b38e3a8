"""Read models, rebuilt from events. Filled by the room views."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
