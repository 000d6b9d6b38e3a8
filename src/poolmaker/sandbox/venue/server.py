"""The venue as a process: two ports on loopback, one line when ready, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.admin import VenueAdmin
from poolmaker.sandbox.venue.catalog import RATE_DEFAULT, SYMBOLS
from poolmaker.sandbox.venue.exchange import Exchange, ExchangeSettings
from poolmaker.sandbox.venue.flow_recorded import RecordedFlow
from poolmaker.sandbox.venue.flows import flows_of, listed_symbols, read_recording
from poolmaker.sandbox.venue.keys import ApiKey
from poolmaker.sandbox.venue.mexc import PREFIX
from poolmaker.sandbox.venue.model import AccountId, SymbolSpec
from poolmaker.sandbox.venue.options import ACCOUNTS, VenueOptions
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.rest import BINANCE, MEXC, RestWire, answer
from poolmaker.sandbox.venue.wallet import WithdrawalDelay
from poolmaker.sandbox.venue.ws_api import WebSocketApi
from poolmaker.sandbox.venue.ws_streams import StreamWire

LOOPBACK: Final = "127.0.0.1"
FAST_US: Final = 100_000
AUDIT_EVERY_S: Final = 10
CLOSE_TIMEOUT_S: Final = 5


@dataclass(frozen=True, slots=True)
class VenueAddresses:
    """Where a running venue is reached, and by whom: the ready line."""

    rest: str
    ws: str
    ws_api: str
    admin: str
    accounts: list[dict[str, str]]
    symbols: list[str]


def build_exchange(
    options: VenueOptions, clock: Clock, symbols: tuple[SymbolSpec, ...] = SYMBOLS
) -> Exchange:
    """A venue with its eight client accounts, each with a trading and a read-only key."""
    settings = ExchangeSettings(
        symbols=symbols,
        limits=options.limits,
        retention=options.retention,
        withdrawal_delay=WithdrawalDelay(by_hand=options.withdrawals_by_hand),
    )
    exchange = Exchange(settings, clock, Rng(options.seed))
    for number in range(1, ACCOUNTS + 1):
        account = exchange.engine.open_account(
            AccountId(number), f"client {number}", is_client=True, rate=RATE_DEFAULT
        )
        exchange.keys.add(ApiKey(f"key{number}", f"secret{number}", account, may_trade=True))
        exchange.keys.add(ApiKey(f"ro_key{number}", f"ro_secret{number}", account, may_trade=False))
        funds: Mapping[str, int] = options.initial
        if number == 1 and options.initial_first is not None:
            funds = options.initial_first
        for asset, units in funds.items():
            if units:
                exchange.engine.deposit(account, asset, units, exchange.time_us())
    exchange.engine.take_events()
    return exchange


class VenueServer:
    """The wires and the loops around one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.is_flowing = True
        self.admin = VenueAdmin(exchange, self._control_flow)
        self._runners: list[web.AppRunner] = []
        self._rest = RestWire(exchange, BINANCE)
        self._mexc = RestWire(exchange, MEXC)
        self._streams = StreamWire(exchange)
        self._api = WebSocketApi(exchange)

    def _control_flow(self, is_flowing: bool) -> bool:  # noqa: FBT001 - one switch
        self.is_flowing = is_flowing
        return is_flowing

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        wire: WebSocketApi | StreamWire
        if path.startswith("/ws-api/"):
            wire = self._api
        elif path == "/ws" or path.startswith(("/ws/", "/stream")):
            wire = self._streams
        elif path.startswith(PREFIX):
            return await self._mexc.handle(request)
        else:
            return await self._rest.handle(request)
        try:
            self.exchange.limiter.admit_connection(self.exchange.time_us())
        except WireRefusal as refusal:
            return answer(refusal.body(), refusal.status, refusal.headers)
        return await wire.handle(request)

    async def start(self, port: int, admin_port: int) -> VenueAddresses:
        """Listen; the addresses to reach it by."""
        public = web.Application(client_max_size=1 << 20)
        public.router.add_route("*", "/{path:.*}", self._route)
        admin = web.Application(client_max_size=1 << 20)
        admin.router.add_routes(self.admin.routes())
        port = await self._listen(public, port)
        admin_port = await self._listen(admin, admin_port)
        return VenueAddresses(
            rest=f"http://{LOOPBACK}:{port}",
            ws=f"ws://{LOOPBACK}:{port}/stream/ws",
            ws_api=f"ws://{LOOPBACK}:{port}/ws-api/v3",
            admin=f"http://{LOOPBACK}:{admin_port}",
            accounts=[
                {
                    "key": f"key{number}", "secret": f"secret{number}",
                    "ro_key": f"ro_key{number}", "ro_secret": f"ro_secret{number}",
                }
                for number in range(1, ACCOUNTS + 1)
            ],
            symbols=list(self.exchange.engine.markets),
        )  # fmt: skip

    async def _listen(self, app: web.Application, port: int) -> int:
        listener = _bind(port)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_TIMEOUT_S
        )
        self._runners.append(runner)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=512).start()
        bound: int = listener.getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Cut every connection and close the ports."""
        for peer in list(self.exchange.peers):
            peer.cut()
        for runner in self._runners:
            await runner.cleanup()

    async def beat(self) -> None:
        """Diffs every 100 ms; tickers, candles and due withdrawals every second."""
        exchange, clock, ticks = self.exchange, self.exchange.clock, 0
        next_us = clock.monotonic_us()
        while True:
            next_us = max(next_us + FAST_US, clock.monotonic_us() - FAST_US)
            await clock.sleep_us(max(0, next_us - clock.monotonic_us()))
            ticks += 1
            self.flush(is_slow=ticks % 10 == 0)
            if ticks % (10 * AUDIT_EVERY_S) == 0:
                self.admin.sample()
            if ticks % 10 == 0:
                exchange.wallet.settle_due(exchange.time_us())

    def flush(self, *, is_slow: bool) -> None:
        """Send the diffs that are due."""
        time_us = self.exchange.time_us()
        for feed in self.exchange.feeds.values():
            feed.flush_fast(time_us)
            if is_slow:
                feed.flush_slow(time_us)
        if is_slow:
            self.exchange.all_tickers.flush(time_us)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(512)
    except (OSError, OverflowError) as problem:
        listener.close()
        raise EnvironmentProblem(
            f"Port {port} on {LOOPBACK} cannot be opened ({problem}): "
            "stop the program that has it, or choose another with --port."
        ) from None
    listener.setblocking(False)
    return listener


def _say(addresses: VenueAddresses) -> None:
    sys.stdout.write(msgspec.json.encode(addresses).decode() + "\n")
    sys.stdout.flush()


async def serve(options: VenueOptions) -> None:
    """Run a venue until SIGTERM or SIGINT; prints its addresses as one JSON line when ready.

    Raises EnvironmentProblem when a port is taken or the recording cannot be read.
    """
    recording = read_recording(options)
    exchange = build_exchange(options, SystemClock(), listed_symbols(recording))
    server = VenueServer(exchange)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        addresses = await server.start(options.port, options.admin_port)
        recorded = None if recording is None else RecordedFlow(exchange, recording)
        server.admin.recorded = recorded
        flows = flows_of(options, exchange, recorded)
        tasks = [asyncio.create_task(flow(lambda: server.is_flowing)) for flow in flows]
        tasks.append(asyncio.create_task(server.beat()))
        _say(addresses)
        await _until(stop, tasks)
    finally:
        await server.stop()


async def _until(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for ``stop``; a task that fails takes the venue down with its error."""
    waiter = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, waiter], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [*tasks, waiter]:
            task.cancel()
        await asyncio.gather(*tasks, waiter, return_exceptions=True)
