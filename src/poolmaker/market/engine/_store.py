"""Rows of the engine: epoch, wishes, barriers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import TakenOver
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.market.engine.model import PoolInstructions
from poolmaker.messages.base import Message, decode, encode
from poolmaker.messages.market import BarrierWanted, CapitalSet, DrainTo, StartQuoting

M = TypeVar("M", bound=Message)

_TAKE_OVER: Final = """
INSERT INTO market.engine AS e (account, epoch, started_at_us) VALUES ($1, 1, $2)
ON CONFLICT (account) DO UPDATE SET epoch = e.epoch + 1, started_at_us = $2
RETURNING epoch
"""
_EPOCH: Final = "SELECT epoch FROM market.engine WHERE account = $1 FOR UPDATE"
_HALTED: Final = "SELECT halted FROM market.engine WHERE account = $1"
_SET_HALTED: Final = "UPDATE market.engine SET halted = $2 WHERE account = $1"
_ACCEPTED: Final = "SELECT row_key FROM market.row_left_out WHERE account = $1"
_ACCEPT: Final = """
INSERT INTO market.row_left_out (account, row_key, word, decided_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, row_key) DO NOTHING
"""
_FACTS: Final = "SELECT facts_seq FROM market.engine WHERE account = $1"
_SET_FACTS: Final = "UPDATE market.engine SET facts_seq = $2 WHERE account = $1"
_WISHES: Final = """
SELECT pool, start_body, quoting, stop_reason, capital_body, drain_body, drain_reported
FROM market.pool WHERE account = $1 ORDER BY pool
"""
_SAVE_WISH: Final = """
INSERT INTO market.pool
    (account, pool, start_body, quoting, stop_reason, capital_body, drain_body, drain_reported)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account, pool) DO UPDATE SET
    start_body = excluded.start_body, quoting = excluded.quoting,
    stop_reason = excluded.stop_reason, capital_body = excluded.capital_body,
    drain_body = excluded.drain_body, drain_reported = excluded.drain_reported
"""
_DRAIN_REPORTED: Final = """
UPDATE market.pool SET drain_reported = true
WHERE account = $1 AND pool = $2 AND drain_body = $3
"""
_BARRIERS: Final = """
SELECT barrier_id, body FROM market.barrier_wanted WHERE account = $1 AND NOT done
ORDER BY asked_at_us, barrier_id LIMIT $2
"""
_ADD_BARRIER: Final = """
INSERT INTO market.barrier_wanted (account, barrier_id, asked_at_us, body) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, barrier_id) DO UPDATE SET body = excluded.body
    WHERE NOT barrier_wanted.done
RETURNING barrier_id
"""
_BARRIER_DONE: Final = """
UPDATE market.barrier_wanted SET done = true WHERE account = $1 AND barrier_id = $2
"""


class EngineReplaced(TakenOver):
    """Another engine took the account over: this one must stop at once."""

    code = "engine_replaced"


def _body(message: Message | None) -> bytes:
    return encode(message) if message is not None else b""


def _message(body: bytes, kind: type[M]) -> M | None:
    return decode(body, kind) if body else None


def _wish(row: Record) -> PoolInstructions:
    return PoolInstructions(
        pool=PoolId(row["pool"]),
        start=_message(row["start_body"], StartQuoting),
        quoting=row["quoting"],
        stop_reason=row["stop_reason"],
        capital=_message(row["capital_body"], CapitalSet),
        drain=_message(row["drain_body"], DrainTo),
        drain_reported=row["drain_reported"],
    )


class PgEngine:
    """``engine.ports.EngineStore`` over the schema ``market``."""

    async def take_over(self, tx: Tx, account: VenueAccountId, now_us: int) -> int:
        return int(await connection_of(tx).fetchval(_TAKE_OVER, account, now_us))

    async def check_epoch(self, tx: Tx, account: VenueAccountId, epoch: int) -> None:
        found = await connection_of(tx).fetchval(_EPOCH, account)
        if found != epoch:
            raise EngineReplaced(f"account {account}: epoch {found} replaced epoch {epoch}")

    async def halted(self, tx: Tx, account: VenueAccountId) -> str:
        return str(await connection_of(tx).fetchval(_HALTED, account) or "")

    async def set_halted(self, tx: Tx, account: VenueAccountId, reason: str) -> None:
        await connection_of(tx).execute(_SET_HALTED, account, reason)

    async def accepted_rows(self, tx: Tx, account: VenueAccountId) -> set[str]:
        return {row[0] for row in await connection_of(tx).fetch(_ACCEPTED, account)}

    async def accept_rows(
        self, tx: Tx, account: VenueAccountId, keys: Iterable[str], word: str, now_us: int
    ) -> None:
        rows = [(account, key, word, now_us) for key in keys]
        await connection_of(tx).executemany(_ACCEPT, rows)

    async def facts_seq(self, tx: Tx, account: VenueAccountId) -> int:
        return int(await connection_of(tx).fetchval(_FACTS, account) or 0)

    async def set_facts_seq(self, tx: Tx, account: VenueAccountId, seq: int) -> None:
        await connection_of(tx).execute(_SET_FACTS, account, seq)

    async def wishes(self, tx: Tx, account: VenueAccountId) -> list[PoolInstructions]:
        return [_wish(row) for row in await connection_of(tx).fetch(_WISHES, account)]

    async def save_wish(self, tx: Tx, account: VenueAccountId, wish: PoolInstructions) -> None:
        bodies = _body(wish.capital), _body(wish.drain), wish.drain_reported
        said = _body(wish.start), wish.quoting, wish.stop_reason
        await connection_of(tx).execute(_SAVE_WISH, account, wish.pool, *said, *bodies)

    async def drain_reported(self, tx: Tx, account: VenueAccountId, drain: DrainTo) -> None:
        body = _body(drain)
        await connection_of(tx).execute(_DRAIN_REPORTED, account, drain.pool, body)

    async def barriers(self, tx: Tx, account: VenueAccountId, limit: int) -> list[BarrierWanted]:
        """Rows from before v2 have no body: they ask for no depth."""
        rows = await connection_of(tx).fetch(_BARRIERS, account, limit)
        return [
            _message(row["body"], BarrierWanted)
            or BarrierWanted(account=account, barrier_id=row["barrier_id"], depths=())
            for row in rows
        ]

    async def add_barrier(
        self, tx: Tx, account: VenueAccountId, wanted: BarrierWanted, now_us: int
    ) -> bool:
        row = account, wanted.barrier_id, now_us, encode(wanted)
        return await connection_of(tx).fetchval(_ADD_BARRIER, *row) is not None

    async def barrier_done(self, tx: Tx, account: VenueAccountId, barrier_id: str) -> None:
        await connection_of(tx).execute(_BARRIER_DONE, account, barrier_id)
