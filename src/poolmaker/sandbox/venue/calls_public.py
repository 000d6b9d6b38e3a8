"""Public calls: time, listings, book, trades, candles, tickers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from poolmaker.sandbox.venue import render, render_market
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.calls import Access, VenueCall, VenueCaller, names
from poolmaker.sandbox.venue.model import SymbolStatus
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.quotas import BY_ADDRESS
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.streams import MarketFeed
from poolmaker.sandbox.venue.tape import INTERVALS_US

DEPTH_MAX: Final = 5_000


def ping(_caller: VenueCaller, _params: Params) -> object:
    """Nothing, to show that somebody is there."""
    return {}


def server_time(caller: VenueCaller, _params: Params) -> object:
    """The venue's clock."""
    return {"serverTime": render.millis(caller.time_us)}


def exchange_info(caller: VenueCaller, params: Params) -> object:
    """Limits and the rules of every symbol."""
    exchange = caller.exchange
    return {
        "timezone": "UTC",
        "serverTime": render.millis(caller.time_us),
        "rateLimits": exchange.limiter.settings.announce(),
        "exchangeFilters": [],
        "symbols": [render.symbol_info(market) for market in _chosen(caller, params)],
    }


def _chosen(caller: VenueCaller, params: Params) -> list[Market]:
    exchange = caller.exchange
    if params.has("symbol") and params.has("symbols"):
        raise WireRefusal(-1128, "Combination of optional parameters invalid.")
    if params.has("symbol"):
        return [exchange.market(params.symbol())]
    symbols = params.symbols()
    if symbols is not None:
        return [exchange.market(symbol) for symbol in symbols]
    markets = list(exchange.engine.markets.values())
    wanted = params.choice("symbolStatus", SymbolStatus, -1122, "Invalid symbolStatus.")
    return [market for market in markets if wanted is None or market.status is wanted]


def _one(caller: VenueCaller, params: Params) -> Market:
    return caller.exchange.market(params.symbol())


def _feed(caller: VenueCaller, params: Params) -> MarketFeed:
    return caller.exchange.feeds[_one(caller, params).spec.name]


def depth(caller: VenueCaller, params: Params) -> object:
    """A snapshot of the book."""
    return render_market.depth_snapshot(_one(caller, params), params.limit(100, DEPTH_MAX))


def _depth_weight(params: Params) -> int:
    limit = params.limit(100, DEPTH_MAX)
    if limit <= 100:
        return 5
    if limit <= 500:
        return 25
    return 50 if limit <= 1_000 else 250


def trades(caller: VenueCaller, params: Params) -> object:
    """The newest trades, or those from ``fromId`` on."""
    feed, limit = _feed(caller, params), params.limit(500, 1_000)
    first = params.integer("fromId")
    found = list(feed.tape.trades)
    if first is None:
        found = found[-limit:]
    else:
        found = [trade for trade in found if trade.trade_id >= first][:limit]
    return [render_market.trade_row(feed.market, trade) for trade in found]


def aggregate_trades(caller: VenueCaller, params: Params) -> object:
    """Aggregated trades by id, by time or the newest."""
    feed, limit = _feed(caller, params), params.limit(500, 1_000)
    first = params.integer("fromId")
    start, end = params.integer("startTime"), params.integer("endTime")
    found = list(feed.tape.aggregates)
    if first is None and start is None and end is None:
        found = found[-limit:]
    if first is not None:
        found = [trade for trade in found if trade.aggregate_id >= first]
    if start is not None:
        found = [trade for trade in found if render.millis(trade.time_us) >= start]
    if end is not None:
        found = [trade for trade in found if render.millis(trade.time_us) <= end]
    return [render_market.aggregate_row(feed.market, trade) for trade in found[:limit]]


def klines(caller: VenueCaller, params: Params) -> object:
    """Candles."""
    feed, limit = _feed(caller, params), params.limit(500, 1_000)
    interval = params.text("interval") or ""
    if interval not in INTERVALS_US:
        raise WireRefusal(-1120, "Invalid interval.")
    start, end = params.integer("startTime"), params.integer("endTime")
    found = [
        candle
        for candle in feed.tape.candles(interval, caller.time_us)
        if (start is None or render.millis(candle.start_us) >= start)
        and (end is None or render.millis(candle.start_us) <= end)
    ]
    found = found[-limit:] if start is None else found[:limit]
    span_us = INTERVALS_US[interval]
    return [render_market.kline_row(feed.market, candle, span_us) for candle in found]


def average_price(caller: VenueCaller, params: Params) -> object:
    """The last price: the filters of this venue average over zero minutes."""
    market = _one(caller, params)
    price = render.price_text(market, market.last_price)
    return {"mins": 0, "price": price, "closeTime": render.millis(caller.time_us)}


def _each(
    caller: VenueCaller, params: Params, shape: Callable[[Market], Mapping[str, object]]
) -> object:
    bodies = [shape(market) for market in _chosen(caller, params)]
    return bodies[0] if params.has("symbol") else bodies


def ticker_24h(caller: VenueCaller, params: Params) -> object:
    """The last 24 hours of one, some or all symbols."""
    is_mini = params.text("type") == "MINI"

    def shape(market: Market) -> Mapping[str, object]:
        ticker = caller.exchange.feeds[market.spec.name].ticker(caller.time_us)
        return render_market.ticker_mini(ticker) if is_mini else ticker

    return _each(caller, params, shape)


def ticker_price(caller: VenueCaller, params: Params) -> object:
    """The last price of one, some or all symbols."""
    return _each(
        caller,
        params,
        lambda market: {
            "symbol": market.spec.name,
            "price": render.price_text(market, market.last_price),
        },
    )


def book_ticker(caller: VenueCaller, params: Params) -> object:
    """The best prices of one, some or all symbols."""
    return _each(caller, params, render_market.book_ticker)


def system_status(_caller: VenueCaller, _params: Params) -> object:
    """Whether the venue is under maintenance."""
    return {"status": 0, "msg": "normal"}


def nothing_listed(_caller: VenueCaller, _params: Params) -> object:
    """An empty list: this venue has no margin."""
    return []


def removed(_caller: VenueCaller, _params: Params) -> object:
    """Calls that the real wire has taken away."""
    raise WireRefusal(-1020, "This operation is not supported.", 410)


def _by_symbol(one: int, all_: int) -> Callable[[Params], int]:
    return lambda params: one if params.has("symbol") else all_


_SOME: Final = names("symbol symbols symbolStatus")
_ONE: Final = names("symbol")

PUBLIC_CALLS: Final[Mapping[str, VenueCall]] = {
    "GET /api/v3/ping": VenueCall(handler=ping),
    "GET /api/v3/time": VenueCall(handler=server_time),
    "GET /api/v3/exchangeInfo": VenueCall(
        handler=exchange_info,
        weight=20,
        optional=names("symbol symbols permissions showPermissionSets symbolStatus"),
    ),
    "GET /api/v3/depth": VenueCall(
        handler=depth, weight=_depth_weight, required=_ONE, optional=names("limit symbolStatus")
    ),
    "GET /api/v3/trades": VenueCall(
        handler=trades, weight=25, required=_ONE, optional=names("limit")
    ),
    "GET /api/v3/historicalTrades": VenueCall(
        handler=trades, weight=25, required=_ONE, optional=names("limit fromId")
    ),
    "GET /api/v3/aggTrades": VenueCall(
        handler=aggregate_trades,
        weight=4,
        required=_ONE,
        optional=names("fromId startTime endTime limit"),
    ),
    "GET /api/v3/klines": VenueCall(
        handler=klines,
        weight=2,
        required=names("symbol interval"),
        optional=names("startTime endTime timeZone limit"),
    ),
    "GET /api/v3/uiKlines": VenueCall(
        handler=klines,
        weight=2,
        required=names("symbol interval"),
        optional=names("startTime endTime timeZone limit"),
    ),
    "GET /api/v3/avgPrice": VenueCall(handler=average_price, weight=2, required=_ONE),
    "GET /api/v3/ticker/24hr": VenueCall(
        handler=ticker_24h, weight=_by_symbol(2, 80), optional=_SOME | names("type")
    ),
    "GET /api/v3/ticker/price": VenueCall(
        handler=ticker_price, weight=_by_symbol(2, 4), optional=_SOME
    ),
    "GET /api/v3/ticker/bookTicker": VenueCall(
        handler=book_ticker, weight=_by_symbol(2, 4), optional=_SOME
    ),
    "GET /sapi/v1/system/status": VenueCall(handler=system_status, quota=BY_ADDRESS),
    "GET /sapi/v1/margin/allPairs": VenueCall(
        handler=nothing_listed, access=Access.KEY_ONLY, quota=BY_ADDRESS, optional=_ONE
    ),
    "GET /sapi/v1/margin/allAssets": VenueCall(
        handler=nothing_listed, access=Access.KEY_ONLY, quota=BY_ADDRESS, optional=names("asset")
    ),
    "GET /sapi/v1/margin/isolated/allPairs": VenueCall(
        handler=nothing_listed, access=Access.READ, weight=10, quota=BY_ADDRESS, optional=_ONE
    ),
    "POST /api/v3/userDataStream": VenueCall(handler=removed, access=Access.KEY_ONLY),
    "PUT /api/v3/userDataStream": VenueCall(handler=removed, optional=names("listenKey")),
    "DELETE /api/v3/userDataStream": VenueCall(handler=removed, optional=names("listenKey")),
}


def unknown_call(path: str) -> WireRefusal:
    """The refusal of a path that is not there."""
    return WireRefusal(-1, f"not found: {path}", 404)
