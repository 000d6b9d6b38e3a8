"""A PostgreSQL of the operator's own, by POOLMAKER_DATABASE_URL, behind the same few calls.

One login is given; each connection takes its role with it at the start of its session. What the
server must be for money to be safe on it is checked before anything is written.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import IO, Any, Final, Self
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

import asyncpg

from poolmaker.infra.postgres import passwords
from poolmaker.infra.postgres.dsn import connect_arguments, query_of
from poolmaker.infra.postgres.model import POSTGRES_MAJOR_MIN, DatabaseRole, Progress
from poolmaker.infra.postgres.session import LIMITS_MS
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem

_TIMEOUT_S: Final = 10
_RETRY_US: Final = SECOND_US
_SET_OPTION_SINCE: Final = 16
_LIMITS: Final = {name: f"{limit}ms" for name, limit in LIMITS_MS.items()}
_URL: Final = "POOLMAKER_DATABASE_URL"

_STATE: Final = """
    SELECT pg_catalog.current_setting('server_version_num')::int / 10000 AS major,
           pg_catalog.current_setting('fsync')::bool AS fsync,
           pg_catalog.current_setting('full_page_writes')::bool AS full_page_writes,
           pg_catalog.current_setting('synchronous_commit') AS synchronous_commit,
           pg_catalog.current_setting('server_encoding') AS encoding,
           pg_catalog.pg_is_in_recovery() AS standby
"""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server says about itself."""

    major: int
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    encoding: str
    standby: bool


def complaint_about(state: ServerState) -> str | None:
    """Why money must not be kept on such a server, and what to do; None when it may."""
    if state.major < POSTGRES_MAJOR_MIN:
        return (
            f"is PostgreSQL {state.major}, and {POSTGRES_MAJOR_MIN} or newer is needed; "
            "upgrade it or unset the variable"
        )
    if state.standby:
        return "is a standby that only reads; point the variable at the primary"
    if not (state.fsync and state.full_page_writes):
        return (
            "runs with fsync or full_page_writes off, which loses money in a crash; "
            "switch both on and restart it"
        )
    if state.synchronous_commit == "off":
        return (
            "acknowledges commits before they are durable; "
            "set synchronous_commit to on for this database"
        )
    if state.encoding != "UTF8":
        return f"holds text as {state.encoding}; make the database with encoding UTF8"
    return None


class ExternalCluster:
    """The operator's server, checked and with our roles. We neither start nor stop it."""

    def __init__(self, address: SplitResult, query: dict[str, str], secret: _Secret) -> None:
        self._address = address
        self._query = query
        self._secret = secret

    @classmethod
    async def open(cls, url: str, clock: Clock, *, on_progress: Progress | None = None) -> Self:
        """Check the server, and make our roles on it where they are missing.

        Waits without limit while the server says that it is starting or recovering. Raises
        EnvironmentProblem, with nothing changed, when the server is not fit or refuses us.
        """
        cluster = cls(*_without_password(url))
        try:
            await cluster._check(clock, on_progress)
        except BaseException:
            cluster._secret.forget()
            raise
        return cluster

    def dsn(self, role: DatabaseRole, database: str | None = None) -> str:
        """Where and as whom to connect. It contains no password."""
        return self._dsn({"role": str(role)}, database)

    @property
    def data(self) -> None:
        """It lies on the operator's server."""

    async def stop(self) -> None:
        """Forget the password; the server stays."""
        self._secret.forget()

    async def watch(self) -> None:
        """Nothing to do: the operator watches his own server."""

    async def _check(self, clock: Clock, on_progress: Progress | None) -> None:
        while (connection := await self._connect(on_progress)) is None:
            await clock.sleep_us(_RETRY_US)
        try:
            row = await connection.fetchrow(_STATE, timeout=_TIMEOUT_S)
            state = ServerState(**row)
            if (complaint := complaint_about(state)) is not None:
                raise EnvironmentProblem(f"The server of {_URL} {complaint}.")
            await _ensure_roles(connection, state.major)
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            raise self._unreachable(error) from error
        finally:
            connection.terminate()

    async def _connect(self, on_progress: Progress | None) -> Any:
        """A connection as the login itself; None while the server is starting."""
        try:
            return await asyncpg.connect(
                **connect_arguments(self._dsn({}, None)), timeout=_TIMEOUT_S
            )
        except asyncpg.CannotConnectNowError as error:
            if on_progress is not None:
                on_progress(f"The server of {_URL} says: {error}")
            return None
        except asyncpg.InvalidCatalogNameError as error:
            raise EnvironmentProblem(
                f"The server of {_URL} has no such database ({error}); create it and start again."
            ) from error
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise EnvironmentProblem(
                f"The server of {_URL} does not let the login in ({error}); "
                "mend user and password there."
            ) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise _not_a_url() from error

    def _unreachable(self, error: BaseException) -> EnvironmentProblem:
        place = self._query.get("host") or self._address.netloc.rpartition("@")[2] or "localhost"
        reason = str(error) or type(error).__name__
        return EnvironmentProblem(
            f"PostgreSQL at {place} of {_URL} cannot be used ({reason}); "
            "start it, mend the address, or unset the variable to use the embedded one."
        )

    def _dsn(self, settings: dict[str, str], database: str | None) -> str:
        query = _LIMITS | self._query | settings
        if self._secret.path is not None:
            query["passfile"] = self._secret.path
        path = self._address.path if database is None else f"/{quote(database, safe='')}"
        return self._address._replace(path=path, query=urlencode(query)).geturl()


class _Secret:
    """The password of the login, in a file that only we can read and that vanishes with us."""

    def __init__(self, user: str, password: str | None) -> None:
        self._file: IO[str] | None = None
        if password is not None:
            self._file = _private_file()
            self._file.write(passwords.line(user, password))
            self._file.flush()

    @property
    def path(self) -> str | None:
        """Where it is read; None when the address had no password."""
        if self._file is None:
            return None
        name = self._file.name
        return f"/proc/self/fd/{name}" if isinstance(name, int) else str(name)

    def forget(self) -> None:
        """Remove it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _private_file() -> IO[str]:
    if not hasattr(os, "memfd_create"):
        return tempfile.NamedTemporaryFile("w", encoding="utf-8")
    # In memory it has no name that others could open, and a kill leaves nothing behind.
    descriptor = os.memfd_create("poolmaker")
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _without_password(url: str) -> tuple[SplitResult, dict[str, str], _Secret]:
    try:
        address = urlsplit(url)
        query = query_of(url)
        password = query.pop("password", None)
        if password is None and address.password is not None:
            password = unquote(address.password)
    except ValueError as error:
        raise _not_a_url() from error
    if address.scheme not in {"postgresql", "postgres"} or address.fragment:
        raise _not_a_url()
    user = unquote(address.username or query.get("user", ""))
    if password is not None and not user:
        raise _not_a_url()
    login, separator, host = address.netloc.rpartition("@")
    netloc = f"{login.partition(':')[0]}{separator}{host}"
    return address._replace(netloc=netloc, query=""), query, _Secret(user, password)


def _not_a_url() -> EnvironmentProblem:
    # The text itself may hold a password, so it is not repeated.
    return EnvironmentProblem(
        f"{_URL} is not an address of the form postgresql://user:password@host:5432/database; "
        "mend it, or unset it to use the embedded PostgreSQL."
    )


async def _ensure_roles(connection: Any, major: int) -> None:
    """Make roles and rights that are missing, all or none."""
    missing = await _missing(connection, major)
    if not missing:
        return
    try:
        async with connection.transaction():
            for statement in missing:
                await connection.execute(statement, timeout=_TIMEOUT_S)
    except asyncpg.InsufficientPrivilegeError as error:
        raise EnvironmentProblem(
            f"The login of {_URL} may not set up its roles; let an administrator of that server "
            f"run: {' '.join(f'{statement};' for statement in missing)}"
        ) from error


async def _missing(connection: Any, major: int) -> list[str]:
    """The statements that bring the server to what we need; empty when it is there."""
    login, database = await connection.fetchrow(
        "SELECT pg_catalog.quote_ident(current_user),"
        " pg_catalog.quote_ident(pg_catalog.current_database())"
    )
    rows = await connection.fetch("SELECT rolname FROM pg_catalog.pg_roles")
    present = {row["rolname"] for row in rows}
    option = "SET" if major >= _SET_OPTION_SINCE else "MEMBER"
    statements: list[str] = []
    for role in DatabaseRole:
        if role not in present:
            statements.append(f"CREATE ROLE {role}")
        elif await connection.fetchval(
            "SELECT pg_catalog.pg_has_role($1::name, $2)", str(role), option
        ):
            continue
        statements.append(f"GRANT {role} TO {login}")
    owner = str(DatabaseRole.OWNER)
    if owner not in present or not await connection.fetchval(
        "SELECT pg_catalog.has_database_privilege($1::name, current_database(), 'CREATE')", owner
    ):
        statements.append(f"GRANT CREATE ON DATABASE {database} TO {owner}")
    return statements
