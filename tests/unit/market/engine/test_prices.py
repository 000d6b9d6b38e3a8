"""Depth, averages and barrier prices of a session, on a book that a test writes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.market.engine.live import live_view
from poolmaker.market.engine.model import EngineConfig, PoolInstructions
from poolmaker.market.engine.prices import (
    at_risk,
    barrier_price,
    least_depth,
    note_price,
    own_level,
    reference,
    standing_depth,
)
from poolmaker.market.engine.readiness import ReadinessEvent
from poolmaker.market.engine.state import EngineState, MarketQuoting, PoolQuoting
from poolmaker.market.quoting.model import MarketView
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import (
    BookDiff,
    BookSnapshot,
    Depth,
    Levels,
    OddRow,
    OpenFees,
    VenueMarket,
    VenueOrderEvent,
    VenueOrderState,
)
from poolmaker.messages.base import Rate
from poolmaker.messages.market import (
    CapitalSet,
    DepthWanted,
    MarketSpec,
    QuoteGate,
    StartQuoting,
    StrategySnapshot,
)
from tests.unit.market.makers import BTC, MARKET, POOL, SYMBOL, USDT, order

SECOND = 1_000_000
STRATEGY = StrategySnapshot(version=1, level_size_ppm=100_000)
BID, ASK = 57_000 * USDT.one, 63_000 * USDT.one


def pool(name: str = POOL, base: int = BTC.one, quote: int = 60_000 * USDT.one) -> PoolQuoting:
    """A pool of one BTC and its worth: its level is 0.1 BTC and 6,000 USDT."""
    start = StartQuoting(
        pool=PoolId(name), account=VenueAccountId("a"), market=MarketSpec.of(MARKET),
        strategy=STRATEGY, version=1,
    )  # fmt: skip
    capital = CapitalSet(
        pool=PoolId(name), version=1, base_units=base, quote_units=quote, includes_stream_seq=0
    )
    return PoolQuoting(
        PoolInstructions(pool=PoolId(name), start=start, quoting=True, capital=capital)
    )


class Thin:
    """The book of found row 1: 57,000 / 63,000 with 2 BTC a side."""

    def __init__(self, size: int = 2 * BTC.one, *pools: PoolQuoting) -> None:
        config = EngineConfig(account=VenueAccountId("a"), twap_span_min_ms=0)
        self.state = EngineState(config, 1)
        for desk in pools or (pool(),):
            self.state.pools[desk.wish.pool] = desk
        rules = VenueMarket(replace(MARKET, version=3), True, 10, 20)
        book = OrderBook(rules.market)
        self.market = MarketQuoting(MarketSpec.of(MARKET), rules, book, DepthTwaps(60 * SECOND))
        self.state.markets[SYMBOL] = self.market
        self.market.move(ReadinessEvent.RECONCILED)
        book.on_snapshot(BookSnapshot(1, [(BID, size)], [(ASK, size)]), 0)
        self.number = 1
        self.change(0)

    def change(
        self,
        now_us: int,
        bids: Levels | None = None,
        asks: Levels | None = None,
    ) -> None:
        self.number += 1
        self.market.book.on_diff(BookDiff(self.number, self.number, bids or [], asks or []), now_us)
        note_price(self.state, self.market, now_us)

    def barrier(self, now_us: int, **asked: int) -> tuple[Rate | None, ...]:
        """(mid, average, bid, ask) at a barrier."""
        fields = {"excess_base_units": 0, "excess_quote_units": 0, "depth_min_quote_units": 0}
        wanted = DepthWanted(pool=POOL, **(fields | asked)) if asked else None
        price = barrier_price(self.state, self.state.pool(POOL), wanted, now_us, 10**15)
        return price.mid, price.twap_60s, price.bid_depth, price.ask_depth

    def reference(self, now_us: int) -> MarketView | QuoteGate:
        return reference(self.state, self.market, STRATEGY, now_us)


def rate(units: int) -> Rate:
    return Rate(numerator=units, denominator=BTC.one)


def worth(one: Rate | None) -> float:
    assert one is not None
    return one.numerator / one.denominator * BTC.one / USDT.one


def test_found_1_a_tiny_bid_moves_neither_reference_nor_barrier_nor_average() -> None:
    """Row 1: the bid of 0.0001 BTC at 62,990 made 62,995 of 60,000, and 62,729 on average."""
    thin = Thin()
    before = thin.reference(0)
    thin.change(8 * SECOND, bids=[(62_990 * USDT.one, BTC.one // 10_000)])
    for second in range(9, 61):
        thin.change(second * SECOND)
    now_us = 60 * SECOND
    after = thin.reference(now_us)
    assert isinstance(before, MarketView)
    assert isinstance(after, MarketView)
    assert (after.reference_ticks, after.bid_depth_ticks) == (
        before.reference_ticks,
        before.bid_depth_ticks,
    )
    assert after.bid_ticks == 6_299_000
    mid, average, bid, ask = thin.barrier(now_us)
    assert (worth(mid), worth(average)) == (60_000, 60_000)
    assert (bid, ask) == (rate(BID), rate(ASK))


def test_the_page_shows_the_price_that_decides_and_none_where_a_side_is_thin() -> None:
    thin = Thin()
    thin.change(SECOND, bids=[(62_990 * USDT.one, BTC.one // 10_000)])
    (shown,) = live_view(thin.state, ManualClock()).pools
    assert Decimal(shown.bids[0][0]) == 62_990
    assert Decimal(shown.mid) == worth(thin.barrier(SECOND)[0]) == 60_000
    thin.change(2 * SECOND, bids=[(BID, BTC.one // 100)])
    (shown,) = live_view(thin.state, ManualClock()).pools
    assert (shown.mid, thin.barrier(2 * SECOND)[0]) == ("", None)


def test_the_depth_is_the_largest_of_minimum_and_own_level_and_the_excess_at_a_barrier() -> None:
    thin = Thin()
    least = Depth(20 * MARKET.lot_units, 100 * USDT.one)
    assert least_depth(thin.state, thin.market) == least
    assert own_level(thin.state.pool(POOL)) == Depth(BTC.one // 10, 6_000 * USDT.one)
    poor = Thin(2 * BTC.one, pool(base=0, quote=0))
    assert standing_depth(poor.state, poor.market) == least
    asked = DepthWanted(
        pool=POOL, excess_base_units=BTC.one, excess_quote_units=5, depth_min_quote_units=7
    )
    price = barrier_price(thin.state, thin.state.pool(POOL), asked, 0, 0)
    assert (price.depth_base_units, price.depth_quote_units) == (BTC.one, 6_000 * USDT.one)
    low = barrier_price(poor.state, poor.state.pool(POOL), asked, 0, 0)
    assert (low.depth_base_units, low.depth_quote_units) == (BTC.one, 100 * USDT.one)


def test_each_pool_of_a_market_deepens_its_price_and_none_of_another_market() -> None:
    other = pool("pool-2", base=5 * BTC.one, quote=0)
    thin = Thin(2 * BTC.one, pool(), other)
    assert standing_depth(thin.state, thin.market) == Depth(BTC.one // 2, 6_000 * USDT.one)
    start = other.wish.start
    assert start is not None
    elsewhere = replace(other.wish, start=_elsewhere(start))
    other.wish = elsewhere
    assert standing_depth(thin.state, thin.market) == Depth(BTC.one // 10, 6_000 * USDT.one)


def _elsewhere(start: StartQuoting) -> StartQuoting:
    market = MarketSpec(symbol="ELSE", base="BTC", base_scale=8, quote="USDT", quote_scale=8)
    return StartQuoting(
        pool=start.pool, account=start.account, market=market, strategy=start.strategy, version=1
    )


@pytest.mark.parametrize(
    ("base", "quote", "excess"),
    [
        (0, 60_000 * USDT.one, {"excess_base_units": BTC.one // 10}),
        (BTC.one, 0, {"excess_quote_units": 6_000 * USDT.one}),
    ],
)
def test_found_2_a_pool_of_one_asset_has_an_average_for_an_excess_of_the_other(
    base: int, quote: int, excess: dict[str, int]
) -> None:
    """Its level is of one asset only; what joins it with the other waited for ever."""
    thin = Thin(2 * BTC.one, pool(base=base, quote=quote))
    assert None not in thin.barrier(SECOND, **excess)


def test_a_side_thinner_than_the_excess_has_no_price_at_the_barrier() -> None:
    """The part in the pool's ratio joins without one; the excess waits."""
    thin = Thin()
    assert None not in thin.barrier(SECOND, excess_base_units=16 * BTC.one // 10)
    mid, average, *sides = thin.barrier(SECOND, excess_base_units=2 * BTC.one)
    assert average is None
    assert None not in (mid, *sides)
    assert thin.barrier(SECOND, excess_base_units=2 * BTC.one + 1) == (None,) * 4


def test_a_side_thinner_than_the_pools_level_has_no_reference_and_says_so() -> None:
    assert isinstance(Thin(BTC.one // 5).reference(0), MarketView)
    assert Thin(BTC.one // 11).reference(0) is QuoteGate.BOOK_THIN
    assert Thin().reference(3 * SECOND) is QuoteGate.BOOK_STALE


def test_the_average_at_a_barrier_is_kept_at_the_excess_too() -> None:
    """An order between the pool's level and the excess moves the shallow average only."""
    thin = Thin()
    spoof = 62_000 * USDT.one
    thin.change(0, bids=[(spoof, BTC.one // 2)])
    for second in range(1, 31):
        thin.change(second * SECOND)
    now_us = 30 * SECOND
    assert worth(thin.barrier(now_us)[1]) == 62_500
    assert worth(thin.barrier(now_us, excess_base_units=BTC.one)[1]) == 60_000


def test_an_excess_beyond_every_kept_depth_has_no_average() -> None:
    thin = Thin(50 * BTC.one)
    thin.change(SECOND)
    depth = 128 * BTC.one // 10
    assert thin.barrier(SECOND, excess_base_units=depth)[1] is not None
    mid, average, *_ = thin.barrier(SECOND, excess_base_units=depth + 1)
    assert mid is not None
    assert average is None


def test_own_orders_make_no_price_at_a_barrier() -> None:
    """Found row 1: an own level is as large as L, so that alone it would be a price."""
    thin = Thin()
    mine = order(
        1,
        ticks=6_200_000,
        lots=100_000,
        state=VenueOrderState.OPEN,
        market=thin.market.rules.market,
    )
    thin.state.shadow.register(mine)
    thin.change(SECOND, bids=[(mine.price_units, mine.quantity_units)])
    assert worth(thin.barrier(SECOND)[0]) == 60_000
    thin.state.shadow.on_event(mine.intent, VenueOrderEvent.CANCEL_PROVED, 1)
    assert worth(thin.barrier(SECOND)[0]) == 62_500


def test_a_barrier_names_the_rules_and_the_fee_of_taking() -> None:
    thin = Thin()
    price = barrier_price(thin.state, thin.state.pool(POOL), None, SECOND // 2, 10**15)
    assert (price.rules_version, price.taker_fee_ppm) == (3, 20)
    assert price.price_time_us == 10**15 - SECOND // 2


@pytest.mark.parametrize("broken", ["stale", "gap", "unread", "changing", "unproven"])
def test_no_price_is_named_from_a_book_that_may_not_be_believed(broken: str) -> None:
    thin = Thin()
    if broken == "gap":
        thin.number += 5
        thin.change(0)
    if broken == "unread":
        thin.market.unread = (OddRow("trades", SYMBOL, "odd", "{}"),)
    if broken in ("changing", "unproven"):
        thin.market.move(ReadinessEvent.RULES_CHANGED)
    if broken == "unproven":
        thin.market.move(ReadinessEvent.ORDERS_GONE)
    assert thin.barrier(3 * SECOND if broken == "stale" else 0) == (None,) * 4


def test_time_without_a_believable_book_is_not_in_the_average() -> None:
    thin = Thin()
    thin.market.book.lose()
    note_price(thin.state, thin.market, 10 * SECOND)
    value = thin.market.averages.value(0, 40 * SECOND, 1)
    assert value is not None
    assert value.span_us == 10 * SECOND


def test_what_may_still_change_the_capital_is_named() -> None:
    """Rows 5 and 6: UNKNOWN orders, trades that nobody has read, fees without a price."""
    thin = Thin()
    desk = thin.state.pool(POOL)
    assert at_risk(thin.state, desk, None) is None
    fees = at_risk(thin.state, desk, OpenFees(2, 900))
    assert fees is not None
    assert (fees.unknown_orders, fees.unpriced_fees, fees.fee_quote_units) == (0, 2, 900)
    coarse = replace(MARKET, tick_units=10 * MARKET.tick_units, lot_units=10 * MARKET.lot_units)
    bid = order(1, market=coarse, ticks=600_000, lots=1, state=VenueOrderState.UNKNOWN)
    ask = order(2, side=Side.SELL, lots=5, state=VenueOrderState.UNKNOWN)
    stranger = order(3, pool=PoolId("other"), lots=9, state=VenueOrderState.UNKNOWN)
    for one in (bid, ask, stranger):
        thin.state.shadow.register(one)
    risk = at_risk(thin.state, desk, None)
    assert risk is not None
    assert (risk.unknown_orders, risk.base_units) == (2, 5 * MARKET.lot_units)
    assert risk.quote_units == 6 * USDT.one
    thin.market.unread = (OddRow("trades", SYMBOL, "odd", "{}"),)
    all_of_it = at_risk(thin.state, desk, None)
    assert all_of_it is not None
    assert (all_of_it.base_units, all_of_it.quote_units) == (BTC.one, 60_000 * USDT.one)
    assert all_of_it.unknown_orders == 3
