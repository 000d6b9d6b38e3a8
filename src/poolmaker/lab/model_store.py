"""A store in memory with the semantics of the real one: a transaction applies whole or not at all.

Everything here is written anew against the ports, as simply as possible, so that it can judge the
real store: what differs between the two is a defect of one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from poolmaker.infra.sagas.model import (
    NEVER_US,
    ParkedSaga,
    Saga,
    SagaChange,
    SagaMoved,
    SagaStep,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.ids import SagaId

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


@dataclass(frozen=True, slots=True)
class _SagaRow:
    saga: Saga
    woken: bool = False
    holder: str = ""
    lease_until_us: int = 0
    incident: str = ""
    note: str = ""


_SAGA: Final = "saga"
_STEP: Final = "saga_step"


class ModelSagaStore:
    """``RunnerStore`` in memory."""

    async def start(self, tx: Tx, saga: Saga) -> bool:
        """See ``SagaStore.start``."""
        require(saga.version == 0 and saga.due_us < NEVER_US, f"saga {saga.id}: is not new")
        if model_tx(tx).get(_SAGA, saga.id) is not None:
            return False
        model_tx(tx).put(_SAGA, saga.id, _SagaRow(saga))
        return True

    async def claim(
        self, tx: Tx, kinds: Sequence[str], holder: str, now_us: int, lease_us: int, limit: int
    ) -> list[Saga]:
        """See ``SagaStore.claim``."""
        due = [
            row
            for _, row in model_tx(tx).rows(_SAGA)
            if row.saga.due_us <= now_us and row.saga.kind in kinds and row.lease_until_us <= now_us
        ]
        due.sort(key=lambda row: (row.saga.due_us, row.saga.id))
        for row in due[:limit]:
            leased = replace(row, woken=False, holder=holder, lease_until_us=now_us + lease_us)
            model_tx(tx).put(_SAGA, row.saga.id, leased)
        return [row.saga for row in due[:limit]]

    async def advance(self, tx: Tx, saga: Saga, change: SagaChange, now_us: int) -> Saga:
        """See ``SagaStore.advance``."""
        row = self._unmoved(tx, saga)
        if row is None:
            raise SagaMoved(f"saga {saga.id} is no longer in {saga.state} at {saga.version}")
        due_us = NEVER_US if change.due_us is None else change.due_us
        if row.woken and change.due_us is not None:
            due_us = min(due_us, now_us)
        after = replace(
            saga,
            state=change.state,
            version=saga.version + 1,
            due_us=due_us,
            tries=0,
            data=change.data,
        )
        model_tx(tx).put(_SAGA, saga.id, _SagaRow(after, note=change.note))
        step = SagaStep(after.version, saga.state, after.state, now_us, change.note)
        model_tx(tx).put(_STEP, (saga.id, after.version), step)
        return after

    async def retry(self, tx: Tx, saga: Saga, due_us: int, note: str) -> None:
        """See ``SagaStore.retry``."""
        row = self._unmoved(tx, saga)
        if row is not None and row.saga.due_us < NEVER_US:
            due_us = min(row.saga.due_us, due_us) if row.woken else due_us
            after = replace(row.saga, tries=row.saga.tries + 1, due_us=due_us)
            model_tx(tx).put(_SAGA, saga.id, _SagaRow(after, note=note))

    async def wake(self, tx: Tx, saga: SagaId, now_us: int) -> None:
        """See ``SagaStore.wake``."""
        row = model_tx(tx).get(_SAGA, saga)
        if row is not None and row.saga.due_us < NEVER_US:
            after = replace(row.saga, due_us=min(row.saga.due_us, now_us))
            model_tx(tx).put(_SAGA, saga, replace(row, saga=after, woken=True))

    async def find(self, tx: Tx, saga: SagaId) -> Saga | None:
        """See ``SagaStore.find``."""
        row = model_tx(tx).get(_SAGA, saga)
        return row.saga if row is not None else None

    async def renew(
        self, tx: Tx, sagas: Sequence[SagaId], holder: str, lease_until_us: int
    ) -> None:
        """See ``RunnerStore.renew``."""
        for saga in sagas:
            row = model_tx(tx).get(_SAGA, saga)
            if row is not None and row.holder == holder:
                model_tx(tx).put(_SAGA, saga, replace(row, lease_until_us=lease_until_us))

    async def park(self, tx: Tx, saga: Saga, incident: str) -> None:
        """See ``RunnerStore.park``."""
        row = self._unmoved(tx, saga)
        if row is not None:
            parked = _SagaRow(saga=replace(row.saga, due_us=NEVER_US), incident=incident)
            model_tx(tx).put(_SAGA, saga.id, parked)

    async def unpark(self, tx: Tx, saga: SagaId, now_us: int) -> bool:
        """See ``RunnerStore.unpark``."""
        row = model_tx(tx).get(_SAGA, saga)
        if row is None or not row.incident:
            return False
        after = replace(row.saga, due_us=now_us, tries=0)
        model_tx(tx).put(_SAGA, saga, _SagaRow(saga=after))
        return True

    async def parked(self, tx: Tx, limit: int) -> list[ParkedSaga]:
        """See ``RunnerStore.parked``."""
        rows = [row for _, row in model_tx(tx).rows(_SAGA) if row.incident]
        rows.sort(key=lambda row: row.saga.id)
        return [
            ParkedSaga(row.saga.id, row.saga.kind, row.saga.state, row.incident)
            for row in rows[:limit]
        ]

    async def steps(self, tx: Tx, saga: SagaId) -> list[SagaStep]:
        """See ``RunnerStore.steps``."""
        found = [step for (owner, _), step in model_tx(tx).rows(_STEP) if owner == saga]
        return sorted(found, key=lambda step: step.version)

    @staticmethod
    def _unmoved(tx: Tx, saga: Saga) -> _SagaRow | None:
        row = model_tx(tx).get(_SAGA, saga.id)
        if row is None or (row.saga.state, row.saga.version) != (saga.state, saga.version):
            return None
        return row if isinstance(row, _SagaRow) else None
