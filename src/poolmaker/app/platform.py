"""The platform in one process: parts started in order, watched, stopped in order.

Order of the end: engines cancel what rests and prove it, the page says good-bye, sagas finish
their step, the ledger's writer closes, the database last. A process that is killed instead loses
nothing: whoever starts next goes on from what is stored. One process at a time works on a database:
it holds the lease ``platform``, and one that finds it taken over ends without touching anything.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import aiohttp

from poolmaker.api.ports import Platform
from poolmaker.api.server import bind, create_api, serve
from poolmaker.app.data import open_data
from poolmaker.app.engines import EngineHandle
from poolmaker.app.schema import LEASE_US, PLATFORM_LEASE
from poolmaker.app.supervisor import SupervisedTask, Supervisor
from poolmaker.app.tokens import make_missing, token_files
from poolmaker.app.wiring import Container, Context, wire
from poolmaker.infra.clock import SteadyClock, SystemClock
from poolmaker.infra.connections import Purpose
from poolmaker.infra.foreign import bound_recursion
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.leases import LeaseKeeper, PgLeases
from poolmaker.infra.logging import configure_logging, get_logger
from poolmaker.infra.machine import MachineWatch
from poolmaker.infra.settings.model import Settings
from poolmaker.infra.wakeup import Wakeup
from poolmaker.kernel.clock import DAY_US, SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, TakenOver, Unavailable
from poolmaker.kernel.ids import Ids
from poolmaker.kernel.rng import system_rng
from poolmaker.web.ports import PageContext
from poolmaker.web.site import create_site

_LOG: Final = get_logger("app")
IDLE_US: Final = 2 * SECOND_US
"""How long nobody looks where the database has nothing to tell."""
CONTROL: Final = "control:"
"""How the streams of wishes to the engines begin."""
BACK_OFF_US: Final = SECOND_US // 2
FORGOTTEN_AT_ONCE: Final = 1_000
HTTP_TIMEOUT_S: Final = 30
CHANNELS: Final = ("bus_event", "ledger_answer", "ledger_log", "saga_due")


async def up(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, which are heard from the first moment.

    Raises EnvironmentProblem before anything was written when the machine, the configuration or
    another platform on the same database prevents the work, PartFailed when a part ended that
    nothing works without, and TakenOver when another process has taken over.
    """
    bound_recursion()
    clock = SteadyClock(SystemClock())
    configure_logging(settings.log.level, settings.log.format, clock)
    for note in settings.notes():
        _say(note)
    listener = bind(settings.web.host, settings.web.port)
    rng = system_rng()
    make_missing(token_files(settings), rng.fork("staff"))
    root = Context(
        settings=settings,
        clock=clock,
        ids=Ids(clock, rng.fork("ids")),
        rng=rng,
        health=HealthBoard(clock),
        stopping=asyncio.Event(),
        wake=Wakeup(clock),
        control=Wakeup(clock),
    )
    supervisor = Supervisor(root.stopping, root.health)
    supervisor.listen_for_signals()
    try:
        async with AsyncExitStack() as stack:
            opening = _open(root, clock, supervisor, stack)
            wired = await supervisor.unless_stopped(opening)
            if wired is not None:
                await _run(root, supervisor, wired, listener)
            if supervisor.is_taken_over and isinstance(root.lease, LeaseKeeper):
                raise await root.lease.loss()
            supervisor.raise_failure()
    finally:
        listener.close()


async def _open(
    root: Context, clock: SteadyClock, supervisor: Supervisor, stack: AsyncExitStack
) -> Container:
    """Everything made, nothing running but the lease and the look at the machine."""
    data = await stack.enter_async_context(open_data(root.settings, clock, _say))
    root.lease = LeaseKeeper(PgLeases(), data.app, clock, root.holder, LEASE_US)
    await root.lease.acquire(PLATFORM_LEASE, _say)
    stack.push_async_callback(_give_back, root.lease)
    stack.push_async_callback(supervisor.end)
    supervisor.start(SupervisedTask("lease", root.lease.run, Purpose.ENGINE))
    machine = root.machine = MachineWatch(clock, data.server.data, root.health)
    supervisor.start(SupervisedTask("machine", machine.run))
    session = await stack.enter_async_context(_session())
    wired = await wire(root, data, session)
    await _listen(root, wired, stack)
    return wired


async def _run(
    root: Context, supervisor: Supervisor, wired: Container, listener: socket.socket
) -> None:
    web = root.settings.web
    _start(supervisor, root, wired)
    api = create_api(wired.platform, create_site(_showing(wired.platform)))
    supervisor.start(
        SupervisedTask("web", lambda: serve(api, listener, root.stopping), Purpose.CLIENTS)
    )
    # What was made up to here lives as long as the process: the collector need not walk it again.
    gc.collect()
    gc.freeze()
    _LOG.info("platform is up", host=web.host, port=web.port)
    await root.stopping.wait()
    await _stop(supervisor, wired)


async def _give_back(lease: LeaseKeeper) -> None:
    try:
        await lease.release()
    except (Unavailable, OutcomeUnknown) as problem:
        _LOG.info("the lease runs out by itself", problem=str(problem))


def _session() -> aiohttp.ClientSession:
    """For Mixin, the chain and HuFi; each of them sets its own limits for every request."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S), trust_env=False
    )


def _say(sentence: str) -> None:
    _LOG.info(sentence)


def _showing(platform: Platform) -> PageContext:
    return PageContext(
        mode=platform.mode,
        clock=platform.clock,
        reading=platform.reading,
        live=platform.live,
        attention=platform.attention,
        stage=platform.stage,
        stopping=platform.stopping,
    )


async def _listen(root: Context, wired: Container, stack: AsyncExitStack) -> None:
    """Notifications are hints that ring; whoever waits also looks now and then without one."""

    def heard(payload: str) -> None:
        root.wake.ring()
        wired.runner.wake_up()
        if not payload or payload.startswith(CONTROL):
            root.control.ring()

    for channel in CHANNELS:
        listener = await wired.data.app.listen(channel, heard, root.clock)
        stack.push_async_callback(listener.close)


def _start(supervisor: Supervisor, root: Context, wired: Container) -> None:
    supervisor.start(SupervisedTask("ledger", wired.writer.run))
    supervisor.start(SupervisedTask("database", wired.data.server.watch))
    supervisor.start(SupervisedTask("pools", lambda: _pump(root, wired)))
    supervisor.start(SupervisedTask("sagas", wired.runner.run))
    supervisor.start(SupervisedTask("custody", wired.custody.run))
    supervisor.start(SupervisedTask("attention", wired.attention.run))
    supervisor.start(SupervisedTask("kill", wired.kill.run, Purpose.ENGINE))
    supervisor.start(SupervisedTask("engines", wired.engines.run))
    supervisor.start(SupervisedTask("live", lambda: _patiently(root, wired.live.run)))
    supervisor.start(
        SupervisedTask("assets", lambda: _patiently(root, lambda: _learn(root, wired)))
    )
    supervisor.start(SupervisedTask("keys", lambda: _patiently(root, lambda: _forget(root, wired))))
    supervisor.start(
        SupervisedTask("shares", lambda: _patiently(root, lambda: _follow(root, wired)))
    )
    if wired.mixin is not None:
        supervisor.start(SupervisedTask("mixin", wired.mixin.walker.run))
        supervisor.start(SupervisedTask("returns", wired.mixin.unlisted.run))
    if wired.routes is not None:
        supervisor.start(SupervisedTask("routes", wired.routes.run))
    if wired.chain is not None:
        supervisor.start(SupervisedTask("chain", wired.chain.run))
    for account, desk in wired.desks.items():
        supervisor.start(SupervisedTask(f"engine {account}", desk.engine.run, Purpose.ENGINE))


async def _pump(root: Context, wired: Container) -> None:
    """Facts into the ledger, capital to the engines, barriers: whenever there is something."""
    while True:
        seen = root.wake.rung
        try:
            done = await wired.business.rooms.pools.pump()
        except (Unavailable, OutcomeUnknown) as problem:
            _LOG.warning("pools wait", problem=str(problem))
            await root.clock.sleep_us(BACK_OFF_US)
            continue
        if done:
            wired.runner.wake_up()
        else:
            await root.wake.wait(seen, IDLE_US)


async def _follow(root: Context, wired: Container) -> None:
    """The history of shares follows the ledger's log."""
    while True:
        seen = root.wake.rung
        if not await wired.business.rewards.follow():
            await root.wake.wait(seen, IDLE_US)


async def _forget(root: Context, wired: Container) -> None:
    """Answers of old requests go, a few at a time."""
    kept_us = root.settings.web.keys_kept_days * DAY_US
    while True:
        before_us = root.clock.now_us() - kept_us
        if await wired.platform.requests.forget(before_us, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
            await root.clock.sleep_us(SECOND_US)
        else:
            await root.clock.sleep_us(DAY_US // 24)


async def _learn(root: Context, wired: Container) -> None:
    while True:
        seen = root.wake.rung
        await wired.learn_assets(root.clock)
        await root.clock.sleep_us(SECOND_US)
        await root.wake.wait(seen, 5 * IDLE_US)


async def _patiently(root: Context, run: Callable[[], Awaitable[None]]) -> None:
    """A part that only reads goes on when the database is back."""
    while True:
        try:
            await run()
        except (Unavailable, OutcomeUnknown) as problem:
            _LOG.warning("reading waits", problem=str(problem))
        await root.clock.sleep_us(BACK_OFF_US)


async def _stop(supervisor: Supervisor, wired: Container) -> None:
    """End in order. What another process has taken over is left to it: nothing is cancelled."""
    if supervisor.is_taken_over:
        await supervisor.end()
        return
    await asyncio.gather(*(_stop_desk(desk) for desk in wired.desks.values()))
    await wired.runner.stop()
    await supervisor.end()
    try:
        await wired.writer.release()
    except (Unavailable, OutcomeUnknown, TakenOver) as problem:
        _LOG.info("the ledger's lease runs out by itself", problem=str(problem))


async def _stop_desk(desk: EngineHandle) -> None:
    try:
        await desk.engine.stop()
    finally:
        await desk.venue.close()
