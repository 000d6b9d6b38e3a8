"""A platform of commit 3cbbc0b is upgraded at any moment of any saga: nothing is paid twice.

The databases were written by that commit: one for each state that a saga can be found in, a
sending without an answer included (issue "From outside", must show 2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from poolmaker.bus.service import open_bus
from poolmaker.business.campaigns.service import open_store as open_campaign_store
from poolmaker.business.ledger.service import (
    Ledger,
    LedgerWriter,
    WriterSettings,
    open_evidence,
    open_rows,
)
from poolmaker.business.ledger.service import open_store as open_ledger_store
from poolmaker.business.ledger.verify import verify
from poolmaker.business.pools.service import open_store as open_pool_store
from poolmaker.business.rewards.service import open_share_store
from poolmaker.business.rewards.service import open_store as open_reward_store
from poolmaker.business.treasury.service import open_store as open_treasury_store
from poolmaker.business.user_orders.model import OrderSettings
from poolmaker.business.user_orders.service import open_store as open_order_store
from poolmaker.business.withdrawals.service import open_store as open_withdrawal_store
from poolmaker.infra.database import Database, connection_of
from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.sagas.model import NEVER_US
from poolmaker.infra.sagas.service import open_sagas
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.market import Side
from tests.support.business import FORMS, POOL, Stores, WriterClock, config, ways
from tests.support.clusters import Workshop
from tests.support.rewards import RewardStores, RewardWorld
from tests.support.upgrade import REVISION, load, read, restore_outside, snapshots

Snapshot = dict[str, Any]
OpenOld = Callable[[Snapshot], Any]
MOMENTS = sorted(snapshots())


@pytest.fixture
def old_database(database_workshop: Workshop) -> Any:
    """Databases of revision 0014, filled and brought to the newest revision."""
    made: list[str] = []

    async def make(database: dict[str, Any]) -> str:
        name = database_workshop.make_old_database(REVISION)
        made.append(name)
        await load(database_workshop.cluster.admin_dsn(name), database)
        database_workshop.migrate(name)
        return name

    yield make
    for name in made:
        database_workshop.drop_database(name)


@pytest.fixture
def open_old(database_workshop: Workshop, old_database: Any) -> OpenOld:
    """Today's platform on a database of then, with the world outside as it was then."""

    @asynccontextmanager
    async def opened(snapshot: Snapshot) -> AsyncIterator[RewardWorld]:
        name = await old_database(snapshot["database"])
        dsn = database_workshop.cluster.dsn
        app = await Database.open(dsn(DatabaseRole.APP, name))
        writing = await Database.open(dsn(DatabaseRole.WRITER, name))
        clock = ManualClock(snapshot["clock_us"] + 10 * SECOND_US)
        assert (await verify(open_evidence(app))).ok
        stores = _stores(app, writing, clock)
        try:
            async with RewardWorld(
                stores, _reward_stores(), clock, seed=99, **_settings(snapshot)
            ) as world:
                restore_outside(world, snapshot["outside"])
                if snapshot["scenario"] == "mixin":
                    world.places.ways = [way for asset in FORMS for way in ways(asset)]
                await world.open_pool(_config(snapshot))
                yield world
                assert world.parked == []
            assert (await verify(open_evidence(app))).ok
        finally:
            await writing.close()
            await app.close()

    return opened


def _stores(app: Database, writing: Database, clock: ManualClock) -> Stores:
    ledger_store = open_ledger_store(writing, clock)
    settings = WriterSettings(poll_us=2_000, lease_us=SECOND_US // 10)
    writer = LedgerWriter(ledger_store, WriterClock(clock, real=True), "upgraded", settings)
    return Stores(
        transactions=app,
        ledger=Ledger(open_rows(), writer),
        writer=writer,
        bus=open_bus(),
        sagas=open_sagas(),
        pools=open_pool_store(),
        orders=open_order_store(),
        withdrawals=open_withdrawal_store(),
        treasury=open_treasury_store(),
        asked=ledger_store,
    )


def _reward_stores() -> RewardStores:
    return RewardStores(open_reward_store(), open_share_store(), open_campaign_store())


def _settings(snapshot: Snapshot) -> dict[str, Any]:
    if snapshot["scenario"] != "mixin":
        return {}
    fees: dict[str, Any] = {"funding_fees": {"USDT": 1_000_000}, "exit_fees": {"USDT": 2_000_000}}
    return {"orders": OrderSettings(mixin_forms=FORMS, **fees)}


def _config(snapshot: Snapshot) -> Any:
    parameters: dict[str, dict[str, int]] = {
        "venue": {"stay_min_us": 20 * SECOND_US, "first_join_min_units": 1_000_000_000},
        "mixin": {"first_join_min_units": 10_000_000},
    }
    return config(POOL, **parameters.get(snapshot["scenario"], {}))


async def _until_it_ends(world: RewardWorld, snapshot: Snapshot) -> None:
    if snapshot["name"] == "order.fund:unfunded":
        # It waits for a deficit to be mended: the pool gains.
        await world.engine.fill(Side.SELL, 1_000_000, 600_000_000)
    if snapshot["scenario"] == "rewards":
        world.clock.advance(SECOND_US)
        await world.user("clock again", usdt=1)

    async def ended() -> bool:
        async with world.stores.transactions.begin("look") as tx:
            saga = await world.stores.sagas.find(tx, snapshot["saga"])
        assert saga is not None
        return saga.due_us == NEVER_US

    await world.until(ended)
    await world.rest(60 * SECOND_US)


def _kept(snapshot: Snapshot, table: str) -> dict[str, str]:
    """Keys by reference of the rows that stood in a table then."""
    stored = snapshot["database"]["tables"].get(table)
    if stored is None:
        return {}
    at = [stored["columns"].index(name) for name in ("reference", "key")]
    lines = [line.split("\t") for line in stored["rows"].splitlines()]
    return {line[at[0]]: line[at[1]] for line in lines}


@pytest.mark.parametrize("moment", [one for one in MOMENTS if one != "treasury.net:looking"])
async def test_a_saga_open_at_the_upgrade_ends_and_pays_once_under_its_own_reference(
    open_old: OpenOld, moment: str
) -> None:
    snapshot = snapshots()[moment]
    golden = read("sagas")["golden"][snapshot["scenario"]]
    before = {reference: len(sent) for reference, sent in snapshot["outside"]["taken"].items()}
    async with open_old(snapshot) as world:
        known = len(world.provider.requests)
        await _until_it_ends(world, snapshot)
        assert world.books_balance() or snapshot["name"] == "order.fund:unfunded"
        taken = world.provider.taken
        assert all(len(sent) == 1 for sent in taken.values()), "paid twice"
        assert before.keys() <= taken.keys()
        async with world.stores.transactions.begin("look") as tx:
            rows = await _rows(tx)
        references = {row["reference"]: row["key"] for row in rows}
        kept = _kept(snapshot, "business.withdrawal") | _kept(snapshot, "business.transfer")
        assert kept.items() <= references.items(), "a reference has changed"
        for request in world.provider.requests[known:]:
            assert request.reference in references, "a sending that no row stands for"
        _as_golden(golden, kept, rows)


def _as_golden(golden: dict[str, Any], kept: dict[str, str], rows: list[Any]) -> None:
    """What stood at the upgrade moves the same units under the same reference as it would have."""
    expected = {**golden["withdrawals"], **golden["transfers"]}
    for row in rows:
        if row["key"] in expected and row["reference"] in kept:
            _, reference, asset, units, _ = expected[row["key"]]
            found = (row["reference"], row["asset"], int(row["units"]))
            assert found == (reference, asset, int(Decimal(units))), row["key"]


async def _rows(tx: Any) -> list[Any]:
    columns = "key, reference, asset, units, state"
    found = await connection_of(tx).fetch(
        f"SELECT {columns} FROM business.withdrawal UNION ALL "
        f"SELECT {columns} FROM business.transfer"
    )
    return list(found)


async def test_every_state_that_a_saga_waits_in_is_among_the_upgraded_ones() -> None:
    """Nothing of the old tables is missing from the vectors."""
    assert len(MOMENTS) == 42
    for state in (
        "withdrawal:sent.taken_unanswered",
        "withdrawal:sent.not_taken_unanswered",
        "withdrawal:sent.refused_in_doubt",
        "transfer:sent.taken_unanswered",
    ):
        assert state in MOMENTS


async def test_the_ledger_of_a_demo_of_then_verifies_unchanged(
    database_workshop: Workshop, old_database: Any
) -> None:
    """A whole story: deposits, transfers, joins, fills, leaves, payouts, rewards (313 entries)."""
    name = await old_database(read("demo"))
    reader = await Database.open(database_workshop.cluster.dsn(DatabaseRole.READER, name))
    try:
        report = await verify(open_evidence(reader))
    finally:
        await reader.close()
    assert report.ok, report.problems
    connection = await asyncpg.connect(
        **connect_arguments(database_workshop.cluster.admin_dsn(name))
    )
    try:
        kinds = {row[0] for row in await connection.fetch("SELECT DISTINCT kind FROM ledger.tx")}
        head = await connection.fetchrow("SELECT last_seq FROM ledger.head")
    finally:
        await connection.close()
    assert {"JOIN_POOL", "LEAVE_POOL", "SETTLE_EXIT", "FILL", "CREDIT_REWARD"} <= kinds
    assert head["last_seq"] == report.transactions
