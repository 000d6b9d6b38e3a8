"""Market streams: who listens to what, and the diffs, tickers and candles they are sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from poolmaker.kernel.clock import MINUTE_US
from poolmaker.sandbox.venue import render_market
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.faults import EventFaults
from poolmaker.sandbox.venue.model import TradePrint
from poolmaker.sandbox.venue.peers import Peer, encode
from poolmaker.sandbox.venue.render import Json, millis, price_text
from poolmaker.sandbox.venue.tape import INTERVALS_US, Tape

STREAMS_MAX: Final = 1_024
_PARTIAL_DEPTHS: Final = (5, 10, 20)
_SUFFIX = re.compile(
    r"trade|aggTrade|bookTicker|miniTicker|ticker|ticker_(1h|4h|1d)|avgPrice"
    r"|depth(5|10|20)?(@100ms|@1000ms)?|kline_(1s|1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M)"
)
ALL_MINI_TICKERS: Final = "!miniTicker@arr"
_WINDOWS_US: Final[Mapping[str, int]] = {
    "1h": 60 * MINUTE_US, "4h": 240 * MINUTE_US, "1d": 1_440 * MINUTE_US,
}  # fmt: skip
ALL_WINDOWS: Final = frozenset(f"!ticker_{size}@arr" for size in _WINDOWS_US)


class Hub:
    """Who listens to which stream; a message is encoded once for all its listeners."""

    def __init__(self, faults: EventFaults) -> None:
        self._faults = faults
        self.listeners: dict[str, set[Peer]] = {}
        self.sent = 0

    def subscribe(self, peer: Peer, names: Iterable[str]) -> None:
        """Add streams to a connection."""
        for name in names:
            peer.streams.add(name)
            self.listeners.setdefault(name, set()).add(peer)

    def unsubscribe(self, peer: Peer, names: Iterable[str]) -> None:
        """Remove streams from a connection."""
        for name in list(names):
            peer.streams.discard(name)
            found = self.listeners.get(name)
            if found is not None:
                found.discard(peer)
                if not found:
                    del self.listeners[name]

    def leave(self, peer: Peer) -> None:
        """Forget a connection."""
        self.unsubscribe(peer, list(peer.streams))

    def wanted(self, name: str) -> bool:
        """Whether anybody listens."""
        return name in self.listeners

    def publish(self, name: str, body: object) -> None:
        """Send to everybody who listens, raw or wrapped with the stream's name."""
        if name in self.listeners:
            raw = encode(body)
            self._faults.deliver((f"event:{name}",), None, lambda: self._send(name, raw))

    def _send(self, name: str, raw: bytes) -> None:
        wrapped: bytes | None = None
        for peer in self.listeners.get(name, ()):
            if peer.is_combined:
                if wrapped is None:
                    wrapped = b'{"stream":"' + name.encode() + b'","data":' + raw + b"}"
                peer.send(wrapped)
            else:
                peer.send(raw)
            self.sent += 1


def is_stream(name: str, symbols: Mapping[str, Market]) -> bool:
    """Whether the venue has a stream of that name."""
    if name == ALL_MINI_TICKERS or name in ALL_WINDOWS:
        return True
    symbol, _, suffix = name.partition("@")
    return symbol.upper() in symbols and symbol.islower() and _SUFFIX.fullmatch(suffix) is not None


class DiffCursor:
    """One cadence of one symbol's diffs: the last id sent and the levels changed since."""

    __slots__ = ("asks", "bids", "last_id")

    def __init__(self, market: Market) -> None:
        self.last_id = market.update_id
        self.bids: set[int] = set()
        self.asks: set[int] = set()

    def take(self, market: Market, time_us: int) -> Json | None:
        """The diff since the last one, or None when nothing changed."""
        if market.update_id == self.last_id:
            return None
        body = render_market.depth_update(market, self.last_id + 1, self.bids, self.asks, time_us)
        self.last_id = market.update_id
        self.bids, self.asks = set(), set()
        return body


class MarketFeed:
    """Publishes one symbol: trades at once, the best prices at once, diffs by the clock."""

    def __init__(self, market: Market, tape: Tape, hub: Hub) -> None:
        self.market = market
        self.tape = tape
        self._hub = hub
        self._stem = market.spec.name.lower()
        self._fast = DiffCursor(market)
        self._slow = DiffCursor(market)
        self._best: tuple[int, int, int, int] | None = None
        self._last_candle_us: dict[str, int] = {}

    def on_trades(self, trades: Sequence[TradePrint]) -> None:
        """Record and publish the trades of one command."""
        aggregates = self.tape.add(trades)
        name = f"{self._stem}@trade"
        if self._hub.wanted(name):
            for trade in trades:
                self._hub.publish(name, render_market.trade_event(self.market, trade))
        name = f"{self._stem}@aggTrade"
        if self._hub.wanted(name):
            for aggregate in aggregates:
                self._hub.publish(name, render_market.aggregate_event(self.market, aggregate))

    def on_change(self) -> None:
        """Publish the best prices when they or their quantities changed."""
        name = f"{self._stem}@bookTicker"
        if not self._hub.wanted(name):
            return
        bid, ask = self.market.bids.best(), self.market.asks.best()
        now = (
            bid.price if bid else 0, bid.total if bid else 0,
            ask.price if ask else 0, ask.total if ask else 0,
        )  # fmt: skip
        if now != self._best:
            self._best = now
            self._hub.publish(name, render_market.book_ticker_event(self.market))

    def flush_fast(self, time_us: int) -> None:
        """The 100 ms diffs and partial books."""
        market = self.market
        for cursor in (self._fast, self._slow):
            cursor.bids.update(market.changed_bids)
            cursor.asks.update(market.changed_asks)
        market.changed_bids.clear()
        market.changed_asks.clear()
        body = self._fast.take(market, time_us)
        if body is not None:
            self._hub.publish(f"{self._stem}@depth@100ms", body)
            self._partial_books("@100ms")

    def flush_slow(self, time_us: int) -> None:
        """The one-second diffs, partial books, tickers and candles."""
        body = self._slow.take(self.market, time_us)
        if body is not None:
            self._hub.publish(f"{self._stem}@depth", body)
            self._hub.publish(f"{self._stem}@depth@1000ms", body)
            self._partial_books("")
        self._tickers(time_us)
        self._windows(time_us)
        self._candles(time_us)
        name = f"{self._stem}@avgPrice"
        if self._hub.wanted(name):
            self._hub.publish(name, self._average(time_us))

    def _average(self, time_us: int) -> Json:
        price = price_text(self.market, self.market.last_price)
        return {
            "e": "avgPrice", "E": millis(time_us), "s": self.market.spec.name, "i": "5m",
            "w": price, "T": millis(time_us),
        }  # fmt: skip

    def _partial_books(self, cadence: str) -> None:
        for depth in _PARTIAL_DEPTHS:
            name = f"{self._stem}@depth{depth}{cadence}"
            if self._hub.wanted(name):
                self._hub.publish(name, render_market.depth_snapshot(self.market, depth))

    def ticker(self, time_us: int) -> Json:
        """The 24 hour statistics."""
        last = self.tape.trades[-1] if self.tape.trades else None
        return render_market.ticker_24h(self.market, self.tape.day(time_us), last, time_us)

    def _tickers(self, time_us: int) -> None:
        full, mini = f"{self._stem}@ticker", f"{self._stem}@miniTicker"
        if not (self._hub.wanted(full) or self._hub.wanted(mini)):
            return
        ticker = self.ticker(time_us)
        self._hub.publish(full, render_market.ticker_event(ticker, time_us))
        self._hub.publish(mini, render_market.mini_ticker_event(ticker, time_us))

    def _windows(self, time_us: int) -> None:
        for size in _WINDOWS_US:
            name = f"{self._stem}@ticker_{size}"
            if self._hub.wanted(name):
                self._hub.publish(name, self.window_event(size, time_us))

    def window_event(self, size: str, time_us: int) -> Json:
        """The statistics of a rolling window as the stream tells them."""
        window = self.tape.since(time_us - _WINDOWS_US[size], time_us)
        ticker = render_market.ticker_window(self.market, window, millis(time_us))
        return render_market.window_event(ticker, size, time_us)

    def _candles(self, time_us: int) -> None:
        for interval, span_us in INTERVALS_US.items():
            name = f"{self._stem}@kline_{interval}"
            if not self._hub.wanted(name):
                self._last_candle_us.pop(interval, None)
                continue
            for candle in list(self.tape.candles(interval, time_us))[-2:]:
                # A candle that is over is told once more, as closed, before the next one.
                if candle.start_us < self._last_candle_us.get(interval, time_us - span_us + 1):
                    continue
                self._last_candle_us[interval] = candle.start_us
                body = render_market.kline_event(self.market, candle, interval, span_us, time_us)
                self._hub.publish(name, body)


class AllTickers:
    """The streams of all symbols at once; each frame holds the symbols that have changed."""

    def __init__(self, feeds: Mapping[str, MarketFeed], hub: Hub) -> None:
        self._feeds = feeds
        self._hub = hub
        self._last_ids: dict[tuple[str, str], int] = {}

    def flush(self, time_us: int) -> None:
        """Publish what is due every second."""
        if self._hub.wanted(ALL_MINI_TICKERS):
            rows = [
                render_market.mini_ticker_event(feed.ticker(time_us), time_us)
                for feed in self._changed(ALL_MINI_TICKERS)
            ]
            self._send(ALL_MINI_TICKERS, rows)
        for size in _WINDOWS_US:
            name = f"!ticker_{size}@arr"
            if self._hub.wanted(name):
                rows = [feed.window_event(size, time_us) for feed in self._changed(name)]
                self._send(name, rows)

    def _changed(self, name: str) -> list[MarketFeed]:
        found = []
        for symbol, feed in self._feeds.items():
            newest = feed.tape.trades[-1].trade_id if feed.tape.trades else 0
            if newest and self._last_ids.get((name, symbol)) != newest:
                self._last_ids[(name, symbol)] = newest
                found.append(feed)
        return found

    def _send(self, name: str, rows: list[Json]) -> None:
        if rows:
            self._hub.publish(name, rows)
