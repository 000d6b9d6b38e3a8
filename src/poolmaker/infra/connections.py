"""Connections by importance: whatever clients do, engines and sagas keep their share.

Who works for what is a property of the running task (a context variable), so no caller can forget
to say it: tasks inherit it from whoever started them. The supervisor sets it for its parts, the
web application for every request. The ledger's writer has a role and connections of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.infra.database import Connection, Database


class Purpose(StrEnum):
    """What a task works for."""

    ENGINE = "engine"
    """Orders at venues: what is not journalled is not sent."""
    WORK = "work"
    """Sagas, streams between rooms, watchers: whoever says nothing else."""
    CLIENTS = "clients"
    """Requests of the API and the pages."""


@dataclass(frozen=True, slots=True)
class Share:
    """Connections of a purpose, and how long one is waited for, or one statement may take."""

    connections: int
    wait_s: int = 10
    statement_s: int = 90


SHARES: Final[Mapping[Purpose, Share]] = {
    Purpose.ENGINE: Share(6),
    Purpose.WORK: Share(10),
    Purpose.CLIENTS: Share(6, wait_s=5, statement_s=15),
}

_PURPOSE: Final[ContextVar[Purpose]] = ContextVar("purpose", default=Purpose.WORK)


@contextmanager
def working_for(purpose: Purpose) -> Iterator[None]:
    """Everything in the block, and every task that it starts, works for ``purpose``."""
    token = _PURPOSE.set(purpose)
    try:
        yield
    finally:
        _PURPOSE.reset(token)


class SharedDatabase(Database):
    """One database with a pool of connections for each purpose; see ``Database``."""

    def __init__(self, databases: Mapping[Purpose, Database], dsn: str) -> None:
        super().__init__(None, dsn)
        self._databases = dict(databases)

    @classmethod
    async def open_shared(
        cls, dsn: str, shares: Mapping[Purpose, Share] = SHARES
    ) -> SharedDatabase:
        """Connect once for each purpose now. Raises DatabaseUnavailable when that fails."""
        opened: dict[Purpose, Database] = {}
        try:
            for purpose, share in shares.items():
                opened[purpose] = await Database.open(
                    dsn,
                    max_size=share.connections,
                    wait_s=share.wait_s,
                    statement_s=share.statement_s,
                )
        except BaseException:
            for database in opened.values():
                await database.close()
            raise
        return cls(opened, dsn)

    async def close(self) -> None:
        """Close every connection of every purpose."""
        for database in self._databases.values():
            await database.close()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """See ``Database.lent``: a connection of whoever the running task works for."""
        async with self._databases[_PURPOSE.get()].lent() as connection:
            yield connection
