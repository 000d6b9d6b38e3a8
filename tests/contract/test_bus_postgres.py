"""The bus on PostgreSQL: gap-free streams, cursors that move with their effect, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from poolmaker.bus._store import PgBus
from poolmaker.bus.guard import LOOK_AGAIN_US, StreamGuard
from poolmaker.bus.model import Condition, DeadLetter
from poolmaker.bus.ports import CursorMoved, KeyConflict, NewEvent
from poolmaker.bus.service import BusSource, Consumer, ConsumerContext, ConsumerSettings
from poolmaker.business.ledger.model import LedgerTransaction
from poolmaker.business.ledger.service import LedgerLog, open_rows
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database, DatabaseUnavailable, connection_of
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import ManualClock
from poolmaker.messages.base import Envelope, Money, encode
from tests.support.ledger import deposit, usdt
from tests.support.ledgers import OpenDatabase, running_ledger

STREAM = "account:acc"
NOW_US = 1_700_000_000_000_000
Dsn = Callable[[DatabaseRole], str]


def event(key: str, units: int = 1) -> NewEvent:
    return NewEvent(key=key, message=usdt(units), occurred_at_us=NOW_US, causation="c")


@pytest.fixture
def bus() -> PgBus:
    return PgBus()


async def _append(database: Database, bus: PgBus, *events: NewEvent) -> list[int]:
    async with database.begin("append") as tx:
        return await bus.append(tx, STREAM, events, NOW_US + 1)


async def test_an_event_is_read_as_it_was_appended(database: Database, bus: PgBus) -> None:
    assert await _append(database, bus, event("a", 5), event("b")) == [1, 2]
    async with database.begin("read") as tx:
        assert await bus.head(tx, STREAM) == 2
        assert await bus.head(tx, "nothing") == 0
        first, second = await bus.read(tx, STREAM, 0, 10)
        assert await bus.read(tx, STREAM, 1, 10) == [second]
        assert await bus.broken_link(tx, STREAM, 1) is None
    assert first == Envelope(
        stream=STREAM,
        seq=1,
        key="a",
        body=encode(Money(asset="USDT", units=5)),
        occurred_at_us=NOW_US,
        recorded_at_us=NOW_US + 1,
        causation="c",
        correlation="",
    )


async def test_the_same_key_again_is_no_new_event(database: Database, bus: PgBus) -> None:
    """E16, P9: the same fact from several channels is one event."""
    assert await _append(database, bus, event("a"), event("b")) == [1, 2]
    assert await _append(database, bus, event("b"), event("c"), event("c")) == [2, 3, 3]


async def test_the_same_key_with_another_body_ends_the_transaction(
    database: Database, bus: PgBus
) -> None:
    await _append(database, bus, event("a", 1))
    with pytest.raises(KeyConflict):
        await _append(database, bus, event("b"), event("a", 2))
    async with database.begin("read") as tx:
        assert await bus.head(tx, STREAM) == 1


async def test_an_event_is_there_only_with_its_cause(database: Database, bus: PgBus) -> None:
    async def fail() -> None:
        async with database.begin("append") as tx:
            await bus.append(tx, STREAM, [event("a")], NOW_US)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await _append(database, bus, event("b")) == [1]


async def test_sequences_have_no_gap_and_follow_the_commits_of_many_writers(
    database: Database, bus: PgBus
) -> None:
    """Bus invariant 1: a reader who has seen n never finds something new below n later."""
    seen: list[int] = []

    async def write(name: int) -> None:
        for at in range(15):
            async with database.begin("append") as tx:
                await bus.append(tx, STREAM, [event(f"{name}-{at}")], NOW_US)
                await asyncio.sleep(0)
                if at % 5 == 4:
                    await connection_of(tx).execute("SELECT pg_sleep(0.002)")

    async def read() -> None:
        while len(seen) < 90:
            async with database.begin("read") as tx:
                found = await bus.read(tx, STREAM, len(seen), 1000)
            seen.extend(envelope.seq for envelope in found)

    await asyncio.gather(read(), *(write(name) for name in range(6)))
    assert seen == [*range(1, 91)]


async def test_a_cursor_moves_only_from_where_it_is(database: Database, bus: PgBus) -> None:
    async with database.begin("move") as tx:
        assert await bus.cursor(tx, "me", STREAM) == 0
        await bus.move_cursor(tx, "me", STREAM, 0, 3)
    async with database.begin("move") as tx:
        assert await bus.cursor(tx, "me", STREAM) == 3
        assert await bus.cursor(tx, "other", STREAM) == 0
        with pytest.raises(CursorMoved):
            await bus.move_cursor(tx, "me", STREAM, 0, 4)


HOSTILE = {
    "change an event": "UPDATE bus.event SET body = 'x', body_hash = sha256('x')",
    "change nothing": "UPDATE bus.event SET key = key WHERE false",
    "remove an event": "DELETE FROM bus.event",
    "truncate events": "TRUNCATE bus.event",
    "forge the next": (
        "INSERT INTO bus.event SELECT stream, seq + 1, 'forged', body, body_hash, chain_hash,"
        " 0, 0, '', '' FROM bus.event"
    ),
    "move the head": "UPDATE bus.head SET last_seq = last_seq + 1",
    "move the head back": "UPDATE bus.head SET last_seq = 0",
    "remove the head": "DELETE FROM bus.head",
    "forge a stream": "INSERT INTO bus.head VALUES ('forged', 5, sha256('x'))",
    "move a cursor back": "UPDATE bus.cursor SET seq = 0",
    "forget a cursor": "DELETE FROM bus.cursor",
    "truncate cursors": "TRUNCATE bus.cursor",
    "change what was skipped": "UPDATE bus.skipped_event SET reason = 'other'",
    "forget what was skipped": "DELETE FROM bus.skipped_event",
}


@pytest.mark.parametrize("role", [DatabaseRole.WRITER, DatabaseRole.APP, DatabaseRole.OWNER])
async def test_hostile_statements_are_refused(
    role: DatabaseRole, database: Database, bus: PgBus, migrated_dsn: Dsn
) -> None:
    await _append(database, bus, event("a"))
    async with database.begin("move") as tx:
        await bus.cursor(tx, "me", STREAM)
        await bus.move_cursor(tx, "me", STREAM, 0, 1)
        letter = DeadLetter("me", STREAM, 2, "bad", 1, NOW_US, skip_by="o", skip_reason="r")
        await bus.skipped(tx, letter, NOW_US)
    connection = await asyncpg.connect(migrated_dsn(role))
    done = [name for name, said in HOSTILE.items() if await _said(connection, said) == "done"]
    await connection.close()
    assert done == []


async def _said(connection: Any, statement: str) -> str:
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        return error.sqlstate or str(error)
    return "done"


class Effects:
    """A consumer's effect is a row in its own table, written in the cursor's transaction."""

    def __init__(self) -> None:
        self.poison: set[str] = set()
        self.lost: set[str] = set()

    async def apply(self, tx: Tx, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            if envelope.key in self.lost:
                self.lost.discard(envelope.key)
                raise DatabaseUnavailable("lost")
            if envelope.key in self.poison:
                raise ValueError(f"cannot apply {envelope.key}")
            await connection_of(tx).execute(
                "INSERT INTO views.effect VALUES ($1, $2)", envelope.seq, envelope.key
            )

    async def seen(self, database: Database) -> list[str]:
        async with database.acquire() as connection:
            rows = await connection.fetch("SELECT key FROM views.effect ORDER BY n")
        return [row["key"] for row in rows]

    async def reach(self, database: Database, count: int) -> None:
        while True:
            if len(await self.seen(database)) >= count:
                return
            await asyncio.sleep(0.002)


@pytest.fixture
async def effects(migrated_dsn: Dsn) -> Effects:
    owner = await asyncpg.connect(migrated_dsn(DatabaseRole.OWNER))
    await owner.execute(
        "CREATE TABLE views.effect (seq bigint PRIMARY KEY, key text, n bigint"
        " GENERATED ALWAYS AS IDENTITY)"
    )
    await owner.close()
    return Effects()


def _desk(database: Database, bus: PgBus) -> ConsumerContext:
    return ConsumerContext(database, bus, bus, SystemClock())


def _consumer(database: Database, bus: PgBus, effects: Effects) -> Consumer[Envelope]:
    settings = ConsumerSettings(batch_max=4, poll_us=10_000, back_off_us=1_000)
    return Consumer("me", BusSource(bus, STREAM), effects.apply, _desk(database, bus), settings)


async def _drain(consumer: Consumer[Any]) -> None:
    while await consumer.run_once():
        pass


async def test_a_consumer_applies_each_event_once_and_in_order(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    await _append(database, bus, *(event(f"e{at}") for at in range(10)))
    consumer = _consumer(database, bus, effects)
    conditions = [consumer.health.condition]
    await _drain(consumer)
    await _drain(_consumer(database, bus, effects))
    assert await effects.seen(database) == [f"e{at}" for at in range(10)]
    conditions.append(consumer.health.condition)
    assert conditions == [Condition.STARTING, Condition.RUNNING]
    assert (consumer.health.applied_seq, consumer.health.lag) == (10, 0)


async def test_two_instances_of_a_consumer_apply_each_event_once(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    """Bus invariant 3."""
    await _append(database, bus, *(event(f"e{at}") for at in range(40)))
    await asyncio.gather(*(_drain(_consumer(database, bus, effects)) for _ in range(4)))
    assert await effects.seen(database) == [f"e{at}" for at in range(40)]


async def test_a_poison_event_stops_its_consumer_and_is_never_skipped(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    """E3: what stands before it is applied, what stands behind it waits."""
    await _append(database, bus, *(event(f"e{at}") for at in range(7)))
    effects.poison = {"e5"}
    consumer = _consumer(database, bus, effects)
    await _drain(consumer)
    assert await effects.seen(database) == ["e0", "e1", "e2", "e3", "e4"]
    health = consumer.health
    assert health.condition is Condition.STOPPED
    assert (health.applied_seq, health.lag) == (5, 2)
    assert health.letter is not None
    assert (health.letter.seq, health.letter.error) == (6, "ValueError: cannot apply e5")
    await _drain(consumer)
    async with database.begin("letters") as tx:
        assert [letter.failures for letter in await bus.letters(tx, 10)] == [1]


async def test_a_replay_that_fails_again_counts_and_one_that_succeeds_goes_on(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    await _append(database, bus, *(event(f"e{at}") for at in range(4)))
    effects.poison = {"e1"}
    consumer = _consumer(database, bus, effects)
    await _drain(consumer)
    for failures in (2, 3):
        await _replay(database, bus)
        await _drain(consumer)
        assert (await _letter(database, bus)).failures == failures
    effects.poison.clear()
    await _drain(consumer)
    assert await effects.seen(database) == ["e0"]
    await _replay(database, bus)
    await _drain(consumer)
    assert await effects.seen(database) == ["e0", "e1", "e2", "e3"]
    assert consumer.health.condition is Condition.RUNNING
    async with database.begin("letters") as tx:
        assert await bus.letter(tx, "me", STREAM) is None
        assert await bus.ask_replay(tx, "me", STREAM) is False


async def _replay(database: Database, bus: PgBus) -> None:
    async with database.begin("replay") as tx:
        assert await bus.ask_replay(tx, "me", STREAM)


async def _letter(database: Database, bus: PgBus) -> DeadLetter:
    async with database.begin("letter") as tx:
        letter = await bus.letter(tx, "me", STREAM)
    assert letter is not None
    return letter


async def test_a_database_that_is_away_buries_nothing(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    await _append(database, bus, *(event(f"e{at}") for at in range(3)))
    effects.lost = {"e1"}
    consumer = _consumer(database, bus, effects)
    assert await consumer.run_once()
    assert consumer.health.condition is Condition.UNREACHABLE
    await _drain(consumer)
    assert await effects.seen(database) == ["e0", "e1", "e2"]
    async with database.begin("letters") as tx:
        assert await bus.letters(tx, 10) == []


async def test_found_12_a_skipped_event_is_kept_with_its_person_and_the_rest_is_applied(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    await _append(database, bus, *(event(f"e{at}") for at in range(4)))
    effects.poison = {"e1"}
    clock = ManualClock(NOW_US)
    guard = StreamGuard("me", database, bus, clock)

    async def once(limit: int) -> int:
        async with database.begin("apply") as tx:
            at = await bus.cursor(tx, "me", STREAM)
            events = await bus.read(tx, STREAM, at, limit)
            await effects.apply(tx, events)
            if events:
                await bus.move_cursor(tx, "me", STREAM, at, events[-1].seq)
        return len(events)

    async def drain() -> None:
        clock.advance(LOOK_AGAIN_US)
        while await guard.apply(STREAM, 4, once):
            pass

    await drain()
    assert await effects.seen(database) == ["e0"]
    async with database.begin("ask") as tx:
        assert not await bus.ask_skip(tx, "me", STREAM, 3, "olga", "not that one")
        assert await bus.ask_skip(tx, "me", STREAM, 2, "olga", "the venue took it back")
        lags = await bus.lags(tx, NOW_US + 2, 10)
    assert [(one.consumer, one.seq, one.waiting) for one in lags] == [("me", 2, 3)]
    await drain()
    assert await effects.seen(database) == ["e0", "e2", "e3"]
    async with database.begin("look") as tx:
        assert await bus.letters(tx, 10) == []
        row = await connection_of(tx).fetchrow("SELECT * FROM bus.skipped_event")
    assert row is not None
    kept = (row["seq"], row["error"], row["skipped_by"], row["reason"])
    assert kept == (2, "ValueError: cannot apply e1", "olga", "the venue took it back")


@asynccontextmanager
async def _running(consumer: Consumer[Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_consumer_is_woken_by_the_commit_and_finds_by_itself_what_no_one_told_it(
    database: Database, bus: PgBus, effects: Effects
) -> None:
    consumer = _consumer(database, bus, effects)
    heard = await database.listen("bus_event", consumer.wake, SystemClock())
    async with _running(consumer):
        await _append(database, bus, event("e0"))
        await effects.reach(database, 1)
        await heard.close()
        await _append(database, bus, event("e1"))
        await effects.reach(database, 2)


async def test_the_ledgers_log_is_consumed_like_a_stream(
    open_database: OpenDatabase, bus: PgBus
) -> None:
    seen: list[tuple[int, str]] = []

    async def apply(tx: Tx, found: Sequence[LedgerTransaction]) -> None:
        seen.extend((transaction.seq, transaction.kind) for transaction in found)

    async with running_ledger(open_database) as running:
        log = LedgerLog(open_rows())
        assert log.stream == "ledger:main"
        consumer = Consumer("views", log, apply, _desk(running.app, bus))
        assert not await consumer.run_once()
        for at in range(3):
            await running.ledger.submit(deposit(f"d{at}", usdt(5)))
        await _drain(consumer)
        assert seen == [(at, "CREDIT_DEPOSIT") for at in (1, 2, 3)]
        assert (consumer.health.applied_seq, consumer.health.lag) == (3, 0)
