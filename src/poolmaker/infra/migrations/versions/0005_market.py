"""Tables of the market wing: intents, exchange orders, fills. Filled by the rooms of market."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
