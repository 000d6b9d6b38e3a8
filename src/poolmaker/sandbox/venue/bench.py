"""How fast the venue is: engine orders a second in process, REST orders a second over loopback."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.catalog import RATE_DEFAULT, SYMBOLS
from poolmaker.sandbox.venue.engine import Engine
from poolmaker.sandbox.venue.invariants import audit
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.model import (
    Accepted,
    Account,
    AccountId,
    NewOrder,
    Order,
    Retention,
    TimeInForce,
)
from poolmaker.sandbox.venue.options import VenueOptions
from poolmaker.sandbox.venue.server import VenueServer, build_exchange
from poolmaker.sandbox.venue.units import SCALE

CLIENTS: Final = 8
OPEN_MAX: Final = 4_000
REQUEST_TIMEOUT_S: Final = 30


class EngineLoad:
    """Places, matches and cancels at random around one price, for several accounts."""

    def __init__(self, rng: Rng, retention: Retention | None = None) -> None:
        self.engine = Engine(SYMBOLS, retention=retention)
        self._law = rng.distributions()
        self._open: list[Order] = []
        self._middle = self.engine.markets["BTCUSDT"].last_price
        self._accounts = [self._funded(number) for number in range(1, CLIENTS + 1)]

    def _funded(self, number: int) -> Account:
        account = self.engine.open_account(
            AccountId(number), f"load {number}", is_client=True, rate=RATE_DEFAULT
        )
        for asset in ("BTC", "USDT"):
            self.engine.deposit(account, asset, 10**9 * SCALE, 0)
        return account

    def step(self, number: int) -> None:
        """One command, with its events taken."""
        law = self._law
        if self._open and law.random() < 0.45:
            position = law.randrange(len(self._open))
            order, self._open[position] = self._open[position], self._open[-1]
            self._open.pop()
            if order.is_open:
                self.engine.cancel(order, number, cancel_id="c")
        else:
            self._place(number)
        self.engine.take_events()

    def _place(self, number: int) -> None:
        law = self._law
        is_buy = law.random() < 0.5
        away = law.randrange(-20, 400)
        outcome = self.engine.submit(
            NewOrder(
                account=self._accounts[law.randrange(CLIENTS)],
                symbol="BTCUSDT",
                is_buy=is_buy,
                price=self._middle - away if is_buy else self._middle + away,
                lots=law.randrange(1_000, 50_000),
                tif=TimeInForce.IOC if law.random() < 0.1 else TimeInForce.GTC,
                client_id=f"b{number}",
            ),
            number,
        )
        if isinstance(outcome, Accepted) and outcome.order.is_open:
            self._open.append(outcome.order)
        if len(self._open) > OPEN_MAX:
            self._open = [order for order in self._open if order.is_open]


def engine_orders_per_s(clock: Clock, rng: Rng, commands: int = 100_000) -> int:
    """Commands (55 % places, 45 % cancels) a second, with balances, fees and events."""
    load = EngineLoad(rng)
    started_us = clock.monotonic_us()
    for number in range(commands):
        load.step(number)
    elapsed_us = clock.monotonic_us() - started_us
    found = audit(load.engine)
    ensure(found.ok, f"the load broke an invariant: {found.violations[:1]}")
    return commands * SECOND_US // max(1, elapsed_us)


async def rest_orders_per_s(clock: Clock, orders: int = 2_000, at_once: int = 4) -> int:
    """Signed POST orders a second over loopback, client and server in this process."""
    limits = LimitSettings(orders_per_10s=10**9, orders_per_day=10**9)
    exchange = build_exchange(VenueOptions(limits=limits), clock)
    server = VenueServer(exchange)
    addresses = await server.start(0, 0)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            started_us = clock.monotonic_us()
            each = orders // at_once
            await asyncio.gather(
                *(
                    _place_many(session, addresses.rest, clock, account + 1, each)
                    for account in range(at_once)
                )
            )
            elapsed_us = clock.monotonic_us() - started_us
    finally:
        await server.stop()
    return each * at_once * SECOND_US // max(1, elapsed_us)


async def _place_many(
    session: aiohttp.ClientSession, rest: str, clock: Clock, account: int, count: int
) -> None:
    headers = {
        "X-MBX-APIKEY": f"key{account}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    url = URL(f"{rest}/api/v3/order")
    for number in range(count):
        text = urlencode(
            {
                "symbol": "BTCUSDT", "side": "BUY" if number % 2 else "SELL", "type": "LIMIT",
                "timeInForce": "IOC" if number % 4 > 1 else "GTC", "quantity": "0.00100",
                "price": "60000.00", "timestamp": clock.now_us() // 1_000, "recvWindow": 10_000,
            }
        )  # fmt: skip
        secret = f"secret{account}".encode()
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        body = f"{text}&signature={signature}"
        async with session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            ensure(answer.status == 200, f"an order of the load was refused: {answer.status}")


async def figures(seed: int = 1) -> dict[str, int]:
    """Both figures, by their ids."""
    clock = SystemClock()
    return {
        "engine_orders_per_s": engine_orders_per_s(clock, Rng(seed)),
        "rest_orders_per_s": await rest_orders_per_s(clock),
    }
