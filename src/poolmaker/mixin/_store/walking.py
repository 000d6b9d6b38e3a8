"""Outputs as they were walked, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.mixin._store.unlisted import PgUnlistedStore
from poolmaker.mixin.model import KeptOutput, MixinIncident, OutputStatus, SeenOutput
from poolmaker.mixin.rules import OPEN_FATES

_OPEN_CURSOR: Final = """
INSERT INTO mixin.cursor (app_id, sequence) VALUES ($1, 0) ON CONFLICT (app_id) DO NOTHING
"""
_CURSOR: Final = "SELECT sequence FROM mixin.cursor WHERE app_id = $1 FOR UPDATE"
_MOVE: Final = "UPDATE mixin.cursor SET sequence = $2 WHERE app_id = $1 AND sequence <= $2"
_KNOWN: Final = "SELECT output_id FROM mixin.output WHERE output_id = ANY ($1)"
_KEEP: Final = """
INSERT INTO mixin.output (
    output_id, transaction_hash, output_index, sequence, asset_id, units, keys, senders,
    request_id, extra, created_us, form, disposition, dust_units, opponent, deposit_hash,
    ask_us, asks, state, taken_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT DO NOTHING
"""
_COLUMNS: Final = """
output_id, transaction_hash, output_index, sequence, asset_id, units, keys, senders, request_id,
extra, created_us, form, disposition, dust_units, opponent, deposit_hash, ask_us, asks, state,
taken_by
"""
_OPEN: Final = f"""
SELECT {_COLUMNS} FROM mixin.output
WHERE disposition = ANY ($1) AND ask_us <= $2
    AND (disposition <> 'unknown_asset' OR asset_id = ANY ($3))
ORDER BY sequence LIMIT 500
"""  # noqa: S608 - columns of our own
_IS_OPEN: Final = "SELECT disposition = ANY ($2) FROM mixin.output WHERE output_id = $1 FOR UPDATE"
_JUDGED: Final = """
UPDATE mixin.output SET form = $2, disposition = $3, dust_units = $4, opponent = $5,
    deposit_hash = $6, ask_us = $7, asks = $8
WHERE output_id = $1
"""
# What is kept for a return is in no books, although the asset may have got a form since.
_UNBOOKED: Final = """
SELECT coalesce(sum(CASE WHEN disposition = ANY ($2) OR (disposition = 'refund' AND form = asset_id)
    THEN units ELSE dust_units END), 0)
FROM mixin.output WHERE asset_id = $1 AND state = 'unspent'
"""
_OURS: Final = "SELECT EXISTS (SELECT FROM mixin.transaction WHERE hash = $1)"
_REPORT: Final = """
INSERT INTO mixin.incident (kind, subject, note, at_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, subject) DO NOTHING
"""
_INCIDENTS: Final = """
SELECT kind, subject, note, at_us FROM mixin.incident ORDER BY at_us DESC, kind, subject LIMIT 500
"""
_OPEN_INCIDENTS: Final = """
SELECT kind, subject, note, at_us, total FROM (
    SELECT i.*, count(*) OVER (PARTITION BY kind) AS total,
        row_number() OVER (PARTITION BY kind ORDER BY at_us, subject) AS place
    FROM mixin.incident AS i
    WHERE NOT EXISTS (
        SELECT FROM infra.attention_closing AS c WHERE c.item = $1 || i.kind || ':' || i.subject)
) AS numbered WHERE place <= $2 ORDER BY kind, place
"""


class PgWalkStore(PgUnlistedStore):
    """``ports.WalkStore`` over the tables of the schema ``mixin``."""

    async def cursor(self, tx: Tx, app_id: str) -> int:
        connection = connection_of(tx)
        await connection.execute(_OPEN_CURSOR, app_id)
        return int(await connection.fetchval(_CURSOR, app_id))

    async def move(self, tx: Tx, app_id: str, sequence: int) -> None:
        done = await connection_of(tx).execute(_MOVE, app_id, sequence)
        ensure(done == "UPDATE 1", "the cursor of the outputs never goes back")

    async def known(self, tx: Tx, output_ids: Sequence[str]) -> frozenset[str]:
        rows = await connection_of(tx).fetch(_KNOWN, list(output_ids))
        return frozenset(row["output_id"] for row in rows)

    async def keep(self, tx: Tx, one: KeptOutput) -> bool:
        seen = one.seen
        done = await connection_of(tx).execute(
            _KEEP, seen.output_id, seen.transaction_hash, seen.output_index, seen.sequence,
            seen.asset_id, seen.units, list(seen.keys), list(seen.senders), seen.request_id,
            seen.extra, seen.created_us, one.form, one.fate, one.dust_units, one.opponent,
            one.deposit_hash, one.ask_us, one.asks, "unspent" if seen.is_unspent else "spent",
            "" if seen.is_unspent else seen.taken_by or "unknown",
        )  # fmt: skip
        return done == "INSERT 0 1"

    async def open(self, tx: Tx, now_us: int, assets: Sequence[str]) -> list[KeptOutput]:
        rows = await connection_of(tx).fetch(_OPEN, list(OPEN_FATES), now_us, list(assets))
        return [_kept(row) for row in rows]

    async def is_open(self, tx: Tx, output_id: str) -> bool:
        return bool(await connection_of(tx).fetchval(_IS_OPEN, output_id, list(OPEN_FATES)))

    async def judged(self, tx: Tx, one: KeptOutput) -> None:
        await connection_of(tx).execute(
            _JUDGED, one.seen.output_id, one.form, one.fate, one.dust_units, one.opponent,
            one.deposit_hash, one.ask_us, one.asks,
        )  # fmt: skip

    async def unbooked(self, tx: Tx, asset_id: str) -> int:
        return int(await connection_of(tx).fetchval(_UNBOOKED, asset_id, list(OPEN_FATES)))

    async def made_by_us(self, tx: Tx, transaction_hash: str) -> bool:
        return bool(await connection_of(tx).fetchval(_OURS, transaction_hash))

    async def report(self, tx: Tx, incident: MixinIncident) -> None:
        await report(tx, incident)

    async def incidents(self, tx: Tx) -> list[MixinIncident]:
        rows = await connection_of(tx).fetch(_INCIDENTS)
        return [
            MixinIncident(row["kind"], row["subject"], row["note"], row["at_us"]) for row in rows
        ]


async def open_incidents(tx: Tx, item: str, limit: int) -> list[tuple[MixinIncident, int]]:
    """The oldest incidents of each kind that nobody closed under ``item``, with their number."""
    rows = await connection_of(tx).fetch(_OPEN_INCIDENTS, item, limit)
    return [
        (MixinIncident(row["kind"], row["subject"], row["note"], row["at_us"]), row["total"])
        for row in rows
    ]


async def report(tx: Tx, incident: MixinIncident) -> None:
    """Keep an incident once."""
    await connection_of(tx).execute(
        _REPORT, incident.kind, incident.subject, incident.note, incident.at_us
    )


def _kept(row: Record) -> KeptOutput:
    seen = SeenOutput(
        output_id=row["output_id"], transaction_hash=row["transaction_hash"],
        output_index=row["output_index"], sequence=row["sequence"], asset_id=row["asset_id"],
        units=row["units"], keys=tuple(row["keys"]), senders=tuple(row["senders"]),
        request_id=row["request_id"], extra=row["extra"], created_us=row["created_us"],
        is_inscription=row["disposition"] == OutputStatus.INSCRIPTION, state=row["state"],
        taken_by=row["taken_by"],
    )  # fmt: skip
    return KeptOutput(
        seen=seen, form=row["form"], fate=OutputStatus(row["disposition"]),
        dust_units=row["dust_units"], opponent=row["opponent"], deposit_hash=row["deposit_hash"],
        ask_us=row["ask_us"], asks=row["asks"],
    )  # fmt: skip
