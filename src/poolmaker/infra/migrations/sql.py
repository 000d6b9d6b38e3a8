"""How a revision runs its SQL file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op

from poolmaker.kernel.checks import ensure


def run_sql_beside(revision_file: str) -> None:
    """Run the whole ``.sql`` file that stands beside ``revision_file`` in the open transaction.

    The file may hold many statements and function bodies: it is sent as it is, so nothing in it
    is read as a parameter. It must not contain BEGIN or COMMIT.
    """
    sql = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    # The adapter opens its transaction with the first ordinary statement; raw SQL must follow it.
    op.execute("SELECT 1")
    adapted: Any = op.get_bind().connection.dbapi_connection
    ensure(adapted.driver_connection.is_in_transaction(), "a revision must run in a transaction")
    # asyncpg stumbles over a text without any statement, which a file of comments is.
    adapted.run_async(lambda connection: connection.execute(f"SELECT 1;\n{sql}"))
