"""What a new connection really is: its role and its limits, read back from the server.

A pooler between us and the server may drop what a connection asks for at its start. Without its
role the writer's fence is open, and without limits a lock is waited for without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from poolmaker.infra.postgres.dsn import query_of
from poolmaker.kernel.errors import EnvironmentProblem

LIMITS_MS: Final[Mapping[str, int]] = {
    "statement_timeout": 60_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 60_000,
}
"""The limits of every connection but those of migrations, in milliseconds."""

_READ: Final = """
SELECT current_user::text AS role, name, setting::bigint AS limit_ms
FROM pg_catalog.pg_settings WHERE name = ANY ($1::text[])
"""


def role_of(dsn: str) -> str:
    """The role that a connection of ``dsn`` asks for."""
    return query_of(dsn).get("role") or unquote(urlsplit(dsn).username or "")


async def check_session(
    connection: Any, dsn: str, limits_ms: Mapping[str, int] = LIMITS_MS
) -> None:
    """Raise EnvironmentProblem unless the connection has its role and limits no longer than ours.

    The names in ``limits_ms`` are read; a limit of zero is none.
    """
    rows = await connection.fetch(_READ, list(limits_ms))
    role = role_of(dsn)
    wrong = [f"its role is {row['role']} and not {role}" for row in rows[:1] if row["role"] != role]
    found = {row["name"]: row["limit_ms"] for row in rows}
    for name, most_ms in limits_ms.items():
        if not 0 < found.get(name, 0) <= most_ms:
            wrong.append(f"{name} is {found.get(name, 0)} ms and not {most_ms} ms")
    if wrong:
        raise EnvironmentProblem(
            f"The database gave us another connection than we asked for: {', '.join(wrong)}. "
            "A pooler drops start-up parameters (ignore_startup_parameters of pgbouncer); "
            "let POOLMAKER_DATABASE_URL name the server itself."
        )
