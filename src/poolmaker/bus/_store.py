"""The bus in PostgreSQL. Every method runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.bus.model import DeadLetter, Lag
from poolmaker.bus.ports import CursorMoved, KeyConflict, NewEvent
from poolmaker.bus.rules import link
from poolmaker.infra.database import Connection, Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.ids import content_hash
from poolmaker.messages.base import Envelope, encode

_ERROR_MAX: Final = 2_000

_OPEN: Final = """
INSERT INTO bus.head (stream, last_seq, last_hash) VALUES ($1, 0, decode(repeat('00', 32), 'hex'))
ON CONFLICT (stream) DO NOTHING
"""
_LOCK_HEAD: Final = "SELECT last_seq, last_hash FROM bus.head WHERE stream = $1 FOR UPDATE"
_KNOWN: Final = "SELECT key, seq, body_hash FROM bus.event WHERE stream = $1 AND key = ANY ($2)"
_MOVE_HEAD: Final = """
UPDATE bus.head SET last_seq = $3, last_hash = $4 WHERE stream = $1 AND last_seq = $2
"""
_INSERT: Final = """
INSERT INTO bus.event
SELECT $1, e.seq, e.key, e.body, sha256(e.body), e.chain_hash, e.occurred_at_us, $2, e.causation,
    e.correlation
FROM unnest(
    $3::bigint[], $4::text[], $5::bytea[], $6::bytea[], $7::bigint[], $8::text[], $9::text[])
    AS e (seq, key, body, chain_hash, occurred_at_us, causation, correlation)
"""
_NOTIFY: Final = "SELECT pg_notify('bus_event', $1)"
_READ: Final = """
SELECT stream, seq, key, body, occurred_at_us, recorded_at_us, causation, correlation
FROM bus.event WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
_CHAIN: Final = """
SELECT seq, key, body_hash, chain_hash, occurred_at_us FROM bus.event
WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
_HEAD: Final = "SELECT last_seq FROM bus.head WHERE stream = $1"
_OPEN_CURSOR: Final = """
INSERT INTO bus.cursor (consumer, stream, seq) VALUES ($1, $2, 0)
ON CONFLICT (consumer, stream) DO NOTHING
"""
_CURSOR: Final = "SELECT seq FROM bus.cursor WHERE consumer = $1 AND stream = $2 FOR UPDATE"
_MOVE_CURSOR: Final = """
UPDATE bus.cursor SET seq = $4 WHERE consumer = $1 AND stream = $2 AND seq = $3
"""
_BURY: Final = """
INSERT INTO bus.dead_letter AS d (consumer, stream, seq, error, failures, failed_at_us)
VALUES ($1, $2, $3, $4, 1, $5)
ON CONFLICT (consumer, stream) DO UPDATE
SET seq = $3, error = $4, failed_at_us = $5, replay_asked = false, skip_by = '', skip_reason = '',
    failures = CASE WHEN d.seq = $3 THEN d.failures + 1 ELSE 1 END
"""
_LETTER_COLUMNS: Final = (
    "consumer, stream, seq, error, failures, failed_at_us, replay_asked, skip_by, skip_reason"
)
_LETTER: Final = f"""
SELECT {_LETTER_COLUMNS} FROM bus.dead_letter
WHERE consumer = $1 AND stream = $2
"""  # noqa: S608 - the columns are a constant of this module
_LETTERS: Final = f"""
SELECT {_LETTER_COLUMNS} FROM bus.dead_letter
ORDER BY consumer, stream LIMIT $1
"""  # noqa: S608 - the columns are a constant of this module
_REPLAY: Final = """
UPDATE bus.dead_letter SET replay_asked = true WHERE consumer = $1 AND stream = $2
"""
_SKIP: Final = """
UPDATE bus.dead_letter SET skip_by = $4, skip_reason = $5
WHERE consumer = $1 AND stream = $2 AND seq = $3
"""
_SKIPPED: Final = """
INSERT INTO bus.skipped_event (consumer, stream, seq, error, skipped_by, reason, at_us)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_LAGS: Final = """
SELECT c.consumer, c.stream, e.seq, h.last_seq - c.seq AS waiting, e.recorded_at_us
FROM bus.cursor AS c
JOIN bus.head AS h ON h.stream = c.stream AND h.last_seq > c.seq
JOIN bus.event AS e ON e.stream = c.stream AND e.seq = c.seq + 1
WHERE e.recorded_at_us < $1 ORDER BY e.recorded_at_us, c.consumer, c.stream LIMIT $2
"""
_FORGET: Final = "DELETE FROM bus.dead_letter WHERE consumer = $1 AND stream = $2"


@dataclass(frozen=True, slots=True)
class _Head:
    seq: int
    chain_hash: bytes


@dataclass(frozen=True, slots=True)
class _Fresh:
    seq: int
    event: NewEvent
    body: bytes
    chain_hash: bytes


class PgBus:
    """``Bus`` and ``DeadLetters`` over the schema ``bus``."""

    async def append(
        self, tx: Tx, stream: str, events: Sequence[NewEvent], now_us: int
    ) -> list[int]:
        require(stream, "stream: expected a name")
        require(all(event.key for event in events), "key: expected a text")
        connection = connection_of(tx)
        # The lock on the head makes everybody else wait until this transaction ends.
        row = await connection.fetchrow(_LOCK_HEAD, stream)
        if row is None:
            await connection.execute(_OPEN, stream)
            row = await connection.fetchrow(_LOCK_HEAD, stream)
        ensure(row is not None, f"{stream}: no head")
        head = _Head(*row) if row is not None else _Head(0, b"")
        seqs, fresh = await self._sort(connection, stream, events, head)
        if fresh:
            await self._insert(connection, stream, fresh, head.seq, now_us)
        return seqs

    async def _sort(
        self,
        connection: Connection,
        stream: str,
        events: Sequence[NewEvent],
        head: _Head,
    ) -> tuple[list[int], list[_Fresh]]:
        """Each event's sequence, and which of them are new."""
        keys = [event.key for event in events]
        rows = await connection.fetch(_KNOWN, stream, keys)
        known = {row["key"]: (row["seq"], row["body_hash"]) for row in rows}
        seq, chain_hash = head.seq, head.chain_hash
        fresh: list[_Fresh] = []
        for event in events:
            body = encode(event.message)
            body_hash = content_hash(body)
            if event.key not in known:
                seq += 1
                chain_hash = link(chain_hash, seq, event.key, body_hash, event.occurred_at_us)
                fresh.append(_Fresh(seq, event, body, chain_hash))
                known[event.key] = seq, body_hash
            elif known[event.key][1] != body_hash:
                raise KeyConflict(f"{stream}: key {event.key} was used for another event")
        return [known[key][0] for key in keys], fresh

    async def _insert(
        self, connection: Connection, stream: str, fresh: list[_Fresh], last_seq: int, now_us: int
    ) -> None:
        newest = fresh[-1]
        moved = await connection.execute(
            _MOVE_HEAD, stream, last_seq, newest.seq, newest.chain_hash
        )
        ensure(moved == "UPDATE 1", f"{stream}: the head moved under a lock")
        await connection.execute(
            _INSERT,
            stream,
            now_us,
            [new.seq for new in fresh],
            [new.event.key for new in fresh],
            [new.body for new in fresh],
            [new.chain_hash for new in fresh],
            [new.event.occurred_at_us for new in fresh],
            [new.event.causation for new in fresh],
            [new.event.correlation for new in fresh],
        )
        await connection.execute(_NOTIFY, stream)

    async def read(self, tx: Tx, stream: str, after_seq: int, limit: int) -> list[Envelope]:
        rows = await connection_of(tx).fetch(_READ, stream, after_seq, limit)
        return [Envelope(**dict(row.items())) for row in rows]

    async def head(self, tx: Tx, stream: str) -> int:
        return int(await connection_of(tx).fetchval(_HEAD, stream) or 0)

    async def cursor(self, tx: Tx, consumer: str, stream: str) -> int:
        connection = connection_of(tx)
        seq = await connection.fetchval(_CURSOR, consumer, stream)
        if seq is None:
            await connection.execute(_OPEN_CURSOR, consumer, stream)
            seq = await connection.fetchval(_CURSOR, consumer, stream)
        return int(seq)

    async def move_cursor(
        self, tx: Tx, consumer: str, stream: str, from_seq: int, to_seq: int
    ) -> None:
        moved = await connection_of(tx).execute(_MOVE_CURSOR, consumer, stream, from_seq, to_seq)
        if moved != "UPDATE 1":
            raise CursorMoved(f"{consumer}: the cursor on {stream} is no longer at {from_seq}")

    async def bury(self, tx: Tx, letter: DeadLetter) -> None:
        await connection_of(tx).execute(
            _BURY,
            letter.consumer,
            letter.stream,
            letter.seq,
            letter.error[:_ERROR_MAX],
            letter.failed_at_us,
        )

    async def letter(self, tx: Tx, consumer: str, stream: str) -> DeadLetter | None:
        row = await connection_of(tx).fetchrow(_LETTER, consumer, stream)
        return _letter(row) if row is not None else None

    async def letters(self, tx: Tx, limit: int) -> list[DeadLetter]:
        return [_letter(row) for row in await connection_of(tx).fetch(_LETTERS, limit)]

    async def ask_replay(self, tx: Tx, consumer: str, stream: str) -> bool:
        done = await connection_of(tx).execute(_REPLAY, consumer, stream)
        await connection_of(tx).execute(_NOTIFY, stream)
        return done == "UPDATE 1"

    async def ask_skip(
        self, tx: Tx, consumer: str, stream: str, seq: int, by: str, reason: str
    ) -> bool:
        require(by and reason, "skip: expected a name and a reason")
        done = await connection_of(tx).execute(_SKIP, consumer, stream, seq, by, reason)
        await connection_of(tx).execute(_NOTIFY, stream)
        return done == "UPDATE 1"

    async def skipped(self, tx: Tx, letter: DeadLetter, now_us: int) -> None:
        await connection_of(tx).execute(
            _SKIPPED,
            letter.consumer,
            letter.stream,
            letter.seq,
            letter.error,
            letter.skip_by,
            letter.skip_reason,
            now_us,
        )
        await self.forget(tx, letter.consumer, letter.stream)

    async def lags(self, tx: Tx, recorded_before_us: int, limit: int) -> list[Lag]:
        """Consumers whose next event was recorded before a time, the longest waiting first."""
        rows = await connection_of(tx).fetch(_LAGS, recorded_before_us, limit)
        return [Lag(**dict(row.items())) for row in rows]

    async def forget(self, tx: Tx, consumer: str, stream: str) -> None:
        await connection_of(tx).execute(_FORGET, consumer, stream)

    async def broken_link(self, tx: Tx, stream: str, page: int) -> int | None:
        """The first sequence whose hash does not cover it and all before it, or None."""
        seq, chain_hash = 0, bytes(32)
        while rows := await connection_of(tx).fetch(_CHAIN, stream, seq, page):
            for row in rows:
                seq += 1
                chain_hash = link(
                    chain_hash, seq, row["key"], row["body_hash"], row["occurred_at_us"]
                )
                if row["seq"] != seq or row["chain_hash"] != chain_hash:
                    return seq
        return None if await self.head(tx, stream) == seq else seq + 1


def _letter(row: Record) -> DeadLetter:
    return DeadLetter(**dict(row.items()))
