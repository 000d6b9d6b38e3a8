"""Tables of infra: settings, leases, sagas, schedule. Filled by the room infra."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
