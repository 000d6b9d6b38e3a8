"""Orders that are paid from a Mixin wallet: two legs, a countdown, the way there and back."""

from __future__ import annotations

from poolmaker.business.treasury.model import Disposition, PaymentSettings
from poolmaker.business.user_orders.model import Declined, OrderRefusal, PayoutDestination
from poolmaker.business.user_orders.rules import intent_of, trace_of
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import OrderId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Amount
from tests.support.business import ACCOUNT, POOL, USDT, World, config, mixin_world, ways

MIXIN_USDT = "custody:mixin:usdt"


async def _step(world: World, order: OrderId) -> str:
    view = await world.orders.view(order)
    assert view is not None
    return view.step


async def test_an_order_waits_for_both_legs_is_funded_at_the_venue_and_joins() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 100, 50_000)
        assert {(leg.asset, leg.units) for leg in intent.legs} == {("BTC", 100), ("USDT", 50_000)}
        await world.pay(intent, BTC=100)
        await world.rest(MINUTE_US)
        assert await _step(world, intent.order) == "order.fund:awaiting_deposits"
        await world.pay(intent, USDT=50_000)
        await world.until_state(intent.order, "in_mm")
        assert await world.capital() == await world.custody() == (100, 50_000)
        assert await world.custody_at(MIXIN_USDT, "USDT") == 0
        assert world.books_balance()
        assert world.parked == []


async def test_a_withdrawal_without_a_destination_goes_back_to_the_wallet_through_mixin() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 100, 50_000)
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
        answer = await world.orders.withdraw(alice, intent.order, (), "out")
        assert not isinstance(answer, Declined), answer
        await world.until_state(intent.order, "closed")
        for row in await world.payouts_of(alice):
            assert (row.state, row.network, row.address) == ("done", "mixin", "alice-at-mixin")
            assert row.source == f"custody:mixin:{row.asset.lower()}"
        assert await world.custody() == (0, 0)
        balances = world.stores.writer.books.balances
        assert not [units for units in balances.values() if units]


async def test_traces_and_memos_are_pure_functions_of_the_order() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 100, 50_000)
        assert intent.id == intent_of(intent.order)
        assert all(leg.trace == trace_of(intent.id, leg.asset) for leg in intent.legs)
        assert await world.orders.deposit_intent(intent.order) == intent
        assert await world.orders.deposit_intent(OrderId("uo_other")) is None


async def test_a_payment_by_memo_counts_until_the_leg_is_paid() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        for reference, units in (("a", 400), ("b", 700)):
            told = await world.arrive("USDT", units, reference, memo=intent.memo, sender="w")
            assert told is Disposition.DEPOSIT
        more = await world.arrive("USDT", 5, "c", memo=intent.memo, sender="w")
        assert more is Disposition.REFUND
        await world.until_state(intent.order, "in_mm")
        # What was paid beyond the order stays the user's, free to use.
        assert await world.available(alice) == (0, 100)
        assert await world.capital() == (0, 1_000)


async def test_what_was_paid_too_little_comes_back_at_the_deadline() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent, USDT=999)
        order = await world.until_state(intent.order, "expired")
        (back,) = await world.payouts_of(alice)
        await world.until_withdrawal(back.id, "done")
        assert (back.units, back.source) == (999, MIXIN_USDT)
        assert back.correlation == order.correlation
        assert await world.custody_at(MIXIN_USDT, "USDT") == 0


async def test_an_order_without_any_deposit_expires_and_pays_nothing() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 5, 1_000)
        await world.until_state(intent.order, "expired")
        assert await world.payouts_of(alice) == []


async def test_a_user_who_leaves_before_he_has_paid_gets_back_what_came() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 5, 1_000)
        await world.pay(intent, BTC=5)
        await world.orders.withdraw(alice, intent.order, (), "out")
        await world.until_state(intent.order, "expired")
        (back,) = await world.payouts_of(alice)
        await world.until_withdrawal(back.id, "done")


async def test_mixin_pays_only_what_it_holds() -> None:
    async with mixin_world() as world:
        alice = await world.user("alice", usdt=1_000)
        order = await world.until_state(await world.open(alice, 0, 1_000), "in_mm")
        there = [
            PayoutDestination(asset=asset, network="solana", address="x")
            for asset in ("BTC", "USDT")
        ]
        answer = await world.orders.withdraw(alice, order.id, there, "k")
        assert answer == Declined(OrderRefusal.DESTINATION_REFUSED)


async def test_the_quoted_fees_are_the_platforms_once_each_way() -> None:
    fees = {"funding_fees": {"USDT": 10}, "exit_fees": {"USDT": 7, "BTC": 1_000}}
    async with mixin_world(**fees) as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 100, 50_000)
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
        assert await world.balance("platform:fees", "USDT") == 10
        await world.pause(alice, intent.order)
        await world.until_state(intent.order, "pause")
        await world.resume(alice, intent.order)
        await world.until_state(intent.order, "in_mm")
        assert await world.balance("platform:fees", "USDT") == 10
        await world.orders.withdraw(alice, intent.order, (), "out")

        async def charged() -> bool:
            return await world.balance("platform:fees", "USDT") == 17

        await world.until(charged)
        # Never more than there is.
        assert await world.balance("platform:fees", "BTC") == 100


STEPS = {"USDT": 100}
"""The register has two decimals more than the token's chain."""


def _carried(world: World) -> None:
    """From now on money moves between the places as the token's chain can hold it."""
    step = {"step_units": STEPS["USDT"]}
    world.places.ways = [*ways("BTC"), *ways("USDT", **step)]


async def test_what_trades_leave_beyond_the_tokens_decimals_is_dust_and_blocks_no_payout() -> None:
    """No transfer can bring it to Mixin: a payout of all of it would wait for cash for ever."""
    steps = {("USDT", "mixin"): 100, ("USDT", "TRON"): 100}
    async with mixin_world(steps=steps) as world:
        _carried(world)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 100, 50_000)
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
        await world.engine.fill(Side.SELL, 10, 5_012)
        await world.rest(MINUTE_US)
        await world.orders.withdraw(alice, intent.order, (), "out")
        await world.until_state(intent.order, "closed")
        paid = {(row.asset, row.units, row.state.value) for row in await world.payouts_of(alice)}
        assert paid == {("BTC", 90, "done"), ("USDT", 55_000, "done")}
        assert await world.balance("platform:fees", "USDT") == 12
        assert world.books_balance()
        assert world.parked == []


async def test_an_order_that_no_transfer_could_bring_to_the_venue_is_not_opened() -> None:
    settings = {"steps": {("USDT", "mixin"): 100}, "funding_fees": {"USDT": 1_000, "BTC": 5}}
    async with mixin_world(**settings) as world:
        alice = await world.wallet("alice")
        for number, (btc, usdt) in enumerate(((100, 50_012), (100, 1_000), (5, 50_000))):
            answer = await world.orders.open_order(
                alice, POOL, btc, usdt, f"{number}", by_mixin=True
            )
            assert answer == Declined(OrderRefusal.BAD_AMOUNT)
        await world.order_by_mixin(alice, 0, 50_000)


async def test_an_order_from_a_wallet_that_the_pool_refuses_goes_back_to_the_wallet_l13() -> None:
    """L13: every failed state has a way back; available money has none of its own."""
    async with mixin_world(exit_fees={"USDT": 10}) as world:
        await world.open_pool(config(first_join_min_units=2_000))
        world.places.ways = [*ways("BTC"), *ways("USDT", fee_units=10)]
        world.provider.fee_units = 0
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 100), "float")
        await world.pay(intent)
        order = await world.until_state(intent.order, "closed", "refunded")
        (back,) = await world.payouts_of(alice)
        assert (back.units, back.state, back.address) == (990, "done", "alice-at-mixin")
        assert order.reason == "below_minimum"
        assert await world.available(alice) == (0, 0)
        assert world.parked == []


async def test_what_rewards_made_available_follows_a_users_last_order_to_his_wallet() -> None:
    """Who has an open order keeps his rewards here; when no other came they stayed for ever."""
    async with mixin_world(leftover_min={"USDT": 100, "BTC": 100}) as world:
        alice = await world.wallet("alice")
        first = await world.order_by_mixin(alice, 100, 0, "first")
        second = await world.order_by_mixin(alice, 100, 0, "second")
        for intent in (first, second):
            await world.pay(intent)
            await world.until_state(intent.order, "in_mm")
        await world.treasury.credit_deposit(alice, ACCOUNT, Amount(USDT, 500), "as if a reward")
        await world.orders.withdraw(alice, first.order, (), "out 1")
        await world.until_state(first.order, "closed")
        assert await world.available(alice) == (0, 500)
        await world.orders.withdraw(alice, second.order, (), "out 2")
        await world.until_state(second.order, "closed")
        await world.rest(MINUTE_US)
        paid = sorted((row.asset, row.units, row.state) for row in await world.payouts_of(alice))
        assert paid == [("BTC", 100, "done"), ("BTC", 100, "done"), ("USDT", 500, "done")]
        assert world.books_balance()


async def test_a_deposit_whose_other_leg_was_used_for_another_order_goes_back_l10() -> None:
    """L10: what was credited for one order is the user's, so another of his may have taken it."""
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 50, 5_000)
        await world.pay(intent, USDT=5_000)
        await world.rest(1_000_000)
        other = await world.open(alice, 0, 5_000, "from the balance")
        await world.until_state(other, "in_mm")
        await world.pay(intent, BTC=50)
        order = await world.until_state(intent.order, "closed")
        assert order.reason == "insufficient"
        await world.rest(MINUTE_US)
        ends = {(row.asset, row.units, row.state.value) for row in await world.payouts_of(alice)}
        assert ends == {("BTC", 50, "done"), ("USDT", 5_000, "declined")}
        assert await world.available(alice) == (0, 0)
        assert await world.capital() == (0, 5_000)


async def _look(world: World) -> None:
    async def once() -> None:
        async with world.crashing.begin("looked") as tx:
            await world.rooms.reception.looked(tx, "custody:mixin", world.clock.now_us())

    await world.insist(once)


async def _look_for(world: World, seconds: int) -> None:
    until_us = world.clock.now_us() + seconds * SECOND_US
    while world.clock.now_us() < until_us:
        await _look(world)
        await world.rest(SECOND_US // 2)


async def _deadline(world: World, order: OrderId) -> int:
    intent = await world.orders.deposit_intent(order)
    assert intent is not None
    return intent.until_us


async def test_found_58_time_in_which_nobody_looked_is_not_the_users() -> None:
    """Platform down for 50 s of a countdown of 60: what is paid after it is still in time."""
    async with mixin_world(deposit_wait_us=60 * SECOND_US) as world:
        await _look(world)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        begun_us = await _deadline(world, intent.order)
        await _look_for(world, 5)
        await world.rest(50 * SECOND_US)
        await _look_for(world, 40)
        assert (await world.order(intent.order)).state == "created"
        assert await _deadline(world, intent.order) - begun_us >= 45 * SECOND_US
        await world.pay(intent)
        await _look_for(world, 30)
        assert (await world.order(intent.order)).state != "expired"


async def test_found_58_an_order_expires_only_when_what_was_paid_in_time_has_been_read() -> None:
    async with mixin_world(deposit_wait_us=60 * SECOND_US) as world:
        await _look(world)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await _look_for(world, 55)
        made_us = world.clock.now_us()
        await world.rest(20 * SECOND_US)
        assert (await world.order(intent.order)).state == "created", "nobody has looked since"
        # The first look after it reads what was paid in time, then says that it has looked.
        (leg,) = intent.legs
        await world.arrive(
            leg.asset, leg.units, "late", at_us=made_us, trace=leg.trace, sender="a-wallet"
        )
        await _look_for(world, 10)
        assert (await world.order(intent.order)).state != "expired"


async def test_found_58_the_last_seconds_before_the_deadline_are_read_before_it_counts() -> None:
    """A look shortly before the deadline has not seen what was paid after it, and in time."""
    async with mixin_world(deposit_wait_us=60 * SECOND_US) as world:
        await _look(world)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        deadline_us = await _deadline(world, intent.order)
        await _look_for(world, 50)
        while world.clock.now_us() < deadline_us + 2 * SECOND_US:
            if world.clock.now_us() < deadline_us - 2 * SECOND_US:
                await _look(world)
            world.clock.advance(SECOND_US // 10)
            await world.turn()
        assert (await world.order(intent.order)).state == "created"
        await world.pay(intent)
        await _look_for(world, 10)
        assert (await world.order(intent.order)).state != "expired"


async def test_found_58_who_does_not_pay_expires_all_the_same() -> None:
    async with mixin_world(deposit_wait_us=60 * SECOND_US) as world:
        await _look(world)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await _look_for(world, 75)
        assert (await world.order(intent.order)).state == "expired"


async def test_the_operators_own_wallet_funds_the_bot() -> None:
    treasury = PaymentSettings(operators=frozenset({"the-operator"}))
    async with mixin_world(treasury=treasury) as world:
        told = await world.arrive("USDT", 500, "own", sender="the-operator")
        assert told is Disposition.OPERATOR
        stranger = await world.arrive("USDT", 7, "other", sender="a-stranger")
        chain = await world.arrive(
            "USDT", 9, "chain", sender="the-operator", transaction_id="0x1", at_us=1
        )
        assert (stranger, chain) == (Disposition.REFUND, Disposition.SUSPENSE)
        await world.rest(MINUTE_US)
        assert await world.balance("platform:equity", "USDT") == 500


async def test_the_operator_pays_an_order_like_everybody() -> None:
    treasury = PaymentSettings(operators=frozenset({"a-wallet"}))
    async with mixin_world(treasury=treasury) as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
