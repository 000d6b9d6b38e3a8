"""Mixin as a process: two ports on loopback, one line when ready, until SIGTERM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.mixin.codec.messages import HANDSHAKE_PATH
from poolmaker.sandbox.mixin.admin import MixinAdmin
from poolmaker.sandbox.mixin.auth import Doorkeeper
from poolmaker.sandbox.mixin.blaze import BlazeWire
from poolmaker.sandbox.mixin.calls import House
from poolmaker.sandbox.mixin.crossing import Arrival, Crossing
from poolmaker.sandbox.mixin.grants import Grants
from poolmaker.sandbox.mixin.options import MixinOptions
from poolmaker.sandbox.mixin.post import Post
from poolmaker.sandbox.mixin.safe import Safe
from poolmaker.sandbox.mixin.wire import MixinApi
from poolmaker.sandbox.mixin.world import MixinNetwork
from poolmaker.sandbox.serving import BODY_BYTES_MAX, Ports, bind, say, stop_on_signals, until

SETTLE_EVERY_US: Final = 50_000


@dataclass(frozen=True, slots=True)
class MixinAddresses:
    """Where a running server is reached, and by whom: the ready line."""

    api: str
    blaze: str
    admin: str
    bot: dict[str, str]
    users: list[dict[str, str]]


def build_house(options: MixinOptions, clock: Clock) -> House:
    """A server's parts, with users whose wallets hold what the options say."""
    world = MixinNetwork(clock, options.seed, options.users)
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
        self._api = MixinApi(house, doorkeeper)
        self.blaze = BlazeWire(house.world, house.post, doorkeeper)
        self._admin = MixinAdmin(house)
        self._ports = Ports()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        upgrades = request.headers.get("Upgrade", "").lower() == "websocket"
        if upgrades and request.path == HANDSHAKE_PATH:
            return await self.blaze.handle(request)
        return await self._api.handle(request)

    async def start(self, port: int, admin_port: int) -> MixinAddresses:
        """Listen; the addresses to reach it by."""
        sockets = bind(port), bind(admin_port, "--admin-port")
        admin = web.Application(client_max_size=BODY_BYTES_MAX)
        admin.router.add_routes([*self._admin.routes(), *self._api.faults.routes()])
        api = await self._ports.serve(sockets[0], self._route)
        world = self.house.world
        return MixinAddresses(
            api=api,
            blaze=api.replace("http://", "ws://"),
            admin=await self._ports.serve_app(sockets[1], admin),
            bot=world.bot.keystore(world.server_key),
            users=[one.keystore(world.server_key) for one in world.users],
        )

    async def stop(self) -> None:
        """Cut every connection and close the ports."""
        for reader in list(self.blaze.readers):
            reader.cut()
        await self._ports.close()

    async def beat(self) -> None:
        """Make final what is old enough."""
        while True:
            await self.house.world.clock.sleep_us(SETTLE_EVERY_US)
            self.house.safe.settle()


async def serve(options: MixinOptions) -> None:
    """Run until SIGTERM or SIGINT; prints the addresses as one JSON line when ready.

    Raises EnvironmentProblem when a port is taken.
    """
    stop = stop_on_signals()
    server = MixinServer(build_house(options, SystemClock()))
    try:
        say(await server.start(options.port, options.admin_port))
        await until(stop, [server.beat()])
    finally:
        await server.stop()
