"""What is not in the pool's ratio: it waits for prices, joins later, or goes back to its user."""

from __future__ import annotations

from typing import Any

import pytest

from poolmaker.business.user_orders.model import (
    FUND_TABLE,
    Accepted,
    Answer,
    Declined,
    FundData,
    FundEvent,
    FundState,
    Order,
    OrderRefusal,
    RequestedAction,
)
from poolmaker.business.user_orders.rules import is_remainder, take_back_refusal
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.market import Side
from poolmaker.messages.base import Money, Rate
from poolmaker.messages.market import BarrierWanted
from tests.support.business import ACCOUNT, OUT, PRICE, World, config, mixin_world, model_world

FINE = 10**12
SPOOFED = Rate(numerator=525, denominator=1)


async def _inside(world: World, name: str, btc: int, usdt: int) -> tuple[UserId, OrderId]:
    user = await world.user(name, btc, usdt)
    order = await world.open(user, btc, usdt)
    await world.until_state(order, "in_mm")
    return user, order


async def _part_inside(world: World) -> tuple[UserId, OrderId]:
    """Bob's order: 1,000 BTC and 500,000 USDT have joined, 700,000 USDT wait for a price."""
    await world.open_pool(config(taker_fee_ppm=0))
    await _inside(world, "alice", 1_000_000, 500_000_000)
    world.engine.spoofed_mid = SPOOFED
    bob = await world.user("bob", 1_000, 1_200_000)
    order = await world.open(bob, 1_000, 1_200_000)

    async def joined() -> bool:
        return (await world.order(order)).state == "in_mm"

    await world.until(joined)
    assert await world.locked(order) == (0, 700_000)
    return bob, order


async def _take_back(world: World, user: UserId, order: OrderId, key: str = "back") -> Answer:
    answer: Answer = await world.insist(lambda: world.orders.take_back(user, order, key))
    return answer


async def test_found_1_and_2_the_part_in_ratio_joins_and_the_excess_waits_for_prices() -> None:
    async with model_world() as world:
        _, order = await _part_inside(world)
        found = await world.order(order)
        assert (found.shares, found.child != "") == (1_000_000 * FINE, True)
        await world.rest(2 * MINUTE_US)
        assert await world.locked(order) == (0, 700_000)
        world.engine.spoofed_mid = None
        found = await world.until_state(order, "in_mm")
        assert await world.locked(order) == (0, 0)
        assert found.shares == 1_700_000 * FINE
        view = await world.orders.view(order)
        assert view is not None
        events = [line.event for line in view.timeline]
        assert events[3:] == ["joined", "part_joined", "price_awaited", "joined_more"]
        assert world.books_balance()


@pytest.mark.parametrize("why", ["missing", "thin", "stale"])
async def test_an_excess_waits_while_a_price_is_missing(why: str) -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        engine = world.engine
        if why == "missing":
            engine.price = None
        engine.thin, engine.price_age_us = why == "thin", 9 * SECOND_US * (why == "stale")
        bob = await world.user("bob", 0, 700_000)
        order = await world.open(bob, 0, 700_000)
        await world.rest(2 * MINUTE_US)
        assert (await world.order(order)).state == "funding"
        engine.price, engine.thin, engine.price_age_us = PRICE, False, 0
        await world.until_state(order, "in_mm")


async def test_a_waiting_excess_asks_for_barriers_ever_more_seldom() -> None:
    """Else one large excess would keep the depth prices of all others away for ever."""
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        world.engine.thin = True
        bob = await world.user("bob", 0, 10**12)
        await world.open(bob, 0, 10**12)
        await world.rest(MINUTE_US)
        world.engine.heard.clear()
        for _ in range(10):
            await world.rest(2 * MINUTE_US)
        wanted = [one for one in world.engine.heard if isinstance(one, BarrierWanted)]
        assert 3 <= len(wanted) <= 8
        assert {one.depths[0].excess_quote_units for one in wanted} == {10**12}


async def test_an_excess_is_taken_back_free_after_ten_minutes_and_not_before() -> None:
    async with model_world() as world:
        bob, order = await _part_inside(world)
        assert await _take_back(world, bob, order) == Declined(OrderRefusal.STILL_WAITING)
        await world.rest(10 * MINUTE_US)
        assert isinstance(await _take_back(world, bob, order), Accepted)
        found = await world.until_state(order, "in_mm")
        assert found.shares == 1_000_000 * FINE
        assert (found.wish, found.reason) == (RequestedAction.NONE, "")
        assert await world.available(bob) == (0, 700_000)
        assert await world.locked(order) == (0, 0)
        assert await _take_back(world, bob, order, "again") == Declined(OrderRefusal.WRONG_STATE)
        # And he leaves as everybody does.
        await world.pause(bob, order)
        await world.until_state(order, "pause")
        assert world.books_balance()


async def test_an_excess_that_is_the_whole_order_is_taken_back_too() -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        world.engine.spoofed_mid = SPOOFED
        bob = await world.user("bob", 0, 700_000)
        order = await world.open(bob, 0, 700_000)
        await world.rest(11 * MINUTE_US)
        assert isinstance(await _take_back(world, bob, order), Accepted)
        found = await world.until_state(order, "refunded")
        assert found.reason == "the user took it back"
        assert await world.available(bob) == (0, 700_000)


async def test_an_excess_that_came_from_a_wallet_goes_back_there_without_a_fee() -> None:
    async with mixin_world(exit_fees={"USDT": 50_000}) as world:
        await _inside(world, "alice", 1_000_000, 500_000_000)
        world.engine.spoofed_mid = SPOOFED
        bob = await world.wallet("bob")
        intent = await world.order_by_mixin(bob, 1_000, 1_200_000)
        await world.pay(intent)

        async def joined() -> bool:
            return (await world.order(intent.order)).state == "in_mm"

        await world.until(joined)
        assert await world.locked(intent.order) == (0, 700_000)
        await world.rest(10 * MINUTE_US)
        assert isinstance(await _take_back(world, bob, intent.order), Accepted)

        async def asked() -> bool:
            return bool(await world.payouts_of(bob))

        await world.until(asked)
        (payout,) = await world.payouts_of(bob)
        assert (payout.units, payout.address) == (700_000, "bob-at-mixin")


async def test_a_pause_takes_out_what_has_joined_and_keeps_the_waiting_excess_reserved() -> None:
    """No leave and no pause waits for a price."""
    async with model_world() as world:
        bob, order = await _part_inside(world)
        await world.pause(bob, order)
        found = await world.until_state(order, "pause")
        base, quote = await world.locked(order)
        assert (base, quote) == (1_000, 1_200_000)
        assert found.shares == 0
        world.engine.spoofed_mid = None
        await world.resume(bob, order)
        found = await world.until_state(order, "in_mm")
        assert await world.locked(order) == (0, 0)


async def test_a_withdrawal_pays_what_has_joined_and_what_waits() -> None:
    async with model_world() as world:
        bob, order = await _part_inside(world)
        answer = await world.insist(lambda: world.orders.withdraw(bob, order, OUT, "out"))
        assert isinstance(answer, Accepted)
        await world.until_state(order, "closed")
        assert world.provider.paid("USDT") == 1_200_000
        assert world.provider.paid("BTC") == 1_000


async def test_a_remainder_goes_back_at_once() -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        world.engine.spoofed_mid = SPOOFED
        bob = await world.user("bob", 10_000, 5_000_005)
        order = await world.open(bob, 10_000, 5_000_005)
        found = await world.until_state(order, "in_mm")
        assert found.shares == 10_000_000 * FINE
        assert await world.available(bob) == (0, 5)


async def test_found_5_a_fill_told_late_is_not_shared_with_who_joined_after_it() -> None:
    """An UNKNOWN buy at the barrier: the join waits until evidence says what became of it."""
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        await _inside(world, "alice", 0, 1_000)
        before_us = world.clock.now_us()
        # Alice's order to buy 1 for 500 was sent; then the price doubles.
        world.engine.at_risk.extend([(0, 500)] * 3)
        world.engine.price = Rate(numerator=1_000, denominator=1)
        bob = await world.user("bob", 0, 1_000)
        order = await world.open(bob, 0, 1_000)
        await world.rest(2 * SECOND_US)
        assert (await world.order(order)).state == "funding"
        await world.engine.fill(Side.BUY, 1, 500, at_us=before_us)
        found = await world.until_state(order, "in_mm")
        # The pool was worth 1,500 when he brought 1,000: two fifths, and not a half.
        assert await world.capital() == (1, 1_500)
        assert found.shares <= 1_000 * FINE * 1_000 // 1_500


async def test_found_6_a_fee_without_a_price_holds_the_exit_and_the_leaver_bears_it() -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        alice, first = await _inside(world, "alice", 1_000_000, 500_000_000)
        await _inside(world, "bob", 1_000_000, 500_000_000)
        sold_us = world.clock.now_us()
        await world.engine.fill(Side.BUY, 1, 500)
        await world.engine.fill(Side.SELL, 1, 1_500)
        world.engine.unpriced_fees.extend([1_000_000] * 4)
        await world.pause(alice, first)

        async def partly() -> bool:
            return (await world.locked(first))[0] > 0

        await world.until(partly)
        # All but the most that the fee may cost is paid at once.
        assert await world.locked(first) == (1_000_000, 499_000_500)
        assert (await world.order(first)).state == "in_mm"
        fee, rate = Money(asset="BNB", units=100), Rate(numerator=200, denominator=1)
        await world.engine.fee(fee, rate, sold_us)
        await world.until_state(first, "pause")
        # Half of a fee that cost 20,000.
        assert await world.locked(first) == (1_000_000, 500_000_500 - 10_000)


async def test_no_payout_waits_for_the_price_of_a_fee_for_ever() -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        alice, first = await _inside(world, "alice", 1_000_000, 500_000_000)
        await _inside(world, "bob", 1_000_000, 500_000_000)
        world.engine.unpriced_fees.extend([1_000_000] * 10_000)
        await world.pause(alice, first)
        await world.rest(9 * MINUTE_US)
        assert (await world.order(first)).state == "in_mm"
        await world.until_state(first, "pause")
        assert await world.locked(first) == (1_000_000, 500_000_000)


async def test_nobody_joins_while_a_fee_has_no_price() -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        world.engine.unpriced_fees.extend([7] * 3)
        _, order = await _inside(world, "bob", 1_000, 500_000)
        view = await world.orders.view(order)
        assert view is not None
        key = next(line.key for line in view.timeline if line.event == "joined")
        assert key.endswith("join:3")


async def test_an_order_may_name_the_least_shares_it_accepts() -> None:
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0, join_cost_cbps=10_000))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        bob = await world.user("bob", 0, 2_000_000)

        async def opened(least: int, key: str) -> Answer:
            return await world.orders.open_order(
                bob, config().id, 0, 1_000_000, key, shares_min=least
            )

        dear = await world.insist(lambda: opened(1_000_000 * FINE, "dear"))
        fair = await world.insist(lambda: opened(990_000 * FINE, "fair"))
        assert isinstance(dear, Accepted)
        assert isinstance(fair, Accepted)
        assert (await world.insist(lambda: opened(5, "fair"))) == Declined(
            OrderRefusal.SAME_KEY_DIFFERENT_CONTENT
        )
        await world.until_state(fair.order, "in_mm")
        await world.rest(2 * MINUTE_US)
        waiting = await world.order(dear.order)
        assert (waiting.state, waiting.reason) == ("funding", "below_least_shares")
        assert await world.locked(dear.order) == (0, 1_000_000)


async def test_an_order_below_the_minimum_is_refused_or_given_back() -> None:
    async with model_world() as world:
        await world.open_pool(config(order_min_units=1_000_000, taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        bob = await world.user("bob", 1_999, 999_999)
        said = await world.insist(
            lambda: world.orders.open_order(bob, config().id, 0, 999_999, "small")
        )
        assert said == Declined(OrderRefusal.BELOW_MINIMUM)
        order = await world.open(bob, 1_999, 0, "base")
        found = await world.until_state(order, "refunded")
        assert found.reason == "below_minimum"


async def test_a_user_who_left_cools_off_before_the_next_join() -> None:
    async with model_world() as world:
        await world.open_pool(config(cool_off_us=10 * MINUTE_US, taker_fee_ppm=0))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        bob, order = await _inside(world, "bob", 1_000, 500_000)
        await world.pause(bob, order)
        await world.until_state(order, "pause")
        left_us = world.clock.now_us()
        await world.resume(bob, order)
        await world.until_state(order, "in_mm")
        assert world.clock.now_us() - left_us >= 9 * MINUTE_US


def test_when_what_waits_may_be_taken_back() -> None:
    """Every state of a funding: only where a price was waited for, and long enough."""
    order = Order(
        id=OrderId("o"),
        user=UserId("u"),
        pool=config().id,
        account=ACCOUNT,
        base=Money(asset="BTC", units=0),
        quote=Money(asset="USDT", units=1),
        created_us=1,
    )
    waiting = FundData(order=order.id, price_since_us=100)
    for state in FundState:
        said = take_back_refusal(order, state, waiting, 100)
        able = FUND_TABLE.next(state, FundEvent.GIVE_BACK) is not None
        assert (said is None) == able
        if able:
            assert take_back_refusal(order, state, waiting, 99) is OrderRefusal.STILL_WAITING
            fresh = FundData(order=order.id)
            assert take_back_refusal(order, state, fresh, 100) is OrderRefusal.WRONG_STATE
    assert take_back_refusal(order, None, None, 100) is OrderRefusal.WRONG_STATE


def test_a_remainder_is_an_atomic_unit_or_a_millionth() -> None:
    assert is_remainder(0, 0)
    assert is_remainder(10, 1)
    assert not is_remainder(10, 2)
    assert is_remainder(3_000_000, 3)
    assert not is_remainder(3_000_000, 4)


ODD_RATES = [0, -500, 10**39]


@pytest.mark.parametrize("numerator", ODD_RATES)
async def test_a_price_that_makes_no_sense_keeps_nobody_in_and_prices_nothing(
    numerator: int,
) -> None:
    """An engine's odd number is as no price: who is in leaves, and what needs none joins."""
    async with model_world() as world:
        await world.open_pool(config(taker_fee_ppm=0))
        alice, inside = await _inside(world, "alice", 1_000_000, 500_000_000)
        world.engine.spoofed_mid = Rate(numerator=numerator, denominator=1)
        bob = await world.user("bob", 1_000, 1_200_000)
        order = await world.open(bob, 1_000, 1_200_000)

        async def joined() -> bool:
            return (await world.order(order)).state == "in_mm"

        await world.until(joined)
        assert await world.locked(order) == (0, 700_000)
        await world.pause(alice, inside)
        await world.until_state(inside, "pause")
        await world.rest(11 * MINUTE_US)
        assert isinstance(await _take_back(world, bob, order), Accepted)
        await world.until_state(order, "in_mm")
        assert await world.available(bob) == (0, 700_000)
        assert world.books_balance()


@pytest.mark.parametrize("bound", ["order_max_units", "capacity_units"])
async def test_what_would_hold_more_than_the_pool_allows_goes_back_and_the_bound_itself_joins(
    bound: str,
) -> None:
    """Alice and Bob bring the same: the pool's capacity is twice the most of one order."""
    most = 1_000_000_000
    async with model_world() as world:
        terms: dict[str, Any] = {bound: most * (1 if bound == "order_max_units" else 2)}
        await world.open_pool(config(taker_fee_ppm=0, **terms))
        await _inside(world, "alice", 1_000_000, 500_000_000)
        await _inside(world, "bob", 1_000_000, 500_000_000)
        carol = await world.user("carol", 1_001_000, 500_500_000)
        order = await world.open(carol, 1_001_000, 500_500_000)
        found = await world.until_state(order, "refunded")
        assert found.reason == "above_maximum"
        assert await world.available(carol) == (1_001_000, 500_500_000)
        assert world.books_balance()
