"""Sagas in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.database import Record, connection_of
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
from poolmaker.kernel.ids import CorrelationId, SagaId

_COLUMNS: Final = "id, kind, state, version, due_us, tries, data, correlation"

_START: Final = """
WITH started AS (
    INSERT INTO infra.saga
        (id, kind, state, version, due_us, tries, data, correlation, started_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $5)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT count(pg_notify('saga_due', '')) FROM started
"""
_CLAIM: Final = f"""
WITH due AS (
    SELECT id FROM infra.saga
    WHERE due_us <= $3 AND kind = ANY($1) AND lease_until_us <= infra.lease_now_us()
    ORDER BY due_us, id
    LIMIT $5
    FOR UPDATE SKIP LOCKED
)
UPDATE infra.saga AS saga
SET lease_holder = $2, lease_until_us = infra.lease_now_us() + $4, woken = false
FROM due WHERE saga.id = due.id
RETURNING {", ".join(f"saga.{name}" for name in _COLUMNS.split(", "))}
"""  # noqa: S608 - the parts are constants of this module
_ADVANCE: Final = """
UPDATE infra.saga
SET state = $4, version = version + 1, data = $6, tries = 0, note = $7,
    due_us = CASE WHEN woken THEN least($5::bigint, $8::bigint) ELSE $5::bigint END,
    woken = false, lease_holder = '', lease_until_us = 0
WHERE id = $1 AND state = $2 AND version = $3
RETURNING due_us
"""
_END: Final = """
UPDATE infra.saga
SET state = $4, version = version + 1, data = $5, tries = 0, note = $6,
    due_us = NULL, woken = false, lease_holder = '', lease_until_us = 0
WHERE id = $1 AND state = $2 AND version = $3
RETURNING due_us
"""
_STEP: Final = """
INSERT INTO infra.saga_step (saga_id, version, state_before, state_after, at_us, note)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_RETRY: Final = """
UPDATE infra.saga
SET tries = tries + 1, note = $5,
    due_us = CASE WHEN woken THEN least(due_us, $4::bigint) ELSE $4::bigint END,
    woken = false, lease_holder = '', lease_until_us = 0
WHERE id = $1 AND state = $2 AND version = $3 AND due_us IS NOT NULL
"""
_WAKE: Final = """
WITH woken AS (
    UPDATE infra.saga SET due_us = least(due_us, $2), woken = true
    WHERE id = $1 AND due_us IS NOT NULL
    RETURNING id
)
SELECT count(pg_notify('saga_due', '')) FROM woken
"""
_RENEW: Final = """
UPDATE infra.saga SET lease_until_us = infra.lease_now_us() + $3
WHERE id = ANY($1) AND lease_holder = $2
"""
_PARK: Final = """
UPDATE infra.saga
SET incident = $4, due_us = NULL, woken = false, lease_holder = '', lease_until_us = 0
WHERE id = $1 AND state = $2 AND version = $3
"""
_UNPARK: Final = """
UPDATE infra.saga SET incident = '', due_us = $2, tries = 0 WHERE id = $1 AND incident <> ''
"""

_WAITING: Final = """
SELECT s.id, s.kind, s.state, s.incident, s.note, s.tries,
    coalesce(last.at_us, s.started_at_us) AS since_us, count(*) OVER () AS total
FROM infra.saga AS s
LEFT JOIN LATERAL (
    SELECT at_us FROM infra.saga_step WHERE saga_id = s.id ORDER BY version DESC LIMIT 1
) AS last ON true
"""
_NEEDING: Final = f"{_WAITING} WHERE s.incident <> '' ORDER BY s.id LIMIT $1"
_UNMOVED: Final = f"""{_WAITING}
WHERE s.due_us IS NOT NULL AND s.kind <> ALL ($1) AND s.kind || ':' || s.state <> ALL ($1)
    AND coalesce(last.at_us, s.started_at_us) < $2
ORDER BY since_us, s.id LIMIT $3
"""
_ONE_WAITING: Final = f"{_WAITING} WHERE s.id = $1"

NOTE_MAX: Final = 500


class PgSagaStore:
    """``RunnerStore`` over the tables ``infra.saga`` and ``infra.saga_step``."""

    async def start(self, tx: Tx, saga: Saga) -> bool:
        require(saga.version == 0 and saga.due_us < NEVER_US, f"saga {saga.id}: is not new")
        started = await connection_of(tx).fetchval(
            _START,
            saga.id,
            saga.kind,
            saga.state,
            saga.version,
            saga.due_us,
            saga.tries,
            saga.data,
            saga.correlation,
        )
        return bool(started)

    async def claim(
        self, tx: Tx, kinds: Sequence[str], holder: str, now_us: int, lease_us: int, limit: int
    ) -> list[Saga]:
        rows = await connection_of(tx).fetch(_CLAIM, list(kinds), holder, now_us, lease_us, limit)
        return sorted((_saga(row) for row in rows), key=lambda saga: (saga.due_us, saga.id))

    async def advance(self, tx: Tx, saga: Saga, change: SagaChange, now_us: int) -> Saga:
        connection, note = connection_of(tx), change.note[:NOTE_MAX]
        version = saga.version + 1
        at = (saga.id, saga.state, saga.version, change.state)
        if change.due_us is None:
            row = await connection.fetchrow(_END, *at, change.data, note)
        else:
            row = await connection.fetchrow(_ADVANCE, *at, change.due_us, change.data, note, now_us)
        if row is None:
            raise SagaMoved(f"saga {saga.id} is no longer in {saga.state} at {saga.version}")
        await connection.execute(_STEP, saga.id, version, saga.state, change.state, now_us, note)
        return Saga(
            id=saga.id,
            kind=saga.kind,
            state=change.state,
            version=version,
            due_us=_due(row["due_us"]),
            tries=0,
            data=change.data,
            correlation=saga.correlation,
        )

    async def retry(self, tx: Tx, saga: Saga, due_us: int, note: str) -> None:
        await connection_of(tx).execute(
            _RETRY, saga.id, saga.state, saga.version, due_us, note[:NOTE_MAX]
        )

    async def wake(self, tx: Tx, saga: SagaId, now_us: int) -> None:
        await connection_of(tx).execute(_WAKE, saga, now_us)

    async def find(self, tx: Tx, saga: SagaId) -> Saga | None:
        row = await connection_of(tx).fetchrow(
            f"SELECT {_COLUMNS} FROM infra.saga WHERE id = $1",  # noqa: S608 - constants
            saga,
        )
        return _saga(row) if row is not None else None

    async def renew(
        self,
        tx: Tx,
        sagas: Sequence[SagaId],
        holder: str,
        now_us: int,  # noqa: ARG002 - the model's clock
        lease_us: int,
    ) -> None:
        await connection_of(tx).execute(_RENEW, list(sagas), holder, lease_us)

    async def next_due(self, tx: Tx, kinds: Sequence[str], after_us: int) -> int | None:
        found: int | None = await connection_of(tx).fetchval(
            "SELECT min(due_us) FROM infra.saga WHERE due_us > $2 AND kind = ANY($1)",
            list(kinds),
            after_us,
        )
        return found

    async def park(self, tx: Tx, saga: Saga, incident: str) -> None:
        require(incident, "incident: expected a sentence")
        await connection_of(tx).execute(
            _PARK, saga.id, saga.state, saga.version, incident[:NOTE_MAX]
        )

    async def unpark(self, tx: Tx, saga: SagaId, now_us: int) -> bool:
        return await connection_of(tx).execute(_UNPARK, saga, now_us) == "UPDATE 1"

    async def parked(self, tx: Tx, limit: int) -> list[ParkedSaga]:
        rows = await connection_of(tx).fetch(
            "SELECT id, kind, state, incident FROM infra.saga WHERE incident <> '' "
            "ORDER BY id LIMIT $1",
            limit,
        )
        return [
            ParkedSaga(SagaId(row["id"]), row["kind"], row["state"], row["incident"])
            for row in rows
        ]

    async def needing(self, tx: Tx, limit: int) -> tuple[list[WaitingSaga], int]:
        return _listed(await connection_of(tx).fetch(_NEEDING, limit))

    async def unmoved(
        self, tx: Tx, steady: Sequence[str], before_us: int, limit: int
    ) -> tuple[list[WaitingSaga], int]:
        rows = await connection_of(tx).fetch(_UNMOVED, list(steady), before_us, limit)
        return _listed(rows)

    async def waiting(self, tx: Tx, saga: SagaId) -> WaitingSaga | None:
        found, _ = _listed(await connection_of(tx).fetch(_ONE_WAITING, saga))
        return found[0] if found else None

    async def steps(self, tx: Tx, saga: SagaId) -> list[SagaStep]:
        rows = await connection_of(tx).fetch(
            "SELECT version, state_before, state_after, at_us, note FROM infra.saga_step "
            "WHERE saga_id = $1 ORDER BY version",
            saga,
        )
        return [SagaStep(*row) for row in rows]


def _due(due_us: int | None) -> int:
    return NEVER_US if due_us is None else due_us


def _saga(row: Record) -> Saga:
    return Saga(
        id=SagaId(row["id"]),
        kind=row["kind"],
        state=row["state"],
        version=row["version"],
        due_us=_due(row["due_us"]),
        tries=row["tries"],
        data=row["data"],
        correlation=CorrelationId(row["correlation"]),
    )


def _listed(rows: Sequence[Record]) -> tuple[list[WaitingSaga], int]:
    found = [
        WaitingSaga(
            id=SagaId(row["id"]),
            kind=row["kind"],
            state=row["state"],
            incident=row["incident"],
            note=row["note"],
            tries=row["tries"],
            since_us=row["since_us"],
        )
        for row in rows
    ]
    return found, rows[0]["total"] if rows else 0
