"""Parts of the wire that outside programs asked for: windows, candles, lists, faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest

from poolmaker.kernel.clock import MINUTE_US, SECOND_US, ManualClock
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.model import TradePrint
from poolmaker.sandbox.venue.options import VenueOptions
from poolmaker.sandbox.venue.peers import Peer
from poolmaker.sandbox.venue.server import build_exchange
from poolmaker.sandbox.venue.tape import Tape
from tests.support.venue import LocalVenue, local_venue

Socket = aiohttp.ClientWebSocketResponse
CHECKED_ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "0.001", "price": "59000",
}  # fmt: skip


@pytest.fixture
async def venue() -> AsyncIterator[LocalVenue]:
    async with local_venue() as running:
        yield running


async def connect(venue: LocalVenue, path: str) -> Socket:
    return await venue.session.ws_connect(venue.addresses.rest.replace("http", "ws") + path)


async def read(socket: Socket) -> Any:
    return await socket.receive_json(timeout=10)


async def trade(venue: LocalVenue, price: str = "60000.00") -> None:
    await venue.order(price=price)
    await venue.order(account=2, side="SELL", price=price, timeInForce="IOC")


async def test_a_rolling_window_and_the_trading_day_tell_what_was_traded_in_them() -> None:
    clock = ManualClock(1_700_000_040 * SECOND_US)
    async with local_venue(clock=clock) as venue:
        await trade(venue, "60000.00")
        clock.advance(10 * MINUTE_US)
        await trade(venue, "60600.00")
        _, short, headers = await venue.call(
            "GET", "/api/v3/ticker", "symbol=BTCUSDT&windowSize=5m"
        )
        assert headers["x-mbx-used-weight-1m"] == "4"
        assert (short["openPrice"], short["lastPrice"], short["count"]) == (
            "60600.00000000", "60600.00000000", 1,
        )  # fmt: skip
        assert short["openTime"] % 60_000 == 0
        _, (long,), _ = await venue.call(
            "GET", "/api/v3/ticker", "symbols=%5B%22BTCUSDT%22%5D&windowSize=1h"
        )
        assert (long["priceChange"], long["priceChangePercent"], long["count"]) == (
            "600.00000000", "1.000", 2,
        )  # fmt: skip
        _, day, _ = await venue.call("GET", "/api/v3/ticker/tradingDay", "symbol=BTCUSDT&type=MINI")
        assert (day["volume"], day["count"]) == ("0.00200000", 2)
        assert "priceChange" not in day
        assert (day["closeTime"] + 1) % 86_400_000 == 0
        _, day, _ = await venue.call(
            "GET", "/api/v3/ticker/tradingDay", "symbol=BTCUSDT&timeZone=-3:30"
        )
        assert (day["closeTime"] + 1) % 86_400_000 == 3.5 * 3_600_000


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("ticker", "", -1102),
        ("ticker", "symbol=BTCUSDT&windowSize=8d", -1100),
        ("ticker", "symbol=BTCUSDT&type=HUGE", -1130),
        ("ticker", "symbol=BTCUSDT&symbols=%5B%22BTCUSDT%22%5D", -1128),
        ("ticker/tradingDay", "symbol=BTCUSDT&timeZone=15", -1130),
        ("ticker/tradingDay", "symbol=BTCUSDT&timeZone=noon", -1100),
    ],
)
async def test_windows_are_asked_for_in_their_own_form(
    venue: LocalVenue, path: str, query: str, code: int
) -> None:
    _, body, _ = await venue.call("GET", f"/api/v3/{path}", query)
    assert body["code"] == code


async def test_a_prevented_trade_with_oneself_is_listed(venue: LocalVenue) -> None:
    _, maker = await venue.order()
    _, taker = await venue.order(side="SELL", timeInForce="IOC")
    _, (row,), _ = await venue.signed(
        "GET", "/api/v3/myPreventedMatches", symbol="BTCUSDT", orderId=taker["orderId"]
    )
    assert (row["makerOrderId"], row["takerOrderId"], row["selfTradePreventionMode"]) == (
        maker["orderId"], taker["orderId"], "EXPIRE_MAKER",
    )  # fmt: skip
    assert row["makerPreventedQuantity"] == "0.00100000"
    _, again, _ = await venue.signed(
        "GET", "/api/v3/myPreventedMatches", symbol="BTCUSDT",
        preventedMatchId=row["preventedMatchId"],
    )  # fmt: skip
    assert again == [row]
    _, body, _ = await venue.signed("GET", "/api/v3/myPreventedMatches", symbol="BTCUSDT")
    assert body["code"] == -1128


async def test_what_this_venue_has_none_of_is_empty_or_refused_by_name(venue: LocalVenue) -> None:
    for path in ("openOrderList", "allOrderList"):
        assert (await venue.signed("GET", f"/api/v3/{path}"))[1] == []
    assert (await venue.signed("GET", "/api/v3/myAllocations", symbol="BTCUSDT"))[1] == []
    _, order = await venue.order()
    _, body, _ = await venue.signed(
        "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", orderId=order["orderId"],
        newQty="0.0005",
    )  # fmt: skip
    assert body == {"code": -2038, "msg": "Order amend is not supported for this symbol."}


async def test_the_account_asks_for_its_state_and_its_assets(venue: LocalVenue) -> None:
    assert (await venue.signed("GET", "/sapi/v1/account/status"))[1] == {"data": "Normal"}
    _, status, _ = await venue.signed("GET", "/sapi/v1/account/apiTradingStatus")
    assert status["data"]["isLocked"] is False
    _, rows, _ = await venue.signed("POST", "/sapi/v3/asset/getUserAsset", asset="BTC")
    assert [(row["asset"], row["free"]) for row in rows] == [("BTC", "20.00000000")]


class Ear:
    """A listener without a socket."""

    def __init__(self) -> None:
        self.streams: set[str] = set()
        self.is_combined = False
        self.heard: list[Any] = []

    def send(self, frame: bytes) -> None:
        self.heard.append(json.loads(frame)["k"])


def test_a_closed_candle_is_told_once_more_as_closed() -> None:
    clock, ear = ManualClock(1_700_000_040 * SECOND_US), Ear()
    exchange = build_exchange(VenueOptions(), clock)
    exchange.hub.subscribe(cast("Peer", ear), ["btcusdt@kline_1m", "btcusdt@kline_1s"])
    feed, start_ms = exchange.feeds["BTCUSDT"], 1_700_000_040_000
    feed.on_trades([TradePrint("BTCUSDT", 1, 6_000_000, 100, 1, clock.now_us(), False)])
    feed.flush_slow(clock.now_us())
    assert {(k["i"], k["x"], k["n"]) for k in ear.heard} == {("1s", False, 1), ("1m", False, 1)}
    for _ in range(3):
        clock.advance(30 * SECOND_US)
        feed.flush_slow(clock.now_us())
    minutes = [(k["t"] - start_ms, k["x"], k["n"]) for k in ear.heard if k["i"] == "1m"]
    assert minutes == [
        (0, False, 1), (0, False, 1), (0, True, 1), (60_000, False, 0), (60_000, False, 0),
    ]  # fmt: skip


async def test_one_second_candles_are_dense_and_start_with_the_venue() -> None:
    tape = Tape(100, 1_700_000_040 * SECOND_US)
    candles = list(tape.candles("1s", 1_700_000_043 * SECOND_US))
    assert [(one.start_us // SECOND_US, one.close) for one in candles] == [
        (1_700_000_040 + second, 100) for second in range(4)
    ]


async def test_all_tickers_tell_only_what_has_changed(venue: LocalVenue) -> None:
    socket = await connect(venue, "/ws/!miniTicker@arr/!ticker_1h@arr/btcusdt@ticker_4h")
    await trade(venue)
    venue.server.flush(is_slow=True)
    frames = [await read(socket) for _ in range(3)]
    kinds = [frame[0]["e"] if isinstance(frame, list) else frame["e"] for frame in frames]
    assert sorted(kinds) == ["1hTicker", "24hrMiniTicker", "4hTicker"]
    assert all(len(frame) == 1 for frame in frames if isinstance(frame, list))
    venue.server.flush(is_slow=True)
    assert (await read(socket))["e"] == "4hTicker", "nothing has changed in the others"


@pytest.mark.parametrize(
    ("mode", "code", "status", "is_open"),
    [
        (None, -1015, 429, True),
        ("DO_NOTHING", -1015, 429, True),
        ("CANCEL_ONLY", -2021, 429, False),
    ],
)
async def test_cancel_replace_beyond_the_order_limit_does_what_was_asked(
    mode: str | None, code: int, status: int, is_open: bool
) -> None:
    async with local_venue(limits=LimitSettings(orders_per_10s=1, orders_per_day=1)) as venue:
        _, order = await venue.order()
        extra: dict[str, Any] = {} if mode is None else {"orderRateLimitExceededMode": mode}
        answered, body, _ = await venue.signed(
            "POST", "/api/v3/order/cancelReplace", cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=order["orderId"], **CHECKED_ORDER, **extra,
        )  # fmt: skip
        assert (answered, body["code"]) == (status, code)
        _, found, _ = await venue.signed(
            "GET", "/api/v3/order", symbol="BTCUSDT", orderId=order["orderId"]
        )
        assert (found["status"] == "NEW") is is_open


async def test_a_stale_snapshot_is_older_than_the_diffs_that_follow_it(venue: LocalVenue) -> None:
    """Failure 19 of the exchange catalogue."""
    await venue.order(price="59000")
    fault = {"endpoint": "GET /api/v3/depth", "effect": "stale"}
    assert await venue.admin("POST", "/faults", fault) == {"planned": True}
    socket = await connect(venue, "/ws-api/v3")
    await venue.admin("POST", "/faults", {"endpoint": "depth", "effect": "stale"})
    for price in ("59001", "59002"):
        await venue.order(price=price)
    _, stale, _ = await venue.call("GET", "/api/v3/depth", "symbol=BTCUSDT&limit=1")
    _, fresh, _ = await venue.call("GET", "/api/v3/depth", "symbol=BTCUSDT")
    assert stale["bids"] == [["59000.00000000", "0.00100000"]]
    assert fresh["lastUpdateId"] == stale["lastUpdateId"] + 2
    await socket.send_json({"id": 1, "method": "depth", "params": {"symbol": "BTCUSDT"}})
    assert (await read(socket))["result"]["lastUpdateId"] == stale["lastUpdateId"]
    wrong = await venue.admin("POST", "/faults", {"endpoint": "*", "effect": "stale"})
    assert "stale is for" in wrong["error"]


async def test_a_shutdown_is_announced_on_every_kind_of_socket(venue: LocalVenue) -> None:
    market, api = await connect(venue, "/ws"), await connect(venue, "/ws-api/v3")
    assert (await venue.admin("POST", "/streams", {"action": "shutdown"}))["peers"] == 2
    assert (await read(market))["e"] == "serverShutdown"
    assert (await read(api))["event"]["e"] == "serverShutdown"
    await api.send_json({"id": 1, "method": "ping"})
    assert json.dumps((await read(api))["result"]) == "{}", "it goes on until it is closed"
