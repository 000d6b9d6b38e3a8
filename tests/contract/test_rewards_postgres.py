"""Campaigns and rewards on PostgreSQL: the stores as in memory, and a rewarded day that crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg
import pytest

from poolmaker.bus.service import open_bus
from poolmaker.business.campaigns.model import (
    Campaign,
    CampaignLine,
    CampaignStatus,
    JoinState,
)
from poolmaker.business.campaigns.service import open_store as open_campaign_store
from poolmaker.business.ledger.service import Ledger, LedgerWriter, WriterSettings, open_rows
from poolmaker.business.ledger.service import open_store as open_ledger_store
from poolmaker.business.pools.service import open_store as open_pool_store
from poolmaker.business.rewards.model import (
    Allocation,
    AllocationPart,
    Reward,
    RewardIncident,
    RewardLine,
    RewardState,
    RewardTotals,
    RewardTrouble,
    ShareChange,
    ShareCursor,
    StoredAllocation,
)
from poolmaker.business.rewards.rules import digest_of
from poolmaker.business.rewards.service import open_share_store
from poolmaker.business.rewards.service import open_store as open_reward_store
from poolmaker.business.treasury.service import open_store as open_treasury_store
from poolmaker.business.user_orders.service import open_store as open_order_store
from poolmaker.business.withdrawals.service import open_store as open_withdrawal_store
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.sagas.service import open_sagas
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import OrderId, PoolId, UserId
from poolmaker.kernel.rng import Rng
from poolmaker.lab.stores.base import ModelDatabase
from tests.conftest import OpenDatabase
from tests.support.business import POOL, Stores, WriterClock
from tests.support.rewards import (
    RewardStores,
    RewardWorld,
    campaign,
    model_reward_stores,
    payment,
    reward_world,
)
from tests.support.rewards_lives import rewarded_day

LARGE = 10**37
A, B = OrderId("uo_a"), OrderId("uo_b")


@dataclass(frozen=True)
class Place:
    transactions: Transactions
    stores: RewardStores


def _pg_stores() -> RewardStores:
    return RewardStores(open_reward_store(), open_share_store(), open_campaign_store())


@pytest.fixture(params=["model", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "model":
        return Place(ModelDatabase(), model_reward_stores())
    database: Database = request.getfixturevalue("database")
    return Place(database, _pg_stores())


def _reward(key: str = "p1", **changes: object) -> Reward:
    row = Reward(seen=payment(LARGE, 10, 20, key=key), seen_us=5, state=RewardState.CONFIRMED)
    return replace(row, **changes)  # type: ignore[arg-type]


def _allocation(reward: Reward, *parts: AllocationPart) -> Allocation:
    return Allocation(
        reward=reward.id,
        key=reward.seen.key,
        campaign=reward.seen.campaign,
        pool=POOL,
        asset="HMT",
        from_us=10,
        to_us=20,
        received_units=LARGE,
        dust_units=1,
        fee_ppm=3,
        fee_units=2,
        step_units=1,
        parts=parts,
    )


_LINE = RewardLine(5, RewardState.CONFIRMED, "confirmed")


async def test_a_campaign_is_read_as_it_was_saved_and_its_story_grows(place: Place) -> None:
    seen = campaign(ManualClock(), fund_units=LARGE)
    first = Campaign(seen=seen)
    line = CampaignLine(1, JoinState.SEEN, "seen")
    over = replace(
        first,
        seen=replace(seen, status=CampaignStatus.ENDING, end_us=seen.end_us - 1, target="7"),
        pool=POOL,
        state=JoinState.JOINED,
        joined_at_us=9,
        text="a text",
    )
    joined = CampaignLine(2, JoinState.JOINED, "joined", "a note")
    later = Campaign(seen=replace(seen, id="later", start_us=seen.start_us + 1))
    async with place.transactions.begin("save") as tx:
        store = place.stores.campaigns
        assert await store.lock(tx, seen.id) is None
        assert await store.add(tx, first, line)
        assert not await store.add(tx, over, line)
        assert await store.add(tx, later, line)
        await store.save(tx, over, joined)
        await store.save(tx, over, None)
    async with place.transactions.begin("look") as tx:
        assert await store.campaign(tx, seen.id) == await store.lock(tx, seen.id) == over
        assert await store.campaign(tx, "none") is None
        assert list(await store.listed(tx, list(JoinState))) == [later, over]
        assert list(await store.listed(tx, [JoinState.JOINED])) == [over]
        assert list(await store.timeline(tx, seen.id)) == [line, joined]


async def test_a_reward_is_read_as_it_was_saved_and_its_story_grows(place: Place) -> None:
    row = _reward()
    moved = replace(
        row,
        state=RewardState.ALLOCATED,
        pool=POOL,
        transfer="t",
        dust_units=1,
        fee_units=2,
        users_units=LARGE - 3,
        credited=4,
        credited_units=LARGE - 4,
    )
    line = RewardLine(6, RewardState.ALLOCATED, "allocate_posted", "key", "a note")
    other = _reward("p2", seen=payment(1, 11, 12, key="p2", campaign="other"))
    async with place.transactions.begin("save") as tx:
        store = place.stores.rewards
        assert await store.lock(tx, row.id) is None
        assert await store.add(tx, row, _LINE)
        assert not await store.add(tx, moved, _LINE)
        assert await store.add(tx, other, _LINE)
        await store.save(tx, moved, line)
    async with place.transactions.begin("look") as tx:
        assert await store.reward(tx, row.id) == await store.lock(tx, row.id) == moved
        assert list(await store.timeline(tx, row.id)) == [_LINE, line]
        assert list(await store.listed(tx, "", 9)) == [other, moved]
        assert list(await store.listed(tx, "", 1)) == [other]
        assert list(await store.listed(tx, row.seen.campaign, 9)) == [moved]


async def test_what_is_final_of_a_reward_is_never_edited(place: Place) -> None:
    """Invariant 1 of rewards, in the store itself."""
    row = _reward()
    async with place.transactions.begin("save") as tx:
        await place.stores.rewards.add(tx, row, _LINE)
    for seen in (replace(row.seen, units=5), replace(row.seen, to_us=30)):
        with pytest.raises((asyncpg.RestrictViolationError, InvariantBroken)):
            async with place.transactions.begin("edit") as tx:
                await place.stores.rewards.save(tx, replace(row, seen=seen), _LINE)


async def test_more_than_was_received_is_never_shared(place: Place) -> None:
    """Invariant 3 of rewards, in the store itself."""
    row = _reward()
    async with place.transactions.begin("save") as tx:
        await place.stores.rewards.add(tx, row, _LINE)
    with pytest.raises((asyncpg.CheckViolationError, InvariantBroken)):
        async with place.transactions.begin("share") as tx:
            shared = replace(row, fee_units=1, users_units=LARGE)
            await place.stores.rewards.save(tx, shared, _LINE)


async def test_an_incident_is_open_once_and_may_come_again(place: Place) -> None:
    row = _reward()
    trouble = RewardTrouble.NO_WEIGHT
    first = RewardIncident(row.id, trouble, 3, "a")
    async with place.transactions.begin("save") as tx:
        store = place.stores.rewards
        await store.add(tx, row, _LINE)
        assert await store.open_incident(tx, first)
        assert not await store.open_incident(tx, replace(first, opened_us=4))
        assert list(await store.incidents(tx, "")) == [first]
        await store.close_incident(tx, row.id, RewardTrouble.NO_POOL, 7)
        await store.close_incident(tx, row.id, trouble, 7)
        await store.close_incident(tx, row.id, trouble, 8)
        assert list(await store.incidents(tx, "")) == []
        second = replace(first, opened_us=9)
        assert await store.open_incident(tx, second)
    async with place.transactions.begin("look") as tx:
        assert list(await store.incidents(tx, "")) == [second]
        assert list(await store.incidents(tx, row.id)) == [replace(first, closed_us=7), second]


async def test_an_allocation_is_read_as_it_was_stored_and_found_by_its_users(place: Place) -> None:
    row = _reward(
        state=RewardState.ALLOCATED,
        dust_units=1,
        fee_units=2,
        users_units=LARGE - 3,
        credited=1,
        credited_units=7,
    )
    user = UserId("us_1")
    allocation = _allocation(
        row,
        AllocationPart(order=A, user=user, weight=10**60, units=7),
        AllocationPart(order=B, user=user, weight=1, units=0),
    )
    async with place.transactions.begin("save") as tx:
        store = place.stores.rewards
        await store.add(tx, row, _LINE)
        assert await store.allocation(tx, row.id) is None
        await store.add_allocation(tx, allocation, digest_of(allocation))
    async with place.transactions.begin("look") as tx:
        found = await store.allocation(tx, row.id)
        parts = await store.parts_of_user(tx, user, "", 9)
        assert list(await store.parts_of_user(tx, user, row.id, 9)) == []
        assert list(await store.parts_of_user(tx, UserId("us_2"), "", 9)) == []
        (totals,) = await store.totals(tx)
    assert found == StoredAllocation(allocation, digest_of(allocation))
    assert [(part.order, part.units, part.credited) for part in parts] == [
        (A, 7, True),
        (B, 0, False),
    ]
    assert (parts[0].reward, parts[0].asset, parts[0].from_us) == (row.id, "HMT", 10)
    assert totals == RewardTotals(
        asset="HMT", received=LARGE, dust=1, fee=2, users=LARGE - 3, credited=7
    )
    with pytest.raises((asyncpg.UniqueViolationError, InvariantBroken)):
        async with place.transactions.begin("again") as tx:
            await store.add_allocation(tx, allocation, digest_of(allocation))


async def test_share_history_is_read_by_pool_and_time(place: Place) -> None:
    def change(seq: int, at_us: int, order: OrderId, units: int, pool: str = POOL) -> ShareChange:
        return ShareChange(
            seq=seq, at_us=at_us, pool=PoolId(pool), epoch=1, order=order, units=units
        )

    changes = [
        change(1, 10, A, LARGE),
        change(2, 20, B, 5),
        change(3, 20, A, -LARGE),
        change(4, 25, B, 6),
        change(5, 26, B, 7, pool="other"),
        change(6, 30, B, -1),
    ]
    async with place.transactions.begin("save") as tx:
        store = place.stores.shares
        assert await store.lock_cursor(tx) == ShareCursor(0, 0)
        await store.apply(tx, changes[:3], ShareCursor(3, 20))
        await store.apply(tx, changes[3:], ShareCursor(9, 31))
    async with place.transactions.begin("look") as tx:
        assert await store.cursor(tx) == await store.lock_cursor(tx) == ShareCursor(9, 31)
        assert dict(await store.opening(tx, POOL, 9)) == {}
        assert dict(await store.opening(tx, POOL, 19)) == {(1, A): LARGE}
        assert dict(await store.opening(tx, POOL, 20)) == {(1, B): 5}
        assert list(await store.changes(tx, POOL, 10, 30)) == changes[1:4]


@pytest.mark.parametrize(
    "table",
    ["campaign_line", "reward_line", "reward_allocation", "reward_part", "share_change"],
)
async def test_what_is_only_added_to_cannot_be_changed_by_anybody(
    database: Database, open_database: OpenDatabase, table: str
) -> None:
    """Invariant 5 of rewards: an allocation is only ever added to."""
    for statement in (f"UPDATE business.{table} SET at = 1", f"DELETE FROM business.{table}"):
        column = "note" if table.endswith("line") else "digest"
        column = {"reward_part": "user_id", "share_change": "pool"}.get(table, column)
        wanted = statement.replace("at = 1", f"{column} = 'x'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.acquire() as connection:
                await connection.execute(wanted)
        owner = await open_database(DatabaseRole.OWNER)
        with pytest.raises(asyncpg.RestrictViolationError):
            async with owner.acquire() as connection:
                await connection.execute(wanted)


async def test_a_digest_that_is_not_the_texts_is_refused(database: Database) -> None:
    row = _reward()
    allocation = _allocation(row, AllocationPart(order=A, user=UserId("u"), weight=1, units=1))
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.begin("save") as tx:
            store = open_reward_store()
            await store.add(tx, row, _LINE)
            await store.add_allocation(tx, allocation, "0" * 64)


# ------------------------------------------------------------------------------------- whole days

OpenWorld = Callable[[], AbstractAsyncContextManager[RewardWorld]]


@pytest.fixture
def open_world(database: Database, open_database: OpenDatabase) -> OpenWorld:
    """A world on this test's own database."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[RewardWorld]:
        clock = ManualClock()
        ledger_store = open_ledger_store(await open_database(DatabaseRole.WRITER), clock)
        settings = WriterSettings(poll_us=2_000, lease_us=SECOND_US // 10)
        writer = LedgerWriter(ledger_store, WriterClock(clock, real=True), "writer", settings)
        stores = Stores(
            transactions=database,
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
        async with RewardWorld(stores, _pg_stores(), clock) as world:
            yield world

    return opened


@pytest.mark.parametrize("seed", [None, 1, 2])
async def test_a_rewarded_day_ends_on_postgresql_as_on_the_model_crashed_or_not(
    open_world: OpenWorld, seed: int | None
) -> None:
    """Invariant 7 of rewards, on the database that it is kept in."""
    async with reward_world() as world:
        expected = await rewarded_day(world)
    async with open_world() as world:
        chance = Rng(seed) if seed is not None else None
        assert await rewarded_day(world, chance) == expected
        assert world.parked == []
        assert world.books_balance()
        assert (len(world.crashes) > 5) == (seed is not None)
        await _credited_is_the_sum_of_the_parts(world)


async def _credited_is_the_sum_of_the_parts(world: RewardWorld) -> None:
    """Found row 45: what an order earned stands apart, and is what was credited."""
    expected: dict[OrderId, dict[str, int]] = {}
    for view in await world.rewards.listed():
        stored = await world.rewards.explain(view.reward.id)
        parts = stored.allocation.parts if stored is not None else ()
        for part in parts[: view.reward.credited]:
            sums = expected.setdefault(part.order, {})
            sums[view.reward.seen.asset] = sums.get(view.reward.seen.asset, 0) + part.units
    assert expected
    found = await world.rewards.credited([*expected, OrderId("nobody")])
    assert found == expected
