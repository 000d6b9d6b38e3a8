"""The database as a reader sees it, every look in one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from tools.judge.model import Books, Leg, NotReadable, RewardRow, Transaction

LEDGER: Final = "main"
_HEAD: Final = "SELECT last_seq, last_hash FROM ledger.head WHERE ledger_id = $1"
_ASSETS: Final = "SELECT code, scale FROM ledger.asset WHERE ledger_id = $1"
_BALANCES: Final = """
SELECT a.code, s.code AS asset, b.raw
FROM ledger.balance b
JOIN ledger.account a USING (ledger_id, account_id)
JOIN ledger.asset s ON s.ledger_id = a.ledger_id AND s.asset_id = a.asset_id
WHERE b.ledger_id = $1
"""
_LOG: Final = """
SELECT seq, key, kind, at_us, body, body_hash, chain_hash
FROM ledger.tx WHERE ledger_id = $1 ORDER BY seq
"""
_ENTRIES: Final = """
SELECT e.seq, a.code, s.code AS asset, e.units, e.balance_after
FROM ledger.entry e
JOIN ledger.account a USING (ledger_id, account_id)
JOIN ledger.asset s ON s.ledger_id = e.ledger_id AND s.asset_id = e.asset_id
WHERE e.ledger_id = $1 ORDER BY e.seq, e.line
"""
_LIVING: Final = """
SELECT client_ids, exchange_ids FROM market.exchange_order
WHERE state NOT IN ('FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')
"""
_REWARDS: Final = """
SELECT reward, campaign, transaction_id, coalesce(joined_at_us, 0) AS joined_us,
    coalesce(cancelled_us, 0) AS cancelled_us
FROM business.reward LEFT JOIN business.campaign USING (campaign)
"""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection; NotReadable where there is none."""
    try:
        connection = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NotReadable(f"the database does not answer: {error}") from None
    try:
        yield connection
    finally:
        await connection.close()


async def read_books(connection: asyncpg.Connection) -> Books:
    """The whole ledger in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        head = await connection.fetchrow(_HEAD, LEDGER)
        if head is None:
            raise NotReadable("there is no ledger in the database")
        assets = await connection.fetch(_ASSETS, LEDGER)
        balances = await connection.fetch(_BALANCES, LEDGER)
        log = await connection.fetch(_LOG, LEDGER)
        entries = await connection.fetch(_ENTRIES, LEDGER)
    legs: dict[int, list[Leg]] = {}
    for row in entries:
        leg = Leg(row["code"], row["asset"], int(row["units"]), int(row["balance_after"]))
        legs.setdefault(row["seq"], []).append(leg)
    return Books(
        last_seq=head["last_seq"],
        last_hash=head["last_hash"],
        scales={row["code"]: row["scale"] for row in assets},
        balances={(row["code"], row["asset"]): int(row["raw"]) for row in balances},
        log=[Transaction(**dict(row), legs=tuple(legs.pop(row["seq"], ()))) for row in log],
    )


async def head_seq(connection: asyncpg.Connection) -> int:
    """The last transaction now."""
    found: Any = await connection.fetchval(_HEAD, LEDGER)
    return int(found)


async def living_orders(connection: asyncpg.Connection) -> frozenset[str]:
    """Every id of every exchange order that the books hold for living."""
    rows = await connection.fetch(_LIVING)
    return frozenset(
        one for row in rows for ids in (row["client_ids"], row["exchange_ids"]) for one in ids
    )


async def reward_rows(connection: asyncpg.Connection) -> list[RewardRow]:
    """The platform's names for rewards."""
    try:
        rows = await connection.fetch(_REWARDS)
    except asyncpg.UndefinedTableError:
        return []
    return [RewardRow(**dict(row)) for row in rows]
