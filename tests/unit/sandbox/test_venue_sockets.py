"""Market streams, the WebSocket API and the user data stream."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import msgspec
import pytest

from poolmaker.kernel.clock import ManualClock
from poolmaker.sandbox.venue import peers
from poolmaker.sandbox.venue.keys import signed_text_of_json
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.params import split_json
from poolmaker.sandbox.venue.ws_api import ApiRequest
from poolmaker.sandbox.venue.ws_streams import streams_of_path
from tests.support.venue import LocalVenue, local_venue

Socket = aiohttp.ClientWebSocketResponse


@pytest.fixture
async def venue() -> AsyncIterator[LocalVenue]:
    async with local_venue() as running:
        yield running


async def connect(venue: LocalVenue, path: str) -> Socket:
    base = venue.addresses.rest.replace("http", "ws")
    return await venue.session.ws_connect(base + path, autoping=True)


async def read(socket: Socket) -> Any:
    return await socket.receive_json(timeout=10)


async def ask(socket: Socket, **body: object) -> Any:
    await socket.send_json(body)
    return await read(socket)


def signed(venue: LocalVenue, account: int = 1, **params: Any) -> dict[str, object]:
    """Parameters of a WebSocket request, signed over their JSON text."""
    params = {
        **params, "apiKey": f"key{account}", "timestamp": venue.exchange.time_us() // 1_000,
    }  # fmt: skip
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in params.items()
    }
    text = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
    secret = f"secret{account}".encode()
    return {**params, "signature": hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}


async def test_streams_come_raw_or_wrapped_by_the_address(venue: LocalVenue) -> None:
    raw = await connect(venue, "/ws/btcusdt@bookTicker")
    wrapped = await connect(venue, "/stream?streams=btcusdt@bookTicker/ethusdt@trade")
    bare = await connect(venue, "/stream/ws/3")
    answer = await ask(bare, method="SUBSCRIBE", params=["btcusdt@bookTicker"], id=1)
    assert answer == {"result": None, "id": 1}
    await venue.order()
    event = await read(raw)
    assert (event["s"], event["b"], event["B"]) == ("BTCUSDT", "60000.00000000", "0.00100000")
    assert await read(wrapped) == {"stream": "btcusdt@bookTicker", "data": event}
    assert await read(bare) == event
    listed = await ask(bare, method="LIST_SUBSCRIPTIONS", id=2)
    assert listed == {"result": ["btcusdt@bookTicker"], "id": 2}
    await ask(bare, method="UNSUBSCRIBE", params=["btcusdt@bookTicker"], id=3)
    assert (await ask(bare, method="LIST_SUBSCRIPTIONS", id=4))["result"] == []


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/ws/btcusdt@trade", "", (False, ["btcusdt@trade"])),
        ("/ws/btcusdt@trade/btcusdt@depth", "", (False, ["btcusdt@trade", "btcusdt@depth"])),
        ("/stream", "a@trade/b@trade", (True, ["a@trade", "b@trade"])),
        ("/stream/ws/7", "", (False, [])),
        ("/stream/ws/stream", "a@trade", (True, ["a@trade"])),
        ("/ws/!miniTicker@arr", "", (False, ["!miniTicker@arr"])),
    ],
)
def test_addresses_name_streams(path: str, query: str, wanted: object) -> None:
    assert streams_of_path(path, query) == wanted


async def test_unknown_streams_and_methods_are_refused(venue: LocalVenue) -> None:
    socket = await connect(venue, "/ws")
    for body in (
        {"method": "SUBSCRIBE", "params": ["nope@trade"], "id": 1},
        {"method": "SUBSCRIBE", "params": ["BTCUSDT@trade"], "id": 1},
        {"method": "DANCE", "id": 1},
    ):
        assert (await ask(socket, **body))["error"]["code"] == 2
    await socket.send_str("not json")
    assert (await read(socket))["error"]["code"] == 2


async def test_a_socket_that_sends_too_much_is_cut(venue: LocalVenue) -> None:
    socket = await connect(venue, "/ws")
    for number in range(12):
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
    async with asyncio.timeout(10):
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert socket.closed


async def test_diffs_chain_from_one_to_the_next_and_from_the_snapshot(venue: LocalVenue) -> None:
    """U/u contiguous: venue invariant 2."""
    fast = await connect(venue, "/ws/btcusdt@depth@100ms")
    slow = await connect(venue, "/ws/btcusdt@depth")
    _, snapshot, _ = await venue.call("GET", "/api/v3/depth", "symbol=BTCUSDT")
    last_id, ends = snapshot["lastUpdateId"], []
    for price in ("59990", "59991", "59992"):
        await venue.order(price=price)
        await venue.order(price=str(int(price) - 50))
        venue.server.flush(is_slow=False)
        diff = await read(fast)
        assert diff["U"] == last_id + 1
        last_id = diff["u"]
        ends.append(last_id)
        assert [row[0] for row in diff["b"]] == [f"{price}.00000000", f"{int(price) - 50}.00000000"]
    venue.server.flush(is_slow=True)
    whole = await read(slow)
    assert (whole["U"], whole["u"]) == (snapshot["lastUpdateId"] + 1, ends[-1])
    assert len(whole["b"]) == 6


async def test_a_trade_is_published_with_its_aggregate_and_its_candle(venue: LocalVenue) -> None:
    names = ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@kline_1m", "btcusdt@miniTicker",
             "btcusdt@ticker", "btcusdt@depth5@100ms"]  # fmt: skip
    socket = await connect(venue, "/stream?streams=" + "/".join(names))
    await venue.order(account=2, side="SELL")
    await venue.order(account=2, side="SELL")
    await venue.order(quantity="0.0015")
    venue.server.flush(is_slow=True)
    seen: dict[str, list[Any]] = {}
    for _ in range(7):
        message = await read(socket)
        seen.setdefault(message["stream"], []).append(message["data"])
    trades, aggregate = seen["btcusdt@trade"], seen["btcusdt@aggTrade"][0]
    assert [trade["q"] for trade in trades] == ["0.00100000", "0.00050000"]
    assert not {"a", "b"} & set(trades[0])
    assert (aggregate["q"], aggregate["f"], aggregate["l"]) == (
        "0.00150000", trades[0]["t"], trades[1]["t"],
    )  # fmt: skip
    assert seen["btcusdt@kline_1m"][0]["k"]["v"] == "0.00150000"
    assert seen["btcusdt@miniTicker"][0]["c"] == "60000.00000000"
    assert seen["btcusdt@ticker"][0]["n"] == 2
    assert seen["btcusdt@depth5@100ms"][0]["asks"] == [["60000.00000000", "0.00050000"]]


async def subscribed(venue: LocalVenue, account: int = 1) -> Socket:
    socket = await connect(venue, "/ws-api/v3")
    answer = await ask(
        socket, id="s", method="userDataStream.subscribe.signature", params=signed(venue, account)
    )
    assert answer["status"] == 200
    assert answer["result"] == {"subscriptionId": 0}
    return socket


async def test_the_user_stream_tells_orders_fills_and_balances_in_their_order(
    venue: LocalVenue,
) -> None:
    socket = await subscribed(venue)
    _, placed = await venue.order(newClientOrderId="mine")
    _, taken = await venue.order(account=2, side="SELL", quantity="0.0004", timeInForce="IOC")
    await venue.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine",
                       newClientOrderId="bye")  # fmt: skip
    await venue.admin("POST", "/deposit", {"account": 1, "asset": "BTC", "amount": "1",
                                           "tx_id": "t1"})  # fmt: skip
    events = [(await read(socket)) for _ in range(8)]
    assert {message["subscriptionId"] for message in events} == {0}
    reports = [message["event"] for message in events]
    assert [(one["e"], one.get("x"), one.get("X")) for one in reports] == [
        ("executionReport", "NEW", "NEW"),
        ("outboundAccountPosition", None, None),
        ("executionReport", "TRADE", "PARTIALLY_FILLED"),
        ("outboundAccountPosition", None, None),
        ("executionReport", "CANCELED", "CANCELED"),
        ("outboundAccountPosition", None, None),
        ("balanceUpdate", None, None),
        ("outboundAccountPosition", None, None),
    ]
    new, trade, cancelled = reports[0], reports[2], reports[4]
    assert (new["c"], new["C"], new["t"], new["N"]) == ("mine", "", -1, None)
    assert (trade["l"], trade["z"], trade["n"], trade["N"], trade["m"]) == (
        "0.00040000", "0.00040000", "0.00000040", "BTC", True,
    )  # fmt: skip
    assert trade["t"] == taken["fills"][0]["tradeId"]
    assert (cancelled["c"], cancelled["C"], cancelled["i"]) == ("bye", "mine", placed["orderId"])
    assert reports[6]["d"] == "1.00000000"


async def test_a_prevented_self_trade_is_told_as_such(venue: LocalVenue) -> None:
    socket = await subscribed(venue)
    await venue.order()
    await venue.order(side="SELL", timeInForce="IOC")
    events = [(await read(socket))["event"] for _ in range(6)]
    reports = [one for one in events if one["e"] == "executionReport"]
    prevented = next(one for one in reports if one["x"] == "TRADE_PREVENTION")
    assert (prevented["X"], prevented["A"], prevented["pL"]) == (
        "EXPIRED_IN_MATCH", "0.00100000", "60000.00000000",
    )  # fmt: skip
    assert reports[-1]["X"] == "EXPIRED"
    assert reports[-1]["eR"] == "UNFILLED_IOC_QUANTITY_EXPIRED"


async def test_a_second_subscription_and_a_bad_one_are_refused(venue: LocalVenue) -> None:
    socket = await subscribed(venue)
    method = "userDataStream.subscribe.signature"
    again = await ask(socket, id=1, method=method, params=signed(venue))
    assert again["error"]["code"] == -2035
    wrong = {**signed(venue, 2), "signature": "00"}
    assert (await ask(socket, id=2, method=method, params=wrong))["error"]["code"] == -1022
    other = await ask(socket, id=3, method=method, params=signed(venue, 2))
    assert other["result"] == {"subscriptionId": 1}
    await socket.send_json({"id": 4, "method": "userDataStream.unsubscribe",
                            "params": {"subscriptionId": 1}})  # fmt: skip
    ended = await read(socket)
    assert (ended["subscriptionId"], ended["event"]["e"]) == (1, "eventStreamTerminated")
    assert (await read(socket))["status"] == 200


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('{"b":true,"a":"x y","c":0.00010}', "a=x y&b=true&c=0.00010"),
        ('{"z":1e-05,"price":"60000.10","returnRateLimits":false}',
         "price=60000.10&returnRateLimits=false&z=1e-05"),
        ('{"symbols":["BTCUSDT","ETHUSDT"],"n":null,"signature":"s"}',
         'symbols=["BTCUSDT","ETHUSDT"]'),
    ],
)  # fmt: skip
def test_the_signed_text_is_rebuilt_exactly_as_it_was_sent(raw: str, text: str) -> None:
    request = msgspec.json.decode('{"method":"m","params":' + raw + "}", type=ApiRequest)
    assert signed_text_of_json(split_json(request.params)) == text


async def test_orders_over_the_api_are_answered_like_rest_and_as_strict(
    venue: LocalVenue,
) -> None:
    socket = await connect(venue, "/ws-api/v3")
    order: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": 60000, "quantity": 0.001, "returnRateLimits": False,
    }  # fmt: skip
    placed = await ask(socket, id="p", method="order.place", params=signed(venue, **order))
    assert (placed["id"], placed["status"], placed["result"]["status"]) == ("p", 200, "NEW")
    assert "rateLimits" not in placed
    leaked = await ask(
        socket, id="q", method="order.place", params=signed(venue, **order, postOnly=True)
    )
    assert (leaked["status"], leaked["error"]["code"]) == (400, -1104)
    found = await ask(
        socket, id="r", method="order.status",
        params=signed(venue, symbol="BTCUSDT", orderId=placed["result"]["orderId"]),
    )  # fmt: skip
    assert found["result"]["isWorking"] is True
    assert found["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
    public = await ask(socket, id="d", method="depth", params={"symbol": "BTCUSDT"})
    assert public["result"]["bids"] == [["60000.00000000", "0.00100000"]]
    for method, params, code in (
        ("what", {}, -1000),
        ("session.logon", signed(venue), -4056),
        ("account.status", {"timestamp": 1}, -2014),
    ):
        answer = await ask(socket, id=1, method=method, params=params)
        assert answer["error"]["code"] == code
    await socket.send_str("{")
    assert (await read(socket))["error"]["code"] == -1135


async def test_a_reader_who_does_not_keep_up_is_cut(
    venue: LocalVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Venue invariant 5: every queue is bounded."""
    monkeypatch.setattr(peers, "FRAMES_MAX", 50)
    await connect(venue, "/ws/btcusdt@trade")
    peer = next(iter(venue.exchange.peers))
    for _ in range(50):
        peer.send(b"{}")
    states = [peer.is_open]
    peer.send(b"{}")
    states.append(peer.is_open)
    assert states == [True, False]
    async with asyncio.timeout(10):
        while venue.exchange.peers:
            await asyncio.sleep(0.01)
    assert not venue.exchange.hub.listeners


async def test_streams_are_killed_stalled_and_terminated_on_demand(venue: LocalVenue) -> None:
    user, market = await subscribed(venue), await connect(venue, "/ws/btcusdt@bookTicker")
    assert (await venue.admin("POST", "/streams", {"action": "stall", "kind": "market"})) == {
        "peers": 1
    }
    await venue.order()
    assert (await read(user))["event"]["x"] == "NEW"
    await read(user)
    with pytest.raises(TimeoutError):
        await market.receive(timeout=0.2)
    done = await venue.admin("POST", "/streams", {"action": "terminate", "account": 1})
    assert done == {"subscriptions": 1}
    assert (await read(user))["event"]["e"] == "eventStreamTerminated"
    assert (await venue.admin("POST", "/streams", {"action": "kill"}))["peers"] == 2
    async with asyncio.timeout(10):
        assert (await user.receive()).type in {
            aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR,
        }  # fmt: skip


async def test_too_many_connections_are_refused() -> None:
    limits = LimitSettings(connections_per_5_minutes=2)
    async with local_venue(limits=limits) as venue:
        await connect(venue, "/ws")
        await connect(venue, "/ws-api/v3")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(venue, "/ws")
        assert refused.value.status == 429


@pytest.mark.parametrize(
    ("endpoint", "effect", "wanted"),
    [
        ("event:executionReport/TRADE", "drop", ["NEW", "pos", "pos", "CANCELED", "pos"]),
        ("event:executionReport", "drop", ["pos", "TRADE", "pos", "CANCELED", "pos"]),
        ("event:executionReport/TRADE", "duplicate",
         ["NEW", "pos", "TRADE", "TRADE", "pos", "CANCELED", "pos"]),
        ("event:executionReport/TRADE", "delay",
         ["NEW", "pos", "pos", "CANCELED", "pos", "TRADE"]),
        ("*", "drop", None),
    ],
)  # fmt: skip
async def test_user_events_are_lost_doubled_or_late_on_demand(
    venue: LocalVenue, endpoint: str, effect: str, wanted: list[str] | None
) -> None:
    socket = await subscribed(venue)
    fault = {"endpoint": endpoint, "effect": effect, "account": 1, "delay_ms": 500}
    await venue.admin("POST", "/faults", fault)
    if wanted is None:
        with pytest.raises(aiohttp.ClientError):
            await venue.order()
        return
    await venue.order(newClientOrderId="mine")
    await venue.order(account=2, side="SELL", quantity="0.0004", timeInForce="IOC")
    await venue.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
    events = [(await read(socket))["event"] for _ in wanted]
    assert [event.get("x", "pos") for event in events] == wanted


async def test_a_lost_diff_leaves_a_gap_that_a_reader_can_see(venue: LocalVenue) -> None:
    """exchanges.md section 4 row 18."""
    socket = await connect(venue, "/ws/btcusdt@depth@100ms")
    fault = {"endpoint": "event:btcusdt@depth@100ms", "effect": "drop"}
    await venue.order(price="59990")
    venue.server.flush(is_slow=False)
    first = await read(socket)
    await venue.admin("POST", "/faults", fault)
    for price in ("59991", "59992"):
        await venue.order(price=price)
        venue.server.flush(is_slow=False)
    assert (await read(socket))["U"] == first["u"] + 2


class DeafSocket:
    """A socket whose other end never answers a ping."""

    closed = False
    pings = 0

    async def ping(self) -> None:
        self.pings += 1


async def test_a_reader_who_answers_no_ping_for_a_minute_is_cut() -> None:
    clock, socket = ManualClock(), DeafSocket()
    peer = peers.Peer(cast("Any", socket), cast("Any", SimpleNamespace(transport=None)), "market")
    await peer.heartbeat(clock, lambda: 0)
    assert not peer.is_open
    assert socket.pings == 3


async def test_a_connection_ends_after_a_day() -> None:
    clock, socket = ManualClock(), DeafSocket()
    closed: list[int] = []

    async def close(code: int) -> None:
        closed.append(code)

    peer = peers.Peer(cast("Any", socket), cast("Any", SimpleNamespace(transport=None)), "market")
    peer.close = close  # type: ignore[method-assign]
    await peer.heartbeat(clock, clock.monotonic_us)
    assert closed == [1001]
    assert socket.pings == 86_400 // 20
