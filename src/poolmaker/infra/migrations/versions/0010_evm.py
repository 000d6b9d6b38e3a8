"""Tables of the chain client: transfers seen and transactions signed."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
