"""Brings a database to the revision of this code, whole or not at all."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from poolmaker.infra.migrations.names import VERSION_SCHEMA, VERSION_TABLE
from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.model import DatabaseRole, PostgresServer
from poolmaker.infra.postgres.session import check_session
from poolmaker.kernel.errors import EnvironmentProblem

_CONNECT_TIMEOUT_S: Final = 10
# A revision may rewrite a large table; a second starter waits for the first to finish.
_LIMITS_MS: Final = {"statement_timeout": 6 * 3_600_000, "lock_timeout": 600_000}
_SETTINGS: Final = {name: f"{limit}ms" for name, limit in _LIMITS_MS.items()} | {"search_path": ""}

# Alembic keeps what it works on in globals: one at a time in a process, in a loop of its own.
_ALEMBIC: Final = threading.Lock()


async def migrate(server: PostgresServer, database: str | None = None, to: str = "head") -> str:
    """Apply what is missing, as the owner role, in one transaction; the revision it is at then.

    ``to`` names an earlier revision than the newest, for whoever needs an old schema. Safe to call
    from several processes at once. Raises EnvironmentProblem, with nothing changed, when the
    database is newer than this code or a revision fails.
    """
    dsn = server.dsn(DatabaseRole.OWNER, database)
    refuse_newer(await revision_at(dsn))
    await asyncio.to_thread(_upgrade_alone, dsn, to)
    return newest_revision() if to == "head" else to


async def current_revision(server: PostgresServer, database: str | None = None) -> str | None:
    """The revision that the database is at; None when it has no schema yet."""
    return await revision_at(server.dsn(DatabaseRole.OWNER, database))


def newest_revision() -> str:
    """The revision that this code needs."""
    (head,) = _scripts().get_heads()
    return head


def known_revisions() -> frozenset[str]:
    """Every revision that this code knows."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def refuse_newer(revision: str | None) -> None:
    """Raise EnvironmentProblem when a newer poolmaker has been at this database."""
    if revision is not None and revision not in known_revisions():
        raise EnvironmentProblem(
            f"The database is at revision {revision}, which this poolmaker (at "
            f"{newest_revision()}) does not know; install the newer poolmaker again, "
            "or restore a backup made before it."
        )


async def revision_at(dsn: str) -> str | None:
    """The revision of the database at ``dsn``; None when it has no schema yet."""
    connection = await _connect(dsn)
    try:
        table = f"{VERSION_SCHEMA}.{VERSION_TABLE}"
        if await connection.fetchval("SELECT pg_catalog.to_regclass($1)", table) is None:
            return None
        found: str | None = await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608
        return found
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        connection = await asyncpg.connect(
            **connect_arguments(dsn), timeout=_CONNECT_TIMEOUT_S, server_settings=_SETTINGS
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise _not_let_in(error) from error
    try:
        await check_session(connection, dsn, _LIMITS_MS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        connection.terminate()
        raise _not_let_in(error) from error
    except BaseException:
        connection.terminate()
        raise
    return connection


def _not_let_in(error: Exception) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"The database does not let its owner role in ({error}); see what poolmaker doctor says."
    )


def _upgrade_alone(dsn: str, to: str) -> None:
    with _ALEMBIC:
        asyncio.run(_upgrade(dsn, to))


async def _upgrade(dsn: str, to: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: _connect(dsn), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run_alembic, to)
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
        raise EnvironmentProblem(
            f"The database was lost while its schema was brought up to date ({error}); "
            "nothing was changed, start again."
        ) from error
    except (asyncpg.PostgresError, SQLAlchemyError) as error:
        reason = str(error).split("\n", 1)[0]
        raise EnvironmentProblem(
            f"The schema could not be brought up to date ({reason}); nothing was changed, "
            "remove what stands in its way or use an empty database."
        ) from error
    finally:
        await engine.dispose()


def _run_alembic(connection: Connection, to: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
