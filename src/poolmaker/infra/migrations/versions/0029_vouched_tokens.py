"""Whose token somebody else than its issuer vouched for."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0029"
down_revision: str | None = "0028"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
