"""Funding, transfers between places, deposit intents and refunds."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
