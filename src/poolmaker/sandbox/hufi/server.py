"""HuFi as a process: oracle, launcher, files and admin on loopback, and the jobs behind them."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.chain.rpc import Rpc
from poolmaker.sandbox.hufi.admin import HufiAdmin
from poolmaker.sandbox.hufi.auth import Tokens
from poolmaker.sandbox.hufi.calls import HufiApi
from poolmaker.sandbox.hufi.escrows import Escrows
from poolmaker.sandbox.hufi.exchange import ExchangeReader
from poolmaker.sandbox.hufi.files import Files
from poolmaker.sandbox.hufi.jobs import Jobs
from poolmaker.sandbox.hufi.launcher import LauncherApi
from poolmaker.sandbox.hufi.options import ADMIN_KEY, HufiOptions
from poolmaker.sandbox.hufi.oracle import OracleApi
from poolmaker.sandbox.hufi.world import HufiWorld
from poolmaker.sandbox.serving import Ports, bind, say, stop_on_signals, until


@dataclass(frozen=True, slots=True)
class HufiAddresses:
    """Where a running HuFi is reached: the ready line."""

    oracle: str
    launcher: str
    files: str
    admin: str
    admin_key: str = ADMIN_KEY


async def _checked(escrows: Escrows, url: str) -> Escrows:
    try:
        if await escrows.is_ready():
            return escrows
    except Unavailable as problem:
        raise EnvironmentProblem(f"{problem}; start the sandbox chain first.") from None
    raise EnvironmentProblem(f"The chain at {url} is not the sandbox chain; name it with --chain.")


def build_world(
    options: HufiOptions, escrows: Escrows, session: aiohttp.ClientSession, clock: Clock
) -> HufiWorld:
    """What both oracles remember at the start: nothing."""
    rng = Rng(options.seed).fork("hufi")
    tokens = Tokens(rng, clock, options.access_s, options.refresh_s)
    exchange = ExchangeReader(session, options.venue_rest.rstrip("/"), clock)
    world = HufiWorld(escrows, exchange, tokens, clock)
    world.limits_holding_join = options.limits_holding_join
    return world


async def serve(options: HufiOptions) -> None:
    """Run HuFi until SIGTERM or SIGINT; prints its addresses as one JSON line when ready.

    Raises EnvironmentProblem when a port is taken or the chain is not there.
    """
    stop, clock, ports = stop_on_signals(), SystemClock(), Ports()
    sockets = [
        bind(options.port), bind(options.port_of_launcher, "--launcher-port"),
        bind(options.files_port, "--files-port"), bind(options.admin_port, "--admin-port"),
    ]  # fmt: skip
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        escrows = Escrows(Rpc(session, options.chain_rpc, "hufi"), clock)
        world = build_world(options, await _checked(escrows, options.chain_rpc), session, clock)
        files = Files()
        jobs = Jobs(world, files)
        oracle = HufiApi(OracleApi(world, jobs).routes(), clock, world.account_of)
        launcher = HufiApi(LauncherApi(world).routes(), clock)
        admin = HufiAdmin(world, jobs, [oracle.faults, launcher.faults])
        try:
            files.base = await ports.serve(sockets[2], files.handle)
            ready = HufiAddresses(
                oracle=await ports.serve(sockets[0], oracle.handle),
                launcher=await ports.serve(sockets[1], launcher.handle),
                files=files.base,
                admin=await ports.serve_app(sockets[3], admin.app()),
            )
            say(ready)
            await until(stop, [jobs.beat(options.jobs_every_s)] if options.jobs_every_s else [])
        finally:
            await ports.close()
