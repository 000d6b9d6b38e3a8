"""The saga that lets an order out: draining, evidence, pause, payout."""

from __future__ import annotations

from poolmaker.business.user_orders.model import Declined, OrderRefusal, PayoutDestination
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.market import Side
from poolmaker.messages.market import BarrierWanted, CapitalSet, DrainLifted, DrainTo
from tests.support.business import BTC_OUT, World, config, model_world


async def _inside(world: World, name: str, btc: int, usdt: int) -> tuple[UserId, OrderId]:
    user = await world.user(name, btc=btc, usdt=usdt)
    order = await world.open(user, btc, usdt, key=f"open-{name}")
    await world.until_state(order, "in_mm")
    return user, order


async def test_the_engine_is_drained_before_the_barrier_and_let_go_after_the_new_capital() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, first = await _inside(world, "alice", 4_000, 2_000_000)
        await _inside(world, "bob", 4_000, 2_000_000)
        await world.rest(SECOND_US)
        world.engine.heard.clear()
        await world.pause(alice, first)
        await world.until_state(first, "pause")
        await world.rest(5 * SECOND_US)
        heard = world.engine.heard
        assert [type(message) for message in heard] == [
            DrainTo,
            BarrierWanted,
            CapitalSet,
            DrainLifted,
        ]
        assert (heard[0].staying, heard[0].issued) == (4_000_000 * 10**12, 8_000_000 * 10**12)  # type: ignore[union-attr]
        assert heard[2].version > 0  # type: ignore[union-attr]


async def test_nobody_leaves_while_the_engine_has_not_reduced_its_orders() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, order = await _inside(world, "alice", 4_000, 2_000_000)
        world.engine.drains = False
        await world.pause(alice, order)
        await world.rest(10 * MINUTE_US)
        assert (await world.order(order)).state == "in_mm"
        assert await world.capital() == (4_000, 2_000_000)


async def test_a_fill_before_the_barrier_is_the_leavers_too_and_one_after_is_not() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, first = await _inside(world, "alice", 1_000_000, 500_000_000)
        await _inside(world, "bob", 1_000_000, 500_000_000)
        await world.engine.fill(Side.SELL, 1_000_000, 700_000_000)
        await world.pause(alice, first)
        await world.until_state(first, "pause")
        await world.engine.fill(Side.BUY, 1_000_000, 100_000_000)
        await world.rest(5 * SECOND_US)
        assert await world.locked(first) == (500_000, 850_000_000)
        assert await world.capital() == (1_500_000, 750_000_000)


async def test_what_unknown_orders_may_still_take_is_paid_only_on_evidence() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, first = await _inside(world, "alice", 1_000_000, 500_000_000)
        await _inside(world, "bob", 1_000_000, 500_000_000)
        world.engine.at_risk.extend([(0, 100_000_000)] * 3)
        before_us = world.clock.now_us()
        await world.pause(alice, first)

        async def partly() -> bool:
            return (await world.locked(first))[1] > 0

        await world.until(partly)
        assert await world.locked(first) == (1_000_000, 400_000_000)
        assert (await world.order(first)).state == "in_mm"
        # The order of unknown outcome had been filled before the barrier: half of it is hers.
        await world.engine.fill(Side.BUY, 200_000, 100_000_000, at_us=before_us)
        await world.until_state(first, "pause")
        assert await world.locked(first) == (1_100_000, 450_000_000)


async def test_an_exit_that_is_at_risk_altogether_waits_and_loses_nothing() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, first = await _inside(world, "alice", 0, 500_000_000)
        await _inside(world, "bob", 0, 500_000_000)
        world.engine.at_risk.extend([(0, 900_000_000)] * 2)
        await world.pause(alice, first)
        await world.until_state(first, "pause")
        assert await world.locked(first) == (0, 500_000_000)


async def test_the_minimum_stay_is_waited_out_and_not_refused_to_the_user() -> None:
    async with model_world() as world:
        await world.open_pool(config(stay_min_us=10 * MINUTE_US))
        alice, order = await _inside(world, "alice", 0, 1_000_000)
        joined_us = (await world.order(order)).joined_at_us
        await world.pause(alice, order)
        await world.until_state(order, "pause")
        assert world.clock.now_us() >= joined_us + 10 * MINUTE_US


async def test_a_pause_under_way_becomes_a_withdrawal() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, order = await _inside(world, "alice", 4_000, 2_000_000)
        await world.pause(alice, order)
        await world.turn()
        await world.withdraw(alice, order)
        await world.until_state(order, "closed")
        assert (world.provider.paid("BTC"), world.provider.paid("USDT")) == (4_000, 2_000_000)
        assert await world.orders.pause(alice, order, "x") == Declined(OrderRefusal.WRONG_STATE)


async def test_the_last_leave_takes_everything_and_the_next_join_begins_an_epoch() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, first = await _inside(world, "alice", 3_333, 1_000_001)
        share = (await world.order(first)).share_asset
        await world.pause(alice, first)
        await world.until_state(first, "pause")
        assert await world.capital() == (0, 0)
        await world.resume(alice, first)
        after = await world.until_state(first, "in_mm")
        assert after.share_asset != share
        assert await world.capital() == (3_333, 1_000_001)


async def test_a_payout_that_the_venue_refuses_closes_the_order_and_leaves_the_money_l13() -> None:
    """L13: a payout that fails leaves its money with the user, who can ask again."""
    async with model_world() as world:
        await world.open_pool()
        alice, order = await _inside(world, "alice", 4_000, 2_000_000)
        world.provider.mood("BTC", "refuse")
        await world.withdraw(alice, order)
        closed = await world.until_state(order, "closed")
        assert "available" in closed.reason
        assert await world.available(alice) == (4_000, 0)
        assert world.provider.paid("USDT") == 2_000_000


async def test_a_destination_that_payouts_do_not_reach_is_declined_at_once() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, order = await _inside(world, "alice", 4_000, 2_000_000)
        elsewhere = PayoutDestination(asset="USDT", network="SOLANA", address="s")
        answer = await world.orders.withdraw(alice, order, (BTC_OUT, elsewhere), "k")
        assert answer == Declined(OrderRefusal.DESTINATION_REFUSED)
        assert (await world.order(order)).wish == "none"


async def test_the_story_of_an_order_names_the_ledger_keys_that_moved_its_money() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice, order = await _inside(world, "alice", 4_000, 2_000_000)
        await world.withdraw(alice, order)
        await world.until_state(order, "closed")
        view = await world.orders.view(order)
        assert view is not None
        assert [line.event for line in view.timeline] == [
            "opened",
            "lock_posted",
            "funding_started",
            "joined",
            "withdraw_wished",
            "shares_burnt",
            "left",
            "payout_started",
            "payout_ended",
        ]
        keys = [line.key for line in view.timeline if line.key]
        async with world.stores.transactions.begin("look") as tx:
            found = [await world.ledger.transaction(tx, key) for key in keys]  # type: ignore[arg-type]
        assert {one.kind for one in found if one is not None} == {
            "LOCK",
            "JOIN_POOL.v2",
            "LEAVE_POOL.v2",
            "SETTLE_EXIT",
            "UNLOCK",
        }
