"""Order calls: place, test, cancel, replace, query, lists."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from poolmaker.sandbox.venue import refusals, render
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.calls import Access, VenueCall, VenueCaller, names
from poolmaker.sandbox.venue.history import find_order, is_archived
from poolmaker.sandbox.venue.model import (
    Accepted,
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    Side,
    StpMode,
    TimeInForce,
    VenueError,
)
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.refusals import WireRefusal

DAY_MS: Final = 86_400_000
_UNSUPPORTED_TYPES: Final = {
    "STOP_LOSS": "Stop loss orders are not supported for this symbol.",
    "STOP_LOSS_LIMIT": "Stop loss limit orders are not supported for this symbol.",
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}


class ResponseType(StrEnum):
    """How much a placed order's answer tells."""

    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


class ReplaceMode(StrEnum):
    """What a failed cancel does to the new order of a cancel-replace."""

    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


class RateMode(StrEnum):
    """What a cancel-replace does when the account may not place one more order now."""

    DO_NOTHING = "DO_NOTHING"
    CANCEL_ONLY = "CANCEL_ONLY"


class CancelRestriction(StrEnum):
    """Which orders a cancel may take."""

    ONLY_NEW = "ONLY_NEW"
    ONLY_PARTIALLY_FILLED = "ONLY_PARTIALLY_FILLED"


def _read_order(caller: VenueCaller, params: Params) -> NewOrder:
    market = caller.exchange.market(params.symbol())
    side = params.choice("side", Side, -1117, "Invalid side.")
    order_type = _read_type(params)
    tif = _read_tif(params, order_type)
    stp = params.choice(
        "selfTradePreventionMode",
        StpMode,
        -1013,
        "This symbol does not allow the specified self-trade prevention mode.",
    )
    price, quantity = params.units("price"), params.units("quantity")
    quote = params.units("quoteOrderQty")
    _check_shape(params, order_type, price, quantity, quote)
    strategy = params.integer("strategyType")
    if strategy is not None and strategy < 1_000_000:
        raise WireRefusal(-1134, "`strategyType` was less than 1000000.")
    return NewOrder(
        account=caller.account,
        symbol=market.spec.name,
        is_buy=side is Side.BUY,
        order_type=order_type,
        tif=tif,
        price=_whole(price, market.spec.tick_units, VenueError.PRICE_FILTER),
        lots=_whole(quantity, market.spec.step_units, VenueError.LOT_SIZE),
        quote_order_units=quote or 0,
        client_id=params.client_id("newClientOrderId") or caller.exchange.make_id(),
        stp=stp or StpMode.EXPIRE_MAKER,
    )


def _read_type(params: Params) -> OrderType:
    unsupported = _UNSUPPORTED_TYPES.get(params.text("type") or "")
    if unsupported is not None:
        raise WireRefusal(-2010, unsupported)
    found = params.choice("type", OrderType, -1116, "Invalid orderType.")
    if found is None:
        raise refusals.missing("type")
    return found


def _read_tif(params: Params, order_type: OrderType) -> TimeInForce:
    tif = params.choice("timeInForce", TimeInForce, -1115, "Invalid timeInForce.")
    if order_type is OrderType.LIMIT and tif is None:
        raise refusals.missing("timeInForce")
    if order_type is not OrderType.LIMIT and tif is not None:
        raise refusals.not_required("timeInForce")
    return tif or TimeInForce.GTC


def _check_shape(
    params: Params, order_type: OrderType, price: int | None, quantity: int | None,
    quote: int | None,
) -> None:  # fmt: skip
    for name in ("stopPrice", "trailingDelta"):
        if params.has(name):
            raise refusals.not_required(name)
    if params.units("icebergQty"):
        raise WireRefusal(-2010, "Iceberg orders are not supported for this symbol.")
    if order_type is OrderType.MARKET:
        _check_market_shape(price, quantity, quote)
        return
    if quote is not None:
        raise refusals.not_required("quoteOrderQty")
    if quantity is None:
        raise refusals.missing("quantity")
    if price is None:
        raise refusals.missing("price")


def _check_market_shape(price: int | None, quantity: int | None, quote: int | None) -> None:
    if price is not None:
        raise refusals.not_required("price")
    if quantity is None and quote is None:
        raise WireRefusal(
            -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
        )
    if quantity is not None and quote is not None:
        raise WireRefusal(-1128, "Combination of optional parameters invalid.")


def _whole(units: int | None, step: int, refusal: VenueError) -> int:
    """Ticks or lots of a number of units; what falls between two is refused by its filter."""
    if units is None:
        return 0
    if units == 0 or units % step:
        raise refusals.from_engine(refusal)
    return units // step


def _place(caller: VenueCaller, request: NewOrder, params: Params) -> render.Json:
    exchange, account_id = caller.exchange, caller.account.account_id
    kind = params.choice(
        "newOrderRespType", ResponseType, -1130,
        "Data sent for parameter 'newOrderRespType' is not valid.",
    )  # fmt: skip
    exchange.limiter.admit_order(account_id, caller.time_us)
    outcome = exchange.engine.submit(request, caller.time_us)
    if isinstance(outcome, VenueError):
        raise refusals.from_engine(outcome)
    exchange.limiter.count_order(account_id, caller.time_us)
    exchange.publish()
    if kind is None:
        is_maker = request.order_type is OrderType.LIMIT_MAKER
        kind = ResponseType.ACK if is_maker else ResponseType.FULL
    return _answer(exchange.market(request.symbol), outcome, kind)


def _answer(market: Market, outcome: Accepted, kind: ResponseType) -> render.Json:
    if kind is ResponseType.ACK:
        return render.order_ack(outcome.order)
    if kind is ResponseType.RESULT:
        body = render.order_result(market, outcome.order)
        body["workingTime"] = render.millis(outcome.order.working_us)
        return body
    return render.order_full(market, outcome.order, outcome.fills)


def place(caller: VenueCaller, params: Params) -> object:
    """Place an order."""
    return _place(caller, _read_order(caller, params), params)


def test(caller: VenueCaller, params: Params) -> object:
    """Check an order without placing it."""
    request = _read_order(caller, params)
    outcome = caller.exchange.engine.submit(request, caller.time_us, dry=True)
    if isinstance(outcome, VenueError):
        raise refusals.from_engine(outcome)
    if not params.flag("computeCommissionRates"):
        return {}
    market = caller.exchange.market(request.symbol)
    rates = render.commission(market, caller.account)
    return {
        "standardCommissionForOrder": rates["standardCommission"],
        "specialCommissionForOrder": rates["specialCommission"],
        "taxCommissionForOrder": rates["taxCommission"],
        "discount": rates["discount"],
    }


def _find(
    caller: VenueCaller, params: Params, id_name: str, client_name: str, *, cancelling: bool
) -> Order:
    market = caller.exchange.market(params.symbol())
    order_id, client_id = params.integer(id_name), params.client_id(client_name)
    if order_id is None and client_id is None:
        raise WireRefusal(
            -1102,
            f"Param '{client_name}' or '{id_name}' must be sent, but both were empty/null!",
        )
    found = find_order(caller.account, market.spec.name, order_id, client_id)
    if found is None and not cancelling and is_archived(caller.account, market.spec.name, order_id):
        raise WireRefusal(
            -2026,
            "Order was canceled or expired with no executed qty over 90 days ago and has been "
            "archived.",
        )
    if found is None or (client_id is not None and found.client_id != client_id):
        if cancelling:
            raise refusals.from_engine(VenueError.UNKNOWN_ORDER)
        raise WireRefusal(-2013, "Order does not exist.")
    return found


def query(caller: VenueCaller, params: Params) -> object:
    """One order."""
    order = _find(caller, params, "orderId", "origClientOrderId", cancelling=False)
    return render.order_queried(caller.exchange.market(order.symbol), order)


def _cancel(caller: VenueCaller, order: Order, params: Params, id_name: str) -> render.Json:
    exchange = caller.exchange
    _check_restriction(order, params)
    cancel_id = params.client_id(id_name) or exchange.make_id()
    refusal = exchange.engine.cancel(order, caller.time_us, cancel_id=cancel_id)
    if refusal is not None:
        raise refusals.from_engine(refusal, cancelling=True)
    exchange.publish()
    return render.order_cancelled(exchange.market(order.symbol), order, cancel_id)


def _check_restriction(order: Order, params: Params) -> None:
    wanted = params.choice(
        "cancelRestrictions", CancelRestriction, -1145,
        "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.",
    )  # fmt: skip
    if wanted is None or not order.is_open:
        return
    is_new = order.status is OrderStatus.NEW
    if is_new is not (wanted is CancelRestriction.ONLY_NEW):
        raise refusals.from_engine(VenueError.CANCEL_RESTRICTED)


def cancel(caller: VenueCaller, params: Params) -> object:
    """Cancel one order."""
    order = _find(caller, params, "orderId", "origClientOrderId", cancelling=True)
    return _cancel(caller, order, params, "newClientOrderId")


def cancel_all(caller: VenueCaller, params: Params) -> object:
    """Cancel all open orders of a symbol; refused when there are none."""
    market = caller.exchange.market(params.symbol())
    found = list(caller.account.open_orders.get(market.spec.name, {}).values())
    if not found:
        raise refusals.from_engine(VenueError.UNKNOWN_ORDER)
    nothing = Params({})
    return [_cancel(caller, order, nothing, "newClientOrderId") for order in found]


def cancel_replace(caller: VenueCaller, params: Params) -> object:
    """Cancel an order and place another; what each half did is in the answer."""
    mode = params.choice(
        "cancelReplaceMode", ReplaceMode, -1130,
        "Data sent for parameter 'cancelReplaceMode' is not valid.",
    )  # fmt: skip
    on_excess = params.choice(
        "orderRateLimitExceededMode", RateMode, -1130,
        "Data sent for parameter 'orderRateLimitExceededMode' is not valid.",
    )  # fmt: skip
    request = _read_order(caller, params)
    if on_excess is not RateMode.CANCEL_ONLY:
        caller.exchange.limiter.admit_order(caller.account.account_id, caller.time_us)
    cancelled: object
    try:
        order = _find(caller, params, "cancelOrderId", "cancelOrigClientOrderId", cancelling=True)
        cancelled = _cancel(caller, order, params, "cancelNewClientOrderId")
        is_cancelled = True
    except WireRefusal as refusal:
        cancelled, is_cancelled = refusal.body(), False
        if refusal.code == -1102:
            raise
        if mode is ReplaceMode.STOP_ON_FAILURE:
            data = _replaced("FAILURE", cancelled, "NOT_ATTEMPTED", None)
            raise WireRefusal(-2022, "Order cancel-replace failed.", 400, data=data) from None
    outcome = "SUCCESS" if is_cancelled else "FAILURE"
    try:
        placed = _place(caller, request, params)
    except WireRefusal as refusal:
        data = _replaced(outcome, cancelled, "FAILURE", refusal.body())
        if is_cancelled:
            message = "Order cancel-replace partially failed."
            status = 429 if refusal.status == 429 else 409
            headers = refusal.headers
            raise WireRefusal(-2021, message, status, headers=headers, data=data) from None
        raise WireRefusal(-2022, "Order cancel-replace failed.", 400, data=data) from None
    if not is_cancelled:
        data = _replaced(outcome, cancelled, "SUCCESS", placed)
        raise WireRefusal(-2021, "Order cancel-replace partially failed.", 409, data=data)
    return _replaced(outcome, cancelled, "SUCCESS", placed)


def _replaced(
    cancel_result: str, cancelled: object, new_result: str, placed: object
) -> render.Json:
    return {
        "cancelResult": cancel_result,
        "newOrderResult": new_result,
        "cancelResponse": cancelled,
        "newOrderResponse": placed,
    }


def open_orders(caller: VenueCaller, params: Params) -> object:
    """Open orders of one symbol or of all."""
    account, exchange = caller.account, caller.exchange
    symbols = list(account.open_orders)
    if params.has("symbol"):
        symbols = [exchange.market(params.symbol()).spec.name]
    return [
        render.order_queried(exchange.market(symbol), order)
        for symbol in symbols
        for order in account.open_orders.get(symbol, {}).values()
    ]


def all_orders(caller: VenueCaller, params: Params) -> object:
    """Orders of a symbol, oldest first: from an id, within times, or the newest."""
    market, limit = caller.exchange.market(params.symbol()), params.limit(500, 1_000)
    history = caller.account.history.get(market.spec.name)
    first = params.integer("orderId")
    start, end = _times(params)
    found = list(history.orders.values()) if history else []
    if first is not None:
        found = [order for order in found if order.order_id >= first]
    if start is not None:
        found = [order for order in found if render.millis(order.created_us) >= start]
    if end is not None:
        found = [order for order in found if render.millis(order.created_us) <= end]
    from_start = first is not None or start is not None
    found = found[:limit] if from_start else found[-limit:]
    return [render.order_queried(market, order) for order in found]


def _times(params: Params) -> tuple[int | None, int | None]:
    start, end = params.integer("startTime"), params.integer("endTime")
    if start is not None and end is not None and not 0 <= end - start <= DAY_MS:
        raise WireRefusal(-1127, "More than 24 hours between startTime and endTime.")
    return start, end


def my_trades(caller: VenueCaller, params: Params) -> object:
    """Fills of a symbol, oldest first: from an id, of an order, within times, or the newest."""
    market, limit = caller.exchange.market(params.symbol()), params.limit(500, 1_000)
    history = caller.account.history.get(market.spec.name)
    first, order_id = params.integer("fromId"), params.integer("orderId")
    start, end = _times(params)
    if first is not None and (start is not None or end is not None):
        raise WireRefusal(-1128, "Combination of optional parameters invalid.")
    found = list(history.fills) if history else []
    if order_id is not None:
        found = [fill for fill in found if fill.order_id == order_id]
    if first is not None:
        found = [fill for fill in found if fill.trade_id >= first]
    if start is not None:
        found = [fill for fill in found if render.millis(fill.time_us) >= start]
    if end is not None:
        found = [fill for fill in found if render.millis(fill.time_us) <= end]
    from_start = first is not None or start is not None
    found = found[:limit] if from_start else found[-limit:]
    return [render.my_trade(market, fill) for fill in found]


def prevented_matches(caller: VenueCaller, params: Params) -> object:
    """Prevented trades with oneself: one by its id, or those of an order."""
    market, limit = caller.exchange.market(params.symbol()), params.limit(500, 1_000)
    match_id, order_id = params.integer("preventedMatchId"), params.integer("orderId")
    first = params.integer("fromPreventedMatchId") or 0
    if (match_id is None) is (order_id is None):
        raise WireRefusal(-1128, "Combination of optional parameters invalid.")
    history = caller.account.history.get(market.spec.name)
    found = [
        one
        for one in (history.prevented if history else ())
        if one.match_id >= first
        and match_id in {None, one.match_id}
        and order_id in {None, one.taker_order_id, one.maker_order_id}
    ]
    return [render.prevented_match(market, one) for one in found[:limit]]


def no_amend(caller: VenueCaller, params: Params) -> object:
    """Amending in place: the symbols of this venue do not allow it, as exchangeInfo says."""
    caller.exchange.market(params.symbol())
    raise WireRefusal(-2038, "Order amend is not supported for this symbol.")


def nothing(_caller: VenueCaller, _params: Params) -> object:
    """An empty list: this venue has no order lists, amendments or allocations."""
    return []


_ORDER_REQUIRED: Final = names("symbol side type")
_ORDER_OPTIONAL: Final = names(
    "timeInForce quantity quoteOrderQty price newClientOrderId strategyId strategyType stopPrice "
    "trailingDelta icebergQty newOrderRespType selfTradePreventionMode"
)
_LOOKUP: Final = names("orderId origClientOrderId")

ORDER_CALLS: Final[Mapping[str, VenueCall]] = {
    "POST /api/v3/order": VenueCall(
        handler=place, access=Access.TRADE, required=_ORDER_REQUIRED, optional=_ORDER_OPTIONAL,
        is_free_on_success=True, counts_orders=True,
    ),
    "POST /api/v3/order/test": VenueCall(
        handler=test, access=Access.TRADE, required=_ORDER_REQUIRED,
        optional=_ORDER_OPTIONAL | names("computeCommissionRates"),
    ),
    "GET /api/v3/order": VenueCall(
        handler=query, access=Access.READ, weight=4, required=names("symbol"), optional=_LOOKUP
    ),
    "DELETE /api/v3/order": VenueCall(
        handler=cancel, access=Access.TRADE, required=names("symbol"),
        optional=_LOOKUP | names("newClientOrderId cancelRestrictions"), is_free_on_success=True,
    ),
    "DELETE /api/v3/openOrders": VenueCall(
        handler=cancel_all, access=Access.TRADE, required=names("symbol"), is_free_on_success=True
    ),
    "POST /api/v3/order/cancelReplace": VenueCall(
        handler=cancel_replace, access=Access.TRADE,
        required=_ORDER_REQUIRED | names("cancelReplaceMode"),
        optional=_ORDER_OPTIONAL
        | names(
            "cancelNewClientOrderId cancelOrigClientOrderId cancelOrderId cancelRestrictions "
            "orderRateLimitExceededMode"
        ),
        is_free_on_success=True, counts_orders=True,
    ),
    "GET /api/v3/openOrders": VenueCall(
        handler=open_orders, access=Access.READ, optional=names("symbol"),
        weight=lambda params: 6 if params.has("symbol") else 80,
    ),
    "GET /api/v3/allOrders": VenueCall(
        handler=all_orders, access=Access.READ, weight=20, required=names("symbol"),
        optional=names("orderId startTime endTime limit"),
    ),
    "PUT /api/v3/order/amend/keepPriority": VenueCall(
        handler=no_amend, access=Access.TRADE, weight=4, required=names("symbol newQty"),
        optional=_LOOKUP | names("newClientOrderId"),
    ),
    "GET /api/v3/order/amendments": VenueCall(
        handler=nothing, access=Access.READ, weight=4, required=names("symbol orderId"),
        optional=names("fromExecutionId limit"),
    ),
    "GET /api/v3/openOrderList": VenueCall(handler=nothing, access=Access.READ, weight=6),
    "GET /api/v3/allOrderList": VenueCall(
        handler=nothing, access=Access.READ, weight=20,
        optional=names("fromId startTime endTime limit"),
    ),
    "GET /api/v3/myPreventedMatches": VenueCall(
        handler=prevented_matches, access=Access.READ, required=names("symbol"),
        optional=names("preventedMatchId orderId fromPreventedMatchId limit"),
        weight=lambda params: 2 if params.has("preventedMatchId") else 20,
    ),
    "GET /api/v3/myAllocations": VenueCall(
        handler=nothing, access=Access.READ, weight=20, required=names("symbol"),
        optional=names("startTime endTime fromAllocationId limit orderId"),
    ),
    "GET /api/v3/myTrades": VenueCall(
        handler=my_trades, access=Access.READ, required=names("symbol"),
        optional=names("orderId startTime endTime fromId limit"),
        weight=lambda params: 5 if params.has("orderId") else 20,
    ),
}  # fmt: skip
