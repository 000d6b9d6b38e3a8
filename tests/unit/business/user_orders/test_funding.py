"""The saga that funds an order: every refusal, every change of mind."""

from __future__ import annotations

from poolmaker.business.user_orders.model import Declined, OrderRefusal
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import Amount
from tests.support.business import OUT, PRICE, USDT, World, config, model_world


async def _events(world: World, order: str) -> list[str]:
    view = await world.orders.view(order)  # type: ignore[arg-type]
    assert view is not None
    return [line.event for line in view.timeline]


async def test_more_than_is_available_closes_the_order_and_takes_nothing() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.until_state(await world.open(alice, 0, 1_000_001), "closed")
        assert order.reason == "insufficient"
        assert await world.available(alice) == (0, 1_000_000)


async def test_a_lock_of_both_assets_takes_both_or_none_l10() -> None:
    """L10: no leg of an order is ever stranded while the other failed."""
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", btc=100, usdt=10)
        await world.until_state(await world.open(alice, 100, 11), "closed")
        assert await world.available(alice) == (100, 10)


async def test_less_than_the_first_join_needs_is_refunded_with_its_reason() -> None:
    async with model_world() as world:
        await world.open_pool(config(first_join_min_units=1_000_000))
        alice = await world.user("alice", usdt=999_999)
        order = await world.until_state(await world.open(alice, 0, 999_999), "refunded")
        assert order.reason == "below_minimum"
        assert await world.available(alice) == (0, 999_999)
        assert await world.locked(order.id) == (0, 0)


async def test_a_stale_price_is_asked_again_with_a_new_barrier_and_a_new_key() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.price_age_us = 3 * SECOND_US
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.rest(10 * SECOND_US)
        assert (await world.order(order)).state == "funding"
        world.engine.price_age_us = 0
        await world.until_state(order, "in_mm")
        view = await world.orders.view(order)
        assert view is not None
        joined = next(line for line in view.timeline if line.event == "joined")
        attempt = int(joined.key.rpartition(":")[2])
        assert attempt > 0, "the attempt advanced only after stored refusals"


async def test_a_first_join_waits_for_a_usable_book() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.price = None
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.rest(10 * SECOND_US)
        world.engine.price = PRICE
        await world.until_state(order, "in_mm")
        assert "price_awaited" in await _events(world, order)


async def test_a_join_that_the_venue_cannot_cover_waits_until_the_money_is_there_l12() -> None:
    """L12: what other users hold at the venue never funds an order (ledger invariant 9)."""
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice")
        elsewhere = Amount(USDT, 1_000_000)
        await world.treasury.credit_deposit(alice, VenueAccountId("other"), elsewhere, "r1")
        order = await world.open(alice, 0, 1_000_000)
        await world.rest(MINUTE_US)
        assert (await world.order(order)).state == "funding"
        assert await world.capital() == (0, 0)
        await world.treasury.operator_in(VenueAccountId("main"), elsewhere, "r2")
        await world.until_state(order, "in_mm")


async def test_a_pause_before_the_join_keeps_the_funds_reserved() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.barriers = False
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.rest(5 * SECOND_US)
        await world.pause(alice, order)
        await world.until_state(order, "pause")
        assert await world.locked(order) == (0, 1_000_000)
        world.engine.barriers = True
        await world.resume(alice, order)
        await world.until_state(order, "in_mm")


async def test_a_pause_while_the_ledger_decides_joins_first_and_leaves_properly() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)

        async def joining() -> bool:
            view = await world.orders.view(order)
            return view is not None and view.step == "order.fund:joining"

        await world.until(joining)
        await world.pause(alice, order)
        await world.until_state(order, "pause")
        events = await _events(world, order)
        assert events.index("joined") < events.index("shares_burnt") < events.index("left")
        assert await world.locked(order) == (0, 1_000_000)


async def test_a_withdrawal_before_the_lock_is_decided_is_obeyed_after_it() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.withdraw(alice, order)
        await world.until_state(order, "closed")
        assert world.provider.paid("USDT") == 1_000_000
        assert "joined" not in await _events(world, order)


async def test_a_resume_that_the_pool_refuses_is_paused_again_and_not_refunded() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000_000)
        order = await world.open(alice, 0, 1_000_000)
        await world.until_state(order, "in_mm")
        await world.pause(alice, order)
        await world.until_state(order, "pause")
        await world.open_pool(config(first_join_min_units=2_000_000))
        await world.resume(alice, order)
        paused = await world.until_state(order, "pause")
        assert paused.reason == "below_minimum"
        assert await world.locked(order) == (0, 1_000_000)


async def test_a_paused_pool_takes_nobody_and_lets_everybody_out() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", btc=10, usdt=2_000_000)
        inside = await world.open(alice, 0, 1_000_000)
        await world.until_state(inside, "in_mm")
        waiting = await world.open(alice, 0, 500_000, key="second")
        await world.pools.pause(config().id, "the operator looks at something")
        await world.rest(30 * SECOND_US)
        assert (await world.order(waiting)).state == "funding"
        late = await world.orders.open_order(alice, config().id, 0, 1, "third")
        assert late == Declined(OrderRefusal.POOL_PAUSED)
        await world.pause(alice, inside)
        await world.until_state(inside, "pause")
        await world.pools.unpause(config().id)
        await world.until_state(waiting, "in_mm")


async def test_the_same_key_answers_the_same_order_and_another_content_is_a_conflict() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000_000)
        first = await world.orders.open_order(alice, config().id, 0, 10, "k")
        again = await world.orders.open_order(alice, config().id, 0, 10, "k")
        other = await world.orders.open_order(alice, config().id, 0, 11, "k")
        assert first == again
        assert other == Declined(OrderRefusal.SAME_KEY_DIFFERENT_CONTENT)
        assert len(await world.orders.orders_of(alice)) == 1


async def test_what_makes_no_sense_is_declined_and_changes_nothing() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000_000)
        bob = await world.user("bob")
        ask = world.orders.open_order
        pool = config().id
        assert await ask(alice, pool, 0, 0, "a") == Declined(OrderRefusal.BAD_AMOUNT)
        assert await ask(alice, pool, -1, 5, "b") == Declined(OrderRefusal.BAD_AMOUNT)
        assert await ask(alice, "no" + pool, 0, 5, "c") == Declined(OrderRefusal.UNKNOWN_POOL)  # type: ignore[arg-type]
        nobody = await ask("us_nobody", pool, 0, 5, "d")  # type: ignore[arg-type]
        assert nobody == Declined(OrderRefusal.UNKNOWN_USER)
        order = await world.open(alice, 0, 1_000_000)
        foreign = await world.orders.withdraw(bob, order, OUT, "e")
        assert foreign == Declined(OrderRefusal.UNKNOWN_ORDER)
        assert await world.orders.resume(alice, order, "f") == Declined(OrderRefusal.WRONG_STATE)
        half = await world.orders.withdraw(alice, order, OUT[:1], "g")
        assert half == Declined(OrderRefusal.DESTINATION_MISSING)
        assert await world.available(bob) == (0, 0)
