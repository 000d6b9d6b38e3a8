"""The wire's JSON shapes: engine values in, plain dictionaries of decimal text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.model import (
    Account,
    BalanceMoved,
    Execution,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    PositionSeen,
    Prevented,
    Report,
    StpMode,
    SymbolStatus,
    TimeInForce,
)
from poolmaker.sandbox.venue.units import to_text

Json = dict[str, Any]
ZERO = "0.00000000"


def millis(time_us: int) -> int:
    """Wire time: milliseconds."""
    return time_us // 1000


def side_name(*, is_buy: bool) -> str:
    """BUY or SELL."""
    return "BUY" if is_buy else "SELL"


def price_text(market: Market, ticks: int) -> str:
    """A price as the wire writes it."""
    return to_text(ticks * market.spec.tick_units)


def quantity_text(market: Market, lots: int) -> str:
    """A quantity as the wire writes it."""
    return to_text(lots * market.spec.step_units)


def order_ack(order: Order) -> Json:
    """The short answer to a placed order."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": millis(order.updated_us),
    }


def order_result(market: Market, order: Order) -> Json:
    """The answer to a placed order with its numbers, and of a cancelled one."""
    body = order_ack(order)
    body.update(_order_numbers(market, order))
    if order.is_open:
        body["workingTime"] = millis(order.working_us)
    return body


def _order_numbers(market: Market, order: Order) -> Json:
    body = {
        "price": price_text(market, order.price),
        "origQty": quantity_text(market, order.lots),
        "executedQty": quantity_text(market, order.done),
        "origQuoteOrderQty": to_text(order.quote_order_units),
        "cummulativeQuoteQty": to_text(order.quote_done),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.order_type,
        "side": side_name(is_buy=order.is_buy),
        "selfTradePreventionMode": order.stp,
    }
    if order.prevented_lots:
        body["preventedQuantity"] = quantity_text(market, order.prevented_lots)
    return body


def order_full(market: Market, order: Order, fills: Sequence[Fill]) -> Json:
    """The long answer to a placed order, with the fills that it had at once."""
    body = order_result(market, order)
    body["workingTime"] = millis(order.working_us)
    body["fills"] = [
        {
            "price": price_text(market, fill.price),
            "qty": quantity_text(market, fill.lots),
            "commission": to_text(fill.fee_units),
            "commissionAsset": fill.fee_asset,
            "tradeId": fill.trade_id,
        }
        for fill in fills
    ]
    return body


def order_cancelled(market: Market, order: Order, cancel_id: str) -> Json:
    """The answer to a cancel: the cancel's own client id, the order's in origClientOrderId."""
    body = order_result(market, order)
    body["origClientOrderId"] = order.client_id
    body["clientOrderId"] = cancel_id
    return body


def order_queried(market: Market, order: Order) -> Json:
    """An order as queries and lists show it."""
    body: Json = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
    }
    body.update(_order_numbers(market, order))
    body.update(
        {
            "stopPrice": ZERO,
            "icebergQty": ZERO,
            "time": millis(order.created_us),
            "updateTime": millis(order.updated_us),
            "isWorking": True,
            "workingTime": millis(order.working_us),
        }
    )
    return body


def my_trade(market: Market, fill: Fill) -> Json:
    """A fill as the account's trade list shows it."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": price_text(market, fill.price),
        "qty": quantity_text(market, fill.lots),
        "quoteQty": to_text(fill.quote_units),
        "commission": to_text(fill.fee_units),
        "commissionAsset": fill.fee_asset,
        "time": millis(fill.time_us),
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def prevented_match(market: Market, one: Prevented) -> Json:
    """A prevented trade as the account's list shows it."""
    return {
        "symbol": market.spec.name,
        "preventedMatchId": one.match_id,
        "takerOrderId": one.taker_order_id,
        "makerSymbol": market.spec.name,
        "makerOrderId": one.maker_order_id,
        "tradeGroupId": -1,
        "selfTradePreventionMode": one.stp,
        "price": price_text(market, one.price),
        "makerPreventedQuantity": quantity_text(market, one.lots),
        "transactTime": millis(one.time_us),
    }


def execution_report(market: Market, report: Report) -> Json:
    """The user stream's order event."""
    order, time_ms = report.order, millis(report.time_us)
    body: Json = {
        "e": "executionReport",
        "E": time_ms,
        "s": order.symbol,
        "c": report.client_id,
        "S": side_name(is_buy=order.is_buy),
        "o": order.order_type,
        "f": order.tif,
        "q": quantity_text(market, order.lots),
        "p": price_text(market, order.price),
        "P": ZERO,
        "F": ZERO,
        "g": -1,
        "C": report.original_client_id,
        "x": report.execution,
        "X": report.status,
        "r": "NONE",
        "i": order.order_id,
        "l": ZERO,
        "z": quantity_text(market, report.done),
        "L": ZERO,
        "n": "0",
        "N": None,
        "T": time_ms,
        "t": -1,
        "I": report.execution_id,
        "w": report.is_working,
        "m": False,
        "M": False,
        "O": millis(order.created_us),
        "Z": to_text(report.quote_done),
        "Y": ZERO,
        "Q": to_text(order.quote_order_units),
        "W": millis(order.working_us),
        "V": order.stp,
    }
    if report.fill is not None:
        body.update(_traded(market, report.fill))
    if report.execution is Execution.TRADE_PREVENTION:
        body.update(_prevention(market, report))
    if report.status is OrderStatus.EXPIRED:
        body["eR"] = _expiry_reason(order)
    return body


def _traded(market: Market, fill: Fill) -> Json:
    return {
        "l": quantity_text(market, fill.lots),
        "L": price_text(market, fill.price),
        "n": to_text(fill.fee_units),
        "N": fill.fee_asset,
        "t": fill.trade_id,
        "m": fill.is_maker,
        "M": True,
        "Y": to_text(fill.quote_units),
    }


def _prevention(market: Market, report: Report) -> Json:
    lots = quantity_text(market, report.prevented_lots)
    quote = report.prevented_lots * report.prevented_price * market.quote_per_tick_lot
    return {
        "v": report.prevented_match_id,
        "A": quantity_text(market, report.order.prevented_lots),
        "B": lots,
        "u": report.order.account.account_id,
        "U": report.counter_order_id,
        "Cs": report.order.symbol,
        "pl": lots,
        "pL": price_text(market, report.prevented_price),
        "pY": to_text(quote),
    }


def _expiry_reason(order: Order) -> str:
    if order.order_type is OrderType.MARKET:
        return "INSUFFICIENT_LIQUIDITY"
    if order.tif is TimeInForce.FOK:
        return "UNFILLED_FOK_ORDER_EXPIRED"
    return "UNFILLED_IOC_QUANTITY_EXPIRED"


def position(event: PositionSeen) -> Json:
    """The user stream's balance event: absolute numbers of the assets a command touched."""
    time_ms = millis(event.time_us)
    return {
        "e": "outboundAccountPosition",
        "E": time_ms,
        "u": time_ms,
        "B": [
            {"a": asset, "f": to_text(free), "l": to_text(locked)}
            for asset, free, locked in event.balances
        ],
    }


def balance_update(event: BalanceMoved) -> Json:
    """The user stream's deposit and withdrawal event."""
    time_ms = millis(event.time_us)
    return {
        "e": "balanceUpdate",
        "E": time_ms,
        "a": event.asset,
        "d": to_text(event.delta_units),
        "T": time_ms,
    }


def account_info(account: Account, *, omit_zero: bool) -> Json:
    """The account with its balances; what a key may do is not told here, as on the real wire."""
    return {
        "makerCommission": account.maker_rate // 10_000,
        "takerCommission": account.taker_rate // 10_000,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": to_text(account.maker_rate),
            "taker": to_text(account.taker_rate),
            "buyer": ZERO,
            "seller": ZERO,
        },
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": millis(account.updated_us),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": to_text(held.free), "locked": to_text(held.locked)}
            for asset, held in sorted(account.balances.items())
            if not omit_zero or held.free or held.locked
        ],
        "permissions": ["SPOT"],
        "uid": int(account.account_id),
    }


def commission(market: Market, account: Account) -> Json:
    """The commission rates of one symbol."""
    maker, taker = market.rates_of(account)
    nothing = {"maker": ZERO, "taker": ZERO, "buyer": ZERO, "seller": ZERO}
    return {
        "symbol": market.spec.name,
        "standardCommission": {
            **nothing,
            "maker": to_text(maker),
            "taker": to_text(taker),
        },
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": account.pays_in_bnb,
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": "0.75000000",
        },
    }


def symbol_info(market: Market) -> Json:
    """One symbol of exchangeInfo."""
    spec = market.spec
    return {
        "symbol": spec.name,
        "status": market.status,
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(OrderType),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": market.status is not SymbolStatus.BREAK,
        "isMarginTradingAllowed": False,
        "filters": _filters(market),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": StpMode.EXPIRE_MAKER,
        "allowedSelfTradePreventionModes": list(StpMode),
    }


def _filters(market: Market) -> list[Json]:
    spec = market.spec
    down = to_text(spec.percent_down_per_cent * 1_000_000)
    up = to_text(spec.percent_up * 100_000_000)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": to_text(spec.tick_size_units),
            "maxPrice": to_text(spec.max_price_units),
            "tickSize": to_text(spec.tick_size_units),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": to_text(spec.min_quantity_units),
            "maxQty": quantity_text(market, spec.max_lots),
            "stepSize": to_text(spec.step_size_units),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": to_text(spec.min_notional_units),
            "applyMinToMarket": True,
            "maxNotional": to_text(spec.max_notional_units),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": spec.open_orders_max},
    ]
