"""Facts into the ledger, capital to the engine, barriers to whoever waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolmaker.bus.ports import NewEvent
from poolmaker.business.pools.service import CONSUMER
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Amount, Asset
from poolmaker.messages.base import Money, Rate
from poolmaker.messages.market import (
    VENUE_SCALE,
    BarrierWanted,
    CapitalSet,
    StartQuoting,
    StopQuoting,
    StrategySnapshot,
    account_stream,
    engine_stream,
)
from tests.support.business import ACCOUNT, BNB, POOL, World, config, model_world


async def _started(world: World) -> None:
    await world.open_pool()
    alice = await world.user("alice", btc=1_000_000, usdt=500_000_000)
    await world.until_state(await world.open(alice, 1_000_000, 500_000_000), "in_mm")
    await world.rest(SECOND_US)


def _capitals(world: World) -> list[CapitalSet]:
    return [one for one in world.engine.heard if isinstance(one, CapitalSet)]


async def test_the_engine_hears_of_a_pool_before_its_first_join_and_of_its_end() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=500_000_000)
        await world.rest(SECOND_US)
        assert world.engine.heard == []
        order = await world.open(alice, 0, 500_000_000)
        await world.until_state(order, "in_mm")
        await world.rest(SECOND_US)
        kinds = [type(one).__name__ for one in world.engine.heard]
        assert kinds == ["StartQuoting", "BarrierWanted", "CapitalSet"]
        await world.pause(alice, order)
        await world.until_state(order, "pause")
        await world.rest(SECOND_US)
        assert any(isinstance(one, StopQuoting) for one in world.engine.heard)
        await world.resume(alice, order)
        await world.until_state(order, "in_mm")
        starts = [one for one in world.engine.heard if isinstance(one, StartQuoting)]
        assert [one.version for one in starts] == [1, 2]


async def test_capital_names_the_stream_position_that_it_includes() -> None:
    async with model_world() as world:
        await _started(world)
        before = _capitals(world)[-1]
        fee = Money(asset="USDT", units=49_000)
        await world.engine.fill(Side.BUY, 100_000, 49_000_000, fee=fee)
        await world.rest(SECOND_US)
        after = _capitals(world)[-1]
        assert after.version > before.version
        assert after.includes_stream_seq == world.engine.facts_seq
        assert (after.base_units, after.quote_units) == (1_100_000, 450_951_000)
        assert await world.capital() == (1_100_000, 450_951_000)


async def test_a_burst_of_facts_is_told_to_the_engine_once_per_batch() -> None:
    async with model_world() as world:
        await _started(world)
        heard = len(_capitals(world))
        for _ in range(100):
            await world.engine.fill(Side.SELL, 100, 51_000)
        await world.rest(SECOND_US)
        assert len(_capitals(world)) - heard <= 3
        assert await world.capital() == (990_000, 505_100_000)


async def test_a_fee_in_a_third_asset_is_recharged_in_quote_at_its_stored_price() -> None:
    async with model_world() as world:
        await _started(world)
        await world.treasury.operator_in(ACCOUNT, Amount(BNB, 1_000), "bnb")
        await world.treasury.trade_float(Amount(BNB, 1_000), "float", into_float=True)
        fee, rate = Money(asset="BNB", units=10), Rate(numerator=3, denominator=1)
        await world.engine.fill(Side.SELL, 100, 51_000, fee=fee, rate=rate)
        await world.rest(SECOND_US)
        assert await world.balance("platform:fee_float", "BNB") == 990
        assert await world.balance("platform:fee_float", "USDT") == 30
        assert await world.capital() == (999_900, 500_050_970)


async def test_a_fee_that_nobody_can_price_waits_in_suspense_and_holds_up_nothing() -> None:
    async with model_world() as world:
        await _started(world)
        await world.treasury.operator_in(ACCOUNT, Amount(BNB, 1_000), "bnb")
        await world.engine.fill(Side.SELL, 100, 51_000, fee=Money(asset="BNB", units=10))
        await world.engine.fill(Side.SELL, 100, 51_000)
        await world.rest(SECOND_US)
        assert await world.capital() == (999_800, 500_102_000)
        assert _capitals(world)[-1].includes_stream_seq == world.engine.facts_seq
        assert world.books_balance()


async def test_found_11_a_fee_in_an_unregistered_asset_is_booked_and_holds_up_nothing() -> None:
    """Found row 11: the asset is registered as the venue names it, the fee booked as a fact."""
    async with model_world() as world:
        await _started(world)
        fee, rate = Money(asset="KCS", units=10), Rate(numerator=3, denominator=1)
        await world.engine.fill(Side.SELL, 100, 51_000, fee=fee, rate=rate)
        strange = Money(asset="utf8.e5b881", units=7)
        await world.engine.fill(Side.SELL, 100, 51_000, fee=strange)
        await world.engine.fill(Side.SELL, 100, 51_000)
        await world.rest(SECOND_US)
        assert await world.capital() == (999_700, 500_152_970)
        assert _capitals(world)[-1].includes_stream_seq == world.engine.facts_seq
        assert world.stores.writer.books.assets["KCS"] == Asset("KCS", VENUE_SCALE)
        assert world.books_balance()


async def test_a_rebate_makes_the_pool_richer() -> None:
    async with model_world() as world:
        await _started(world)
        await world.engine.fill(Side.SELL, 100, 51_000, fee=Money(asset="USDT", units=-25))
        await world.rest(SECOND_US)
        assert await world.capital() == (999_900, 500_051_025)


async def test_a_fill_that_is_no_pools_is_booked_and_changes_no_pool() -> None:
    async with model_world() as world:
        await _started(world)
        custody = await world.custody()
        await world.engine.fill(Side.BUY, 100, 50_000, pool=PoolId(""))
        await world.rest(SECOND_US)
        assert await world.capital() == (1_000_000, 500_000_000)
        assert await world.custody() == (custody[0] + 100, custody[1] - 50_000)


async def test_many_who_wait_share_one_barrier() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.barriers = False
        orders = []
        for at in range(5):
            user = await world.user(f"user{at}", usdt=1_000_000)
            orders.append(await world.open(user, 0, 1_000_000))
        first = await world.user("first", usdt=1_000_000)
        await world.open(first, 0, 1_000_000)
        await world.rest(5 * SECOND_US)
        wanted = {one.barrier_id for one in world.engine.heard if isinstance(one, BarrierWanted)}
        assert len(wanted) == 1


async def test_a_barrier_that_does_not_come_is_asked_again_under_its_old_id() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.barriers = False
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.rest(70 * SECOND_US)
        wanted = [one.barrier_id for one in world.engine.heard if isinstance(one, BarrierWanted)]
        assert len(wanted) >= 2
        assert len(set(wanted)) == 1
        world.engine.barriers = True
        await world.until_state(order, "in_mm")


async def test_positions_are_those_of_the_ledger_and_surplus_is_what_nobody_claims() -> None:
    async with model_world() as world:
        await _started(world)
        await world.user("bob", usdt=77)
        await world.engine.fill(Side.BUY, 100_000, 49_000_000)
        await world.rest(SECOND_US)
        async with world.stores.transactions.begin("look") as tx:
            pool = await world.pools.pool(tx, POOL)
            surplus = await world.pools.surplus(tx, ACCOUNT, "USDT")
        assert pool is not None
        assert (pool.base_units, pool.quote_units) == await world.capital()
        assert pool.issued == 1_000_000_000 * 10**12
        assert surplus == 77


async def test_a_changed_strategy_is_told_to_the_engine_at_once_and_a_pause_stops_it() -> None:
    async with model_world() as world:
        await _started(world)
        await world.open_pool(replace(config(), strategy=StrategySnapshot(version=2, levels=1)))
        await world.pools.pause(POOL, "the operator looks at something")
        await world.rest(SECOND_US)
        told = [one for one in world.engine.heard if isinstance(one, StartQuoting | StopQuoting)]
        assert [type(one) for one in told] == [StartQuoting, StartQuoting, StopQuoting]
        assert isinstance(told[1], StartQuoting)
        assert (told[1].strategy.levels, told[1].version) == (1, 2)


async def test_a_pump_that_finds_nothing_writes_nothing() -> None:
    async with model_world() as world:
        await _started(world)
        commits = world.crashing.commits
        for _ in range(10):
            assert await world.pools.pump() == 0
        assert world.crashing.commits == commits


JUNK = Money(asset="X", units=1)
"""A message that no reader of these streams knows."""


async def _junk(world: World, stream: str) -> None:
    async with world.stores.transactions.begin("junk") as tx:
        event = NewEvent(key=f"junk {world.clock.now_us()}", message=JUNK, occurred_at_us=1)
        await world.stores.bus.append(tx, stream, [event], 1)


async def _letters(world: World) -> list[tuple[str, int]]:
    async with world.stores.transactions.begin("letters") as tx:
        return [(one.stream, one.seq) for one in await world.stores.bus.letters(tx, 10)]


@pytest.mark.parametrize("stream", [account_stream(ACCOUNT), engine_stream(ACCOUNT)])
async def test_found_12_an_event_that_cannot_be_read_stops_its_stream_and_the_pump_goes_on(
    stream: str,
) -> None:
    async with model_world() as world:
        await _started(world)
        await _junk(world, stream)
        await world.rest(SECOND_US)
        ((stopped, seq),) = await _letters(world)
        assert stopped == stream
        # Money still moves: the ledger's log and all sagas are not touched.
        bob = await world.user("bob", usdt=10_000_000)
        assert await world.available(bob) == (0, 10_000_000)
        async with world.stores.transactions.begin("ask") as tx:
            assert await world.stores.bus.ask_skip(tx, CONSUMER, stream, seq, "olga", "junk")
        world.clock.advance(SECOND_US)
        await world.rest(2 * SECOND_US)
        assert await _letters(world) == []
        order = await world.open(bob, 0, 10_000_000)
        await world.until_state(order, "in_mm")
        await world.engine.fill(Side.BUY, 1_000, 490_000)
        await world.rest(SECOND_US)
        assert await world.capital() == (1_001_000, 509_510_000)


async def test_a_barrier_that_does_not_come_needs_a_person() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.barriers = False
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.rest(4 * MINUTE_US)
        assert await world.pools.attention() == []
        await world.rest(2 * MINUTE_US)
        (item,) = await world.pools.attention()
        assert (item.kind, item.subject, item.blocks) == (
            "barrier_missing",
            ACCOUNT,
            ("join", "leave"),
        )
        assert item.since_us < world.clock.now_us() - 5 * MINUTE_US
        world.engine.barriers = True
        await world.until_state(order, "in_mm")
        assert await world.pools.attention() == []


async def test_found_12_an_account_that_cannot_be_coordinated_is_reported_and_stops_nothing() -> (
    None
):
    async with model_world() as world:
        await _started(world)

        async def broken(account: VenueAccountId) -> int:
            raise InvariantBroken(f"{account}: two tickets of one saga")

        world.pools.coordinate = broken  # type: ignore[method-assign]
        await world.engine.fill(Side.BUY, 1_000, 490_000)
        await world.rest(SECOND_US)
        assert await world.capital() == (1_001_000, 499_510_000)
        (item,) = await world.pools.attention()
        assert (item.kind, item.subject) == ("not_coordinated", ACCOUNT)
        assert "two tickets" in item.evidence["error"]
        del world.pools.coordinate
        await world.engine.fill(Side.BUY, 1_000, 490_000)
        await world.rest(SECOND_US)
        assert await world.pools.attention() == []
