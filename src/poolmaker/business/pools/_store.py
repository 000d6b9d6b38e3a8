"""Pools in PostgreSQL: the tables ``business.pool``, ``venue_account``, ``ticket``, ``barrier``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.pools.model import (
    BarrierMet,
    DealingRequest,
    DealingRequestKind,
    DealingRequestState,
    Pool,
    PooledAccountRow,
    PoolParameters,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import PoolId, SagaId, VenueAccountId
from poolmaker.messages.base import decode, encode
from poolmaker.messages.market import (
    Barrier,
    BarrierV1,
    MarketSpec,
    StrategySnapshot,
    barrier_of,
)

_LOCK_ACCOUNT: Final = "SELECT * FROM business.venue_account WHERE account = $1 FOR UPDATE"
_ADD_ACCOUNT: Final = (
    "INSERT INTO business.venue_account (account) VALUES ($1) ON CONFLICT DO NOTHING"
)
_SAVE_ACCOUNT: Final = """
UPDATE business.venue_account
SET booked_seq = $2, rounds = $3, round_at_us = $4, barriers = $5, barrier_at_us = $6,
    open_barrier = $7, asks = $8, asked_at_us = $9
WHERE account = $1
"""
_SAVE_POOL: Final = """
INSERT INTO business.pool (
    pool, account, symbol, market, strategy, parameters, paused, base_units, quote_units, issued,
    exit_base_units, exit_quote_units, capital_version, quoting, quoting_version, drain_version,
    reduced_version, lifted_version
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (pool) DO UPDATE
SET strategy = $5, parameters = $6, paused = $7, base_units = $8, quote_units = $9, issued = $10,
    exit_base_units = $11, exit_quote_units = $12, capital_version = $13, quoting = $14,
    quoting_version = $15, drain_version = $16, reduced_version = $17, lifted_version = $18
"""
_ADD_TICKET: Final = """
INSERT INTO business.ticket (
    ticket, saga, pool, account, kind, shares, state, drain_version, barrier_id, ledger_seq,
    base_units, quote_units, due_us
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (ticket) DO NOTHING
"""
_MOVE_TICKET: Final = """
UPDATE business.ticket
SET state = $3, drain_version = $4, barrier_id = $5, ledger_seq = $6
WHERE ticket = $1 AND state = $2
"""
_TICKETS: Final = """
SELECT * FROM business.ticket WHERE account = $1 AND state <> 'gone' ORDER BY place
"""
_ADD_BARRIER: Final = """
INSERT INTO business.barrier (account, barrier_id, seq, body) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, barrier_id) DO NOTHING
"""


class PgPoolStore:
    """``PoolStore`` over PostgreSQL."""

    async def lock_account(self, tx: Tx, account: VenueAccountId) -> PooledAccountRow:
        connection = connection_of(tx)
        row = await connection.fetchrow(_LOCK_ACCOUNT, account)
        if row is None:
            await connection.execute(_ADD_ACCOUNT, account)
            row = await connection.fetchrow(_LOCK_ACCOUNT, account)
        return (
            PooledAccountRow(**dict(row.items()))
            if row is not None
            else PooledAccountRow(account=account)
        )

    async def save_account(self, tx: Tx, row: PooledAccountRow) -> None:
        await connection_of(tx).execute(
            _SAVE_ACCOUNT,
            row.account,
            row.booked_seq,
            row.rounds,
            row.round_at_us,
            row.barriers,
            row.barrier_at_us,
            row.open_barrier,
            row.asks,
            row.asked_at_us,
        )

    async def pools(self, tx: Tx) -> Sequence[Pool]:
        rows = await connection_of(tx).fetch("SELECT * FROM business.pool ORDER BY pool")
        return [_pool(row) for row in rows]

    async def pool(self, tx: Tx, pool: PoolId) -> Pool | None:
        row = await connection_of(tx).fetchrow("SELECT * FROM business.pool WHERE pool = $1", pool)
        return _pool(row) if row is not None else None

    async def save_pool(self, tx: Tx, pool: Pool) -> None:
        await connection_of(tx).execute(
            _SAVE_POOL,
            pool.id,
            pool.account,
            pool.market.symbol,
            encode(pool.market).decode(),
            encode(pool.strategy).decode(),
            encode(pool.parameters).decode(),
            pool.paused,
            pool.base_units,
            pool.quote_units,
            pool.issued,
            pool.exit_base_units,
            pool.exit_quote_units,
            pool.capital_version,
            pool.quoting,
            pool.quoting_version,
            pool.drain_version,
            pool.reduced_version,
            pool.lifted_version,
        )

    async def add_ticket(self, tx: Tx, ticket: DealingRequest) -> bool:
        done = await connection_of(tx).execute(
            _ADD_TICKET,
            ticket.id,
            ticket.saga,
            ticket.pool,
            ticket.account,
            ticket.kind,
            ticket.shares,
            ticket.state,
            ticket.drain_version,
            ticket.barrier_id,
            ticket.ledger_seq,
            ticket.base_units,
            ticket.quote_units,
            ticket.due_us,
        )
        return done == "INSERT 0 1"

    async def ticket(self, tx: Tx, ticket: str) -> DealingRequest | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.ticket WHERE ticket = $1", ticket
        )
        return _ticket(row) if row is not None else None

    async def tickets(self, tx: Tx, account: VenueAccountId) -> Sequence[DealingRequest]:
        return [_ticket(row) for row in await connection_of(tx).fetch(_TICKETS, account)]

    async def move_ticket(
        self, tx: Tx, before: DealingRequestState, ticket: DealingRequest
    ) -> bool:
        done = await connection_of(tx).execute(
            _MOVE_TICKET,
            ticket.id,
            before,
            ticket.state,
            ticket.drain_version,
            ticket.barrier_id,
            ticket.ledger_seq,
        )
        return done == "UPDATE 1"

    async def add_barrier(
        self, tx: Tx, account: VenueAccountId, barrier_id: str, met: BarrierMet
    ) -> None:
        body = encode(met.barrier).decode()
        await connection_of(tx).execute(_ADD_BARRIER, account, barrier_id, met.seq, body)

    async def barrier(self, tx: Tx, account: VenueAccountId, barrier_id: str) -> BarrierMet | None:
        row = await connection_of(tx).fetchrow(
            "SELECT seq, body FROM business.barrier WHERE account = $1 AND barrier_id = $2",
            account,
            barrier_id,
        )
        if row is None:
            return None
        body: Barrier | BarrierV1 = decode(row["body"].encode(), Barrier | BarrierV1)  # type: ignore[arg-type]  # a union is a type to msgspec
        barrier = body if isinstance(body, Barrier) else barrier_of(body)
        return BarrierMet(row["seq"], barrier)


def _pool(row: Record) -> Pool:
    values = {name: value for name, value in row.items() if name not in ("pool", "symbol")}
    values["market"] = decode(row["market"].encode(), MarketSpec)
    values["strategy"] = decode(row["strategy"].encode(), StrategySnapshot)
    values["parameters"] = decode(row["parameters"].encode(), PoolParameters)
    return Pool(id=PoolId(row["pool"]), **values)


def _ticket(row: Record) -> DealingRequest:
    return DealingRequest(
        id=row["ticket"],
        saga=SagaId(row["saga"]),
        pool=PoolId(row["pool"]),
        account=VenueAccountId(row["account"]),
        kind=DealingRequestKind(row["kind"]),
        shares=row["shares"],
        base_units=row["base_units"],
        quote_units=row["quote_units"],
        due_us=row["due_us"],
        state=DealingRequestState(row["state"]),
        drain_version=row["drain_version"],
        barrier_id=row["barrier_id"],
        ledger_seq=row["ledger_seq"],
    )
