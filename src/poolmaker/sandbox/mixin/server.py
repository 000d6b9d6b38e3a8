"""Mixin as a process: two ports on loopback, one line when ready, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.mixin.codec.messages import HANDSHAKE_PATH
from poolmaker.sandbox.mixin.admin import AdminWire
from poolmaker.sandbox.mixin.auth import Doorkeeper
from poolmaker.sandbox.mixin.blaze import BlazeWire
from poolmaker.sandbox.mixin.calls import House
from poolmaker.sandbox.mixin.crossing import Arrival, Crossing
from poolmaker.sandbox.mixin.grants import Grants
from poolmaker.sandbox.mixin.options import MixinOptions
from poolmaker.sandbox.mixin.post import Post
from poolmaker.sandbox.mixin.safe import Safe
from poolmaker.sandbox.mixin.wire import ApiWire
from poolmaker.sandbox.mixin.world import World

LOOPBACK: Final = "127.0.0.1"
CLOSE_TIMEOUT_S: Final = 5
SETTLE_EVERY_US: Final = 50_000
BODY_BYTES_MAX: Final = 16 << 20
"""Two transactions of 4 MiB in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running server is reached, and by whom: the ready line."""

    api: str
    blaze: str
    admin: str
    bot: dict[str, str]
    users: list[dict[str, str]]


def build_house(options: MixinOptions, clock: Clock) -> House:
    """A server's parts, with users whose wallets hold what the options say."""
    world = World(clock, options.seed, options.users)
    safe = Safe(world, options.finality_ms * 1_000)
    crossing = Crossing(world, safe)
    house = House(world, safe, crossing, Grants(world), Post(world))
    for person in world.users:
        for asset_id, units in options.initial.items():
            chain_id = world.asset(asset_id).chain.chain_id
            entry = crossing.entry(chain_id, [person.user_id], 1)
            tx_id = f"initial-{person.number}-{asset_id}"
            crossing.arrive(
                Arrival(
                    tx_id=tx_id, asset_id=asset_id, units=units, destination=entry.destination
                )
            )  # fmt: skip
    return house


class MixinServer:
    """The wires around one house."""

    def __init__(self, house: House) -> None:
        self.house = house
        doorkeeper = Doorkeeper(house.world, house.grants)
        self._api = ApiWire(house, doorkeeper)
        self.blaze = BlazeWire(house.world, house.post, doorkeeper)
        self._admin = AdminWire(house)
        self._runners: list[web.AppRunner] = []

    async def _route(self, request: web.Request) -> web.StreamResponse:
        upgrades = request.headers.get("Upgrade", "").lower() == "websocket"
        if upgrades and request.path == HANDSHAKE_PATH:
            return await self.blaze.handle(request)
        return await self._api.handle(request)

    async def start(self, port: int, admin_port: int) -> Addresses:
        """Listen; the addresses to reach it by."""
        public = web.Application(client_max_size=BODY_BYTES_MAX)
        public.router.add_route("*", "/{path:.*}", self._route)
        admin = web.Application(client_max_size=BODY_BYTES_MAX)
        admin.router.add_routes(self._admin.routes())
        port = await self._listen(public, port)
        admin_port = await self._listen(admin, admin_port)
        world = self.house.world
        return Addresses(
            api=f"http://{LOOPBACK}:{port}",
            blaze=f"ws://{LOOPBACK}:{port}",
            admin=f"http://{LOOPBACK}:{admin_port}",
            bot=world.bot.keystore(world.server_key),
            users=[one.keystore(world.server_key) for one in world.users],
        )

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
        for reader in list(self.blaze.readers):
            reader.cut()
        for runner in self._runners:
            await runner.cleanup()

    async def beat(self) -> None:
        """Make final what is old enough."""
        while True:
            await self.house.world.clock.sleep_us(SETTLE_EVERY_US)
            self.house.safe.settle()


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(512)
    except OSError as problem:
        listener.close()
        raise EnvironmentProblem(
            f"Port {port} on {LOOPBACK} cannot be opened ({problem.strerror}): "
            "stop the program that has it, or choose another with --port."
        ) from None
    listener.setblocking(False)
    return listener


async def serve(options: MixinOptions) -> None:
    """Run until SIGTERM or SIGINT; prints the addresses as one JSON line when ready.

    Raises EnvironmentProblem when a port is taken.
    """
    server = MixinServer(build_house(options, SystemClock()))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        addresses = await server.start(options.port, options.admin_port)
        sys.stdout.write(msgspec.json.encode(addresses).decode() + "\n")
        sys.stdout.flush()
        await _until(stop, asyncio.create_task(server.beat()))
    finally:
        await server.stop()


async def _until(stop: asyncio.Event, beat: asyncio.Task[None]) -> None:
    """Wait for ``stop``; a beat that fails takes the server down with its error."""
    waiter = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({beat, waiter}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (beat, waiter):
            task.cancel()
        await asyncio.gather(beat, waiter, return_exceptions=True)
