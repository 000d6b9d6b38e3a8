"""A platform with people in it and the worlds around it, for tests that hurt it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import asyncpg

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.data_directory import living_server
from poolmaker.infra.postgres.dsn import connect_arguments, local_dsn
from poolmaker.infra.postgres.model import ADMIN, DATABASE
from poolmaker.infra.postgres.placement import place
from poolmaker.kernel.clock import SECOND_US
from poolmaker.sandbox.story import acts
from poolmaker.sandbox.story.model import Member, StoryOptions, Told
from poolmaker.sandbox.story.plan import make_plan
from poolmaker.sandbox.story.processes import Child, platform_child
from poolmaker.sandbox.story.stage import Stage
from poolmaker.sandbox.story.wire import session

FLAGS: Final = ("trial_balance_ok", "ledger_verify_ok", "allocations_ok", "custody_ok")
PATIENCE_US: Final = 240 * SECOND_US
_BESIDE: Final[list[Child]] = []
"""Platforms that the story does not know."""
_ENDED: Final = frozenset(
    {"DONE", "RETURNED", "DECLINED", "RELEASED", "DEBITED", "REFUSED", "CLOSED"}
)


@asynccontextmanager
async def story(home: Path, seed: int) -> AsyncIterator[Stage]:
    """Worlds and platform are started by the first act; at the end nothing is left."""
    home.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    options = StoryOptions(
        home=home, port=free_port(), once=True, as_json=True, seed=seed, recording=None
    )
    try:
        async with session() as wires:
            stage = Stage(options, make_plan(seed), Told(seed=seed), clock, wires)
            try:
                yield stage
            finally:
                for child in _BESIDE:
                    child.kill()
                    await child.wait()
                _BESIDE.clear()
                await stage.close()
    finally:
        base = place(home).base
        if base.exists() and not base.is_mount():
            await Cluster.erase(home, clock)
            shutil.rmtree(base, ignore_errors=True)


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def quoting(stage: Stage) -> tuple[Member, Member]:
    """Two people are in the pool, and it is filled."""
    await acts.begin(stage)
    ada, bo = await acts.deposit(stage)
    await acts.join(stage, (ada, bo))
    await fills_go_on(stage)
    return ada, bo


async def fills_go_on(stage: Stage, more: int = 3) -> None:
    """Wait for so many more fills."""
    wanted = await stage.fills() + more

    async def has_fills() -> bool:
        return await stage.fills() >= wanted

    await stage.until(f"the pool has {wanted} fills", has_fills, PATIENCE_US)


async def ends_well(stage: Stage, leaver: Member) -> Mapping[str, Any]:
    """One leaves with everything, nothing is under way any more, and the judge speaks."""
    await acts.leave(stage, leaver)
    await stage.outside.rest(resting=True)

    async def is_quiet() -> bool:
        rows = await stage.api.get("/transfers") + await stage.api.get("/withdrawals")
        return all(row["state"].upper() in _ENDED for row in rows)

    await stage.until("nothing is under way", is_quiet, PATIENCE_US)
    await acts.judge(stage)
    verdict = stage.told.verdict
    assert {flag: verdict.get(flag) for flag in FLAGS} == dict.fromkeys(FLAGS, True), verdict
    assert verdict["open_orders_unknown"] == 0
    return verdict


async def healthy(stage: Stage) -> None:
    """Wait until the platform answers again, restarting it is the test's task."""
    await stage.until("the platform is up", stage._answers, PATIENCE_US)


async def restarted(stage: Stage) -> None:
    """SIGKILL and a new start."""
    stage.crash.is_running = True
    stage.platform.kill()
    await stage.platform.wait()
    try:
        await stage.open_platform()
    finally:
        stage.crash.is_running = False


def twin(stage: Stage) -> tuple[Child, int]:
    """Another platform on the same home with a page of its own; not started."""
    port = free_port()
    config = stage.options.home / "twin.toml"
    text, count = re.subn(rf"(?m)^port = {stage.options.port}$", f"port = {port}", _text(stage))
    assert count == 1
    config.touch(mode=0o600)
    config.write_text(text, "utf-8")
    child = platform_child(config, stage.options.home / f"twin-{port}.log")
    _BESIDE.append(child)
    return child, port


def _text(stage: Stage) -> str:
    return stage.config.read_text("utf-8")


def taken_over_by(stage: Stage, other: Child, port: int) -> Child:
    """The story goes on with the other platform; the one it had until now."""
    before, stage.platform = stage.platform, other
    _BESIDE.remove(other)
    _BESIDE.append(before)
    stage.options = replace(stage.options, port=port)
    stage.api._base = f"{stage.page}/api/v1"
    return before


def send(child: Child, number: signal.Signals) -> None:
    """A signal to a process of the story."""
    os.kill(child.pid, number)


def postmaster(stage: Stage) -> int:
    """The process id of the story's PostgreSQL."""
    pid = living_server(place(stage.options.home))
    assert pid is not None
    return pid


@asynccontextmanager
async def leases_locked(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Nobody takes or renews a lease inside; answers how many wait to."""
    placement = place(stage.options.home)
    dsn = local_dsn(placement.run, placement.passwords, ADMIN, DATABASE)
    connection = await asyncpg.connect(**connect_arguments(dsn))
    watching = await asyncpg.connect(**connect_arguments(dsn))

    async def waiting() -> int:
        return int(
            await watching.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND relation = 'infra.lease'::regclass"
            )
        )

    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE infra.lease")
            yield waiting
    finally:
        await connection.close()
        await watching.close()


async def ended(child: Child, seconds: int = 120) -> int:
    """The exit code of a process that is to end."""
    async with asyncio.timeout(seconds):
        return await child.wait()
