"""The wire's JSON shapes of public market data."""

from __future__ import annotations

from collections.abc import Iterable

from poolmaker.kernel.clock import DAY_US
from poolmaker.sandbox.venue.book import BookSide, Market
from poolmaker.sandbox.venue.model import TradePrint
from poolmaker.sandbox.venue.render import ZERO, Json, millis, price_text, quantity_text
from poolmaker.sandbox.venue.tape import Aggregate, Candle
from poolmaker.sandbox.venue.units import to_text

Rows = list[tuple[str, str]]


def side_rows(market: Market, side: BookSide, depth: int) -> Rows:
    """The best ``depth`` levels of one side."""
    return [
        (price_text(market, level.price), quantity_text(market, level.total))
        for level in side.top(depth)
    ]


def depth_snapshot(market: Market, depth: int) -> Json:
    """The book up to now with the id of its last change."""
    return {
        "lastUpdateId": market.update_id,
        "bids": side_rows(market, market.bids, depth),
        "asks": side_rows(market, market.asks, depth),
    }


def changed_rows(market: Market, prices: Iterable[int], *, is_buy: bool) -> Rows:
    """Absolute quantities now at ``prices``; zero means that the level is gone."""
    return [
        (price_text(market, price), quantity_text(market, market.total_at(price, is_buy=is_buy)))
        for price in sorted(prices, reverse=is_buy)
    ]


def depth_update(
    market: Market, first_id: int, bids: Iterable[int], asks: Iterable[int], time_us: int
) -> Json:
    """A diff that covers the update ids ``first_id`` to the market's newest."""
    return {
        "e": "depthUpdate",
        "E": millis(time_us),
        "s": market.spec.name,
        "U": first_id,
        "u": market.update_id,
        "b": changed_rows(market, bids, is_buy=True),
        "a": changed_rows(market, asks, is_buy=False),
    }


def best(market: Market) -> tuple[str, str, str, str]:
    """Bid price, bid quantity, ask price, ask quantity; zeros where a side is empty."""
    bid, ask = market.bids.best(), market.asks.best()
    return (
        price_text(market, bid.price) if bid else ZERO,
        quantity_text(market, bid.total) if bid else ZERO,
        price_text(market, ask.price) if ask else ZERO,
        quantity_text(market, ask.total) if ask else ZERO,
    )


def book_ticker_event(market: Market) -> Json:
    """The stream's best bid and ask."""
    bid, bid_size, ask, ask_size = best(market)
    return {
        "u": market.update_id, "s": market.spec.name,
        "b": bid, "B": bid_size, "a": ask, "A": ask_size,
    }  # fmt: skip


def book_ticker(market: Market) -> Json:
    """The query's best bid and ask."""
    bid, bid_size, ask, ask_size = best(market)
    return {
        "symbol": market.spec.name,
        "bidPrice": bid,
        "bidQty": bid_size,
        "askPrice": ask,
        "askQty": ask_size,
    }


def trade_event(market: Market, trade: TradePrint) -> Json:
    """The stream's trade; it names no order."""
    return {
        "e": "trade",
        "E": millis(trade.time_us),
        "s": trade.symbol,
        "t": trade.trade_id,
        "p": price_text(market, trade.price),
        "q": quantity_text(market, trade.lots),
        "T": millis(trade.time_us),
        "m": trade.buyer_is_maker,
        "M": True,
    }


def trade_row(market: Market, trade: TradePrint) -> Json:
    """The query's trade."""
    return {
        "id": trade.trade_id,
        "price": price_text(market, trade.price),
        "qty": quantity_text(market, trade.lots),
        "quoteQty": to_text(trade.quote_units),
        "time": millis(trade.time_us),
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_row(market: Market, trade: Aggregate) -> Json:
    """The query's aggregated trade."""
    return {
        "a": trade.aggregate_id,
        "p": price_text(market, trade.price),
        "q": quantity_text(market, trade.lots),
        "f": trade.first_id,
        "l": trade.last_id,
        "T": millis(trade.time_us),
        "m": trade.buyer_is_maker,
        "M": True,
    }


def aggregate_event(market: Market, trade: Aggregate) -> Json:
    """The stream's aggregated trade."""
    return {
        "e": "aggTrade", "E": millis(trade.time_us), "s": market.spec.name,
        **aggregate_row(market, trade),
    }  # fmt: skip


def kline_row(market: Market, candle: Candle, span_us: int) -> list[object]:
    """The query's candle."""
    return [
        millis(candle.start_us),
        price_text(market, candle.open),
        price_text(market, candle.high),
        price_text(market, candle.low),
        price_text(market, candle.close),
        quantity_text(market, candle.lots),
        millis(candle.start_us + span_us) - 1,
        to_text(candle.quote_units),
        candle.trades,
        quantity_text(market, candle.taker_buy_lots),
        to_text(candle.taker_buy_quote_units),
        "0",
    ]


def kline_event(market: Market, candle: Candle, interval: str, span_us: int, time_us: int) -> Json:
    """The stream's candle."""
    return {
        "e": "kline",
        "E": millis(time_us),
        "s": market.spec.name,
        "k": {
            "t": millis(candle.start_us),
            "T": millis(candle.start_us + span_us) - 1,
            "s": market.spec.name,
            "i": interval,
            "f": candle.first_id,
            "L": candle.last_id,
            "o": price_text(market, candle.open),
            "c": price_text(market, candle.close),
            "h": price_text(market, candle.high),
            "l": price_text(market, candle.low),
            "v": quantity_text(market, candle.lots),
            "n": candle.trades,
            "x": time_us >= candle.start_us + span_us,
            "q": to_text(candle.quote_units),
            "V": quantity_text(market, candle.taker_buy_lots),
            "Q": to_text(candle.taker_buy_quote_units),
            "B": "0",
        },
    }


def _change(market: Market, day: Candle) -> tuple[str, str, str]:
    change = (day.close - day.open) * market.spec.tick_units
    thousandths = (day.close - day.open) * 100_000 // day.open if day.open else 0
    sign, size = ("-" if thousandths < 0 else ""), abs(thousandths)
    average = day.close * market.spec.tick_units
    if day.lots:
        average = day.quote_units // (day.lots * market.quote_per_tick_lot)
        average *= market.spec.tick_units
    return to_text(change), f"{sign}{size // 1000}.{size % 1000:03d}", to_text(average)


def ticker_24h(market: Market, day: Candle, last: TradePrint | None, time_us: int) -> Json:
    """The query's 24 hour statistics."""
    change, per_cent, average = _change(market, day)
    return {
        "symbol": market.spec.name,
        "priceChange": change,
        "priceChangePercent": per_cent,
        "weightedAvgPrice": average,
        "prevClosePrice": price_text(market, day.open),
        "lastPrice": price_text(market, day.close),
        "lastQty": quantity_text(market, last.lots) if last else ZERO,
        **{name: text for name, text in book_ticker(market).items() if name != "symbol"},
        "openPrice": price_text(market, day.open),
        "highPrice": price_text(market, day.high),
        "lowPrice": price_text(market, day.low),
        "volume": quantity_text(market, day.lots),
        "quoteVolume": to_text(day.quote_units),
        "openTime": millis(time_us - DAY_US),
        "closeTime": millis(time_us),
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": day.trades,
    }


def ticker_window(market: Market, window: Candle, close_ms: int) -> Json:
    """The statistics of a window of time that was asked for."""
    change, per_cent, average = _change(market, window)
    return {
        "symbol": market.spec.name,
        "priceChange": change,
        "priceChangePercent": per_cent,
        "weightedAvgPrice": average,
        "openPrice": price_text(market, window.open),
        "highPrice": price_text(market, window.high),
        "lowPrice": price_text(market, window.low),
        "lastPrice": price_text(market, window.close),
        "volume": quantity_text(market, window.lots),
        "quoteVolume": to_text(window.quote_units),
        "openTime": millis(window.start_us),
        "closeTime": close_ms,
        "firstId": window.first_id,
        "lastId": window.last_id,
        "count": window.trades,
    }


def window_event(ticker: Json, size: str, time_us: int) -> Json:
    """The stream's statistics of a rolling window."""
    return {
        "e": f"{size}Ticker", "E": millis(time_us), "s": ticker["symbol"],
        "p": ticker["priceChange"], "P": ticker["priceChangePercent"],
        "o": ticker["openPrice"], "h": ticker["highPrice"], "l": ticker["lowPrice"],
        "c": ticker["lastPrice"], "w": ticker["weightedAvgPrice"],
        "v": ticker["volume"], "q": ticker["quoteVolume"],
        "O": ticker["openTime"], "C": ticker["closeTime"],
        "F": ticker["firstId"], "L": ticker["lastId"], "n": ticker["count"],
    }  # fmt: skip


def ticker_mini(ticker: Json) -> Json:
    """The short form of the 24 hour statistics."""
    names = (
        "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume",
        "openTime", "closeTime", "firstId", "lastId", "count",
    )  # fmt: skip
    return {name: ticker[name] for name in names}


def ticker_event(ticker: Json, time_us: int) -> Json:
    """The stream's 24 hour statistics."""
    return {
        "e": "24hrTicker", "E": millis(time_us), "s": ticker["symbol"],
        "p": ticker["priceChange"], "P": ticker["priceChangePercent"],
        "w": ticker["weightedAvgPrice"], "x": ticker["prevClosePrice"],
        "c": ticker["lastPrice"], "Q": ticker["lastQty"],
        "b": ticker["bidPrice"], "B": ticker["bidQty"],
        "a": ticker["askPrice"], "A": ticker["askQty"],
        "o": ticker["openPrice"], "h": ticker["highPrice"], "l": ticker["lowPrice"],
        "v": ticker["volume"], "q": ticker["quoteVolume"],
        "O": ticker["openTime"], "C": ticker["closeTime"],
        "F": ticker["firstId"], "L": ticker["lastId"], "n": ticker["count"],
    }  # fmt: skip


def mini_ticker_event(ticker: Json, time_us: int) -> Json:
    """The stream's short statistics."""
    return {
        "e": "24hrMiniTicker", "E": millis(time_us), "s": ticker["symbol"],
        "c": ticker["lastPrice"], "o": ticker["openPrice"], "h": ticker["highPrice"],
        "l": ticker["lowPrice"], "v": ticker["volume"], "q": ticker["quoteVolume"],
    }  # fmt: skip
