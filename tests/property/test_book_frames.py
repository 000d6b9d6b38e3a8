"""Frames of a market's stream, mutated: no call ends, no other market is touched, no lie stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.feeds import BinanceFeeds
from poolmaker.market.connectors.binance.service import open_account
from poolmaker.market.engine.books import OrderBookManager
from poolmaker.market.engine.model import EngineConfig
from poolmaker.market.engine.state import EngineState, MarketQuoting
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, VenueMarket
from poolmaker.messages.market import MarketSpec
from tests.unit.market.makers import MARKET, SYMBOL

OTHER = "ETHUSDT"
STRANGE: list[Any] = [
    None, True, False, -1, 0, 2**63, 10**40, 1.5, float("nan"), float("inf"), "", "x", "NaN", "-1",
    "1e400", "币安人生", "\ud800", "١", "9" * 300, [], {}, [[]], {"a": 1}, [["1"]],
    [["1", "2", "3"]],
    [["0", "1"]], [["-1", "1"]], [["1.000000001", "1"]],
]  # fmt: skip


def frame(number: int, **changed: Any) -> dict[str, Any]:
    """Update ``number``: a bid level of its own size."""
    return {
        "e": "depthUpdate", "E": 1, "s": SYMBOL, "U": number, "u": number,
        "b": [["100.00000000", f"{number}.00000000"]], "a": [["200.00000000", "1.00000000"]],
    } | changed  # fmt: skip


def session() -> tuple[EngineState, OrderBookManager, BinanceFeeds]:
    """Two live markets, kept by one keeper."""
    state = EngineState(EngineConfig(account=VenueAccountId("a")), 1)
    for symbol in (SYMBOL, OTHER):
        rules = VenueMarket(MARKET, is_open=True, maker_fee_cbps=0)
        desk = MarketQuoting(MarketSpec.of(MARKET), rules, OrderBook(MARKET), DepthTwaps(1))
        desk.book.on_snapshot(BookSnapshot(100, [(1, 1)], [(2, 1)]), 0)
        desk.book.on_diff(BookDiff(101, 101, [], []), 0)
        state.markets[symbol] = desk
    clock = SystemClock()
    keeper = OrderBookManager(state, None, clock)  # type: ignore[arg-type]
    account = open_account(
        BinanceConfig(key="k", secret="s", rest_url="http://127.0.0.1:9"), clock, Rng(1)
    )
    return state, keeper, account.feeds


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[dict[str, Any]], Any]:
    kind = draw(st.sampled_from(["field", "missing", "extra", "whole"]))
    name = draw(st.sampled_from(sorted(frame(1))))
    strange = draw(st.sampled_from(STRANGE))

    def mutate(one: dict[str, Any]) -> Any:
        match kind:
            case "field":
                return one | {name: strange}
            case "missing":
                return {key: value for key, value in one.items() if key != name}
            case "extra":
                return one | {"zz": strange}
            case _:
                return strange

    return mutate


@given(st.lists(st.one_of(st.none(), mutations()), min_size=1, max_size=12), st.data())
def test_found_k3_frames_that_cannot_be_read_touch_no_other_market_and_end_nothing(
    steps: list[Callable[[dict[str, Any]], Any] | None], data: st.DataObject
) -> None:
    """K3, by search: missing, extra, null, huge, negative, non-ASCII, NaN, reordered, repeated.

    The market's own book is either broken off, or is exactly what honest frames have told.
    """

    async def work() -> None:
        state, keeper, feeds = session()
        ended: list[str] = []
        frames: list[Any] = [frame(102 + at) for at in range(len(steps))]
        frames = [step(one) if step else one for one, step in zip(frames, steps, strict=True)]
        if data.draw(st.booleans(), label="reorder"):
            frames = data.draw(st.permutations(frames))
        other = state.markets[OTHER].book
        before = (other.state, other.version, other.depth(Side.BUY, 9))
        for one in frames:
            if isinstance(one, dict):
                feeds._depth(MARKET, one, keeper, ended.append)
        assert (other.state, other.version, other.depth(Side.BUY, 9)) == before
        book = state.markets[SYMBOL].book
        if not book.needs_snapshot and not ended and book.last_id > 101:
            price = 100 * MARKET.quote.one
            told = {one["b"][0][1] for one in frames if isinstance(one, dict) and one.get("b")}
            sizes = dict(book.depth(Side.BUY, 9))
            assert f"{sizes.get(price, 0) // MARKET.base.one}.00000000" in told

    asyncio.run(work())


RAW = [
    "", "{", "[]", "null", "NaN", "1", '"x"', "\x00", '{"e":', '{"e":NaN}', '{"id":1}',
    '{"id":[]}', '{"id":{},"error":{}}', '{"id":"1","status":500}', '{"data":[]}',
    '{"data":{"e":"depthUpdate"}}', '{"e":"depthUpdate","s":"BTCUSDT"', '{"e":["depthUpdate"]}',
    '{"e":"serverShutdown"}', "[" * 2_000, '{"result":null,"id":99}',
    '{"stream":"x","data":null}', '{"e":"depthUpdate","u":1e999}',
]  # fmt: skip


class Hostile:
    """A market stream that says what a test wants between honest frames."""

    def __init__(self) -> None:
        self.raw: list[str] = list(RAW)
        self.sent = 0

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        talks: list[asyncio.Task[None]] = []
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            await socket.send_json({"result": None, "id": asked["id"]})
            symbol = asked["params"][0].partition("@")[0].upper()
            talks.append(asyncio.create_task(self._talk(socket, symbol)))
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        return socket

    async def _talk(self, socket: web.WebSocketResponse, symbol: str) -> None:
        number = 1
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                if symbol == SYMBOL and self.raw and number % 3 == 0:
                    await socket.send_str(self.raw.pop(0))
                    self.sent += 1
                await socket.send_json(frame(number, s=symbol))
                number += 1
                await asyncio.sleep(0.005)


class Heard:
    """Counts what a feed brings for each market."""

    def __init__(self) -> None:
        self.diffs: dict[str, int] = {}
        self.lost: dict[str, int] = {}

    def on_diff(self, symbol: str, diff: BookDiff) -> None:
        self.diffs[symbol] = self.diffs.get(symbol, 0) + 1

    def on_book_subscribed(self, symbol: str) -> None: ...

    def on_book_lost(self, symbol: str, reason: str) -> None:
        self.lost[symbol] = self.lost.get(symbol, 0) + 1


async def test_found_k3_texts_that_are_no_frames_rebuild_their_own_stream_at_most() -> None:
    """K3, on the wire: truncated JSON, other types, shutdowns; the reader never ends."""
    hostile = Hostile()
    app = web.Application()
    app.add_routes([web.get("/{tail:.*}", hostile.handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = BinanceConfig(
        key="k", secret="s", rest_url=f"http://127.0.0.1:{port}", ws_url=f"ws://127.0.0.1:{port}",
        ws_api_url=f"ws://127.0.0.1:{port}", timeout_ms=2_000,
    )  # fmt: skip
    account = open_account(config, _Hurried(), Rng(1))
    heard = Heard()
    other = _other()
    tasks = [
        asyncio.create_task(account.feeds.run_book(MARKET, heard)),
        asyncio.create_task(account.feeds.run_book(other, heard)),
    ]
    try:
        async with asyncio.timeout(40):
            while hostile.raw:
                await asyncio.sleep(0.05)
            before = dict(heard.diffs)
            while heard.diffs[SYMBOL] < before[SYMBOL] + 20:
                await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)
        assert OTHER not in heard.lost
        assert hostile.sent == len(RAW)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await account.close()
        await runner.cleanup()


def _other() -> Any:
    return type(MARKET)(
        symbol=OTHER, base=MARKET.base, quote=MARKET.quote, tick_units=MARKET.tick_units,
        lot_units=MARKET.lot_units,
    )  # fmt: skip


class _Hurried(SystemClock):
    """Waits of the reconnecting stream, a hundred times shorter."""

    async def sleep_us(self, duration_us: int) -> None:
        await super().sleep_us(min(duration_us, 5_000))
