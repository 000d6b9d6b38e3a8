"""Servers of one test's own, and scenarios that run as us or as an ordinary user.

A scenario is an ``async def name(folder: Path) -> None`` at the top of a test module. As root it is
run twice: in this process, and in a child that has become an ordinary user.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.placement import Placement
from poolmaker.infra.postgres.processes import listener_of
from tests.support.folders import open_folder, own_placement

Scenario = Callable[[Path], Awaitable[None]]

REPOSITORY = Path(__file__).resolve().parents[2]
OURSELVES = "ourselves"
ORDINARY_USER = "an ordinary user"
IDENTITIES = [OURSELVES, ORDINARY_USER] if os.getuid() == 0 else [OURSELVES]
_ORDINARY = "nobody"
_PROGRAM = [sys.executable, "-m", "tests.support.servers"]
_SCENARIO_TIMEOUT_S = 110


async def run_scenario(identity: str, scenario: Scenario) -> None:
    """Run it in an empty folder; whatever server it leaves behind is removed."""
    with open_folder() as folder:
        if identity == OURSELVES:
            await scenario(folder)
        else:
            await asyncio.to_thread(_run_as_ordinary_user, scenario, folder)


async def start(folder: Path, **settings: str) -> Cluster:
    """The server of ``folder``, started by this process."""
    placement = own_placement(folder)
    return await Cluster.start(
        placement.home, SystemClock(), placement=placement, settings=settings
    )


def postmaster(placement: Placement) -> int:
    """The process that serves the socket."""
    pid = listener_of(placement.socket)
    assert pid is not None
    return pid


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the server of ``folder`` until its input ends or it is killed."""
    process = subprocess.Popen(
        [*_PROGRAM, "hold", str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def wait_until_up(process: subprocess.Popen[str]) -> None:
    """Block until ``another_process`` has its server."""
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"


def _run_as_ordinary_user(scenario: Scenario, folder: Path) -> None:
    row = pwd.getpwnam(_ORDINARY)
    os.chown(folder, row.pw_uid, row.pw_gid)
    os.chown(folder / "service", row.pw_uid, row.pw_gid)
    name = getattr(scenario, "__name__", "")
    done = subprocess.run(
        [*_as_ordinary_user(), *_PROGRAM, scenario.__module__, name, str(folder)],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=_SCENARIO_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@cache
def _as_ordinary_user() -> list[str]:
    row = pwd.getpwnam(_ORDINARY)
    plain = ["setpriv", f"--reuid={row.pw_uid}", f"--regid={row.pw_gid}", "--clear-groups"]
    code = "import subprocess, sys, asyncpg; subprocess.run([sys.executable, '-V'], check=True)"
    probe = [*plain, sys.executable, "-c", code]
    if subprocess.run(probe, cwd="/", capture_output=True, check=False).returncode == 0:
        return plain
    # An interpreter below root's own folder: the user may read it, and still write nothing.
    right = "+dac_read_search"
    return [*plain, f"--inh-caps={right}", f"--ambient-caps={right}"]


async def _hold(folder: Path) -> None:
    cluster = await start(folder)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await cluster.stop()


def _main(arguments: list[str]) -> None:
    if arguments[0] == "hold":
        asyncio.run(_hold(Path(arguments[1])))
        return
    scenario: Scenario = getattr(import_module(arguments[0]), arguments[1])

    async def run() -> None:
        await scenario(Path(arguments[2]))

    asyncio.run(run())


if __name__ == "__main__":
    _main(sys.argv[1:])
