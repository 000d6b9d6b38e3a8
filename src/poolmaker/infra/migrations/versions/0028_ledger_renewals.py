"""A lease is renewed under a name that no earlier platform calls."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0028"
down_revision: str | None = "0027"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
