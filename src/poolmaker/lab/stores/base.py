"""Tables in memory: a transaction applies whole or not at all, as in the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure, require

_ABSENT: Final = object()


class ModelTx(Tx):
    """An open transaction on a ``ModelDatabase``; remembers what to put back."""

    __slots__ = ("_tables", "_undo", "open")

    def __init__(self, tables: dict[str, dict[Hashable, Any]]) -> None:
        self._tables = tables
        self._undo: dict[tuple[str, Hashable], Any] = {}
        self.open = True

    def get(self, table: str, key: Hashable) -> Any:
        """The value under ``key``, or None."""
        self._check()
        return self._tables.setdefault(table, {}).get(key)

    def put(self, table: str, key: Hashable, value: Any) -> None:
        """Write an immutable value."""
        self._check()
        rows = self._tables.setdefault(table, {})
        self._undo.setdefault((table, key), rows.get(key, _ABSENT))
        rows[key] = value

    def delete(self, table: str, key: Hashable) -> None:
        """Remove a row that is there."""
        self._check()
        rows = self._tables.setdefault(table, {})
        self._undo.setdefault((table, key), rows[key])
        del rows[key]

    def rows(self, table: str) -> Iterator[tuple[Any, Any]]:
        """(key, value) of every row, in the order of first writing."""
        self._check()
        return iter(list(self._tables.get(table, {}).items()))

    def roll_back(self) -> None:
        """Put back what was there before."""
        for (table, key), value in reversed(self._undo.items()):
            if value is _ABSENT:
                self._tables[table].pop(key, None)
            else:
                self._tables[table][key] = value
        self.open = False

    def _check(self) -> None:
        ensure(self.open, "a transaction was used after its end")


def model_tx(tx: Tx) -> ModelTx:
    """The model's transaction. Raises CallerFault for another store's."""
    require(isinstance(tx, ModelTx), f"expected a model transaction, was {type(tx).__name__}")
    return tx if isinstance(tx, ModelTx) else ModelTx({})


class ModelDatabase:
    """Tables in memory; one transaction at a time. Implements the port ``Transactions``."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[Hashable, Any]] = {}
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        """Open a transaction; it is undone when the block raises or is cancelled."""
        require(label, "a transaction needs a label")
        async with self._alone:
            tx = ModelTx(self._tables)
            try:
                yield tx
            except BaseException:
                tx.roll_back()
                raise
            tx.open = False

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        return self.begin(label)
