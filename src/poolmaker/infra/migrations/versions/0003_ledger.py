"""Tables, triggers and functions of the balance ledger. Filled by the room business.ledger."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
