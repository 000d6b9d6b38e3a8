"""Streams of a venue that speaks Binance spot. What breaks is told, and the stream is rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import ccxt.pro

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.market import Market
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance import wire
from poolmaker.market.connectors.binance.client import Frame, RawBinance, Transport
from poolmaker.market.connectors.binance.edges import decode, each, odd_row
from poolmaker.market.connectors.binance.refusals import NoAnswer
from poolmaker.market.connectors.binance.venue import BinanceVenue, native
from poolmaker.market.tracking.ports import AccountFeed, BookFeed

_LOG: Final = get_logger("market")
_BACK_OFF_US: Final = 200_000
_BACK_OFF_MAX_US: Final = 10_000_000
_SETTLED_US: Final = 30_000_000
_GOODBYE_S: Final = 0.5
_FIRST_ANSWER: Final = "answer:1"
_ANSWER_S: Final = 1.5
"""A book is not used when it is two seconds old, so a later answer would come to nothing."""
_ENDS: Final = frozenset({"eventStreamTerminated", "serverShutdown"})

Lost = (NoAnswer, PreconditionError, ccxt.pro.BaseError, OSError)


class StreamEnded(NoAnswer):
    """The venue said that it ends the stream, or we were asked to rebuild it."""


class _BookSocket:
    """The open socket of one market, and questions to it."""

    def __init__(self, client: RawBinance, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._asked = 1

    async def carries_topic(self) -> bool:
        """Whether the venue says, over this socket, that the topic is subscribed."""
        self._asked += 1
        waiting = f"answer:{self._asked}"
        for socket in list(self._client.clients.values()):
            answer = socket.future(waiting)
            await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": self._asked})
            topics = (await answer).get("result")
            return isinstance(topics, list) and self._topic in topics
        return False


class BinanceFeeds:
    """``tracking.ports.VenueFeeds``: one socket for each market and one for the account."""

    def __init__(self, transport: Transport, venue: BinanceVenue, clock: Clock, rng: Rng) -> None:
        self._transport = transport
        self._venue = venue
        self._clock = clock
        self._rng = rng
        self._ends: dict[str, asyncio.Future[str]] = {}
        self._books: dict[str, _BookSocket] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def run_book(self, market: Market, feed: BookFeed) -> None:

        async def stream(client: RawBinance, fail: Callable[[str], None]) -> None:
            client.on_frame = lambda frame: self._depth(market, frame, feed, fail)
            base = client.urls["api"]["ws"]["spot"]
            topic = f"{native(market.symbol).lower()}@depth@100ms"
            request = {"method": "SUBSCRIBE", "params": [topic], "id": 1}
            await self._subscribe(client, f"{base}/0", lambda: request)
            self._books[market.symbol] = _BookSocket(client, topic)
            feed.on_book_subscribed(market.symbol)

        def lost(reason: str) -> None:
            self._books.pop(market.symbol, None)
            feed.on_book_lost(market.symbol, reason)

        await self._for_ever(f"book:{market.symbol}", stream, lost)

    async def run_account(self, markets: Mapping[str, Market], feed: AccountFeed) -> None:

        async def stream(client: RawBinance, fail: Callable[[str], None]) -> None:
            client.on_frame = lambda frame: self._event(markets, frame, feed, fail)
            client.options["timeDifference"] = self._transport.clock_difference_ms
            url = client.urls["api"]["ws"]["ws-api"]["spot"]
            method = "userDataStream.subscribe.signature"
            await self._subscribe(
                client, url, lambda: {"id": 1, "method": method, "params": client.sign_params({})}
            )
            feed.on_account_subscribed()

        await self._for_ever("account", stream, feed.on_account_lost)

    async def ask_book(self, symbol: str) -> bool:
        socket = self._books.get(symbol)
        if socket is None:
            return False
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await socket.carries_topic()
        except (TimeoutError, *Lost):
            return False

    def restart_book(self, symbol: str) -> None:
        self._end(f"book:{symbol}", "asked to rebuild")

    def restart_account(self) -> None:
        self._end("account", "asked to rebuild")

    async def _subscribe(self, client: RawBinance, url: str, request: Callable[[], Frame]) -> None:
        """Connect, ask for a stream and wait for the venue's word that it flows.

        What is signed is signed when the connection stands: its time must not grow old meanwhile.
        """
        timeout_s = self._transport.config.timeout_ms / 1_000
        try:
            async with asyncio.timeout(timeout_s):
                await client.client(url).connect(client.session)
                await client.watch(url, _FIRST_ANSWER, request(), _FIRST_ANSWER)
        except TimeoutError as error:
            raise NoAnswer(f"no word on a subscription within {timeout_s} s") from error

    async def _for_ever(
        self,
        name: str,
        stream: Callable[[RawBinance, Callable[[str], None]], Awaitable[None]],
        lost: Callable[[str], None],
    ) -> None:
        """Stream on a fresh client until it breaks, tell it, wait, and begin anew."""
        back_off_us = _BACK_OFF_US
        while True:
            began_us = self._clock.monotonic_us()
            reason = await self._once(name, stream)
            _LOG.info("stream lost", stream=name, reason=reason)
            lost(reason)
            if self._clock.monotonic_us() - began_us > _SETTLED_US:
                back_off_us = _BACK_OFF_US
            await self._clock.sleep_us(back_off_us + self._rng.below(back_off_us))
            back_off_us = min(2 * back_off_us, _BACK_OFF_MAX_US)

    async def _once(
        self, name: str, stream: Callable[[RawBinance, Callable[[str], None]], Awaitable[None]]
    ) -> str:
        client = self._transport.new_client()
        self._ends[name] = asyncio.get_running_loop().create_future()
        try:
            await stream(client, lambda reason: self._end(name, reason))
            await self._until_broken(name, client)
        except Lost as problem:
            return f"{type(problem).__name__}: {problem}"
        finally:
            self._ends.pop(name).cancel()
            client.on_frame = None
            await self._close(client)
        return "ended"

    async def _close(self, client: RawBinance) -> None:
        """Close politely; a venue that is silent to a goodbye does not delay the next stream."""
        closing = asyncio.create_task(client.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.wait({closing}, timeout=_GOODBYE_S)

    async def _until_broken(self, name: str, client: RawBinance) -> None:
        """Wait for the end of the socket, which the library tells every waiter, or for ours."""
        sockets = [one.future("broken") for one in client.clients.values()]
        if not sockets:
            raise StreamEnded("the socket closed at once")
        ended = self._ends[name]
        await asyncio.wait({ended, *sockets}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise StreamEnded(ended.result())
        for one in sockets:
            if one.done():
                one.result()

    def _end(self, name: str, reason: str) -> None:
        ended = self._ends.get(name)
        if ended is not None and not ended.done():
            ended.set_result(reason)

    def _depth(
        self, market: Market, frame: Frame, feed: BookFeed, fail: Callable[[str], None]
    ) -> None:
        try:
            kind = frame.get("e")
            if kind == "depthUpdate":
                diff = self._venue.wire_of(market).diff(decode(frame, wire.DepthFrame))
                feed.on_diff(market.symbol, diff)
            elif isinstance(kind, str) and kind in _ENDS:
                fail(kind)
        except (NoAnswer, PreconditionError) as problem:
            fail(str(problem))

    def _event(
        self,
        markets: Mapping[str, Market],
        frame: Frame,
        feed: AccountFeed,
        fail: Callable[[str], None],
    ) -> None:
        kind = frame.get("e")
        if kind == "executionReport":
            self._execution(markets, frame, feed)
        elif kind == "outboundAccountPosition":
            self._position(frame, feed)
        elif isinstance(kind, str) and kind in _ENDS:
            fail(kind)

    def _execution(self, markets: Mapping[str, Market], frame: Any, feed: AccountFeed) -> None:
        """An event that cannot be read is set aside; what it meant is read over REST."""
        name = frame.get("s")
        market = next((m for m in markets.values() if native(m.symbol) == name), None)
        if market is None and isinstance(name, str) and name.isascii():
            return
        symbol = market.symbol if market is not None else ""
        try:
            event = decode(frame, wire.ExecutionFrame)
            if market is not None:
                reader = self._venue.wire_of(market)
                feed.on_order(reader.execution(event))
                trade = reader.executed_trade(event, self._transport.config)
                if trade is not None:
                    feed.on_trade(trade)
        except NoAnswer as problem:
            self._venue.odd.heard(odd_row("execution", symbol, frame, problem))
            feed.on_account_odd(symbol)

    def _position(self, frame: Any, feed: AccountFeed) -> None:
        config = self._transport.config
        try:
            cells = decode(frame, wire.PositionFrame).B
            good, odd = each(
                cells, wire.PositionCell, lambda cell: wire.balance(cell.row, config), "position"
            )
        except NoAnswer as problem:
            self._venue.odd.heard(odd_row("position", "", frame, problem))
            return
        for row in odd:
            self._venue.odd.heard(row)
        feed.on_balances(good)
