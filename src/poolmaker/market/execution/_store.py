"""Rows of intents: what was decided, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.market.execution.model import CancelIntent, CreateIntent

_ADD_CREATE: Final = """
INSERT INTO market.intent
    (intent, account, epoch, pool, symbol, kind, side, level, ticks, lots, client_id, decided_at_us,
    rules_version)
VALUES ($1, $2, $3, $4, $5, 'CREATE_ORDER', $6, $7, $8, $9, $10, $11, $12)
"""
_ADD_CANCEL: Final = """
INSERT INTO market.intent
    (intent, account, epoch, pool, symbol, kind, target, client_id, decided_at_us)
VALUES ($1, $2, $3, $4, $5, 'CANCEL_ORDER', $6, $7, $8)
ON CONFLICT (intent) DO NOTHING
"""

_COUNT: Final = """
SELECT count(*) FROM market.intent WHERE account = $1 AND kind = 'CREATE_ORDER'
"""


def _create_row(account: VenueAccountId, epoch: int, intent: CreateIntent) -> tuple[object, ...]:
    place = (intent.intent, account, epoch, intent.pool, intent.market.symbol)
    order = (intent.side.value, intent.level, intent.ticks, intent.lots)
    return (*place, *order, intent.client_id, intent.decided_us, intent.market.version)


def _cancel_row(account: VenueAccountId, epoch: int, cancel: CancelIntent) -> tuple[object, ...]:
    key = f"cancel:{cancel.target}:{cancel.decided_us}"
    place = (key, account, epoch, cancel.pool, cancel.symbol)
    return (*place, cancel.target, cancel.client_id, cancel.decided_us)


class PgIntents:
    """``execution.ports.IntentStore`` over the schema ``market``."""

    async def add_creates(
        self, tx: Tx, account: VenueAccountId, epoch: int, intents: Sequence[CreateIntent]
    ) -> None:
        rows = [_create_row(account, epoch, intent) for intent in intents]
        await connection_of(tx).executemany(_ADD_CREATE, rows)

    async def add_cancels(
        self, tx: Tx, account: VenueAccountId, epoch: int, cancels: Sequence[CancelIntent]
    ) -> None:
        if cancels:
            rows = [_cancel_row(account, epoch, cancel) for cancel in cancels]
            await connection_of(tx).executemany(_ADD_CANCEL, rows)

    async def count_creates(self, tx: Tx, account: VenueAccountId) -> int:
        return int(await connection_of(tx).fetchval(_COUNT, account))
