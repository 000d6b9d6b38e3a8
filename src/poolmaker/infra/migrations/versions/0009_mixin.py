"""Tables of the Mixin client: outputs, payments, what arrived."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
