"""What came of assets without a form, by asset and sender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.mixin.model import SeenOutput, Unlisted

_COUNT: Final = """
INSERT INTO mixin.unlisted (asset_id, sender, payments, units, first_us, last_us)
VALUES ($1, $2, 1, $3, $4, $4)
ON CONFLICT (asset_id, sender) DO UPDATE
SET payments = unlisted.payments + 1, units = unlisted.units + $3,
    last_us = greatest(unlisted.last_us, $4)
"""
_ROWS: Final = "SELECT * FROM mixin.unlisted WHERE units > 0 ORDER BY asset_id, sender LIMIT 1000"
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
_BUSY: Final = "SELECT DISTINCT asset_id FROM mixin.unlisted WHERE returning_units > 0"
_SUMS: Final = "SELECT asset_id, sum(units) AS units FROM mixin.unlisted GROUP BY asset_id"
_FORGET: Final = "UPDATE mixin.unlisted SET units = 0 WHERE asset_id = $1"
_CORRECT: Final = """
INSERT INTO mixin.unlisted (asset_id, sender, payments, units, first_us, last_us)
VALUES ($1, '', 0, greatest($2, 0), $3, $3)
ON CONFLICT (asset_id, sender) DO UPDATE SET units = greatest(unlisted.units + $2, 0)
"""


class PgUnlistedStore:
    """The part of ``ports.WalkStore`` about assets without a form."""

    async def count_unlisted(self, tx: Tx, one: SeenOutput, sender: str) -> None:
        """See ``WalkStore.count_unlisted``."""
        await connection_of(tx).execute(_COUNT, one.asset_id, sender, one.units, one.created_us)

    async def unlisted(self, tx: Tx) -> list[Unlisted]:
        """See ``WalkStore.unlisted``."""
        return [_row(row) for row in await connection_of(tx).fetch(_ROWS)]

    async def lock_unlisted(self, tx: Tx, asset_id: str, sender: str) -> Unlisted | None:
        """See ``WalkStore.lock_unlisted``."""
        row = await connection_of(tx).fetchrow(_LOCK, asset_id, sender)
        return _row(row) if row is not None else None

    async def save_unlisted(self, tx: Tx, row: Unlisted) -> None:
        """See ``WalkStore.save_unlisted``."""
        await connection_of(tx).execute(
            _SAVE, row.asset_id, row.sender, row.payments, row.units, row.first_us, row.last_us,
            row.returns, row.returning_units, row.returned_us, row.return_to, row.reason,
        )  # fmt: skip

    async def settle_unlisted(self, tx: Tx, held: Mapping[str, int], now_us: int) -> None:
        """See ``WalkStore.settle_unlisted``."""
        connection = connection_of(tx)
        busy = {row["asset_id"] for row in await connection.fetch(_BUSY)}
        counted = {row["asset_id"]: int(row["units"]) for row in await connection.fetch(_SUMS)}
        for asset_id in sorted({*held, *counted} - busy):
            missing = held.get(asset_id, 0) - counted.get(asset_id, 0)
            if asset_id not in held:
                await connection.execute(_FORGET, asset_id)
            elif missing:
                await connection.execute(_CORRECT, asset_id, missing, now_us)


def _row(row: Record) -> Unlisted:
    values = dict(row.items())
    for name in ("units", "returning_units"):
        values[name] = int(values[name])
    return Unlisted(**values)
