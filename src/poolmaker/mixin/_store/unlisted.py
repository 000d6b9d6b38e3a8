"""What came of assets without a form, by asset and sender, and which outputs it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.mixin.model import SeenOutput, Unlisted, UnlistedStuck

_LOCK_ASSET: Final = "SELECT pg_advisory_xact_lock(hashtextextended('mixin.unlisted ' || $1, 12))"
# What comes is not held back by why an earlier return was refused.
_COUNT: Final = """
INSERT INTO mixin.unlisted (asset_id, sender, payments, units, first_us, last_us)
VALUES ($1, $2, 1, $3, $4, $4)
ON CONFLICT (asset_id, sender) DO UPDATE
SET payments = unlisted.payments + 1, units = unlisted.units + $3,
    last_us = greatest(unlisted.last_us, $4), reason = ''
"""
_PAGE: Final = """
SELECT * FROM mixin.unlisted
WHERE units > 0 AND (asset_id, sender) > ($1, $2) ORDER BY asset_id, sender LIMIT $3
"""
_SUMS: Final = """
SELECT asset_id, sum(units) AS units FROM mixin.unlisted WHERE units > 0 GROUP BY asset_id
"""
_STUCK: Final = """
SELECT asset_id, sum(payments) AS payments, sum(units) AS units, min(first_us) AS first_us,
    max(reason) AS reason, count(*) OVER () AS total
FROM mixin.unlisted WHERE units > 0 AND (reason <> '' OR sender = '')
GROUP BY asset_id ORDER BY asset_id LIMIT $1
"""
_LOCK: Final = "SELECT * FROM mixin.unlisted WHERE asset_id = $1 AND sender = $2 FOR UPDATE"
_SAVE: Final = """
INSERT INTO mixin.unlisted (
    asset_id, sender, payments, units, first_us, last_us, returns, returning_units, returned_us,
    return_to, reason
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (asset_id, sender) DO UPDATE
SET payments = $3, units = $4, last_us = $6, returns = $7, returning_units = $8, returned_us = $9,
    return_to = $10, reason = $11
"""
_BUSY: Final = """
SELECT DISTINCT asset_id FROM mixin.unlisted WHERE returning_units > 0 AND asset_id = ANY ($1)
"""
_DIFFERING: Final = """
SELECT asset_id, sender, coalesce(held.units, 0) AS units
FROM unnest($1::text[], $2::text[], $3::numeric[]) AS held (asset_id, sender, units)
FULL JOIN (SELECT * FROM mixin.unlisted WHERE units > 0) AS counted USING (asset_id, sender)
WHERE coalesce(held.units, 0) <> coalesce(counted.units, 0)
ORDER BY asset_id, sender
"""
_FORGET: Final = """
UPDATE mixin.unlisted SET units = 0, reason = ''
WHERE asset_id = ANY ($1) AND units > 0 AND returning_units = 0
"""
# An output that was kept for a return, or by a version that kept all of them.
_KEPT_UNBOOKED: Final = """
(o.disposition = 'unknown_asset' OR (o.disposition = 'refund' AND o.form = o.asset_id))
"""
_BOOKED: Final = f"""
SELECT o.output_id FROM mixin.output AS o
WHERE o.output_id = ANY ($1) AND NOT {_KEPT_UNBOOKED} AND NOT EXISTS (
    SELECT FROM mixin.transaction AS t JOIN mixin.payment AS p ON p.request_id = t.payment
    WHERE t.hash = o.transaction_hash AND p.form = o.asset_id)
"""  # noqa: S608 - words of our own
_FREE: Final = f"""
UPDATE mixin.output AS o SET disposition = 'unknown_asset', ask_us = 0
WHERE o.asset_id = ANY ($1) AND o.state = 'unspent' AND {_KEPT_UNBOOKED} AND NOT EXISTS (
    SELECT FROM mixin.unlisted AS u WHERE u.asset_id = o.asset_id AND u.returning_units > 0)
"""  # noqa: S608 - words of our own


class PgUnlistedStore:
    """The part of ``ports.WalkStore`` about assets without a form."""

    async def count_unlisted(self, tx: Tx, one: SeenOutput, sender: str) -> None:
        await connection_of(tx).execute(_COUNT, one.asset_id, sender, one.units, one.created_us)

    async def unlisted(self, tx: Tx, after: tuple[str, str], limit: int) -> list[Unlisted]:
        return [_row(row) for row in await connection_of(tx).fetch(_PAGE, *after, limit)]

    async def unlisted_sums(self, tx: Tx) -> Mapping[str, int]:
        rows = await connection_of(tx).fetch(_SUMS)
        return {row["asset_id"]: int(row["units"]) for row in rows}

    async def stuck_unlisted(self, tx: Tx, limit: int) -> list[UnlistedStuck]:
        return [
            UnlistedStuck(
                asset_id=row["asset_id"], payments=int(row["payments"]), units=int(row["units"]),
                first_us=row["first_us"], reason=row["reason"], total=row["total"],
            )
            for row in await connection_of(tx).fetch(_STUCK, limit)
        ]  # fmt: skip

    async def lock_asset(self, tx: Tx, asset_id: str) -> None:
        await connection_of(tx).execute(_LOCK_ASSET, asset_id)

    async def returning(self, tx: Tx, asset_ids: Sequence[str]) -> frozenset[str]:
        rows = await connection_of(tx).fetch(_BUSY, list(asset_ids))
        return frozenset(row["asset_id"] for row in rows)

    async def lock_unlisted(self, tx: Tx, asset_id: str, sender: str) -> Unlisted | None:
        row = await connection_of(tx).fetchrow(_LOCK, asset_id, sender)
        return _row(row) if row is not None else None

    async def save_unlisted(self, tx: Tx, row: Unlisted) -> None:
        await connection_of(tx).execute(
            _SAVE, row.asset_id, row.sender, row.payments, row.units, row.first_us, row.last_us,
            row.returns, row.returning_units, row.returned_us, row.return_to, row.reason,
        )  # fmt: skip

    async def settle_unlisted(
        self, tx: Tx, held: Mapping[tuple[str, str], int], now_us: int
    ) -> None:
        pairs = list(held)
        differing = await connection_of(tx).fetch(
            _DIFFERING, [asset for asset, _ in pairs], [sender for _, sender in pairs],
            [held[pair] for pair in pairs],
        )  # fmt: skip
        for found in differing:
            asset_id, sender, units = found["asset_id"], found["sender"], int(found["units"])
            row = await self.lock_unlisted(tx, asset_id, sender) or Unlisted(
                asset_id=asset_id, sender=sender, payments=0, units=0, first_us=now_us,
                last_us=now_us,
            )  # fmt: skip
            if not row.returning_units:
                await self.save_unlisted(tx, replace(row, units=units))

    async def booked(self, tx: Tx, output_ids: Sequence[str]) -> frozenset[str]:
        rows = await connection_of(tx).fetch(_BOOKED, list(output_ids))
        return frozenset(row["output_id"] for row in rows)

    async def free_kept(self, tx: Tx, asset_ids: Sequence[str]) -> None:
        await connection_of(tx).execute(_FREE, list(asset_ids))

    async def forget_unlisted(self, tx: Tx, asset_ids: Sequence[str]) -> None:
        await connection_of(tx).execute(_FORGET, list(asset_ids))


def _row(row: Record) -> Unlisted:
    values = dict(row.items())
    for name in ("units", "returning_units"):
        values[name] = int(values[name])
    return Unlisted(**values)
