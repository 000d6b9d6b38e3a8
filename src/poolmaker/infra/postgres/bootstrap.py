"""What a new server is given before any revision runs: our roles and our database."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.model import DATABASE, DatabaseRole
from poolmaker.infra.postgres.passwords import verifier

_TIMEOUT_S = 60


async def prepare(admin_dsn: str, secrets: Mapping[str, str]) -> bool:
    """Make what is missing; safe to repeat. False when the server died meanwhile.

    The database comes last: where it is, everything is.
    """
    try:
        connection = await asyncpg.connect(**connect_arguments(admin_dsn), timeout=_TIMEOUT_S)
        try:
            await _make_missing(connection, secrets)
        finally:
            connection.terminate()
    except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, OSError):
        return False
    except (asyncpg.InterfaceError, asyncpg.InternalClientError):
        return False
    return True


async def _make_missing(connection: asyncpg.Connection, secrets: Mapping[str, str]) -> None:
    rows = await connection.fetch("SELECT rolname FROM pg_catalog.pg_roles", timeout=_TIMEOUT_S)
    present = {row["rolname"] for row in rows}
    for role in DatabaseRole:
        if role not in present:
            await connection.execute(
                f"CREATE ROLE {role} LOGIN PASSWORD '{verifier(secrets[role])}'",
                timeout=_TIMEOUT_S,
            )
    known = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", DATABASE
    )
    if not known:
        await connection.execute(
            f"CREATE DATABASE {DATABASE} OWNER {DatabaseRole.OWNER}", timeout=_TIMEOUT_S
        )
