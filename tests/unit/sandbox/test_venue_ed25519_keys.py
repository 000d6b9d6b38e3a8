"""Keys that sign by Ed25519, and WebSocket sessions that are logged on with one."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from poolmaker.sandbox.venue.keys import read_public_key
from tests.support.venue import LocalVenue, local_venue

Socket = aiohttp.ClientWebSocketResponse
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
async def venue() -> AsyncIterator[LocalVenue]:
    async with local_venue() as running:
        order = {"account": 1, "key": "ed1", "public_key": PEM}
        assert (await running.admin("POST", "/keys", order))["key"] == "ed1"
        yield running


def sign(text: str) -> str:
    return base64.b64encode(PRIVATE.sign(text.encode())).decode()


async def rest(venue: LocalVenue, method: str, path: str, **params: Any) -> tuple[int, Any]:
    text = urlencode({**params, "timestamp": venue.exchange.time_us() // 1_000})
    query = f"{text}&signature={quote(sign(text), safe='')}"
    status, body, _ = await venue.call(method, path, query, key="ed1")
    return status, body


async def open_api(venue: LocalVenue, query: str = "") -> Socket:
    base = venue.addresses.rest.replace("http", "ws")
    return await venue.session.ws_connect(f"{base}/ws-api/v3{query}")


async def ask(socket: Socket, method: str, params: dict[str, Any] | None = None) -> Any:
    await socket.send_json({"id": method, "method": method, "params": params or {}})
    while True:
        body = await socket.receive_json(timeout=10)
        if body.get("id") == method:
            return body


def signed(venue: LocalVenue, **params: Any) -> dict[str, Any]:
    params = {**params, "apiKey": "ed1", "timestamp": venue.exchange.time_us() // 1_000}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return {**params, "signature": sign(text)}


async def logged_on(venue: LocalVenue) -> Socket:
    socket = await open_api(venue)
    answer = await ask(socket, "session.logon", signed(venue))
    assert answer["status"] == 200
    assert answer["result"]["apiKey"] == "ed1"
    return socket


def stamped(venue: LocalVenue, **params: Any) -> dict[str, Any]:
    return {**params, "timestamp": venue.exchange.time_us() // 1_000}


async def test_a_rest_request_is_signed_by_base64_of_ed25519(venue: LocalVenue) -> None:
    status, body = await rest(venue, "GET", "/api/v3/account")
    assert (status, body["uid"]) == (200, 1)
    stamp = venue.exchange.time_us() // 1_000
    for wrong in (sign("something else"), "no base64!", "00" * 32, ""):
        _, body, _ = await venue.call(
            "GET", "/api/v3/account",
            f"timestamp={stamp}&signature={quote(wrong, safe='')}", key="ed1",
        )  # fmt: skip
        assert body["code"] in {-1022, -1102}


async def test_what_is_no_ed25519_public_key_is_not_registered(venue: LocalVenue) -> None:
    other = generate_private_key(SECP256R1()).public_key()
    foreign = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for changes in (
        {"public_key": "nothing"}, {"public_key": foreign}, {"key": "key1"}, {"key": ""},
        {"account": 99},
    ):  # fmt: skip
        order = {"account": 1, "key": "ed2", "public_key": PEM, **changes}
        assert "error" in await venue.admin("POST", "/keys", order), changes
    der = PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert read_public_key(base64.b64encode(der).decode()) == PRIVATE.public_key()


async def test_a_read_only_ed25519_key_may_not_trade(venue: LocalVenue) -> None:
    order = {"account": 2, "key": "ed2", "public_key": PEM, "may_trade": False}
    await venue.admin("POST", "/keys", order)
    text = urlencode({"symbol": "BTCUSDT", "timestamp": venue.exchange.time_us() // 1_000})
    query = f"{text}&signature={quote(sign(text), safe='')}"
    status, body, _ = await venue.call("DELETE", "/api/v3/openOrders", query, key="ed2")
    assert (status, body["code"]) == (401, -2015)
    status, _, _ = await venue.call("GET", "/api/v3/openOrders", query, key="ed2")
    assert status == 200


async def test_a_logged_on_session_needs_neither_key_nor_signature(venue: LocalVenue) -> None:
    socket = await logged_on(venue)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
             "price": "60000", "quantity": "0.001"}  # fmt: skip
    placed = await ask(socket, "order.place", stamped(venue, **order))
    assert placed["result"]["status"] == "NEW"
    late = await ask(socket, "order.place", {**order, "timestamp": 1})
    assert late["error"]["code"] == -1021, "the time is still checked"
    missing = await ask(socket, "account.status", {})
    assert missing["error"]["code"] == -1102
    status = (await ask(socket, "session.status"))["result"]
    assert (status["apiKey"], status["userDataStream"]) == ("ed1", False)
    assert status["connectedSince"] <= status["authorizedSince"] <= status["serverTime"]


async def test_a_sessions_user_stream_ends_with_its_logout(venue: LocalVenue) -> None:
    socket = await logged_on(venue)
    assert (await ask(socket, "userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    again = await ask(socket, "userDataStream.subscribe")
    assert again["error"]["code"] == -2035
    assert (await ask(socket, "session.subscriptions"))["result"] == [
        {"subscriptionId": 0, "subscriptionType": "session"}
    ]
    await socket.send_json({"id": "out", "method": "session.logout"})
    ended = await socket.receive_json(timeout=10)
    assert ended["event"]["e"] == "eventStreamTerminated"
    answer = await socket.receive_json(timeout=10)
    assert (answer["result"]["apiKey"], answer["result"]["userDataStream"]) == (None, False)
    refused = await ask(socket, "account.status", stamped(venue))
    assert (refused["status"], refused["error"]["code"]) == (401, -2014)
    refused = await ask(socket, "userDataStream.subscribe")
    assert refused["error"]["code"] == -2014


async def test_a_session_ends_when_its_key_is_revoked(venue: LocalVenue) -> None:
    socket = await logged_on(venue)
    await venue.admin("DELETE", "/keys/ed1")
    refused = await ask(socket, "account.status", stamped(venue))
    assert (refused["status"], refused["error"]["code"]) == (401, -2015)
    assert (await ask(socket, "session.status"))["result"]["apiKey"] is None


async def test_a_request_with_a_key_of_its_own_is_from_that_key(venue: LocalVenue) -> None:
    order = {"account": 2, "key": "ed2", "public_key": PEM}
    await venue.admin("POST", "/keys", order)
    socket = await logged_on(venue)
    params = {"apiKey": "ed2", "timestamp": venue.exchange.time_us() // 1_000}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    answer = await ask(socket, "account.status", {**params, "signature": sign(text)})
    assert answer["result"]["uid"] == 2
    assert (await ask(socket, "account.status", stamped(venue)))["result"]["uid"] == 1


async def test_a_connection_may_ask_not_to_be_told_its_limits(venue: LocalVenue) -> None:
    socket = await open_api(venue, "?returnRateLimits=false")
    answer = await ask(socket, "ping")
    assert "rateLimits" not in answer
    told = await ask(socket, "ping", {"returnRateLimits": True})
    assert json.dumps(told["rateLimits"])
    status = (await ask(socket, "session.status"))["result"]
    assert status["returnRateLimits"] is False
