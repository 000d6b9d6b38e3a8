"""What the API remembers: hashes of tokens, and what an Idempotency-Key stands for."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
