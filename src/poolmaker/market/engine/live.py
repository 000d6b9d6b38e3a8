"""The engine as the page shows it: plain values, decimal texts, nothing shared."""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Amount, format_units
from poolmaker.market.engine.model import (
    GateSince,
    LiveFillView,
    LiveOrderView,
    LivePool,
    LiveView,
)
from poolmaker.market.engine.prices import standing_top
from poolmaker.market.engine.rules import inventory_now
from poolmaker.market.engine.state import EngineState, MarketQuoting, PoolQuoting
from poolmaker.market.tracking.model import ExchangeOrder, StoredFill, VenueOrderState
from poolmaker.messages.market import QuoteGate

LEVELS: Final = 12


def live_view(state: EngineState, clock: Clock) -> LiveView:
    """What one account looks like now."""
    return LiveView(
        account=state.config.account,
        ready=state.ready,
        halted=state.halted,
        epoch=state.epoch,
        taken_at_us=clock.now_us(),
        unknown_orders=len(state.shadow.in_state(VenueOrderState.UNKNOWN)),
        orders_placed=state.orders_placed,
        fills_booked=state.fills_booked,
        pools=tuple(
            _pool(state, desk, market, clock)
            for desk in state.pools.values()
            if (market := state.markets.get(desk.symbol)) is not None
        ),
        gates={pool: dict(desk.gates) for pool, desk in state.pools.items()},
    )


def _pool(state: EngineState, desk: PoolQuoting, market: MarketQuoting, clock: Clock) -> LivePool:
    rules = market.rules.market
    top = standing_top(state, market)
    inventory = inventory_now(desk.wish, desk.facts)
    orders = list(state.shadow.of_pool(desk.wish.pool))
    unknown = GateSince(QuoteGate.NOT_READY, 0)
    # Half a unit has one more decimal than a unit, so the doubled price is written and halved.
    mid_units = top.halves * 5 if top is not None else 0
    return LivePool(
        pool=desk.wish.pool,
        symbol=rules.symbol,
        base_asset=rules.base.code,
        quote_asset=rules.quote.code,
        book_state=market.book.state.value,
        book_version=market.book.version,
        book_age_ms=max(0, market.book.age_us(clock.monotonic_us())) // 1_000,
        bids=_levels(market, Side.BUY),
        asks=_levels(market, Side.SELL),
        mid=format_units(mid_units, rules.quote.scale + 1) if top is not None else "",
        orders=tuple(_order(order, clock.now_us()) for order in sorted(orders, key=_place)),
        fills=tuple(_fill(fill, rules) for fill in reversed(desk.recent)),
        gates={side: desk.gates.get(side, unknown) for side in Side},
        base=Amount(rules.base, inventory.base_units).decimal(),
        quote=Amount(rules.quote, inventory.quote_units).decimal(),
        deviation_ppm=desk.deviation_ppm,
        widened_to_floor=desk.widened,
    )


def _place(order: ExchangeOrder) -> tuple[str, int, int]:
    return order.side.value, order.level, order.registered_us


def _levels(market: MarketQuoting, side: Side) -> tuple[tuple[str, str], ...]:
    rules = market.rules.market
    levels = market.book.depth(side, LEVELS)
    base, quote = rules.base.scale, rules.quote.scale
    return tuple((format_units(price, quote), format_units(size, base)) for price, size in levels)


def _order(order: ExchangeOrder, now_us: int) -> LiveOrderView:
    return LiveOrderView(
        intent=order.intent,
        side=order.side,
        level=order.level,
        price=order.market.price(order.ticks).decimal(),
        quantity=order.market.quantity(order.lots).decimal(),
        filled=Amount(order.market.base, order.filled_units).decimal(),
        state=order.state.value,
        age_ms=max(0, now_us - order.registered_us) // 1_000,
    )


def _fill(fill: StoredFill, market: Market) -> LiveFillView:
    return LiveFillView(
        side=fill.trade.side,
        base=Amount(market.base, fill.trade.base_units).decimal(),
        quote=Amount(market.quote, fill.trade.quote_units).decimal(),
        is_maker=fill.trade.is_maker,
        venue_time_us=fill.trade.venue_time_us,
    )
