"""The store of the ledger against PostgreSQL: the writer proposes, the database judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger._store import PgCommandStore, PgLedgerStore
from poolmaker.business.ledger.codec import encode_command
from poolmaker.business.ledger.model import (
    GENESIS_HASH,
    Batch,
    BooksDiverged,
    Checkpoint,
    Fenced,
    IncidentKind,
    LedgerHead,
    LedgerIncident,
    LedgerRefusal,
    Leg,
    Line,
    Posted,
    PostingRefused,
)
from poolmaker.business.ledger.proposal import BatchBuilder, StoppedStreams
from poolmaker.business.ledger.rules import books_of, in_order
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.ids import LedgerId, content_hash
from poolmaker.kernel.money import UNITS_MAX, Asset
from poolmaker.messages.base import Money
from tests.support.ledger import (
    BTC,
    START_US,
    USDT,
    Page,
    deposit,
    join,
    key,
    lock,
    reversal,
    usdt,
)
from tests.support.ledgers import OpenDatabase

LEASE = 60_000_000


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database(DatabaseRole.WRITER)


@pytest.fixture
async def store(database: Database) -> PgLedgerStore:
    store = PgLedgerStore(database, SystemClock())
    await store.register_asset(USDT)
    await store.register_asset(BTC)
    return store


async def _lead(store: PgLedgerStore, holder: str = "me") -> Checkpoint:
    await _run_out(store)
    head = await store.take_lease(holder, LEASE)
    assert head is not None
    image = await store.load()
    assert image.head == head
    return image


async def _propose(
    store: PgLedgerStore, image: Checkpoint, *commands: c.Command, rows: Sequence[int] = ()
) -> Batch:
    """The batch that the writer would make of these commands."""
    books = books_of(image)
    named = [command.reverses for command in commands if isinstance(command, c.Reversal)]
    books.recalled = dict(await store.recall(named))
    answers = await store.answers([command.key for command in commands])
    proposal = BatchBuilder(books, image.head, answers, StoppedStreams())
    proposal.assets_are_fresh = True
    for at, command in enumerate(commands):
        asked = encode_command(command)
        if rows:
            asked = replace(asked, row=rows[at])
        proposal.take(asked, START_US)
    batch = proposal.batch()
    assert batch is not None
    return batch


async def _write(store: PgLedgerStore, *commands: c.Command) -> Checkpoint:
    image = await _lead(store)
    await store.append(await _propose(store, image, *commands))
    return await store.load()


async def test_an_empty_ledger_has_an_empty_image(database: Database) -> None:
    image = await PgLedgerStore(database, SystemClock(), LedgerId("other")).load()
    assert image == Checkpoint(LedgerHead(0, 0, GENESIS_HASH, 0), (), (), ())


async def test_what_is_appended_is_what_is_loaded(store: PgLedgerStore) -> None:
    """Ledger invariant 7; the books are rebuilt exactly from balances and small tables."""
    commands = [
        deposit("d1", usdt(1_000)),
        deposit("d2", Money(asset="BTC", units=10**20)),
        lock("l1", usdt(900), Money(asset="BTC", units=100)),
        join("j1", 100, 900),
    ]
    page = Page(USDT, BTC)
    page.must(*commands)
    image = await _write(store, *commands)
    books = books_of(image)
    assert books.balances == page.books.balances
    assert books.assets == page.books.assets
    assert in_order(image).states != ()
    assert image.head.seq == 4


async def test_the_largest_balance_survives_the_round_trip(store: PgLedgerStore) -> None:
    image = await _write(store, deposit("d1", usdt(UNITS_MAX)))
    assert {leg.units for leg in image.balances} == {UNITS_MAX, -UNITS_MAX}


async def test_answers_and_refusals_are_kept_for_ever(store: PgLedgerStore) -> None:
    """Ledger invariant 5."""
    await _write(store, deposit("d1", usdt(5)), lock("l1", usdt(6)))
    answers = await store.answers([key("d1"), key("l1"), key("nothing")])
    assert answers.keys() == {"d1", "l1"}
    assert answers[key("d1")].outcome == Posted(1, START_US, already=True)
    assert answers[key("l1")].outcome == PostingRefused(LedgerRefusal.INSUFFICIENT)
    assert answers[key("d1")].body_hash == encode_command(deposit("d1", usdt(5))).body_hash


async def test_an_asset_is_registered_once_and_for_ever(store: PgLedgerStore) -> None:
    await store.register_asset(USDT)
    with pytest.raises(KeyConflict):
        await store.register_asset(Asset("USDT", 8))
    assert set(await store.assets()) == {USDT, BTC}


async def _run_out(store: PgLedgerStore) -> None:
    """The lease has run out by the database's clock."""
    lease = await store.lease()
    if lease is not None:
        await store.renew_lease(lease.epoch, 0)


async def test_a_lease_is_taken_by_its_holder_or_after_its_end(store: PgLedgerStore) -> None:
    first = await store.take_lease("a", LEASE)
    assert await store.take_lease("b", LEASE) is None
    again = await store.take_lease("a", LEASE)
    await _run_out(store)
    later = await store.take_lease("b", LEASE)
    assert first is not None
    assert again is not None
    assert later is not None
    assert (first.epoch, again.epoch, later.epoch) == (1, 2, 3)
    with pytest.raises(Fenced):
        await store.renew_lease(again.epoch, LEASE)
    await store.renew_lease(later.epoch, LEASE)


async def test_found_56_a_holder_that_was_followed_gets_no_new_epoch(store: PgLedgerStore) -> None:
    await store.take_lease("a", LEASE)
    assert await store.retake_lease("a", LEASE) is not None
    await _run_out(store)
    assert await store.retake_lease("a", LEASE) is not None
    await _run_out(store)
    assert await store.take_lease("b", LEASE) is not None
    await _run_out(store)
    assert await store.retake_lease("a", LEASE) is None


async def test_a_lease_that_was_seen_unchanged_for_its_length_may_be_taken(
    store: PgLedgerStore,
) -> None:
    await store.take_lease("a", LEASE)
    seen = await store.lease()
    assert seen is not None
    await store.renew_lease(seen.epoch, LEASE)
    assert await store.take_lease("b", LEASE, seen) is None
    assert await store.take_lease("b", LEASE, await store.lease()) is not None


async def test_an_older_epoch_appends_nothing(store: PgLedgerStore) -> None:
    """Ledger invariant 6; E15: two writers, one of them too late."""
    image = await _lead(store)
    batch = await _propose(store, image, deposit("d1", usdt(5)))
    await _lead(store, "other")
    with pytest.raises(Fenced):
        await store.append(batch)
    assert (await store.load()).balances == ()


async def test_the_same_batch_twice_is_applied_once(store: PgLedgerStore) -> None:
    image = await _lead(store)
    batch = await _propose(store, image, deposit("d1", usdt(5)))
    await store.append(batch)
    with pytest.raises(Fenced):
        await store.append(batch)
    assert (await store.load()).head.seq == 1


async def test_ledgers_in_one_database_do_not_see_each_other(
    store: PgLedgerStore, database: Database
) -> None:
    other = PgLedgerStore(database, SystemClock(), LedgerId("other"))
    await other.register_asset(Asset("USDT", 2))
    await _write(store, deposit("d1", usdt(5)))
    image = await _write(other, deposit("d1", usdt(7)))
    assert image.head.seq == 1
    assert {leg.units for leg in image.balances} == {7, -7}
    assert image.assets == (Asset("USDT", 2),)


def _posting(batch: Batch, **changes: Any) -> Batch:
    return replace(batch, postings=(replace(batch.postings[0], **changes),))


def _lines(*legs: tuple[str, str, int, int]) -> tuple[Line, ...]:
    return tuple(Line(Leg(account, asset, units), after) for account, asset, units, after in legs)


USER, PLACE_ = "user:alice:available", "custody:venue:acc"


def _with_lines(batch: Batch, *legs: tuple[str, str, int, int]) -> Batch:
    after = {(account, asset): end for account, asset, _, end in legs}
    balances = tuple(Leg(*place, units) for place, units in after.items())
    return replace(_posting(batch, lines=_lines(*legs)), balances=balances)


def _without_balances(batch: Batch) -> Batch:
    return replace(batch, balances=())


FORGED: dict[str, Callable[[Batch], Batch]] = {
    "unbalanced": lambda b: _with_lines(b, (PLACE_, "USDT", 6, 6), (USER, "USDT", -5, -5)),
    "one-sided": lambda b: _with_lines(b, (PLACE_, "USDT", 5, 5)),
    "balanced over two assets": lambda b: _with_lines(
        b, (PLACE_, "USDT", 5, 5), (USER, "BTC", -5, -5)
    ),
    "a user below zero": lambda b: _with_lines(b, (USER, "USDT", 5, 5), (PLACE_, "USDT", -5, -5)),
    "a deficit below zero": lambda b: _with_lines(
        b, ("deficit:x", "USDT", -5, -5), (PLACE_, "USDT", 5, 5)
    ),
    "an entry of nothing": lambda b: _with_lines(b, (PLACE_, "USDT", 0, 0)),
    "another balance": lambda b: replace(
        b, balances=(Leg(PLACE_, "USDT", 6), Leg(USER, "USDT", -6))
    ),
    "another balance after": lambda b: _posting(
        b, lines=_lines((PLACE_, "USDT", 5, 6), (USER, "USDT", -5, -5))
    ),
    "no balances": _without_balances,
    "a balance left out": lambda b: replace(b, balances=b.balances[:1]),
    "an account outside the chart": lambda b: _with_lines(
        b, (PLACE_, "USDT", 5, 5), ("pocket:mine", "USDT", -5, -5)
    ),
    "an asset that is not registered": lambda b: _with_lines(
        b, (PLACE_, "SHIB", 5, 5), (USER, "SHIB", -5, -5)
    ),
    "time that stands still": lambda b: _posting(b, at_us=0),
    "a hash that is none": lambda b: _posting(b, chain_hash=b"short"),
    "the same key twice": lambda b: replace(b, postings=b.postings * 2),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_proposal_is_refused_whole(name: str, store: PgLedgerStore) -> None:
    """Ledger invariants 1, 2, 5, 6 and 7: even the writer cannot write what does not hold."""
    before = await _write(store, deposit("d0", Money(asset="BTC", units=1)))
    image = await _lead(store)
    batch = FORGED[name](await _propose(store, image, deposit("d1", usdt(5))))
    with pytest.raises(BooksDiverged):
        await store.append(batch)
    after = await store.load()
    assert in_order(after).balances == in_order(before).balances
    assert after.head.seq == before.head.seq


async def test_a_key_answered_before_is_not_answered_again(store: PgLedgerStore) -> None:
    """Ledger invariant 5: unique keys in the database, whatever the writer remembers."""
    await _write(store, deposit("d1", usdt(5)))
    image = await _lead(store)
    forgetful = BatchBuilder(books_of(image), image.head, {}, StoppedStreams())
    forgetful.take(encode_command(deposit("d1", usdt(5))), START_US)
    batch = forgetful.batch()
    assert batch is not None
    with pytest.raises(BooksDiverged):
        await store.append(batch)


async def test_a_failed_append_leaves_no_gap_behind(store: PgLedgerStore) -> None:
    """Ledger invariant 6."""
    image = await _lead(store)
    good = await _propose(store, image, deposit("d1", usdt(5)))
    with pytest.raises(BooksDiverged):
        await store.append(FORGED["unbalanced"](good))
    await store.load()
    await store.append(good)
    assert (await store.load()).head.seq == 1


async def test_a_reversal_recalls_the_legs_it_mirrors(store: PgLedgerStore) -> None:
    await _write(store, deposit("d1", usdt(5)))
    image = await _write(store, reversal("r1", "d1"))
    assert image.balances == ()
    recalled = await store.recall([key("d1"), key("r1"), key("x")])
    legs = [sorted((leg.account, leg.units) for leg in found.legs) for found in recalled.values()]
    assert len(legs) == 2
    assert legs[0] == [(account, -units) for account, units in legs[1]]


async def test_a_command_row_is_written_once_and_answered_once(
    store: PgLedgerStore, open_database: OpenDatabase
) -> None:
    app, rows = await open_database(DatabaseRole.APP), PgCommandStore()
    asked = encode_command(deposit("d1", usdt(5)))
    for _ in range(2):
        async with app.begin("ask") as tx:
            await rows.ask(tx, asked.command.key, asked.body, asked.body_hash)
            assert await rows.outcome(tx, asked.command.key) is None
    pending = await store.pending(0, 10)
    assert [(row.key, row.body) for row in pending] == [("d1", asked.body)]
    image = await _lead(store)
    await store.append(await _propose(store, image, deposit("d1", usdt(5)), rows=[pending[0].row]))
    assert await store.pending(0, 10) == []
    async with app.begin("read") as tx:
        assert await rows.outcome(tx, key("d1")) == Posted(1, START_US, already=True)
        assert await rows.raw_balance(tx, USER, "USDT") == -5
        assert await rows.raw_balance(tx, USER, "BTC") == 0
        found = await rows.transaction(tx, key("d1"))
        assert found is not None
        assert [found] == await rows.read(tx, 0, 10)
        assert await rows.head(tx) == 1


async def test_a_row_with_another_body_under_a_known_key_is_a_conflict(
    store: PgLedgerStore, open_database: OpenDatabase
) -> None:
    """9.2 'same key different amount': refused and recorded."""
    app, rows = await open_database(DatabaseRole.APP), PgCommandStore()
    await _write(store, deposit("d1", usdt(5)))
    for name in ("d1", "d2"):
        first, second = (encode_command(deposit(name, usdt(units))) for units in (5, 6))
        async with app.begin("ask") as tx:
            await rows.ask(tx, first.command.key, first.body, first.body_hash)
        with pytest.raises(KeyConflict):
            async with app.begin("ask") as tx:
                await rows.ask(tx, second.command.key, second.body, second.body_hash)


async def test_an_ask_that_is_rolled_back_was_never_made(
    store: PgLedgerStore, open_database: OpenDatabase
) -> None:
    """Ledger 2.5-1: the cause and the command are one transaction."""
    app, rows = await open_database(DatabaseRole.APP), PgCommandStore()
    asked = encode_command(deposit("d1", usdt(5)))

    async def fail() -> None:
        async with app.begin("ask") as tx:
            await rows.ask(tx, asked.command.key, asked.body, asked.body_hash)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await store.pending(0, 10) == []


async def test_pages_of_rows_go_on_behind_the_last(
    store: PgLedgerStore, open_database: OpenDatabase
) -> None:
    app, rows = await open_database(DatabaseRole.APP), PgCommandStore()
    async with app.begin("ask") as tx:
        for at in range(5):
            asked = encode_command(deposit(f"d{at}", usdt(5)))
            await rows.ask(tx, asked.command.key, asked.body, asked.body_hash)
    first = await store.pending(0, 3)
    second = await store.pending(first[-1].row, 3)
    assert [row.key for row in (*first, *second)] == [f"d{at}" for at in range(5)]


async def test_an_incident_is_opened_once(store: PgLedgerStore, database: Database) -> None:
    incident = LedgerIncident(IncidentKind.UNBOOKABLE, "unknown_asset: SHIB", key("d1"), START_US)
    await store.open_incidents([incident])
    await store.open_incidents([replace(incident, at_us=START_US + 5)])
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT kind, subject, key, at_us FROM ledger.incident")
    assert [tuple(row) for row in rows] == [("unbookable", "unknown_asset: SHIB", "d1", START_US)]


async def test_a_posting_is_hashed_by_the_database_as_well(
    store: PgLedgerStore, database: Database
) -> None:
    await _write(store, deposit("d1", usdt(5)))
    async with database.acquire() as connection:
        row = await connection.fetchrow("SELECT body, body_hash FROM ledger.tx")
    assert row is not None
    assert row["body_hash"] == content_hash(row["body"])


async def test_an_append_is_durable_even_in_a_session_that_would_not_wait(
    store: PgLedgerStore, database: Database
) -> None:
    """Replies leave only after they are durable: append insists on waiting for the log."""
    image = await _lead(store)
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL synchronous_commit = off")
        seen = await connection.fetchval("SELECT current_setting('synchronous_commit')")
        batch = await _propose(store, image, deposit("d1", usdt(5)))
        inside = PgLedgerStore(_Lent(connection), SystemClock())
        await inside.append(batch)
        after = await connection.fetchval("SELECT current_setting('synchronous_commit')")
    assert (seen, after) == ("off", "on")


class _Lent(Database):
    """A database that lends one connection that is already open."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def acquire(self) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        return None
