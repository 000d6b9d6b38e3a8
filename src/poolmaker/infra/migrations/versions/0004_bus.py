"""Tables of the event bus: streams, events, cursors, dead letters. Filled by the room bus."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
