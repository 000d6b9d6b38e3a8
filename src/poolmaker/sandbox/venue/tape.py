"""What the public sees of trading: trades, aggregated trades, candles, the 24 hour window.

All bounded: the newest 5,000 trades, 10,000 aggregated trades, 1,500 one-minute candles and 1,000
one-second candles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.sandbox.venue.model import TradePrint

TRADES_MAX: Final = 5_000
AGGREGATES_MAX: Final = 10_000
MINUTES_MAX: Final = 1_500
SECONDS_MAX: Final = 1_000
DAY_MINUTES: Final = 1_440
_MINUTES: Final[Mapping[str, int]] = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360,
    "8h": 480, "12h": 720, "1d": 1_440, "3d": 4_320, "1w": 10_080, "1M": 43_200,
}  # fmt: skip
INTERVALS_US: Final[Mapping[str, int]] = {
    "1s": SECOND_US,
    **{name: minutes * MINUTE_US for name, minutes in _MINUTES.items()},
}


class Aggregate(msgspec.Struct, gc=False):
    """Consecutive trades of one taker order at one price."""

    aggregate_id: int
    price: int
    lots: int
    first_id: int
    last_id: int
    time_us: int
    buyer_is_maker: bool


class Candle(msgspec.Struct, gc=False):
    """Trading within one span of time."""

    start_us: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    quote_units: int = 0
    trades: int = 0
    taker_buy_lots: int = 0
    taker_buy_quote_units: int = 0
    first_id: int = -1
    last_id: int = -1

    def add(self, trade: TradePrint) -> None:
        """Count one trade."""
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)
        self.close = trade.price
        self.lots += trade.lots
        self.quote_units += trade.quote_units
        self.trades += 1
        if self.first_id < 0:
            self.first_id = trade.trade_id
        self.last_id = trade.trade_id
        if not trade.buyer_is_maker:
            self.taker_buy_lots += trade.lots
            self.taker_buy_quote_units += trade.quote_units

    def merge(self, later: Candle) -> None:
        """Count a later candle into this one; prices are those of trades where there are any."""
        if later.trades == 0:
            return
        if self.trades == 0:
            self.open = self.high = self.low = later.open
        self.high, self.low = max(self.high, later.high), min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.quote_units += later.quote_units
        self.trades += later.trades
        self.taker_buy_lots += later.taker_buy_lots
        self.taker_buy_quote_units += later.taker_buy_quote_units
        if self.first_id < 0:
            self.first_id = later.first_id
        if later.last_id >= 0:
            self.last_id = later.last_id


class Tape:
    """One symbol's public past."""

    def __init__(self, first_price: int, time_us: int) -> None:
        self.trades: deque[TradePrint] = deque(maxlen=TRADES_MAX)
        self.aggregates: deque[Aggregate] = deque(maxlen=AGGREGATES_MAX)
        self._minutes: deque[Candle] = deque(maxlen=MINUTES_MAX)
        self._seconds: deque[Candle] = deque(maxlen=SECONDS_MAX)
        self._next_aggregate_id = 1
        self._start(time_us // MINUTE_US * MINUTE_US, first_price)

    def _start(self, start_us: int, price: int) -> Candle:
        candle = Candle(start_us, price, price, price, price)
        self._minutes.append(candle)
        return candle

    def current(self, time_us: int) -> Candle:
        """The candle of the minute of ``time_us``; quiet minutes become flat candles."""
        minute_us = time_us // MINUTE_US * MINUTE_US
        last = self._minutes[-1]
        if minute_us - last.start_us > MINUTES_MAX * MINUTE_US:
            last = self._start(minute_us - MINUTES_MAX * MINUTE_US, last.close)
        while last.start_us < minute_us:
            last = self._start(last.start_us + MINUTE_US, last.close)
        return last

    def add(self, trades: Sequence[TradePrint]) -> list[Aggregate]:
        """Record the trades of one command; the aggregated trades that they make."""
        made: list[Aggregate] = []
        for trade in trades:
            self.trades.append(trade)
            candle = self.current(trade.time_us)
            if candle.trades == 0:
                candle.open = candle.high = candle.low = trade.price
            candle.add(trade)
            self._second(trade).add(trade)
            last = made[-1] if made else None
            if (
                last is not None
                and last.price == trade.price
                and last.buyer_is_maker is trade.buyer_is_maker
            ):
                last.lots += trade.lots
                last.last_id = trade.trade_id
            else:
                made.append(self._aggregate(trade))
        self.aggregates.extend(made)
        return made

    def _second(self, trade: TradePrint) -> Candle:
        start_us = trade.time_us // SECOND_US * SECOND_US
        if not self._seconds or self._seconds[-1].start_us < start_us:
            self._seconds.append(Candle(start_us, *[trade.price] * 4))
        return self._seconds[-1]

    def _aggregate(self, trade: TradePrint) -> Aggregate:
        aggregate_id = self._next_aggregate_id
        self._next_aggregate_id += 1
        return Aggregate(
            aggregate_id, trade.price, trade.lots, trade.trade_id, trade.trade_id,
            trade.time_us, trade.buyer_is_maker,
        )  # fmt: skip

    def candles(self, interval: str, time_us: int) -> Iterator[Candle]:
        """Candles of ``interval`` up to now, oldest first."""
        self.current(time_us)
        span_us = INTERVALS_US[interval]
        if span_us < MINUTE_US:
            yield from self._every_second(time_us)
            return
        building: Candle | None = None
        for minute in self._minutes:
            start_us = minute.start_us // span_us * span_us
            if building is not None and building.start_us == start_us:
                building.merge(minute)
                continue
            if building is not None:
                yield building
            building = msgspec.structs.replace(minute, start_us=start_us)
        if building is not None:
            yield building

    def _every_second(self, time_us: int) -> Iterator[Candle]:
        """The newest seconds up to now; quiet ones are flat."""
        newest_us = time_us // SECOND_US * SECOND_US
        start_us = max(newest_us - (SECONDS_MAX - 1) * SECOND_US, self._minutes[0].start_us)
        busy = {candle.start_us: candle for candle in self._seconds}
        close = self._seconds[0].open if self._seconds else self._minutes[-1].close
        for candle in self._seconds:
            if candle.start_us < start_us:
                close = candle.close
        while start_us <= newest_us:
            found = busy.get(start_us) or Candle(start_us, *[close] * 4)
            close = found.close
            yield found
            start_us += SECOND_US

    def since(self, start_us: int, time_us: int) -> Candle:
        """Trading from the minute of ``start_us`` up to now, as one candle."""
        self.current(time_us)
        chosen = [one for one in self._minutes if one.start_us + MINUTE_US > start_us]
        total = msgspec.structs.replace(chosen[0] if chosen else self._minutes[-1])
        for minute in chosen[1:]:
            total.merge(minute)
        return total

    def day(self, time_us: int) -> Candle:
        """The last 24 hours as one candle; its start is the open time of the window."""
        return self.since(time_us - (DAY_MINUTES - 1) * MINUTE_US, time_us)
