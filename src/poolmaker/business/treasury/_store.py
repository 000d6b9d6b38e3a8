"""The treasury in PostgreSQL: transfers, arrivals, suspense, incidents and funding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.treasury._custody_store import PgCustodyStore
from poolmaker.business.treasury.model import (
    ArrivalRow,
    Disposition,
    FundingRow,
    FundingState,
    PaymentIncident,
    PaymentIncidentKind,
    Suspense,
    SuspenseState,
    Transfer,
    TransferLine,
    TransferState,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.ids import CommandKey, OrderId, SagaId, VenueAccountId
from poolmaker.messages.base import Money

GAPS_KEPT_US: Final = 7 * 24 * 60 * MINUTE_US
"""Longer than any order may wait for its deposits."""
_LOCK_PLACE: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 11))"
_LAST_STATED: Final = "SELECT key FROM business.stated WHERE location = $1 AND asset = $2"
_NOTE_STATED: Final = """
INSERT INTO business.stated (location, asset, key) VALUES ($1, $2, $3)
ON CONFLICT (location, asset) DO UPDATE SET key = $3
"""
_LOOKED: Final = "SELECT looked_us FROM business.arrival_look WHERE place = $1"
_SAVE_LOOK: Final = """
INSERT INTO business.arrival_look (place, looked_us) VALUES ($1, $2)
ON CONFLICT (place) DO UPDATE SET looked_us = greatest(arrival_look.looked_us, $2)
"""
_ADD_GAP: Final = """
INSERT INTO business.arrival_gap (place, from_us, to_us) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
"""
_DROP_GAPS: Final = "DELETE FROM business.arrival_gap WHERE place = $1 AND to_us < $2"
_GAP: Final = """
SELECT coalesce(sum(to_us - greatest(from_us, $2)), 0) FROM business.arrival_gap
WHERE place = $1 AND to_us > $2
"""
_ADD_TRANSFER: Final = """
INSERT INTO business.transfer (
    transfer_id, key, source, target, asset, units, network, address, tag, reference,
    requested_us, correlation, parent, state, provider_id, transaction_id, fee_units,
    arrived_units, arrival, reason
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT (key) DO NOTHING
"""
_SAVE_TRANSFER: Final = """
UPDATE business.transfer
SET state = $2, provider_id = $3, transaction_id = $4, fee_units = $5, arrived_units = $6,
    arrival = $7, reason = $8
WHERE transfer_id = $1
"""
_ADD_LINE: Final = """
INSERT INTO business.transfer_line (transfer_id, line, at_us, state, event, key, note)
SELECT $1, coalesce(max(line), 0) + 1, $2, $3, $4, $5, $6
FROM business.transfer_line WHERE transfer_id = $1
"""
_OPEN_TRANSFERS: Final = """
SELECT * FROM business.transfer
WHERE state NOT IN ('done', 'returned', 'declined') ORDER BY transfer_id
"""
_LANE_TAKEN: Final = """
SELECT EXISTS (
    SELECT FROM business.transfer
    WHERE (source, target, asset) = ($1, $2, $3) AND transfer_id <> $4
        AND state NOT IN ('done', 'returned', 'declined')
        AND (state <> 'planned' OR transfer_id < $4)
)
"""
_SAVE_SUSPENSE: Final = """
INSERT INTO business.suspense (
    source, location, reference, asset, units, sender, transaction_id, at_us, state, reason
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (source) DO UPDATE SET state = $9, reason = $10
"""
_OPEN_SUSPENSE: Final = """
SELECT * FROM business.suspense WHERE state IN ('open', 'refunding') ORDER BY source
"""
_ADD_INCIDENT: Final = """
INSERT INTO business.treasury_incident (kind, subject, note, at_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, subject, note) DO NOTHING
"""
_ADD_FUNDING: Final = """
INSERT INTO business.funding (saga, asset, order_id, account, units, state)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (saga, asset) DO NOTHING
"""
_SAVE_FUNDING: Final = """
UPDATE business.funding SET state = $3
WHERE saga = $1 AND asset = $2 AND state IN ('wanted', 'funded')
"""
_OPEN_FUNDINGS: Final = """
SELECT * FROM business.funding WHERE state IN ('wanted', 'funded') ORDER BY place
"""


class PgTreasuryStore(PgCustodyStore):
    """``TreasuryStore`` over PostgreSQL."""

    async def lock_place(self, tx: Tx, location: str, asset: str) -> None:
        await connection_of(tx).execute(_LOCK_PLACE, f"{location} {asset}")

    async def last_stated(self, tx: Tx, location: str, asset: str) -> str:
        return str(await connection_of(tx).fetchval(_LAST_STATED, location, asset) or "")

    async def note_stated(self, tx: Tx, location: str, asset: str, key: CommandKey) -> None:
        await connection_of(tx).execute(_NOTE_STATED, location, asset, key)

    async def looked_us(self, tx: Tx, place: str) -> int | None:
        found: int | None = await connection_of(tx).fetchval(_LOOKED, place)
        return found

    async def save_look(self, tx: Tx, place: str, at_us: int, gap_from_us: int) -> None:
        connection = connection_of(tx)
        await connection.execute(_SAVE_LOOK, place, at_us)
        if gap_from_us:
            await connection.execute(_ADD_GAP, place, gap_from_us, at_us)
            await connection.execute(_DROP_GAPS, place, at_us - GAPS_KEPT_US)

    async def gap_us(self, tx: Tx, place: str, since_us: int) -> int:
        return int(await connection_of(tx).fetchval(_GAP, place, since_us))

    # ------------------------------------------------------------------------------ transfers

    async def add_transfer(self, tx: Tx, row: Transfer, line: TransferLine) -> bool:
        done = await connection_of(tx).execute(
            _ADD_TRANSFER,
            row.id,
            row.key,
            row.source,
            row.target,
            row.asset,
            row.units,
            row.network,
            row.address,
            row.tag,
            row.reference,
            row.requested_us,
            row.correlation,
            row.parent,
            row.state,
            row.provider_id,
            row.transaction_id,
            row.fee_units,
            row.arrived_units,
            row.arrival,
            row.reason,
        )
        if done != "INSERT 0 1":
            return False
        await _add_line(tx, row, line)
        return True

    async def transfer_by_key(self, tx: Tx, key: CommandKey) -> Transfer | None:
        return _maybe(
            await connection_of(tx).fetchrow("SELECT * FROM business.transfer WHERE key = $1", key)
        )

    async def transfer(self, tx: Tx, transfer: SagaId) -> Transfer | None:
        return _maybe(
            await connection_of(tx).fetchrow(
                "SELECT * FROM business.transfer WHERE transfer_id = $1", transfer
            )
        )

    async def lock_transfer(self, tx: Tx, transfer: SagaId) -> Transfer | None:
        return _maybe(
            await connection_of(tx).fetchrow(
                "SELECT * FROM business.transfer WHERE transfer_id = $1 FOR UPDATE", transfer
            )
        )

    async def save_transfer(self, tx: Tx, row: Transfer, line: TransferLine) -> None:
        await connection_of(tx).execute(
            _SAVE_TRANSFER,
            row.id,
            row.state,
            row.provider_id,
            row.transaction_id,
            row.fee_units,
            row.arrived_units,
            row.arrival,
            row.reason,
        )
        await _add_line(tx, row, line)

    async def open_transfers(self, tx: Tx) -> Sequence[Transfer]:
        return [_transfer(row) for row in await connection_of(tx).fetch(_OPEN_TRANSFERS)]

    async def lane_taken(self, tx: Tx, row: Transfer) -> bool:
        return bool(await connection_of(tx).fetchval(_LANE_TAKEN, *row.lane, row.id))

    async def transfers(self, tx: Tx, limit: int) -> Sequence[Transfer]:
        rows = await connection_of(tx).fetch(
            "SELECT * FROM business.transfer ORDER BY requested_us DESC, transfer_id LIMIT $1",
            limit,
        )
        return [_transfer(row) for row in rows]

    async def transfer_lines(self, tx: Tx, transfer: SagaId) -> Sequence[TransferLine]:
        rows = await connection_of(tx).fetch(
            "SELECT at_us, state, event, key, note FROM business.transfer_line"
            " WHERE transfer_id = $1 ORDER BY line",
            transfer,
        )
        return [
            TransferLine(
                row["at_us"], TransferState(row["state"]), row["event"], row["key"], row["note"]
            )
            for row in rows
        ]

    # ------------------------------------------------------------------ arrivals and suspense

    async def arrival(self, tx: Tx, location: str, reference: str) -> ArrivalRow | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.arrival WHERE location = $1 AND reference = $2",
            location,
            reference,
        )
        return _arrival(row) if row is not None else None

    async def arrivals(self, tx: Tx, limit: int) -> Sequence[ArrivalRow]:
        rows = await connection_of(tx).fetch(
            "SELECT * FROM business.arrival ORDER BY at_us DESC, reference LIMIT $1", limit
        )
        return [_arrival(row) for row in rows]

    async def add_arrival(self, tx: Tx, row: ArrivalRow) -> None:
        await connection_of(tx).execute(
            "INSERT INTO business.arrival"
            " (location, reference, asset, units, sender, body_hash, disposition, subject, at_us)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            row.location,
            row.reference,
            row.money.asset,
            row.money.units,
            row.sender,
            row.body_hash,
            row.disposition,
            row.subject,
            row.at_us,
        )

    async def suspense(self, tx: Tx, source: str) -> Suspense | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.suspense WHERE source = $1 FOR UPDATE", source
        )
        return _suspense(row) if row is not None else None

    async def save_suspense(self, tx: Tx, row: Suspense) -> None:
        await connection_of(tx).execute(
            _SAVE_SUSPENSE,
            row.source,
            row.location,
            row.reference,
            row.money.asset,
            row.money.units,
            row.sender,
            row.transaction_id,
            row.at_us,
            row.state,
            row.reason,
        )

    async def suspenses(self, tx: Tx, limit: int) -> Sequence[Suspense]:
        rows = await connection_of(tx).fetch(
            "SELECT * FROM business.suspense ORDER BY at_us DESC, source LIMIT $1", limit
        )
        return [_suspense(row) for row in rows]

    async def open_suspense(self, tx: Tx) -> Sequence[Suspense]:
        return [_suspense(row) for row in await connection_of(tx).fetch(_OPEN_SUSPENSE)]

    async def add_incident(self, tx: Tx, incident: PaymentIncident) -> None:
        await connection_of(tx).execute(
            _ADD_INCIDENT, incident.kind, incident.subject, incident.note, incident.at_us
        )

    async def incidents(self, tx: Tx) -> Sequence[PaymentIncident]:
        rows = await connection_of(tx).fetch(
            "SELECT kind, subject, note, at_us FROM business.treasury_incident ORDER BY incident"
        )
        return [
            PaymentIncident(
                PaymentIncidentKind(row["kind"]), row["subject"], row["note"], row["at_us"]
            )
            for row in rows
        ]

    # -------------------------------------------------------------------------------- funding

    async def add_funding(self, tx: Tx, row: FundingRow) -> None:
        await connection_of(tx).execute(
            _ADD_FUNDING, row.saga, row.asset, row.order, row.account, row.units, row.state
        )

    async def save_funding(self, tx: Tx, row: FundingRow) -> None:
        await connection_of(tx).execute(
            _SAVE_FUNDING,
            row.saga,
            row.asset,
            row.state,
        )

    async def fundings_of(self, tx: Tx, saga: SagaId) -> Sequence[FundingRow]:
        rows = await connection_of(tx).fetch(
            "SELECT * FROM business.funding WHERE saga = $1 ORDER BY place", saga
        )
        return [_funding(row) for row in rows]

    async def open_fundings(self, tx: Tx) -> Sequence[FundingRow]:
        return [_funding(row) for row in await connection_of(tx).fetch(_OPEN_FUNDINGS)]


async def _add_line(tx: Tx, row: Transfer, line: TransferLine) -> None:
    await connection_of(tx).execute(
        _ADD_LINE, row.id, line.at_us, line.state, line.event, line.key, line.note
    )


def _maybe(row: Record | None) -> Transfer | None:
    return _transfer(row) if row is not None else None


def _transfer(row: Record) -> Transfer:
    values = dict(row.items())
    values["id"], values["state"] = values.pop("transfer_id"), TransferState(values["state"])
    return Transfer(**values)


def _arrival(row: Record) -> ArrivalRow:
    return ArrivalRow(
        location=row["location"],
        reference=row["reference"],
        money=Money(asset=row["asset"], units=int(row["units"])),
        sender=row["sender"],
        body_hash=row["body_hash"],
        disposition=Disposition(row["disposition"]),
        subject=row["subject"],
        at_us=row["at_us"],
    )


def _suspense(row: Record) -> Suspense:
    values = dict(row.items())
    values["money"] = Money(asset=values.pop("asset"), units=values.pop("units"))
    values["state"] = SuspenseState(values["state"])
    return Suspense(**values)


def _funding(row: Record) -> FundingRow:
    return FundingRow(
        saga=SagaId(row["saga"]),
        order=OrderId(row["order_id"]),
        account=VenueAccountId(row["account"]),
        asset=row["asset"],
        units=row["units"],
        state=FundingState(row["state"]),
    )
