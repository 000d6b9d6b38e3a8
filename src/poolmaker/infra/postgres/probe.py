"""Knocking at the server's door: the only proof that it is there is that it says who it is."""

from __future__ import annotations

import asyncpg

from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.model import DATABASE, Busy, LoginRefused, Probe, Ready, Silent

_TIMEOUT_S = 5

_IDENTITY = """
    SELECT pg_catalog.current_setting('data_directory') AS data_directory,
           (SELECT system_identifier FROM pg_catalog.pg_control_system()) AS system_identifier,
           pg_catalog.current_setting('fsync')::bool AS fsync,
           pg_catalog.current_setting('full_page_writes')::bool AS full_page_writes,
           EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1) AS prepared
"""


async def knock(dsn: str) -> Probe:
    """One attempt to connect as the administrator and ask who is there."""
    try:
        connection = await asyncpg.connect(**connect_arguments(dsn), timeout=_TIMEOUT_S)
        try:
            row = await connection.fetchrow(_IDENTITY, DATABASE, timeout=_TIMEOUT_S)
        finally:
            connection.terminate()
    except (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        return Busy(str(error))
    except (asyncpg.InvalidAuthorizationSpecificationError, PermissionError) as error:
        return LoginRefused(str(error))
    except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, OSError):
        return Silent()
    except (asyncpg.InterfaceError, asyncpg.InternalClientError):
        return Silent()
    except asyncpg.PostgresError as error:
        return LoginRefused(str(error))
    return Ready(**row)
