"""Sagas in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.infra.sagas.model import (
    NEVER_US,
    ParkedSaga,
    Saga,
    SagaChange,
    SagaMoved,
    SagaStep,
    WaitingSaga,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import SagaId
from poolmaker.lab.stores.base import model_tx


@dataclass(frozen=True, slots=True)
class _SagaRow:
    saga: Saga
    woken: bool = False
    holder: str = ""
    lease_until_us: int = 0
    incident: str = ""
    note: str = ""
    started_us: int = 0


_SAGA: Final = "saga"
_STEP: Final = "saga_step"


class ModelSagaStore:
    """``RunnerStore`` in memory."""

    async def start(self, tx: Tx, saga: Saga) -> bool:
        require(saga.version == 0 and saga.due_us < NEVER_US, f"saga {saga.id}: is not new")
        if model_tx(tx).get(_SAGA, saga.id) is not None:
            return False
        model_tx(tx).put(_SAGA, saga.id, _SagaRow(saga, started_us=saga.due_us))
        return True

    async def claim(
        self, tx: Tx, kinds: Sequence[str], holder: str, now_us: int, lease_us: int, limit: int
    ) -> list[Saga]:
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
        model_tx(tx).put(
            _SAGA, saga.id, _SagaRow(after, note=change.note, started_us=row.started_us)
        )
        step = SagaStep(after.version, saga.state, after.state, now_us, change.note)
        model_tx(tx).put(_STEP, (saga.id, after.version), step)
        return after

    async def retry(self, tx: Tx, saga: Saga, due_us: int, note: str) -> None:
        row = self._unmoved(tx, saga)
        if row is not None and row.saga.due_us < NEVER_US:
            due_us = min(row.saga.due_us, due_us) if row.woken else due_us
            after = replace(row.saga, tries=row.saga.tries + 1, due_us=due_us)
            model_tx(tx).put(_SAGA, saga.id, _SagaRow(after, note=note, started_us=row.started_us))

    async def wake(self, tx: Tx, saga: SagaId, now_us: int) -> None:
        row = model_tx(tx).get(_SAGA, saga)
        if row is not None and row.saga.due_us < NEVER_US:
            after = replace(row.saga, due_us=min(row.saga.due_us, now_us))
            model_tx(tx).put(_SAGA, saga, replace(row, saga=after, woken=True))

    async def find(self, tx: Tx, saga: SagaId) -> Saga | None:
        row = model_tx(tx).get(_SAGA, saga)
        return row.saga if row is not None else None

    async def renew(
        self, tx: Tx, sagas: Sequence[SagaId], holder: str, now_us: int, lease_us: int
    ) -> None:
        for saga in sagas:
            row = model_tx(tx).get(_SAGA, saga)
            if row is not None and row.holder == holder:
                model_tx(tx).put(_SAGA, saga, replace(row, lease_until_us=now_us + lease_us))

    async def next_due(self, tx: Tx, kinds: Sequence[str], after_us: int) -> int | None:
        later = [
            row.saga.due_us
            for _, row in model_tx(tx).rows(_SAGA)
            if after_us < row.saga.due_us < NEVER_US and row.saga.kind in kinds
        ]
        return min(later, default=None)

    async def park(self, tx: Tx, saga: Saga, incident: str) -> None:
        row = self._unmoved(tx, saga)
        if row is not None:
            saved = replace(row.saga, due_us=NEVER_US)
            parked = _SagaRow(saga=saved, incident=incident, started_us=row.started_us)
            model_tx(tx).put(_SAGA, saga.id, parked)

    async def unpark(self, tx: Tx, saga: SagaId, now_us: int) -> bool:
        row = model_tx(tx).get(_SAGA, saga)
        if row is None or not row.incident:
            return False
        after = replace(row.saga, due_us=now_us, tries=0)
        model_tx(tx).put(_SAGA, saga, _SagaRow(saga=after, started_us=row.started_us))
        return True

    async def parked(self, tx: Tx, limit: int) -> list[ParkedSaga]:
        rows = [row for _, row in model_tx(tx).rows(_SAGA) if row.incident]
        rows.sort(key=lambda row: row.saga.id)
        return [
            ParkedSaga(row.saga.id, row.saga.kind, row.saga.state, row.incident)
            for row in rows[:limit]
        ]

    async def needing(self, tx: Tx, limit: int) -> tuple[list[WaitingSaga], int]:
        rows = [row for _, row in model_tx(tx).rows(_SAGA) if row.incident]
        found = sorted([await self._waiting(tx, row) for row in rows], key=lambda one: one.id)
        return found[:limit], len(found)

    async def unmoved(
        self, tx: Tx, steady: Sequence[str], before_us: int, limit: int
    ) -> tuple[list[WaitingSaga], int]:
        rows = [row for _, row in model_tx(tx).rows(_SAGA) if row.saga.due_us < NEVER_US]
        found = [
            one
            for one in [await self._waiting(tx, row) for row in rows]
            if one.kind not in steady
            and f"{one.kind}:{one.state}" not in steady
            and one.since_us < before_us
        ]
        found.sort(key=lambda one: (one.since_us, one.id))
        return found[:limit], len(found)

    async def waiting(self, tx: Tx, saga: SagaId) -> WaitingSaga | None:
        row = model_tx(tx).get(_SAGA, saga)
        return await self._waiting(tx, row) if row is not None else None

    async def _waiting(self, tx: Tx, row: _SagaRow) -> WaitingSaga:
        steps = await self.steps(tx, row.saga.id)
        return WaitingSaga(
            id=row.saga.id,
            kind=row.saga.kind,
            state=row.saga.state,
            incident=row.incident,
            note=row.note,
            tries=row.saga.tries,
            since_us=steps[-1].at_us if steps else row.started_us,
        )

    async def steps(self, tx: Tx, saga: SagaId) -> list[SagaStep]:
        found = [step for (owner, _), step in model_tx(tx).rows(_STEP) if owner == saga]
        return sorted(found, key=lambda step: step.version)

    @staticmethod
    def _unmoved(tx: Tx, saga: Saga) -> _SagaRow | None:
        row = model_tx(tx).get(_SAGA, saga.id)
        if row is None or (row.saga.state, row.saga.version) != (saga.state, saga.version):
            return None
        return row if isinstance(row, _SagaRow) else None
