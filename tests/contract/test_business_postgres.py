"""The business rooms on PostgreSQL: the same life as on the model stores, crashed at commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from poolmaker.bus.service import open_bus
from poolmaker.business.ledger.history import open_history
from poolmaker.business.ledger.service import Ledger, LedgerWriter, WriterSettings, open_rows
from poolmaker.business.ledger.service import open_store as open_ledger_store
from poolmaker.business.pools.service import open_store as open_pool_store
from poolmaker.business.treasury.service import open_store as open_treasury_store
from poolmaker.business.user_orders.model import Order
from poolmaker.business.user_orders.service import open_store as open_order_store
from poolmaker.business.withdrawals.service import open_store as open_withdrawal_store
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.sagas.service import open_sagas
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.rng import Rng
from tests.conftest import OpenDatabase
from tests.support.business import Stores, World, WriterClock
from tests.support.figures import ModelHistory, reading_of
from tests.support.lives import whole_life

LARGE = 10**37
OpenWorld = Callable[[], AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(database: Database, open_database: OpenDatabase) -> OpenWorld:
    """A world on this test's own database."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[World]:
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
        async with World(stores, clock) as world:
            yield world

    return opened


async def test_a_whole_life_ends_on_postgresql_as_on_the_model(open_world: OpenWorld) -> None:
    async with open_world() as world:
        result = await whole_life(world)
        assert world.parked == []
        assert world.books_balance()
    assert result["paid"] == {"BTC": 51_666_666, "USDT": 24_200_000_000}
    assert result["capital"] == (103_333_334, 48_400_000_000)


async def test_found_44_figures_are_read_from_postgresql_as_from_the_log(
    open_world: OpenWorld,
) -> None:
    async with open_world() as world:
        await whole_life(world)
        stored, summed = open_history(), ModelHistory(world)
        async with world.stores.transactions.begin("look") as tx:
            accounts = sorted({leg.account for leg in await summed.balances(tx)})
            locked = [f"order:{one.id}:locked" for one in await _orders(world)]
            wanted = [*accounts, *locked, "pool:p1:capital", "order:nobody:locked"]
            assert await stored.flows(tx, wanted) == await summed.flows(tx, wanted)
        shown = await reading_of(world, stored).orders(None, "", 100)
        assert shown == await reading_of(world, summed).orders(None, "", 100)
        assert shown


async def _orders(world: World) -> list[Order]:
    async with world.stores.transactions.begin("orders") as tx:
        users = await world.stores.orders.users(tx, UserId(""), 100)
        found = [await world.stores.orders.orders_of(tx, u.id, OrderId(""), 100) for u in users]
    return [order for many in found for order in many]


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_process_that_crashes_all_the_time_ends_on_postgresql_in_the_same_state(
    open_world: OpenWorld, seed: int
) -> None:
    async with open_world() as world:
        world.crashing.chance = Rng(seed)
        result = await whole_life(world)
        assert world.parked == []
        assert world.books_balance()
        assert all(len(sent) == 1 for sent in world.provider.taken.values()), "paid twice"
        assert len(world.crashes) > 10
    assert result["paid"] == {"BTC": 51_666_666, "USDT": 24_200_000_000}
    assert result["capital"] == (103_333_334, 48_400_000_000)
