"""The single writer on PostgreSQL: order, durability, keys, rows, take-over, verification."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger._store import PgLedgerStore
from poolmaker.business.ledger.attention import LedgerAttention
from poolmaker.business.ledger.codec import encode_command
from poolmaker.business.ledger.model import (
    Batch,
    BlockReason,
    BooksDiverged,
    Fenced,
    LedgerRefusal,
    Posted,
    PostingRefused,
    StoredAnswer,
    Unbookable,
)
from poolmaker.business.ledger.service import (
    Ledger,
    LedgerWriter,
    WriterSettings,
    open_evidence,
    open_rows,
    open_store,
)
from poolmaker.business.ledger.verify import verify
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import CommitUnknown, Database, DatabaseUnavailable
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError
from poolmaker.kernel.ids import CommandKey
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Money
from tests.support.ledger import (
    BOB,
    BTC,
    USDT,
    btc,
    deposit,
    fee,
    fill,
    join,
    key,
    leave,
    lock,
    reversal,
    settle,
    usdt,
)
from tests.support.ledgers import OpenDatabase, running_ledger

Dsn = Callable[[DatabaseRole], str]
SHIB = Money(asset="SHIB", units=5)


async def test_an_empty_ledger_verifies(database: Database) -> None:
    report = await verify(open_evidence(database))
    assert report.ok
    assert (report.transactions, report.entries, report.head_hash) == (0, 0, "00" * 32)


async def test_commands_are_decided_in_the_order_they_came_in(open_database: OpenDatabase) -> None:
    async with running_ledger(open_database) as running:
        asked = [deposit("d", usdt(50)), *(lock(f"l{n}", usdt(1)) for n in range(100))]
        outcomes = await asyncio.gather(*(running.ledger.submit(command) for command in asked))
        assert [type(outcome) for outcome in outcomes] == [Posted] * 51 + [PostingRefused] * 50
        assert [found.seq for found in outcomes if isinstance(found, Posted)] == [*range(1, 52)]
        times = [found.at_us for found in outcomes if isinstance(found, Posted)]
        assert times == sorted(set(times))
        assert (await running.verify()).ok


async def test_the_same_command_again_gets_the_same_answer(open_database: OpenDatabase) -> None:
    """Ledger invariant 5; L5: one effect of the same job twice; Ledger 2.5-5: also when refused."""
    async with running_ledger(open_database) as running:
        first = await asyncio.gather(
            *(running.ledger.submit(deposit("d", usdt(5))) for _ in range(5))
        )
        assert {outcome.seq for outcome in first if isinstance(outcome, Posted)} == {1}
        assert [o.already for o in first if isinstance(o, Posted)] == [False] + [True] * 4
        refusals = [await running.ledger.submit(lock("l", usdt(6))) for _ in range(2)]
        await running.ledger.submit(deposit("d2", usdt(5)))
        refusals.append(await running.ledger.submit(lock("l", usdt(6))))
        assert refusals == [PostingRefused(LedgerRefusal.INSUFFICIENT)] * 3


async def test_a_key_with_another_body_is_a_conflict_and_is_recorded(
    open_database: OpenDatabase,
) -> None:
    """Ledger invariant 5; 9.2 'same key different amount'."""
    async with running_ledger(open_database) as running:
        await running.ledger.submit(deposit("d", usdt(5)))
        for _ in range(2):
            outcome = await running.ledger.submit(deposit("d", usdt(6)))
            assert outcome == PostingRefused(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        async with running.app.acquire() as connection:
            rows = await connection.fetch("SELECT key, body FROM ledger.conflict")
        asked = encode_command(deposit("d", usdt(6)))
        assert [tuple(row) for row in rows] == [("d", asked.body)]


async def test_an_outcome_is_readable_by_everybody_as_soon_as_it_is_answered(
    open_database: OpenDatabase,
) -> None:
    async with running_ledger(open_database) as running:
        posted = await running.ledger.submit(deposit("d", usdt(5)))
        assert isinstance(posted, Posted)
        async with running.app.begin("read") as tx:
            assert await running.ledger.outcome(tx, key("d")) == replace(posted, already=True)
            assert await running.ledger.outcome(tx, key("x")) is None
            assert await running.ledger.balance(tx, "user:alice:available", "USDT") == 5
            assert await running.ledger.balance(tx, "custody:venue:acc", "USDT") == 5
            assert await running.ledger.transaction(tx, key("x")) is None


async def test_command_rows_are_answered_once_they_are_committed(
    open_database: OpenDatabase,
) -> None:
    """A number is given before the commit: rows that commit late and out of order are not lost."""
    async with running_ledger(open_database) as running:
        async with running.app.begin("slow") as slow:
            await running.ledger.ask(slow, deposit("early", usdt(5)))
            await running.ask(deposit("late", usdt(5)))
            assert isinstance(await running.answered("late"), Posted)
        assert isinstance(await running.answered("early"), Posted)
        await running.ask(lock("l", usdt(99)), deposit("early", usdt(5)))
        assert await running.answered("l") == PostingRefused(LedgerRefusal.INSUFFICIENT)
        assert (await running.verify()).ok


async def test_many_rows_from_many_processes_are_all_answered(open_database: OpenDatabase) -> None:
    async with running_ledger(open_database) as running:

        async def asker(name: int) -> None:
            for at in range(40):
                await running.ask(deposit(f"{name}-{at}", usdt(1)))

        await asyncio.gather(*(asker(name) for name in range(8)))
        for name in range(8):
            for at in range(40):
                assert isinstance(await running.answered(f"{name}-{at}"), Posted)
        report = await running.verify()
        assert (report.ok, report.transactions) == (True, 320)


async def test_an_ask_with_another_body_ends_its_transaction(open_database: OpenDatabase) -> None:
    async with running_ledger(open_database) as running:
        await running.ledger.submit(deposit("d", usdt(5)))
        with pytest.raises(KeyConflict):
            await running.ask(deposit("d", usdt(6)))


@pytest.mark.parametrize(
    "command",
    [
        deposit("", usdt(5)),
        deposit("k" * 201, usdt(5)),
        deposit("k\x00", usdt(5)),
        deposit("k", usdt(5), location="custody:" + "x" * 300),
        deposit("k", Money(asset="US\x01DT", units=5)),
    ],
)
async def test_a_name_that_cannot_be_stored_never_enters(
    command: c.Command, open_database: OpenDatabase
) -> None:
    async with running_ledger(open_database) as running:
        with pytest.raises(PreconditionError):
            await running.ledger.submit(command)
        with pytest.raises(PreconditionError):
            await running.ask(command)
        assert isinstance(await running.ledger.submit(deposit("d", usdt(5))), Posted)


@pytest.mark.parametrize(
    "body",
    [b"{}", b"\xff", encode_command(deposit("other", usdt(5))).body],
    ids=["not a command", "not a text", "another key"],
)
async def test_a_forged_command_row_stops_nobody_else(
    body: bytes, open_database: OpenDatabase
) -> None:
    """The application's role may insert any bytes; nothing is posted for it, a person is told."""
    async with running_ledger(open_database) as running:
        async with running.app.acquire() as connection:
            await connection.execute("SELECT ledger.ask('main', 'forged', $1)", body)
        await running.ask(deposit("good", usdt(5)))
        assert isinstance(await running.answered("good"), Posted)
        async with running.app.acquire() as connection:
            kinds = await connection.fetch("SELECT kind, key FROM ledger.incident")
        assert [tuple(row) for row in kinds] == [("unbookable", "forged")]
        assert (await running.verify()).transactions == 1


async def test_a_fact_of_an_unknown_asset_waits_and_holds_its_stream_until_it_is_registered(
    open_database: OpenDatabase,
) -> None:
    """Ledger invariant 3: never refused, never lost; what stands behind it waits as well."""
    first = c.TradeFee(
        key=key("f1"),
        pool=join("j", 1, 1).pool,
        account=join("j", 1, 1).account,
        money=SHIB,
        venue_time_us=1,
        stream="account:acc",
        stream_seq=1,
    )
    second = fill("f2", Side.BUY, 5, 5, seq=2)
    settings = WriterSettings(poll_us=20_000)
    async with running_ledger(open_database, settings=settings) as running:
        for _ in range(2):
            with pytest.raises(Unbookable) as caught:
                await running.ledger.submit(first)
            assert (caught.value.obstacle, caught.value.subject) == (
                BlockReason.UNKNOWN_ASSET,
                "SHIB",
            )
        with pytest.raises(Unbookable):
            await running.ledger.submit(second)
        await running.ask(first, second, deposit("other", usdt(5)))
        assert isinstance(await running.answered("other"), Posted)
        async with running.app.begin("read") as tx:
            assert await running.ledger.outcome(tx, key("f2")) is None
        await running.writer.register_asset(Asset("SHIB", 18))
        seqs = [await running.answered(name) for name in ("f1", "f2")]
        assert [outcome.seq for outcome in seqs if isinstance(outcome, Posted)] == [2, 3]
        async with running.app.acquire() as connection:
            incidents = await connection.fetch(
                "SELECT kind, key FROM ledger.incident WHERE kind = 'unbookable' ORDER BY key"
            )
        assert [tuple(row) for row in incidents] == [("unbookable", "f1"), ("unbookable", "f2")]
        assert (await running.verify()).ok


async def test_a_request_learns_of_an_asset_that_was_registered_elsewhere(
    open_database: OpenDatabase,
) -> None:
    async with running_ledger(open_database) as running:
        other = open_store(await open_database(DatabaseRole.WRITER), SystemClock())
        await other.register_asset(Asset("SHIB", 18))
        assert isinstance(await running.ledger.submit(deposit("d", SHIB)), Posted)


async def test_a_deficit_opens_an_incident_in_the_same_append(open_database: OpenDatabase) -> None:
    """Ledger invariant 3."""
    async with running_ledger(open_database) as running:
        await running.ledger.submit(deposit("d", usdt(5)))
        await running.ledger.submit(lock("l", usdt(5)))
        await running.ledger.submit(reversal("r", "d"))
        async with running.app.acquire() as connection:
            rows = await connection.fetch(
                "SELECT kind, subject, key FROM ledger.incident ORDER BY 1"
            )
        assert [tuple(row) for row in rows] == [
            ("deficit", "deficit:user:alice:available USDT", "r"),
        ]


async def _story(running: Any) -> None:
    """A deposit, a join at the present price, a fill, a leave, a settlement."""
    now_us = SystemClock().now_us()
    for command in (
        deposit("d1", usdt(1_000_000)),
        deposit("d2", btc(1_000)),
        lock("l1", usdt(1_000_000), btc(1_000)),
        join("j1", 1_000, 500_000, price_time_us=now_us),
        fill("f1", Side.BUY, 10, 4_999),
        leave("x1", 100_000, facts_seq=1, barrier_us=now_us),
        settle("s1"),
        reversal("r1", "f1"),
    ):
        assert isinstance(await running.ledger.submit(command), Posted), command


async def test_a_restarted_writer_has_the_same_books(open_database: OpenDatabase) -> None:
    async with running_ledger(open_database) as running:
        await _story(running)
        before = running.writer.books
        head = running.writer.head
    async with running_ledger(open_database, holder="writer-1") as running:
        after = running.writer.books
        assert after.balances == before.balances
        assert after.records == before.records
        assert after.assets == before.assets
        assert (running.writer.head.seq, running.writer.head.hash) == (head.seq, head.hash)
        report = await running.verify()
        assert (report.ok, report.transactions, report.head_hash) == (True, 8, head.hash.hex())


class _Flaky(PgLedgerStore):
    """Loses the answer of chosen appends, before or after they were written."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, SystemClock())
        self.lose_after: list[bool] = []

    async def append(self, batch: Batch) -> None:
        lose_after = self.lose_after.pop() if self.lose_after else None
        if lose_after is False:
            raise DatabaseUnavailable("lost before")
        await super().append(batch)
        if lose_after:
            raise CommitUnknown("lost after")

    async def answers(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, StoredAnswer]:
        return await super().answers(keys)


async def _flaky(open_database: OpenDatabase) -> tuple[_Flaky, LedgerWriter]:
    store = _Flaky(await open_database(DatabaseRole.WRITER))
    await store.register_asset(USDT)
    await store.register_asset(BTC)
    settings = WriterSettings(batch_max=4, back_off_us=1_000)
    writer = LedgerWriter(store, SystemClock(), "me", settings)
    await writer.start()
    return store, writer


@pytest.mark.parametrize("losses", [[True], [False], [True, False, True, True, False]])
async def test_a_lost_answer_is_resolved_by_the_key_and_never_by_a_guess(
    losses: list[bool], open_database: OpenDatabase
) -> None:
    """E4, L8 at the ledger: whether the append was written is read, then answered."""
    store, writer = await _flaky(open_database)
    task = asyncio.create_task(writer.run())
    store.lose_after = list(losses)
    asked = [deposit(f"d{n}", usdt(1)) for n in range(20)]
    outcomes = await asyncio.gather(*(writer.submit(command) for command in asked))
    assert sorted(o.seq for o in outcomes if isinstance(o, Posted)) == [*range(1, 21)]
    assert store.lose_after == []
    assert writer.head.epoch == 1 + len(losses)
    report = await verify(open_evidence(await open_database(DatabaseRole.READER)))
    assert (report.ok, report.transactions) == (True, 20)
    task.cancel()
    await store.close()


@pytest.mark.parametrize("lose_after", [True, False])
async def test_a_stream_goes_on_when_the_answer_to_setting_its_first_fact_aside_is_lost(
    lose_after: bool, open_database: OpenDatabase
) -> None:
    """Where a stream stands is changed by what is durable only, and then always."""
    store, writer = await _flaky(open_database)
    task = asyncio.create_task(writer.run())
    first, second = fee("f1", SHIB, seq=1), fee("f2", usdt(1), seq=2)
    for fact in (first, second):
        with pytest.raises(Unbookable):
            await writer.submit(fact)
    aside = c.SetAside(
        key=key("aside"),
        aside=first.key,
        digest=encode_command(first).body_hash.hex(),
        stream=first.stream,
        stream_seq=1,
        reason="the venue has taken it back",
    )
    store.lose_after = [lose_after]
    assert isinstance(await writer.submit(aside), Posted)
    assert isinstance(await writer.submit(second), Posted)
    assert await writer.submit(first) == PostingRefused(LedgerRefusal.SET_ASIDE)
    report = await verify(open_evidence(await open_database(DatabaseRole.READER)))
    assert (report.ok, report.transactions) == (True, 2)
    task.cancel()
    await store.close()


async def test_a_writer_that_was_taken_over_stops_and_tells_its_callers_nothing_false(
    open_database: OpenDatabase,
) -> None:
    """E15."""
    async with running_ledger(open_database) as running:
        await running.ledger.submit(deposit("d1", usdt(5)))
        other = open_store(await open_database(DatabaseRole.WRITER), SystemClock())
        assert await other.take_lease("thief", 10**12, await other.lease()) is not None
        with pytest.raises(OutcomeUnknown):
            await running.ledger.submit(deposit("d2", usdt(5)))
        with pytest.raises(Fenced):
            await running.task
        with pytest.raises(OutcomeUnknown):
            await running.ledger.submit(deposit("d3", usdt(5)))
        report = await running.verify()
        assert (report.ok, report.transactions) == (True, 1)


async def test_books_that_differ_from_the_database_twice_stop_the_writer(
    open_database: OpenDatabase,
) -> None:
    store, writer = await _flaky(open_database)

    async def diverge(batch: Batch) -> None:
        raise BooksDiverged("planted")

    store.append = diverge  # type: ignore[method-assign]
    task = asyncio.create_task(writer.run())
    with pytest.raises(OutcomeUnknown):
        await writer.submit(deposit("d", usdt(5)))
    with pytest.raises(BooksDiverged):
        await task
    await store.close()


async def test_a_client_without_the_writer_says_so(open_database: OpenDatabase) -> None:
    with pytest.raises(OutcomeUnknown):
        await Ledger(open_rows()).submit(deposit("d", usdt(5)))


TAMPERED = {
    "a balance": "UPDATE ledger.balance SET raw = raw + 1 WHERE is_held",
    "an entry": (
        "UPDATE ledger.entry SET units = units * 2, balance_after = balance_after * 2 WHERE seq = 1"
    ),
    "an entry's balance": (
        "UPDATE ledger.entry SET balance_after = balance_after + 1 WHERE seq = 2 AND line = 0"
    ),
    "an entry that is gone": "DELETE FROM ledger.entry WHERE seq = 3",
    "a transaction that is gone": "DELETE FROM ledger.tx WHERE seq = 5",
    "the last transaction": "DELETE FROM ledger.tx WHERE seq = 8",
    "a body": (
        "UPDATE ledger.tx SET body = replace(encode(body, 'escape'), '1000', '1001')::bytea,"
        " body_hash = sha256(replace(encode(body, 'escape'), '1000', '1001')::bytea) WHERE seq = 1"
    ),
    "a time": "UPDATE ledger.tx SET at_us = at_us + 1 WHERE seq = 2",
    "a hash": "UPDATE ledger.tx SET chain_hash = sha256('x') WHERE seq = 4",
    "a kind": "UPDATE ledger.tx SET kind = 'LOCK' WHERE seq = 1",
    "the head": "UPDATE ledger.head SET last_hash = sha256('x')",
    "the head's place": "UPDATE ledger.head SET last_seq = last_seq - 1",
    "a key": "DELETE FROM ledger.idem WHERE seq = 2",
    "another key": "UPDATE ledger.idem SET key = 'mine' WHERE seq = 2",
    "a state": "DELETE FROM ledger.state WHERE kind = 'pool'",
    "an asset": "UPDATE ledger.asset SET code = 'TETHER' WHERE code = 'USDT'",
    "an account's name": (
        "UPDATE ledger.account SET code = 'user:bob:available' WHERE code = 'user:alice:available'"
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_what_a_superuser_changes_behind_the_triggers_is_found(
    name: str, open_database: OpenDatabase, migrated_dsn: Dsn, cluster: Cluster
) -> None:
    """Ledger 2.5-2: tampering is evident, and the writer refuses to start on it."""
    async with running_ledger(open_database) as running:
        await _story(running)
    database = migrated_dsn(DatabaseRole.READER).rpartition("/")[2].partition("?")[0]
    admin = await asyncpg.connect(cluster.admin_dsn(database))
    for table in ("balance", "entry", "tx", "head", "idem", "state", "asset", "account"):
        await admin.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER")
    await admin.execute("SET session_replication_role = replica")
    await admin.execute(TAMPERED[name])
    await admin.close()
    reader = await open_database(DatabaseRole.READER)
    report = await verify(open_evidence(reader))
    assert not report.ok
    assert report.problems
    store = open_store(await open_database(DatabaseRole.WRITER), SystemClock())
    writer = LedgerWriter(store, SystemClock(), "writer-2")
    with pytest.raises(BooksDiverged):
        await writer.start(open_evidence(reader))


async def test_trial_balances_by_rules_and_by_sql_agree(open_database: OpenDatabase) -> None:
    """Ledger 2.5-3; Ledger invariant 1."""
    async with running_ledger(open_database) as running:
        await _story(running)
        await running.ledger.submit(deposit("b1", usdt(5), user=BOB))
        rows = {row.asset: row for row in await running.evidence.trial_balance()}
        assert rows["USDT"].held_units == rows["USDT"].owed_units == 1_000_005
        assert rows["BTC"].held_units == 1_000
        assert rows["share:p1:1"].difference == 0


async def test_what_waits_is_listed_by_its_newest_reason_in_order_and_until_it_is_booked(
    open_database: OpenDatabase,
) -> None:
    """Only what stands first in its stream has a way forward of its own."""
    first, second = fee("f1", SHIB, seq=1), fee("f2", Money(asset="PEPE", units=1), seq=2)
    third = fee("f3", usdt(1), seq=3)
    settings = WriterSettings(poll_us=20_000)
    async with running_ledger(open_database, settings=settings) as running:
        attending = LedgerAttention(running.app)

        async def listed() -> dict[str, tuple[str, str]]:
            found = await attending.attention()
            kinds = {item.kind for item in found if item.subject.startswith("f")}
            assert kinds <= {"unbookable"}
            return {
                item.subject: (item.evidence["obstacle"], item.evidence.get("behind", ""))
                for item in found
                if item.kind == "unbookable"
            }

        async def becomes(wanted: dict[str, tuple[str, str]]) -> None:
            async with asyncio.timeout(60):
                while await listed() != wanted:
                    await asyncio.sleep(0.01)

        shib, pepe = "unknown_asset: SHIB", "unknown_asset: PEPE"
        await running.ask(first, second, third)
        await becomes({"f1": (shib, ""), "f2": (shib, "f1"), "f3": (shib, "f1")})
        assert await attending.aside(second.key, key("no"), "r") is LedgerRefusal.BEHIND_BARRIER
        assert await attending.aside(key("f9"), key("no"), "r") is LedgerRefusal.UNKNOWN_TRANSACTION
        aside = await attending.aside(first.key, key("yes"), "the venue has taken it back")
        assert isinstance(aside, c.SetAside)
        assert isinstance(await running.ledger.submit(aside), Posted)
        await becomes({"f2": (pepe, ""), "f3": (pepe, "f2")})
        await running.writer.register_asset(Asset("PEPE", 18))
        await becomes({})
        assert isinstance(await running.answered("f3"), Posted)


async def test_what_stands_behind_a_row_that_cannot_be_read_waits_until_that_is_set_aside(
    open_database: OpenDatabase,
) -> None:
    """Else a join or leave passes its barrier without the fact."""
    lost, behind, later = (
        key("fill:acc:X:1:1"),
        fee("f2", usdt(1), seq=2),
        fee("f3", usdt(1), seq=3),
    )
    async with running_ledger(open_database, settings=WriterSettings(poll_us=20_000)) as running:
        attending = LedgerAttention(running.app)
        async with running.app.acquire() as connection:
            await connection.execute("SELECT ledger.ask('main', $1, $2)", lost, b"\xff")
        await running.ask(behind, deposit("o1", usdt(5)))
        assert isinstance(await running.answered("o1"), Posted)
        async with asyncio.timeout(60):
            while len(found := await attending.attention()) < 2:
                await asyncio.sleep(0.01)
        assert [item.subject for item in found] == [lost, "f2"]
        assert found[1].evidence == {"obstacle": f"malformed: {lost}", "behind": lost}
        assert await attending.aside(behind.key, key("no"), "r") is LedgerRefusal.BEHIND_BARRIER
        assert running.writer.books.applied(behind.stream) == 0
        aside = await attending.aside(lost, key("yes"), "the venue has told it again")
        assert isinstance(aside, c.SetAside)
        assert isinstance(await running.ledger.submit(aside), Posted)
        assert isinstance(await running.answered("f2"), Posted)
    async with running_ledger(open_database, settings=WriterSettings(poll_us=20_000)) as running:
        await running.ask(later)
        assert isinstance(await running.answered("f3"), Posted), "set aside is for good"
