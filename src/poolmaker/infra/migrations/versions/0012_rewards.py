"""Campaigns, rewards, allocations and the history of shares."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
