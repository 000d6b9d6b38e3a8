"""Quoting invariants 1 to 4 for any market, any inventory, any strategy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset, Rounding
from poolmaker.market.quoting.model import Inventory, MarketView, QuoteDecision
from poolmaker.market.quoting.rules import decide
from poolmaker.messages.market import QuoteGate, StrategySnapshot


@st.composite
def views(draw: st.DrawFn) -> MarketView:
    base = Asset("BASE", draw(st.integers(0, 18)))
    quote = Asset("QUOTE", draw(st.integers(0, 18)))
    market = Market(
        symbol="BASEQUOTE",
        base=base,
        quote=quote,
        tick_units=draw(st.integers(1, 10**9)),
        lot_units=draw(st.integers(1, 10**9)),
        quantity_min_lots=draw(st.integers(1, 10)),
        notional_min_units=draw(st.integers(0, 10**9)),
    )
    bid = draw(st.integers(1, 10**8))
    ask = bid + draw(st.integers(1, 10**4))
    lots = draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6))
    reference = bid * lots[1] + ask * lots[0]
    deep = bid - draw(st.integers(0, bid - 1)), ask + draw(st.integers(0, 10**4))
    return MarketView(market, bid, ask, *deep, reference, sum(lots), draw(st.integers(0, 5_000)))


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    base, quote = draw(st.integers(0, 10**24)), draw(st.integers(0, 10**24))
    return Inventory(base, quote, draw(st.integers(0, base)), draw(st.integers(0, quote)))


strategies = st.builds(
    StrategySnapshot,
    version=st.just(1),
    levels=st.integers(1, 8),
    spread_cbps=st.integers(1, 50_000),
    level_spacing_cbps=st.integers(0, 20_000),
    level_size_ppm=st.integers(1, 1_000_000),
    inventory_target_ppm=st.integers(0, 1_000_000),
    inventory_skew_cbps=st.integers(0, 50_000),
    inventory_band_ppm=st.integers(0, 1_000_000),
    spread_floor_cbps=st.integers(0, 50_000),
)


def prices(decision: QuoteDecision, side: Side) -> list[int]:
    return [quote.ticks for quote in decision.side(side).quotes]


@given(views(), inventories(), strategies)
def test_quoting_invariant_1_same_inputs_give_the_same_quotes(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot
) -> None:
    assert decide(view, inventory, strategy) == decide(view, inventory, strategy)


@given(views(), inventories(), strategies)
def test_quoting_invariant_3_no_quote_crosses_the_book_or_an_own_quote(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot
) -> None:
    decision = decide(view, inventory, strategy)
    bids, asks = prices(decision, Side.BUY), prices(decision, Side.SELL)
    assert all(0 < bid < view.ask_ticks and bid <= view.bid_depth_ticks + 1 for bid in bids)
    assert all(ask > view.bid_ticks and ask >= view.ask_depth_ticks - 1 for ask in asks)
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert not bids or not asks or bids[0] < asks[0]


@given(views(), inventories(), strategies)
def test_quoting_invariant_3_no_side_uses_more_than_it_may(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot
) -> None:
    decision = decide(view, inventory, strategy)
    market = view.market
    spent = sum(
        market.notional_units(quote.ticks, quote.lots, Rounding.UP)
        for quote in decision.bids.quotes
    )
    sold = sum(quote.lots * market.lot_units for quote in decision.asks.quotes)
    assert spent <= inventory.quote_usable_units
    assert sold <= inventory.base_usable_units


@given(views(), inventories(), strategies)
def test_quoting_invariant_2_quotes_stand_no_nearer_than_their_distance(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot
) -> None:
    """A bid is at or below its exact price and an ask at or above it, for any skew."""
    decision = decide(view, inventory, strategy)
    whole = 1_000_000
    lean = abs(decision.deviation_ppm) * strategy.inventory_skew_cbps // whole
    lean = -lean if decision.deviation_ppm > 0 else lean
    for side, sign in ((Side.BUY, -1), (Side.SELL, 1)):
        for quote in decision.side(side).quotes:
            distance = strategy.spread_cbps + quote.level * strategy.level_spacing_cbps
            exact = view.reference_ticks * (whole + sign * distance + lean)
            assert sign * (quote.ticks * view.reference_weight * whole - exact) >= 0


@given(views(), inventories(), strategies)
def test_quoting_invariant_4_a_silent_side_names_one_gate_and_a_quoting_side_none(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot
) -> None:
    decision = decide(view, inventory, strategy)
    for side in Side:
        quotes = decision.side(side)
        assert bool(quotes.quotes) == (quotes.gate is QuoteGate.NONE)


@given(views(), inventories(), strategies)
def test_every_quote_is_one_that_the_venue_takes(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot
) -> None:
    decision = decide(view, inventory, strategy)
    for quote in (*decision.bids.quotes, *decision.asks.quotes):
        assert view.market.accepts(quote.ticks, quote.lots)
