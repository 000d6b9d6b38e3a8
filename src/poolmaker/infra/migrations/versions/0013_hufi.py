"""Tables of the HuFi client: campaigns known and joined."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
