"""Pure decisions of the matching engine: filters, what a market order would cost, commissions."""

from __future__ import annotations

from typing import Final

from poolmaker.sandbox.venue.book import BookSide, Market
from poolmaker.sandbox.venue.model import (
    RATE_SCALE,
    Account,
    NewOrder,
    OrderType,
    StpMode,
    SymbolStatus,
    VenueError,
)
from poolmaker.sandbox.venue.units import SCALE

BNB: Final = "BNB"
BNB_DISCOUNT_PER_CENT: Final = 75


def filter_refusal(market: Market, request: NewOrder) -> VenueError | None:
    """The first filter of the symbol that ``request`` fails, or None."""
    if market.status is not SymbolStatus.TRADING:
        return VenueError.MARKET_CLOSED
    if request.order_type is OrderType.MARKET:
        return _market_order_refusal(market, request)
    spec = market.spec
    price, last = request.price, market.last_price
    if price <= 0 or market.price_units(price) > spec.max_price_units:
        return VenueError.PRICE_FILTER
    if price % spec.tick_multiple:
        return VenueError.PRICE_FILTER
    if price > last * spec.percent_up or price * 100 < last * spec.percent_down_per_cent:
        return VenueError.PERCENT_PRICE_BY_SIDE
    if not _is_size(market, request.lots):
        return VenueError.LOT_SIZE
    notional = price * request.lots * market.quote_per_tick_lot
    if not spec.min_notional_units <= notional <= spec.max_notional_units:
        return VenueError.NOTIONAL
    return _count_refusal(market, request.account)


def _market_order_refusal(market: Market, request: NewOrder) -> VenueError | None:
    spec = market.spec
    if request.lots:
        if not _is_size(market, request.lots):
            return VenueError.LOT_SIZE
        notional = market.last_price * request.lots * market.quote_per_tick_lot
    else:
        notional = request.quote_order_units
    if notional < spec.min_notional_units:
        return VenueError.NOTIONAL
    return None


def _is_size(market: Market, lots: int) -> bool:
    spec = market.spec
    within = spec.min_lots <= lots <= spec.max_lots
    return within and lots >= spec.step_multiple and lots % spec.step_multiple == 0


def _count_refusal(market: Market, account: Account) -> VenueError | None:
    resting = account.open_orders.get(market.spec.name)
    if resting is not None and len(resting) >= market.spec.open_orders_max:
        return VenueError.MAX_NUM_ORDERS
    return None


def crosses(price: int, opposite: BookSide) -> bool:
    """Whether an order at ``price`` would trade with the best of ``opposite``."""
    keys = opposite.keys
    return bool(keys) and (price >= -keys[-1] if opposite.sign < 0 else price <= keys[-1])


def available_lots(opposite: BookSide, request: NewOrder) -> int:
    """Lots that ``request`` (with a limit) could trade at once, up to its own quantity.

    Own orders do not count; where they would expire the taker, nothing behind them counts.
    """
    found = 0
    for level in opposite.top(len(opposite.keys)):
        if level.price > request.price if request.is_buy else level.price < request.price:
            break
        for order in level:
            if order.account is request.account and request.stp is not StpMode.NONE:
                if request.stp is not StpMode.EXPIRE_MAKER:
                    return found
                continue
            found += order.lots - order.done
            if found >= request.lots:
                return found
    return found


def market_order_walk(market: Market, opposite: BookSide, request: NewOrder) -> tuple[int, int]:
    """Lots and quote units that a MARKET ``request`` would trade against the book as it is."""
    lots = quote = 0
    for level in opposite.top(len(opposite.keys)):
        per_lot = level.price * market.quote_per_tick_lot
        for order in level:
            if order.account is request.account and request.stp is not StpMode.NONE:
                if request.stp is not StpMode.EXPIRE_MAKER:
                    return lots, quote
                continue
            wanted = _wanted_lots(request, lots, quote, per_lot)
            taken = min(wanted, order.lots - order.done)
            lots += taken
            quote += taken * per_lot
            if taken == wanted:
                return lots, quote
    return lots, quote


def _wanted_lots(request: NewOrder, lots: int, quote: int, per_lot: int) -> int:
    if request.lots:
        return request.lots - lots
    return (request.quote_order_units - quote) // per_lot


def received_fee(received_units: int, rate: int) -> int:
    """Commission in the asset received, rounded down to a unit as the venue does."""
    return received_units * rate // RATE_SCALE


def bnb_fee(quote_units: int, rate: int, bnb_price_units: int) -> int:
    """Commission in BNB units for a trade worth ``quote_units`` of the BNB market's quote asset."""
    discounted = quote_units * rate * BNB_DISCOUNT_PER_CENT
    return discounted * SCALE // (RATE_SCALE * 100 * bnb_price_units)
