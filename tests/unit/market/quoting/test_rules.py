"""Quoting: what a decision is, and which gate silences a side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.market import Side
from poolmaker.market.quoting.model import Inventory, MarketView
from poolmaker.market.quoting.rules import decide, half_spread_cbps, strategy_problems
from poolmaker.messages.market import QuoteGate, StrategySnapshot
from tests.unit.market.makers import BTC, MARKET, USDT, view

BALANCED = Inventory.whole(BTC.one, 60_000 * USDT.one)
WIDE = view(bid=5_990_000, ask=6_010_000)


def strategy(**changed: int) -> StrategySnapshot:
    return StrategySnapshot(version=1, **changed)


def test_three_levels_a_side_stand_around_the_middle() -> None:
    decision = decide(WIDE, BALANCED, strategy(spread_cbps=3_000, level_spacing_cbps=1_000))
    assert [quote.ticks for quote in decision.bids.quotes] == [5_982_000, 5_976_000, 5_970_000]
    assert [quote.ticks for quote in decision.asks.quotes] == [6_018_000, 6_024_000, 6_030_000]
    assert decision.bids.gate is decision.asks.gate is QuoteGate.NONE


def test_sizes_are_shares_of_the_capital_of_their_side() -> None:
    decision = decide(WIDE, BALANCED, strategy(level_size_ppm=100_000))
    assert decision.asks.quotes[0].lots == 10_000
    bid = decision.bids.quotes[0]
    assert MARKET.notional_units(bid.ticks, bid.lots, Side.BUY.passive_rounding) <= 6_000 * USDT.one


def test_s1_a_spread_below_twice_the_fee_is_widened_and_says_so() -> None:
    """S1: never silent. 0.1 % fee: the quotes stand 0.1 % from the middle instead of 0.02 %."""
    decision = decide(view(5_999_900, 6_000_100, fee=1_000), BALANCED, strategy(spread_cbps=200))
    assert decision.widened
    assert decision.bids.quotes[0].ticks == 5_994_000
    assert decision.bids.gate is QuoteGate.NONE


def test_s1_a_configured_floor_goes_below_the_fee() -> None:
    assert half_spread_cbps(strategy(spread_cbps=200, spread_floor_cbps=300), 1_000) == 200
    assert half_spread_cbps(strategy(spread_cbps=100, spread_floor_cbps=301), 1_000) == 151


def test_s2_a_small_imbalance_moves_quotes_by_a_small_part_of_the_skew() -> None:
    """S2: ten points of imbalance move prices by a tenth of the skew, not by 25 spreads."""
    heavy = Inventory.whole(60 * BTC.one // 100, 24_000 * USDT.one)
    narrow = view(5_999_900, 6_000_100)
    plain = decide(narrow, Inventory.whole(BTC.one // 2, 30_000 * USDT.one), strategy())
    leaning = decide(narrow, heavy, strategy(inventory_skew_cbps=400))
    moved = plain.asks.quotes[2].ticks - leaning.asks.quotes[2].ticks
    assert 0 < moved <= 6_000_000 * 40 // 1_000_000 + 1


def test_too_much_base_leans_down_and_shrinks_the_bids_only() -> None:
    heavy = Inventory.whole(7 * BTC.one // 10, 18_000 * USDT.one)
    decision = decide(WIDE, heavy, strategy(inventory_band_ppm=400_000))
    light_bid, ask = decision.bids.quotes[0], decision.asks.quotes[0]
    assert light_bid.lots < 18_000 * USDT.one // 10 // 60_000 // 1_000
    assert ask.lots == 7_000


def test_beyond_the_band_the_worsening_side_is_silent_and_names_the_band() -> None:
    heavy = Inventory.whole(95 * BTC.one // 100, 3_000 * USDT.one)
    decision = decide(WIDE, heavy, strategy(inventory_band_ppm=400_000))
    assert decision.bids.gate is QuoteGate.INVENTORY_BAND
    assert decision.asks.gate is QuoteGate.NONE


def test_p18_a_band_of_zero_is_off() -> None:
    """P18: zero semantics per parameter."""
    heavy = Inventory.whole(95 * BTC.one // 100, 3_000 * USDT.one)
    assert decide(WIDE, heavy, strategy(inventory_band_ppm=0)).bids.gate is QuoteGate.NONE


def test_a_side_without_capital_says_so() -> None:
    decision = decide(WIDE, Inventory.whole(0, 60_000 * USDT.one), strategy())
    assert decision.asks.gate is QuoteGate.NO_CAPITAL
    assert decision.bids.gate is QuoteGate.INVENTORY_BAND or decision.bids.quotes


def test_p21_a_level_below_the_minimum_is_dropped_with_a_reason() -> None:
    """P21: dropped, not thrown."""
    poor = Inventory.whole(BTC.one // 10_000, 6 * USDT.one)
    decision = decide(WIDE, poor, strategy())
    assert decision.bids.gate is decision.asks.gate is QuoteGate.BELOW_MINIMUM


def test_a_drained_side_says_that_it_drains() -> None:
    inventory = Inventory(BTC.one, 60_000 * USDT.one, 0, 0)
    decision = decide(WIDE, inventory, strategy())
    assert decision.bids.gate is decision.asks.gate is QuoteGate.DRAINING


def test_quotes_improve_the_best_price_of_others_by_one_tick_at_most() -> None:
    decision = decide(WIDE, BALANCED, strategy(spread_cbps=1, spread_floor_cbps=1))
    assert decision.bids.quotes[0].ticks == 5_990_001
    assert decision.asks.quotes[0].ticks == 6_009_999


def test_found_1_a_better_price_that_little_stands_behind_moves_no_quote() -> None:
    """Row 1: a bid of 0.0001 BTC at 62,990 took the pool's bids from 57,000.01 to 62,990.01."""
    thin = MarketView(MARKET, 5_700_000, 6_300_000, 5_700_000, 6_300_000, 12_000_000, 2)
    spoofed = MarketView(MARKET, 6_299_000, 6_300_000, 5_700_000, 6_300_000, 12_000_000, 2)
    near = strategy(spread_cbps=1_000)
    assert decide(spoofed, BALANCED, near) == decide(thin, BALANCED, near)
    assert decide(thin, BALANCED, near).bids.quotes[0].ticks == 5_700_001


def test_a_quote_never_crosses_the_best_price_however_little_stands_there() -> None:
    """Quoting invariant 3: post-only orders that would trade are refused by the venue."""
    crossed = MarketView(MARKET, 5_999_999, 6_000_001, 5_700_000, 6_300_000, 12_600_000, 2)
    bids = decide(crossed, BALANCED, strategy(spread_cbps=1, spread_floor_cbps=1)).bids.quotes
    assert bids[0].ticks <= 6_000_000
    low = MarketView(MARKET, 5_999_999, 6_000_001, 5_700_000, 6_300_000, 11_400_000, 2)
    asks = decide(low, BALANCED, strategy(spread_cbps=1, spread_floor_cbps=1)).asks.quotes
    assert asks[0].ticks >= 6_000_000


def test_hummingbot_fact_14_asks_round_up_and_bids_round_down() -> None:
    """Both rounded down there, which narrowed the spread."""
    tight = MarketView(MARKET, 999, 1_001, 999, 1_001, 2_001, 2)
    plain = strategy(spread_cbps=1_500, inventory_skew_cbps=0, inventory_band_ppm=0)
    decision = decide(tight, Inventory.whole(100 * BTC.one, 1_000 * USDT.one), plain)
    assert decision.bids.quotes[0].ticks == 998
    assert decision.asks.quotes[0].ticks == 1_003


@pytest.mark.parametrize(("bid", "ask"), [(0, 10), (10, 10), (11, 10)])
def test_p12_zero_and_crossed_prices_are_refused(bid: int, ask: int) -> None:
    """P12: a zero price never reaches a decision."""
    with pytest.raises(PreconditionError):
        view(bid, ask)


def test_a_snapshot_out_of_range_is_named_in_sentences() -> None:
    problems = strategy_problems(strategy(levels=0, spread_cbps=0))
    assert problems == [
        "levels: expected 1 to 50, was 0",
        "spread_cbps: expected 1 to 500000, was 0",
    ]
    assert strategy_problems(strategy()) == []


FINE = replace(MARKET, tick_units=7, lot_units=1, notional_min_units=0)
"""One tick times one lot is a part of an atomic unit, so that rounding shows."""


@given(
    quote_units=st.integers(1, 10**6),
    levels=st.integers(1, 10),
    reference=st.integers(1_000, 10**9),
)
def test_bids_of_all_levels_never_cost_more_than_the_pool_may_use(
    quote_units: int, levels: int, reference: int
) -> None:
    """The bid budget is bound rounded up: at their exact cost the levels fit together."""
    market = MarketView(
        market=FINE,
        bid_ticks=reference - 1,
        ask_ticks=reference + 1,
        bid_depth_ticks=reference - 1,
        ask_depth_ticks=reference + 1,
        reference_ticks=reference,
        reference_weight=1,
    )
    asked = strategy(levels=levels, level_size_ppm=1_000_000, level_spacing_cbps=10)
    bids = decide(market, Inventory.whole(0, quote_units), asked).bids.quotes
    bound = [-(-one.ticks * FINE.tick_units * one.lots // BTC.one) for one in bids]
    assert sum(bound) <= quote_units
