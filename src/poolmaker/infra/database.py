"""Units of work over PostgreSQL.

Every failure that is not the server's own refusal counts as a dead connection:

DatabaseGone                the connection is of no use any more
├── DatabaseUnavailable     nothing was written; the same call may be made again
│   └── DatabaseFull        the server has no room on its disk: it goes on when there is some
└── CommitUnknown           what was sent may have been written; read before acting

The server's refusals (asyncpg's ``PostgresError``) pass unchanged: the transaction is rolled back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import Any, Final, Protocol, Self, cast

import asyncpg

from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.session import check_session
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, PoolmakerError, PreconditionError, Unavailable

_CONNECT_TIMEOUT_S: Final = 10
_COMMAND_TIMEOUT_S: Final = 90
_LISTEN_PING_S: Final = 15
_LISTEN_BACK_OFF_US: Final = SECOND_US // 4
_LISTEN_BACK_OFF_MAX_US: Final = 5 * SECOND_US


class DatabaseGone(PoolmakerError):
    """The connection died or cannot be had."""

    code = "database_gone"


class DatabaseUnavailable(DatabaseGone, Unavailable):
    """The database cannot be reached or died before the commit was sent: nothing was written."""

    code = "database_unavailable"


class DatabaseFull(DatabaseUnavailable):
    """The server has no room on its disk: nothing was written, and it goes on when there is room.

    Whoever risks money stops doing so until then, as at every DatabaseUnavailable.
    """

    code = "database_full"


class CommitUnknown(DatabaseGone, OutcomeUnknown):
    """The answer to a commit, or to a statement that commits by itself, was lost."""

    code = "commit_unknown"


class Record(Protocol):
    """One row; columns by name or position."""

    def __getitem__(self, key: str | int) -> Any:
        """The value of a column."""
        ...

    def __len__(self) -> int:
        """The number of columns."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """The values in order."""
        ...

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a column, or ``default`` when there is no such column."""
        ...

    def keys(self) -> Iterable[str]:
        """The names of the columns."""
        ...

    def values(self) -> Iterable[Any]:
        """The values in order."""
        ...

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names with values."""
        ...


class Connection(Protocol):
    """What a store may do with a connection. Timeouts are in seconds."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run a statement; the server's word for what it did, like ``UPDATE 1``."""
        ...

    async def executemany(
        self, command: str, args: Iterable[Sequence[Any]], *, timeout: float | None = None
    ) -> None:
        """Run one statement for each row of arguments."""
        ...

    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Record]:
        """All rows."""
        ...

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None) -> Record | None:
        """The first row, or None."""
        ...

    async def fetchval(
        self, query: str, *args: Any, column: int = 0, timeout: float | None = None
    ) -> Any:
        """One column of the first row, or None."""
        ...

    def is_in_transaction(self) -> bool:
        """A transaction is open."""
        ...


class PgTx(Tx):
    """A transaction on PostgreSQL; stores take its connection by ``connection_of``."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class _OneStatement:
    """A connection that answers one question, which is its own transaction."""

    def __init__(self, connection: Connection, label: str) -> None:
        self._connection = connection
        self._label = label
        self._is_used = False

    def _once(self) -> Connection:
        require(not self._is_used, f"{self._label}: a look is one statement, take a transaction")
        self._is_used = True
        return self._connection

    async def execute(self, query: str, *_args: Any, **_more: Any) -> str:
        """Never: a look reads. Raises CallerFault."""
        raise PreconditionError(f"{self._label}: a look reads, take a transaction for {query!r}")

    async def executemany(self, command: str, *_args: Any, **_more: Any) -> None:
        """Never: a look reads. Raises CallerFault."""
        raise PreconditionError(f"{self._label}: a look reads, take a transaction for {command!r}")

    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Record]:
        return await self._once().fetch(query, *args, timeout=timeout)

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None) -> Record | None:
        return await self._once().fetchrow(query, *args, timeout=timeout)

    async def fetchval(
        self, query: str, *args: Any, column: int = 0, timeout: float | None = None
    ) -> Any:
        return await self._once().fetchval(query, *args, column=column, timeout=timeout)

    def is_in_transaction(self) -> bool:
        return False


def connection_of(tx: Tx) -> Connection:
    """The connection that ``tx`` runs on. Raises CallerFault for another store's transaction."""
    if not isinstance(tx, PgTx):
        raise PreconditionError(f"expected a PostgreSQL transaction, was {type(tx).__name__}")
    return tx.connection


class Database:
    """A pool of connections of one role to one database.

    ``numeric`` values are exact: integers are ``int``, others ``Decimal``; a float is refused.
    Also the PostgreSQL side of ``infra.transactions.Transactions``.
    """

    def __init__(self, pool: Any, dsn: str, wait_s: int = _CONNECT_TIMEOUT_S) -> None:
        self._pool = pool
        self._dsn = dsn
        self._wait_s = wait_s

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        wait_s: int = _CONNECT_TIMEOUT_S,
        statement_s: int = _COMMAND_TIMEOUT_S,
    ) -> Self:
        """Connect ``min_size`` times now. Raises DatabaseUnavailable when that fails.

        ``wait_s`` bounds the wait for a connection, ``statement_s`` each statement, in seconds.
        """
        with _losses_as(DatabaseUnavailable):
            pool = await asyncpg.create_pool(
                **connect_arguments(dsn),
                min_size=min_size,
                max_size=max_size,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=statement_s,
                init=partial(_prepare, dsn),
                reset=_keep,
            )
        return cls(pool, dsn, wait_s)

    async def close(self) -> None:
        """Close every connection; those in use are cut after some seconds."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._pool.close()
        except _LOST:
            self._pool.terminate()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection whose statements each commit by themselves.

        Once it is given out, a loss is CommitUnknown. Await nothing but the database in the block.
        """
        async with self.lent() as connection:
            with _shortage_as_passing(), _losses_as(CommitUnknown):
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A unit of work (read committed): commits at the end, rolls back when the block raises.

        A loss before the commit is DatabaseUnavailable, a loss of its answer CommitUnknown. A
        deadlock that the server ended by rolling this unit back is DatabaseUnavailable, too.
        Await nothing but the database in the block.
        """
        async with self.lent() as connection:
            unit: Any = cast("Any", connection).transaction(isolation="read_committed")
            with _shortage_as_passing(), _losses_as(DatabaseUnavailable):
                await unit.start()
                try:
                    yield connection
                except _STOPPED as stopped:
                    await _roll_back(connection, unit)
                    raise DatabaseUnavailable(
                        f"the server ended a wait of locks, nothing was written: {stopped}"
                    ) from stopped
                except BaseException:
                    await _roll_back(connection, unit)
                    raise
            with _shortage_as_passing(), _losses_as(CommitUnknown):
                await unit.commit()

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        """A unit of work as the port of transactions knows it."""
        require(label, "a transaction needs a label")
        async with self.transaction() as connection:
            yield PgTx(connection)

    @asynccontextmanager
    async def look(self, label: str) -> AsyncIterator[Tx]:
        """A loss is DatabaseUnavailable: there was nothing to write."""
        require(label, "a look needs a label")
        async with self.lent() as connection:
            with _shortage_as_passing(), _losses_as(DatabaseUnavailable):
                yield PgTx(_OneStatement(connection, label))

    async def listen(self, channel: str, callback: Callable[[str], None], clock: Clock) -> Listener:
        """Call ``callback`` with the payload of each notification, on a connection of its own.

        Notifications are hints: some are lost whenever the connection is. So ``callback("")`` is
        called after each connect and means: look for yourself. Close the listener when done.
        """
        return Listener(self._dsn, channel, callback, clock)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """A connection of the pool for the block; what is done on it is the caller's to bound."""
        with _shortage_as_passing(), _losses_as(DatabaseUnavailable):
            connection = await self._pool.acquire(timeout=self._wait_s)
        try:
            yield connection
        finally:
            await self._take_back(connection)

    async def _take_back(self, connection: Any) -> None:
        # Whether the work was done is decided by now; a connection that dies here changes nothing.
        try:
            await self._pool.release(connection, timeout=_CONNECT_TIMEOUT_S)
        except (*_LOST, asyncpg.PostgresError):
            # The pool may have taken it back before its reset failed; then it is the pool's to end.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()


class Listener:
    """One channel that is listened to until closed, through any number of reconnects."""

    def __init__(
        self, dsn: str, channel: str, callback: Callable[[str], None], clock: Clock
    ) -> None:
        self._dsn = dsn
        self._channel = channel
        self._callback = callback
        self._clock = clock
        self._task = asyncio.create_task(self._run(), name=f"listen {channel}")

    async def close(self) -> None:
        """Stop listening. Raises what the callback raised, if it did."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    async def _run(self) -> None:
        back_off_us = _LISTEN_BACK_OFF_US
        while True:
            try:
                await self._listen()
                back_off_us = _LISTEN_BACK_OFF_US
            except (*_LOST, asyncpg.PostgresError):
                back_off_us = min(back_off_us * 2, _LISTEN_BACK_OFF_MAX_US)
            await self._clock.sleep_us(back_off_us)

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        connection = await asyncpg.connect(
            **connect_arguments(self._dsn), timeout=_CONNECT_TIMEOUT_S
        )
        try:
            await check_session(connection, self._dsn)
            connection.add_termination_listener(lambda *_: lost.set())
            await connection.add_listener(self._channel, self._heard)
            self._callback("")
            while not lost.is_set():
                try:
                    async with asyncio.timeout(_LISTEN_PING_S):
                        await lost.wait()
                except TimeoutError:
                    # A half-open connection is noticed only by speaking on it.
                    await connection.fetchval("SELECT 1", timeout=_CONNECT_TIMEOUT_S)
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._callback(payload)


# The server's words that end the connection, and everything that is not the server's word. A
# value that asyncpg cannot encode is neither: it never left this process.
_LOST: Final[tuple[type[BaseException], ...]] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
_STILL_THERE: Final = (asyncpg.QueryCanceledError, asyncpg.DataError)


# The server rolled the unit back so that others could go on; asked again it may well succeed.
_STOPPED: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)


@contextmanager
def _losses_as(kind: type[DatabaseGone]) -> Iterator[None]:
    try:
        yield
    except _STILL_THERE:
        raise
    except _LOST as error:
        raise kind(f"the connection to the database was lost: {error}") from error


@contextmanager
def _shortage_as_passing() -> Iterator[None]:
    """The server rolled back because it had no room, no memory or no connection left."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise DatabaseFull(
            f"the disk of the database is full, nothing was written: {error}; make room there"
        ) from error
    except asyncpg.InsufficientResourcesError as error:
        raise DatabaseUnavailable(
            f"the database had no resources left, nothing was written: {error}"
        ) from error


async def _roll_back(connection: Any, unit: Any) -> None:
    # Without an answer the server rolls back by itself when the connection is cut.
    try:
        await unit.rollback()
    except (*_LOST, asyncpg.PostgresError):
        connection.terminate()


async def _keep(connection: Any) -> None:
    """Give a connection back as it is: nobody here sets, listens or locks for a whole session.

    So the statement that would undo such things is not sent after each use. A transaction that was
    left open ends with its connection.
    """
    if connection.is_in_transaction():
        connection.terminate()


async def _prepare(dsn: str, connection: Any) -> None:
    await check_session(connection, dsn)
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=encode_numeric, decoder=decode_numeric
    )


def encode_numeric(value: object) -> str:
    """The exact decimal text of an int or a Decimal. Raises CallerFault for anything else."""
    if type(value) is int:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    raise PreconditionError(
        f"numeric: expected an int or a finite Decimal, was {type(value).__name__}"
    )


def decode_numeric(text: str) -> int | Decimal:
    """The exact value: an int when the column has no fraction, a Decimal when it has one."""
    # Built from text, a Decimal keeps every digit whatever the context's precision is.
    return Decimal(text) if not text.removeprefix("-").isdigit() else int(text)
