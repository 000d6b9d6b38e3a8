"""Laws of prices and quantities: ticks and lots, rounding that never narrows a spread."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Amount, Asset, Rounding

TICKS = st.integers(1, 10**12)
LOTS = st.integers(0, 10**12)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    base = Asset("BTC", draw(st.integers(0, 18)))
    quote = Asset("USDT", draw(st.integers(0, 18)))
    return Market(
        "BTC/USDT",
        base,
        quote,
        tick_units=draw(st.integers(1, 10**6)),
        lot_units=draw(st.integers(1, 10**6)),
        quantity_min_lots=draw(st.integers(1, 100)),
        notional_min_units=draw(st.integers(0, 10**9)),
    )


@given(markets(), TICKS)
def test_a_price_is_its_text(market: Market, ticks: int) -> None:
    price = market.price(ticks)
    assert market.price_of(price.decimal()) == price


@given(markets(), LOTS)
def test_a_quantity_is_its_text_and_its_amount(market: Market, lots: int) -> None:
    quantity = market.quantity(lots)
    assert market.quantity_of(quantity.decimal()) == quantity
    assert quantity.amount == Amount(market.base, lots * market.lot_units)


@given(markets(), st.integers(1, 10**18), st.sampled_from(Side))
def test_bids_round_down_and_asks_round_up_by_less_than_a_tick(
    market: Market, units: int, side: Side
) -> None:
    if side is Side.BUY and units < market.tick_units:
        with pytest.raises(PreconditionError):
            market.price_near(units, side)
        return
    rounded = market.price_near(units, side).ticks * market.tick_units
    if side is Side.BUY:
        assert rounded <= units < rounded + market.tick_units
    else:
        assert rounded - market.tick_units < units <= rounded


@given(markets(), st.integers(-(10**18), 10**18))
def test_a_quantity_within_is_the_largest_that_is_covered(market: Market, units: int) -> None:
    quantity = market.quantity_within(units)
    assert quantity.amount.units <= max(0, units) < quantity.amount.units + market.lot_units


@given(markets(), TICKS, LOTS, st.sampled_from(Rounding))
def test_the_notional_is_exact_up_to_the_named_rounding(
    market: Market, ticks: int, lots: int, rounding: Rounding
) -> None:
    exact = Fraction(ticks * market.tick_units * lots * market.lot_units, market.base.one)
    amount = market.notional(market.price(ticks), market.quantity(lots), rounding)
    assert amount.asset == market.quote
    if rounding is Rounding.DOWN:
        assert amount.units <= exact < amount.units + 1
    else:
        assert amount.units - 1 < exact <= amount.units
    ratio = market.price(ticks).ratio
    assert ratio.of(lots * market.lot_units, rounding) == amount.units


@given(markets(), TICKS, st.integers(1, 10**9))
def test_an_order_of_a_refused_size_is_refused_at_any_smaller_size(
    market: Market, ticks: int, lots: int
) -> None:
    if not market.accepts(ticks, lots):
        assert not market.accepts(ticks, lots - 1)
    else:
        assert market.accepts(ticks, lots + 1)
        assert market.accepts(ticks + 1, lots)


def test_a_text_between_ticks_or_lots_is_refused() -> None:
    market = Market("BTC/USDT", Asset("BTC", 8), Asset("USDT", 6), tick_units=10_000, lot_units=10)
    assert market.price_of("65000.01").ticks == 6_500_001
    for text in ("65000.015", "0", "-1"):
        with pytest.raises(PreconditionError):
            market.price_of(text)
    for text in ("0.00000011", "-0.0000001"):
        with pytest.raises(PreconditionError):
            market.quantity_of(text)


@pytest.mark.parametrize("ticks", [0, -1, 1.0, True, "1"])
def test_a_price_is_a_positive_int_of_ticks(ticks: object) -> None:
    """Row P12: a zero or not-a-number price is refused everywhere."""
    market = Market("BTC/USDT", Asset("BTC", 8), Asset("USDT", 6), tick_units=1, lot_units=1)
    with pytest.raises(PreconditionError):
        market.price(ticks)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tick_units", "lot_units", "quantity_min_lots"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_a_market_has_positive_int_rules(name: str, value: object) -> None:
    rules: dict[str, object] = {"tick_units": 1, "lot_units": 1, "quantity_min_lots": 1}
    rules[name] = value
    with pytest.raises(PreconditionError):
        Market("X", Asset("A", 1), Asset("B", 1), **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, 1.5, True])
def test_the_smallest_notional_is_an_int_of_zero_or_more(value: object) -> None:
    with pytest.raises(PreconditionError):
        Market("X", Asset("A", 1), Asset("B", 1), 1, 1, 1, value)  # type: ignore[arg-type]


def test_a_market_has_two_assets_and_its_prices_stay_in_it() -> None:
    one, other = Asset("A", 1), Asset("B", 1)
    with pytest.raises(PreconditionError):
        Market("A/A", one, one, 1, 1)
    here, there = Market("A/B", one, other, 1, 1), Market("B/A", other, one, 1, 1)
    with pytest.raises(PreconditionError):
        here.notional(here.price(1), there.quantity(1), Rounding.DOWN)


def test_sides_are_opposite() -> None:
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
