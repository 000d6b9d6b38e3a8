"""Figures count what arrived; fees and rewards stand apart (found rows 44 and 45)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.app.figures import AssetRegistry, Valuation
from poolmaker.app.profits import Flows, OrderFlows, order_profit, pool_profit
from poolmaker.business.ledger.model import Flow
from poolmaker.business.user_orders.model import DepositIntent
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset, Ratio
from poolmaker.views.model import OrderView
from tests.support.business import World, mixin_world
from tests.support.figures import ModelHistory, reading_of

SCALES = AssetRegistry({"BTC": Asset("BTC", 8), "USDT": Asset("USDT", 6)})
WORTH = Valuation("BTC", "USDT", Ratio(500, 1))

UNITS = st.integers(0, 10**12)
AMOUNTS = st.fixed_dictionaries({"BTC": UNITS, "USDT": UNITS})
NOTHING: dict[str, int] = {}


def _flows(**parts: dict[str, int]) -> OrderFlows:
    names = ("locked", "unlocked", "charged", "has", "network_fees", "rewards")
    return OrderFlows(**{name: parts.get(name, NOTHING) for name in names})


def _trading(flows: OrderFlows, worth: Valuation = WORTH) -> Decimal | None:
    profit = order_profit(flows, worth, SCALES)
    return Decimal(profit.trading.amount) if profit.trading is not None else None


@settings(deadline=None)
@given(network_fees=AMOUNTS, rewards=AMOUNTS)
def test_found_44_where_nothing_arrived_nothing_is_gained_or_lost(
    network_fees: dict[str, int], rewards: dict[str, int]
) -> None:
    assert _trading(_flows(network_fees=network_fees, rewards=rewards)) == 0


@settings(deadline=None)
@given(locked=AMOUNTS, back=AMOUNTS, charged=AMOUNTS, fees=AMOUNTS)
def test_found_44_what_is_given_back_or_charged_is_no_loss_of_trading(
    locked: dict[str, int], back: dict[str, int], charged: dict[str, int], fees: dict[str, int]
) -> None:
    left = {asset: locked[asset] - min(locked[asset], back[asset]) for asset in locked}
    took = {asset: min(left[asset], charged[asset]) for asset in locked}
    flows = _flows(
        locked=locked,
        unlocked={asset: locked[asset] - left[asset] for asset in locked},
        charged=took,
        has={asset: left[asset] - took[asset] for asset in locked},
        network_fees=fees,
    )
    assert _trading(flows) == 0
    shown = {one.asset: one.amount for one in order_profit(flows, WORTH, SCALES).fees}
    for asset in locked:
        units = took[asset] + fees[asset]
        assert shown.get(asset, SCALES.text(asset, 0)) == SCALES.text(asset, units)


@settings(deadline=None)
@given(locked=AMOUNTS, has=AMOUNTS)
def test_found_45_trading_is_what_is_there_less_what_was_put_in_at_one_price(
    locked: dict[str, int], has: dict[str, int]
) -> None:
    units = (has["BTC"] - locked["BTC"]) * 500 + has["USDT"] - locked["USDT"]
    assert _trading(_flows(locked=locked, has=has)) == Decimal(units) / 10**6


def test_without_a_price_trading_is_not_known_and_fees_are() -> None:
    flows = _flows(locked={"BTC": 1}, has={"BTC": 1}, charged={"USDT": 2})
    profit = order_profit(flows, Valuation("BTC", "USDT", None), SCALES)
    assert profit.trading is None
    assert [one.amount for one in profit.fees] == ["0.000002"]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 10**9), st.integers(1, 10**12), UNITS), max_size=8
    )
)
def test_found_45_a_pools_trading_is_its_fills_at_mid_and_its_fees_stand_apart(
    fills: list[tuple[bool, int, int, int]],
) -> None:
    base = sum(b if buy else -b for buy, b, _, _ in fills)
    quote = sum(-q if buy else q for buy, _, q, _ in fills)
    fees = sum(fee for *_, fee in fills)
    account = "pool:p:capital"
    flows = Flows.of(
        [
            Flow(account, "FILL", "BTC", base),
            Flow(account, "FILL", "USDT", quote),
            Flow(account, "TRADE_FEE", "USDT", -fees),
            Flow(account, "JOIN_POOL", "USDT", 10**15),
        ]
    )
    profit = pool_profit(flows, account, WORTH, SCALES)
    assert profit.trading is not None
    assert Decimal(profit.trading.amount) == Decimal(base * 500 + quote) / 10**6
    assert [one.amount for one in profit.trade_fees] == (
        [SCALES.text("USDT", fees)] if fees else []
    )


# ------------------------------------------------------------------------- against a running world

EXIT_FEE = 2_000_000


async def _seen(world: World) -> dict[str, OrderView]:
    reading = reading_of(world, ModelHistory(world))
    return {order.user_name: order for order in await reading.orders(None, "", 100)}


def _zero(order: OrderView) -> bool:
    return order.result is not None and Decimal(order.result.amount) == 0


async def test_found_44_orders_unpaid_part_paid_and_refunded_show_no_loss() -> None:
    async with mixin_world(funding_fees={"USDT": 0}, exit_fees={"USDT": EXIT_FEE}) as world:
        unpaid, part, paid = [await world.wallet(name) for name in ("una", "pat", "pam")]
        await world.order_by_mixin(unpaid, 10_000_000, 7_730_000)
        half = await world.order_by_mixin(part, 0, 5_499_000_000)
        await world.pay(half, USDT=400_000_000)
        whole = await world.order_by_mixin(paid, 0, 1_000_000_000)
        orders = await _seen(world)
        assert all(_zero(order) for order in orders.values())
        assert [orders[name].deposited for name in ("una", "pat", "pam")] == [(), (), ()]
        assert [one.amount for one in orders["pat"].asked] == ["5499.000000"]
        await world.pay(whole)
        await world.until_state(whole.order, "in_mm")
        await world.until_state(half.order, "expired")
        await world.rest(5 * MINUTE_US)
        orders = await _seen(world)
        assert (orders["una"].state, orders["pat"].state) == ("EXPIRED", "EXPIRED")
        assert all(_zero(order) for order in orders.values())
        assert [one.amount for one in orders["pam"].deposited] == ["1000.000000"]


async def test_found_44_an_order_on_its_way_out_and_paid_shows_only_its_trading() -> None:
    """Every state between asking for the money and having it; the fee for the way stands apart."""
    async with mixin_world(exit_fees={"USDT": EXIT_FEE}) as world:
        pam = await world.wallet("pam")
        intent = await world.order_by_mixin(pam, 0, 1_000_000_000)
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
        await world.engine.fill(Side.BUY, 100_000, 49_000_000)
        await world.rest(MINUTE_US)
        gained = Decimal(100_000 * 500 - 49_000_000) / 10**6
        order = (await _seen(world))["pam"]
        assert order.result is not None
        assert Decimal(order.result.amount) == gained
        await world.orders.withdraw(pam, intent.order, (), "out")
        results = set()
        for _ in range(200):
            await world.turn()
            order = (await _seen(world))["pam"]
            assert order.result is not None
            results.add(Decimal(order.result.amount))
            if order.state == "CLOSED":
                break
            world.clock.advance(MINUTE_US // 60)
        assert order.state == "CLOSED"
        assert results == {gained}
        assert order.profit is not None
        assert ("USDT", "2.000000") in [(one.asset, one.amount) for one in order.profit.fees]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 2), st.integers(0, 10**8), st.integers(0, 10**9)),
        st.tuples(
            st.just("pay"), st.integers(0, 2), st.sampled_from([100, 100, 100, 37]), st.just(0)
        ),
        st.tuples(st.just("fill"), st.integers(0, 1), st.integers(1, 10**4), st.just(0)),
        st.tuples(
            st.sampled_from(["pause", "resume", "withdraw"]),
            st.integers(0, 2),
            st.just(0),
            st.just(0),
        ),
        st.tuples(st.just("wait"), st.integers(1, 40), st.just(0), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_found_44_at_one_price_no_order_ever_shows_a_gain_or_a_loss(
    steps: list[tuple[str, int, int, int]],
) -> None:
    """Whatever is opened, paid in part, filled at mid, paused or paid out: trading stays zero.

    A leave rounds down to whole units, which stay with those who hold on.
    """

    async def run() -> None:
        async with mixin_world(exit_fees={"USDT": EXIT_FEE}) as world:
            walk = Walk(world, [await world.wallet(f"user-{n}") for n in range(3)])
            for number, step in enumerate(steps):
                await walk.do(step, f"step-{number}")
                for order in (await _seen(world)).values():
                    assert order.result is not None
                    assert abs(Decimal(order.result.amount)) <= Decimal(5_000) / 10**6, order

    asyncio.run(run())


@dataclass
class Walk:
    """Three users, one order each at most, and a venue that fills at mid."""

    world: World
    users: list[UserId]
    made: dict[int, DepositIntent] = field(default_factory=dict)
    paid: set[int] = field(default_factory=set)

    async def do(self, step: tuple[str, int, int, int], key: str) -> None:
        name, who, one, other = step
        if name == "open" and who not in self.made and one + other:
            self.made[who] = await self.world.order_by_mixin(self.users[who], one, other, key)
        elif name == "pay" and who in self.made and who not in self.paid:
            await self._pay(who, one)
        elif name == "fill":
            await self._fill(one, sell=bool(who))
        elif name in ("pause", "resume") and who in self.made:
            wish = getattr(self.world.orders, name)
            await wish(self.users[who], self.made[who].order, key)
        elif name == "withdraw" and who in self.made:
            await self.world.orders.withdraw(self.users[who], self.made[who].order, (), key)
        elif name == "wait":
            self.world.clock.advance(who * MINUTE_US)
        for _ in range(12):
            await self.world.turn()
            self.world.clock.advance(SECOND_US)

    async def _pay(self, who: int, percent: int) -> None:
        self.paid.add(who)
        for leg in self.made[who].legs:
            units = leg.units * percent // 100
            if units:
                # Late or short: it is whatever the room makes of it.
                await self.world.arrive(
                    leg.asset, units, f"out-{leg.trace}", trace=leg.trace, sender="a-wallet"
                )

    async def _fill(self, units: int, *, sell: bool) -> None:
        base, quote = await self.world.capital()
        units = min(units, base if sell else quote // 500)
        if units:
            await self.world.engine.fill(Side.SELL if sell else Side.BUY, units, units * 500)
