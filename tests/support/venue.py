"""Sandbox venues for tests: as a process of its own, and inside the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.options import VenueOptions
from poolmaker.sandbox.venue.server import VenueAddresses, VenueServer, build_exchange

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


@dataclass(frozen=True)
class RunningVenue:
    """The ready line of a venue process, and its admin port."""

    ready: dict[str, Any]
    pid: int

    async def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Do what the outside world does."""
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            address = self.ready["admin"] + path
            async with session.request(method, address, json=body) as answer:
                found: dict[str, Any] = await answer.json()
                return found


@contextlib.asynccontextmanager
async def running_venue(*arguments: str) -> AsyncIterator[RunningVenue]:
    """Start ``python -m poolmaker.sandbox.venue``, stop it with SIGTERM, expect exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.venue", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        yield RunningVenue(json.loads(line), process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    assert code == 0, f"the venue ended with {code}"


def ccxt_settings(ready: dict[str, Any], account: int, **options: object) -> dict[str, Any]:
    """What unmodified ccxt needs to reach a loopback Binance: addresses and spot only."""
    rest, keys = ready["rest"], ready["accounts"][account - 1]
    spot = {"spot": ready["ws"], "ws-api": {"spot": ready["ws_api"]}}
    return {
        "apiKey": keys["key"],
        "secret": keys["secret"],
        "enableRateLimit": False,
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            **options,
        },
        "urls": {
            "api": {
                "public": f"{rest}/api/v3",
                "private": f"{rest}/api/v3",
                "sapi": f"{rest}/sapi/v1",
                "sapiV2": f"{rest}/sapi/v2",
                "sapiV3": f"{rest}/sapi/v3",
                "sapiV4": f"{rest}/sapi/v4",
                "ws": spot,
            }
        },
    }


class LocalVenue:
    """A venue inside the test's own event loop, with a client that signs as Binance asks."""

    def __init__(
        self, exchange: Exchange, server: VenueServer, addresses: VenueAddresses,
        session: aiohttp.ClientSession,
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self.server = server
        self.addresses = addresses
        self.session = session

    async def call(
        self, method: str, path: str, query: str = "", *, body: str = "", key: str | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """One raw request: status, decoded body, headers."""
        url = URL(f"{self.addresses.rest}{path}" + (f"?{query}" if query else ""), encoded=True)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if key is not None:
            headers["X-MBX-APIKEY"] = key
        async with self.session.request(method, url, data=body or None, headers=headers) as answer:
            return answer.status, json.loads(await answer.read()), answer.headers

    async def signed(
        self, method: str, path: str, account: int = 1, *, key: str = "key",
        secret: str | None = None, time_shift_ms: int = 0, **params: Any,
    ) -> tuple[int, Any, Mapping[str, str]]:  # fmt: skip
        """One signed request; POST sends a form, the others a query."""
        stamp = self.exchange.time_us() // 1_000 + time_shift_ms
        text = urlencode({**params, "timestamp": stamp})
        if secret is None:
            secret = f"{key.replace('key', 'secret')}{account}"
        signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        text = f"{text}&signature={signature}"
        where = {"body": text} if method == "POST" else {"query": text}
        return await self.call(method, path, key=f"{key}{account}", **where)

    async def order(self, account: int = 1, **params: Any) -> tuple[int, Any]:
        """Place a LIMIT order of 0.001 BTC at 60,000 with the given changes."""
        given: dict[str, Any] = {
            "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "0.00100", "price": "60000.00",
        }  # fmt: skip
        given.update(params)
        wanted = {name: value for name, value in given.items() if value is not None}
        status, body, _ = await self.signed("POST", "/api/v3/order", account, **wanted)
        return status, body

    async def admin(self, method: str, path: str, body: object = None) -> Any:
        """One request to the admin port."""
        async with self.session.request(method, self.addresses.admin + path, json=body) as answer:
            return await answer.json()


@contextlib.asynccontextmanager
async def local_venue(
    *, beats: bool = False, clock: Clock | None = None, **changes: Any
) -> AsyncIterator[LocalVenue]:
    """A venue without flow on free ports; ``beats`` runs its 100 ms loop."""
    exchange = build_exchange(VenueOptions(**changes), clock or SystemClock())
    server = VenueServer(exchange)
    addresses = await server.start(0, 0)
    tasks = [asyncio.create_task(server.beat())] if beats else []
    timeout = aiohttp.ClientTimeout(total=20)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield LocalVenue(exchange, server, addresses, session)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop()
