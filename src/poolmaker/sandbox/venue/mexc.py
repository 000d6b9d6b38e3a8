"""The same venue behind the MEXC REST wire, under ``/mexc``: an exchange that HuFi lists.

MEXC's REST is a relative of Binance's; what differs is here: the key header, order types instead
of a time in force, wallet paths, some shapes and the error codes. There is no MEXC stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from poolmaker.sandbox.venue import calls_account, calls_orders, calls_public, render
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.calls import Access, VenueCall, VenueCaller, names
from poolmaker.sandbox.venue.catalog import ASSETS
from poolmaker.sandbox.venue.model import OrderType, SymbolStatus
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.units import to_short_text

PREFIX: Final = "/mexc"
KEY_HEADER: Final = "X-MEXC-APIKEY"
_INTERVALS: Final[Mapping[str, str]] = {"60m": "1h", "1W": "1w"}
_BY_TYPE: Final[Mapping[str, tuple[str, str | None]]] = {
    "LIMIT": ("LIMIT", "GTC"),
    "IMMEDIATE_OR_CANCEL": ("LIMIT", "IOC"),
    "FILL_OR_KILL": ("LIMIT", "FOK"),
    "LIMIT_MAKER": ("LIMIT_MAKER", None),
    "MARKET": ("MARKET", None),
}
_CODES: Final[Mapping[int, int]] = {
    -1022: 700002, -1021: 700003, -1131: 700005, -1102: 700004, -2014: 10072, -2015: 10072,
    -1121: 10007,
}  # fmt: skip
_CODES_BY_MESSAGE: Final[Mapping[str, tuple[int, str]]] = {
    "Account has insufficient balance for requested action.": (30004, "Insufficient position"),
    "Filter failure: NOTIONAL": (
        30002,
        "The minimum transaction volume cannot be less than 5USDT",
    ),
    "Market is closed.": (30016, "Trading disabled"),
    "Filter failure: LOT_SIZE": (400, "quantity scale is invalid"),
    "Filter failure: PRICE_FILTER": (400, "price scale is invalid"),
}


def body_of(refusal: WireRefusal) -> dict[str, object]:
    """A refusal in MEXC's codes."""
    known = _CODES_BY_MESSAGE.get(refusal.message)
    if known is not None:
        return {"code": known[0], "msg": known[1]}
    return {"code": _CODES.get(refusal.code, refusal.code), "msg": refusal.message}


def _decimals(step_units: int) -> int:
    return len(to_short_text(step_units).partition(".")[2])


def _symbol(market: Market) -> render.Json:
    spec = market.spec
    return {
        "symbol": spec.name,
        "status": "1" if market.status is SymbolStatus.TRADING else "2",
        "baseAsset": spec.base,
        "baseAssetPrecision": _decimals(spec.step_size_units),
        "quoteAsset": spec.quote,
        "quotePrecision": _decimals(spec.tick_size_units),
        "quoteAssetPrecision": _decimals(spec.tick_size_units),
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(OrderType),
        "isSpotTradingAllowed": market.status is SymbolStatus.TRADING,
        "isMarginTradingAllowed": False,
        "quoteAmountPrecision": to_short_text(spec.min_notional_units),
        "baseSizePrecision": to_short_text(spec.step_size_units),
        "permissions": ["SPOT"],
        "filters": [],
        "maxQuoteAmount": to_short_text(spec.max_notional_units),
        "makerCommission": "0.001",
        "takerCommission": "0.001",
    }


def exchange_info(caller: VenueCaller, params: Params) -> object:
    """The listings in MEXC's shape."""
    markets = list(caller.exchange.engine.markets.values())
    if params.has("symbol"):
        markets = [caller.exchange.market(params.symbol())]
    return {
        "timezone": "CST",
        "serverTime": render.millis(caller.time_us),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_symbol(market) for market in markets],
    }


def klines(caller: VenueCaller, params: Params) -> object:
    """Candles; an hour is called 60m and rows are shorter."""
    interval = params.text("interval") or ""
    changed = params.changed({"interval": _INTERVALS.get(interval, interval)})
    rows = calls_public.klines(caller, changed)
    return [row[:8] for row in rows] if isinstance(rows, list) else rows


def _order_params(params: Params) -> Params:
    kind = _BY_TYPE.get(params.text("type") or "")
    if kind is None:
        raise WireRefusal(-1116, "Invalid orderType.")
    changes: dict[str, str | None] = {"type": kind[0], "timeInForce": kind[1]}
    if kind[0] == "MARKET":
        changes["price"] = None
    return params.changed({**changes, "newOrderRespType": "RESULT"})


def place(caller: VenueCaller, params: Params) -> object:
    """Place an order; the answer is short."""
    body = calls_orders.place(caller, _order_params(params))
    if not isinstance(body, dict):
        return body
    return {
        "symbol": body["symbol"],
        "orderId": str(body["orderId"]),
        "orderListId": -1,
        "price": body["price"],
        "origQty": body["origQty"],
        "type": params.text("type"),
        "side": body["side"],
        "transactTime": body["transactTime"],
    }


def check(caller: VenueCaller, params: Params) -> object:
    """Check an order without placing it."""
    changed = _order_params(params).changed({"newOrderRespType": None})
    return calls_orders.test(caller, changed)


def trade_fee(caller: VenueCaller, params: Params) -> object:
    """Commission rates of one symbol."""
    market = caller.exchange.market(params.symbol())
    rates = render.commission(market, caller.account)["standardCommission"]
    data = {"makerCommission": rates["maker"], "takerCommission": rates["taker"]}
    return {"data": data, "code": 0, "msg": "success", "timestamp": render.millis(caller.time_us)}


def deposit_addresses(caller: VenueCaller, params: Params) -> object:
    """The caller's addresses for an asset, one a network."""
    spec = ASSETS.get(params.text("coin") or "")
    if spec is None:
        raise WireRefusal(10232, "The currency does not exist")
    wanted, wallet = params.text("network"), caller.exchange.wallet
    return [
        {
            "coin": spec.name,
            "network": network.name,
            "netWork": network.name,
            "address": wallet.address(caller.account, spec.name, network),
            "memo": None,
        }
        for network in spec.networks
        if wanted in {None, network.name, network.title}
    ]


def withdraw(caller: VenueCaller, params: Params) -> object:
    """Take value out; the network's parameter has another name."""
    memo, network = params.text("memo"), params.text("netWork")
    changed = params.changed(
        {"netWork": None, "network": network, "memo": None, "addressTag": memo, "remark": None}
    )
    return calls_account.withdraw(caller, changed)


def no_contracts(_caller: VenueCaller, _params: Params) -> object:
    """There are no swaps here."""
    return {"success": True, "code": 0, "data": []}


_ORDER: Final = names("symbol side type")
_ORDER_MORE: Final = names("quantity quoteOrderQty price newClientOrderId")
_LOOKUP: Final = names("orderId origClientOrderId")
_BINANCE: Final[Mapping[str, VenueCall]] = {
    **calls_public.PUBLIC_CALLS,
    **calls_orders.ORDER_CALLS,
    **calls_account.ACCOUNT_CALLS,
}
_SAME: Final[Mapping[str, str]] = {
    "GET /api/v3/capital/config/getall": "GET /sapi/v1/capital/config/getall",
    "GET /api/v3/capital/deposit/hisrec": "GET /sapi/v1/capital/deposit/hisrec",
    "GET /api/v3/capital/withdraw/history": "GET /sapi/v1/capital/withdraw/history",
    **{
        name: name
        for name in (
            "GET /api/v3/ping", "GET /api/v3/time", "GET /api/v3/depth", "GET /api/v3/trades",
            "GET /api/v3/aggTrades", "GET /api/v3/avgPrice", "GET /api/v3/ticker/24hr",
            "GET /api/v3/ticker/price", "GET /api/v3/ticker/bookTicker", "GET /api/v3/order",
            "DELETE /api/v3/order", "DELETE /api/v3/openOrders", "GET /api/v3/openOrders",
            "GET /api/v3/allOrders", "GET /api/v3/myTrades", "GET /api/v3/account",
        )
    },
}  # fmt: skip
_OWN: Final[Mapping[str, VenueCall]] = {
    "GET /api/v3/exchangeInfo": VenueCall(
        handler=exchange_info, weight=10, optional=names("symbol symbols")
    ),
    "GET /api/v3/klines": VenueCall(
        handler=klines, required=names("symbol interval"), optional=names("startTime endTime limit")
    ),
    "POST /api/v3/order": VenueCall(
        handler=place, access=Access.TRADE, required=_ORDER, optional=_ORDER_MORE,
        is_free_on_success=True, counts_orders=True,
    ),
    "POST /api/v3/order/test": VenueCall(
        handler=check, access=Access.TRADE, required=_ORDER, optional=_ORDER_MORE
    ),
    "GET /api/v3/tradeFee": VenueCall(
        handler=trade_fee, access=Access.READ, weight=20, required=names("symbol")
    ),
    "GET /api/v3/capital/deposit/address": VenueCall(
        handler=deposit_addresses, access=Access.READ, weight=10, required=names("coin"),
        optional=names("network"),
    ),
    "POST /api/v3/capital/withdraw": VenueCall(
        handler=withdraw, access=Access.TRADE, required=names("coin address amount"),
        optional=names("netWork memo withdrawOrderId remark"),
    ),
    "GET /api/v1/contract/detail": VenueCall(handler=no_contracts),
}  # fmt: skip


def _under(name: str) -> str:
    method, _, path = name.partition(" ")
    return f"{method} {PREFIX}{path}"


def _without_quota(call: VenueCall) -> VenueCall:
    # The limits of /sapi are Binance's own; here the wallet weighs as everything else does.
    return call if call.quota is None else replace(call, quota=None, weight=1)


CALLS: Final[Mapping[str, VenueCall]] = {
    **{_under(name): _without_quota(_BINANCE[same]) for name, same in _SAME.items()},
    **{_under(name): call for name, call in _OWN.items()},
}
