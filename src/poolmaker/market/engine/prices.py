"""What the books of a session say, and how much must stand behind it.

Every price that quotes or money follow is a depth price: on each side the price of the level at
which others' orders together reach L. L is the largest of the pool's own level, the configured
minimum, and at a barrier the excess that waits there. An order below L moves nothing by itself;
where a side holds less there is no price (decision 0106).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.kernel.market import Side
from poolmaker.market.engine.rules import inventory_now, market_view
from poolmaker.market.engine.state import EngineState, MarketQuoting, PoolQuoting
from poolmaker.market.execution.rules import consumption_units
from poolmaker.market.quoting.model import MarketView
from poolmaker.market.tracking.book import NO_DEPTH, Top
from poolmaker.market.tracking.mid_average import NO_PRICE, RUNGS
from poolmaker.market.tracking.model import Depth, OpenFees, VenueOrderState
from poolmaker.messages.base import Rate
from poolmaker.messages.market import (
    AtRisk,
    BarrierPrice,
    DepthWanted,
    QuoteGate,
    StrategySnapshot,
)

WHOLE: Final = 1_000_000
FRESH_US: Final = 2_000_000
"""A price counts in the average while its book is at most this old."""
_MEASURE_US: Final = 1_000_000


def own_level(desk: PoolQuoting) -> Depth:
    """The largest that one level of the pool may be, of what it owns now."""
    strategy = desk.wish.start.strategy if desk.wish.start is not None else None
    if strategy is None:
        return NO_DEPTH
    inventory, share = inventory_now(desk.wish, desk.facts), strategy.level_size_ppm
    base_units = inventory.base_units * share // WHOLE
    return Depth(base_units, inventory.quote_units * share // WHOLE)


def least_depth(state: EngineState, market: MarketQuoting) -> Depth:
    """The configured minimum of a market, in the venue's smallest orders."""
    rules, orders = market.rules.market, state.config.depth_min_orders
    smallest = Depth(rules.quantity_min_lots * rules.lot_units, rules.notional_min_units)
    return smallest.times(orders)


def standing_depth(state: EngineState, market: MarketQuoting) -> Depth:
    """What must stand behind a price of this market whatever is asked: minimum and own levels."""
    depth = least_depth(state, market)
    for desk in state.pools.values():
        if desk.symbol == market.spec.symbol:
            depth = depth.largest(own_level(desk)).largest(desk.depth_min)
    return depth


def _rungs(state: EngineState, market: MarketQuoting, now_us: int) -> tuple[Depth, ...]:
    """Depths of the averages, at most a second old: every price would ask every pool."""
    if now_us >= market.depth_due_us:
        market.depth_due_us = now_us + _MEASURE_US
        depth = standing_depth(state, market)
        both = _both_ways(market, depth)
        deeper = (both.times(halves, 2) for halves in RUNGS[1:])
        market.rungs = (depth.times(RUNGS[0], 2), *deeper)
    return market.rungs


def _both_ways(market: MarketQuoting, depth: Depth) -> Depth:
    """Each part at least as large as the other is worth, so that averages reach for both assets.

    A pool that owns one asset has no level in the other, and an excess of that comes all the same.
    Only how deep averages are kept follows the middle of the book here; no price is made of it.
    """
    top, twice_one = market.book.top(), 2 * market.rules.market.base.one
    if top is None:
        return depth
    worth = Depth(
        -(-depth.quote_units * twice_one // top.halves),
        -(-depth.base_units * top.halves // twice_one),
    )
    return depth.largest(worth)


def note_price(state: EngineState, market: MarketQuoting, now_us: int) -> None:
    """Enter what the book says now into the averages, at each of their depths."""
    rungs = _rungs(state, market, now_us)
    if not market.book.usable(now_us, FRESH_US):
        market.averages.add(now_us, NO_PRICE)
        return
    tops = _tops(state, market, rungs)
    market.averages.add(now_us, tuple([top.halves if top is not None else None for top in tops]))


def reference(
    state: EngineState, market: MarketQuoting, strategy: StrategySnapshot, now_us: int
) -> MarketView | QuoteGate:
    """The market that a pool quotes in, or why there is none."""
    if not (market.rungs and market.book.usable(now_us, strategy.book_age_max_ms * 1_000)):
        return QuoteGate.BOOK_STALE
    best, deep = _tops(state, market, [NO_DEPTH, _rungs(state, market, now_us)[0]])
    view = market_view(market.rules, best, deep) if best and deep else None
    return QuoteGate.BOOK_THIN if view is None else view


def standing_top(state: EngineState, market: MarketQuoting) -> Top | None:
    """The depth prices of this market whatever is asked; None where a side is thinner."""
    return _tops(state, market, [standing_depth(state, market)])[0]


def barrier_price(
    state: EngineState, desk: PoolQuoting, wanted: DepthWanted | None, now_us: int, wall_us: int
) -> BarrierPrice:
    """What a pool's book says at a barrier. ``now_us`` is monotonic."""
    market = state.markets[desk.symbol]
    depth = standing_depth(state, market)
    if wanted is not None:
        excess = Depth(wanted.excess_base_units, wanted.excess_quote_units)
        depth = depth.largest(excess).largest(Depth(0, wanted.depth_min_quote_units))
    top = _priced(state, desk, market, depth, now_us)
    return BarrierPrice(
        pool=desk.wish.pool,
        mid=_rate(market, top.halves, 2) if top is not None else None,
        twap_60s=_average(state, market, depth, now_us) if top is not None else None,
        bid_depth=_rate(market, top.bid_units) if top is not None else None,
        ask_depth=_rate(market, top.ask_units) if top is not None else None,
        depth_base_units=depth.base_units,
        depth_quote_units=depth.quote_units,
        taker_fee_ppm=market.rules.taker_fee_ppm,
        rules_version=market.rules.market.version,
        book_version=market.book.version,
        price_time_us=wall_us - max(0, market.book.age_us(now_us)),
    )


def at_risk(state: EngineState, desk: PoolQuoting, fees: OpenFees | None) -> AtRisk | None:
    """What may still change a pool's capital by facts from before a barrier; None for nothing."""
    unread = state.markets[desk.symbol].unread
    orders = [o for o in state.shadow.in_state(VenueOrderState.UNKNOWN) if o.pool == desk.wish.pool]
    if not (orders or unread or fees):
        return None
    taken = dict.fromkeys(Side, 0)
    for order in orders:
        units = order.open_units
        taken[order.side] += consumption_units(order.market, order.side, order.ticks, units)
    if unread:
        # A trade that nobody has read may have taken anything that the pool has.
        owned = inventory_now(desk.wish, desk.facts)
        taken = {side: max(units, owned.owned(side)) for side, units in taken.items()}
    return AtRisk(
        pool=desk.wish.pool,
        unknown_orders=len(orders) + len(unread),
        base_units=taken[Side.SELL],
        quote_units=taken[Side.BUY],
        unpriced_fees=fees.count if fees is not None else 0,
        fee_quote_units=fees.quote_units if fees is not None else 0,
    )


def _priced(
    state: EngineState, desk: PoolQuoting, market: MarketQuoting, depth: Depth, now_us: int
) -> Top | None:
    strategy = desk.wish.start.strategy if desk.wish.start is not None else None
    if strategy is None or market.unread or not market.ready:
        return None
    if not market.book.usable(now_us, strategy.book_age_max_ms * 1_000):
        return None
    return _tops(state, market, [depth])[0]


def _average(state: EngineState, market: MarketQuoting, depth: Depth, now_us: int) -> Rate | None:
    """The average at the smallest of its depths that covers ``depth``."""
    deep_enough = (n for n, kept in enumerate(market.rungs) if kept.covers(depth))
    rung = next(deep_enough, None)
    if rung is None:
        return None
    span_us = state.config.twap_span_min_ms * 1_000
    average = market.averages.value(rung, now_us, span_us)
    return _rate(market, average.halves_us, 2 * average.span_us) if average is not None else None


def _tops(state: EngineState, market: MarketQuoting, depths: Sequence[Depth]) -> list[Top | None]:
    shadow, symbol = state.shadow, market.spec.symbol
    own = shadow.own_units(symbol, Side.BUY), shadow.own_units(symbol, Side.SELL)
    return market.book.tops_of_others(*own, depths)


def _rate(market: MarketQuoting, units: int, parts: int = 1) -> Rate:
    return Rate.of(market.book.ratio(units, parts))
