"""Tables of the business rooms outside the ledger. Filled by the rooms of business."""

from __future__ import annotations

from poolmaker.infra.migrations.sql import run_sql_beside

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql_beside(__file__)
