"""What others' start code got wrong when PostgreSQL or its owner was killed: each trap once.

The traps are those found in the start code of the packages that ship PostgreSQL's binaries.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database, DatabaseGone
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.data_directory import as_account
from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.postgres.placement import Placement
from poolmaker.infra.postgres.processes import listener_of
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem
from tests.support.folders import own_placement
from tests.support.servers import (
    IDENTITIES,
    Scenario,
    another_process,
    postmaster,
    run_scenario,
    start,
    wait_until_up,
)

ROUNDS = 5
WRITERS = 4


class _HastyClock(SystemClock):
    """Time runs many times faster once it is told to hurry."""

    def __init__(self) -> None:
        self._hurried_at_us: int | None = None

    def hurry(self) -> None:
        if self._hurried_at_us is None:
            self._hurried_at_us = super().monotonic_us()

    def calm_down(self) -> None:
        self._hurried_at_us = None

    def monotonic_us(self) -> int:
        now_us = super().monotonic_us()
        return now_us + 1000 * (now_us - (self._hurried_at_us or now_us))


async def _answers(cluster: Cluster) -> None:
    """The proof of life: a connection as one of our roles."""
    connection = await asyncpg.connect(**connect_arguments(cluster.dsn(DatabaseRole.READER)))
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def _killed(folder: Path, **settings: str) -> Placement:
    """The files of a server that was killed together with its owner's interest in it."""
    cluster = await start(folder, **settings)
    placement = cluster.placement
    os.kill(postmaster(placement), signal.SIGKILL)
    cluster._let_go()
    return placement


async def _starts(folder: Path) -> None:
    cluster = await start(folder)
    await _answers(cluster)
    await cluster.stop()
    assert FileLock(cluster.placement.server_lock).free()


async def start_at_once_after_a_kill(folder: Path) -> None:
    """Trap: 'OK' with the dead server's address, since its zombie counted as running."""
    for _ in range(ROUNDS):
        cluster = await start(folder)
        await _answers(cluster)
        os.kill(postmaster(cluster.placement), signal.SIGKILL)
        cluster._let_go()
    await _starts(folder)


async def pid_files_naming_a_live_foreign_process(folder: Path) -> None:
    """Trap: 'OK' and never a server, when the number in the pid file was somebody else's."""
    placement = await _killed(folder)
    await _all_dead(placement)
    with _sleeper(placement) as foreign:
        for name in (placement.data / "postmaster.pid", Path(f"{placement.socket}.lock")):
            lines = name.read_text().splitlines()
            name.write_text("\n".join([str(foreign.pid), *lines[1:]]) + "\n")
        await _starts(folder)
        assert foreign.poll() is None
        foreign.kill()


async def cut_off_pid_files(folder: Path) -> None:
    """Trap: an AssertionError for ever, when the pid file was cut off."""
    for content in ("", "\n", "12", "not a number\n", "-1\n", "99999999\n/somewhere\n"):
        placement = await _killed(folder)
        await _all_dead(placement)
        (placement.data / "postmaster.pid").write_text(content)
        await _starts(folder)


async def orphans_of_a_killed_server(folder: Path) -> None:
    """Trap, of plain PostgreSQL too: as long as an orphan holds on, every start fails."""
    placement, orphan = await _killed_beside_an_orphan(folder)
    waiting = asyncio.Event()

    def hear(sentence: str) -> None:
        if sentence == "Waiting for PostgreSQL":
            waiting.set()

    starting = asyncio.create_task(
        Cluster.start(placement.home, SystemClock(), placement=placement, on_progress=hear)
    )
    await waiting.wait()
    assert not starting.done()
    os.kill(orphan, signal.SIGKILL)
    cluster = await starting
    await _answers(cluster)
    await cluster.stop()


async def an_orphan_that_never_ends(folder: Path) -> None:
    """The start gives up after half a minute with the orphan's number, and harms nobody."""
    placement, orphan = await _killed_beside_an_orphan(folder)
    clock = _HastyClock()
    clock.hurry()
    with pytest.raises(EnvironmentProblem, match=rf"ids: .*\b{orphan}\b.*end them"):
        await Cluster.start(placement.home, clock, placement=placement)
    os.kill(orphan, signal.SIGKILL)
    await _starts(folder)


async def _killed_beside_an_orphan(folder: Path) -> tuple[Placement, int]:
    cluster = await start(folder)
    busy = await asyncpg.connect(**connect_arguments(cluster.admin_dsn()))
    orphan = int(busy.get_server_pid())
    os.kill(orphan, signal.SIGSTOP)
    os.kill(postmaster(cluster.placement), signal.SIGKILL)
    busy.terminate()
    cluster._let_go()
    return cluster.placement, orphan


async def a_killed_owner(folder: Path) -> None:
    """The server outlives its owner's SIGKILL and the next owner adopts it."""
    placement = own_placement(folder)
    with another_process(folder) as owner:
        await asyncio.to_thread(wait_until_up, owner)
        before = postmaster(placement)
        owner.kill()
        owner.wait()
    cluster = await start(folder)
    assert cluster.is_owner
    assert postmaster(placement) == before
    await _answers(cluster)
    await cluster.stop()
    assert listener_of(placement.socket) is None


async def two_processes_one_killed(folder: Path) -> None:
    """Trap: the killed one stayed in a list of users, so the server was never stopped."""
    placement = own_placement(folder)
    with another_process(folder) as first, another_process(folder) as second:
        await asyncio.to_thread(wait_until_up, first)
        await asyncio.to_thread(wait_until_up, second)
        before = postmaster(placement)
        first.kill()
        first.wait()
        assert postmaster(placement) == before
        assert second.stdin is not None
        second.stdin.close()
        assert await asyncio.to_thread(second.wait) == 0
    assert listener_of(placement.socket) is None
    assert FileLock(placement.server_lock).free()


async def an_interrupted_making_of_the_database(folder: Path) -> None:
    """A kill in the middle of initdb must not poison the next start."""
    placement = own_placement(folder)
    with another_process(folder) as victim:
        while not list(placement.base.glob("data.init-*/PG_VERSION")):
            assert victim.poll() is None
            await asyncio.sleep(0.005)
        victim.kill()
        victim.wait()
    assert not placement.data.exists()
    cluster = await start(folder)
    await _answers(cluster)
    await cluster.stop()
    (placement.base / "data.init-left").mkdir()
    (placement.base / "data.init-left.pw").touch()
    await _starts(folder)
    assert not list(placement.base.glob("data.init-left*"))


async def the_owner_keeps_it_running(folder: Path) -> None:
    """The owner starts a killed server again; whoever joined finds it at the same address."""
    owner = await start(folder)
    joined = await start(folder)
    watch = asyncio.create_task(owner.watch())
    before = postmaster(owner.placement)
    os.kill(before, signal.SIGKILL)
    while listener_of(owner.placement.socket) in {None, before}:
        assert not watch.done()
        await asyncio.sleep(0.02)
    again = await start(folder)
    await _answers(again)
    watch.cancel()
    for cluster in (owner, again):
        await cluster.stop()
        await _answers(joined)
    await joined.stop()
    assert listener_of(owner.placement.socket) is None


async def acknowledged_commits_survive_kills(folder: Path) -> None:
    """5 × SIGKILL of the postmaster under 4 writers: every acknowledged key exactly once."""
    cluster = await start(folder)
    owner = await asyncpg.connect(**connect_arguments(cluster.dsn(DatabaseRole.OWNER)))
    await owner.execute("CREATE SCHEMA kept AUTHORIZATION poolmaker_owner")
    await owner.execute("CREATE TABLE kept.sample (id bigint, pad text)")
    await owner.close()
    watch = asyncio.create_task(cluster.watch())
    acknowledged: list[int] = []
    for number in range(ROUNDS):
        writers = [
            asyncio.create_task(_write(cluster, number * WRITERS + writer, acknowledged))
            for writer in range(WRITERS)
        ]
        goal = len(acknowledged) + 200
        while len(acknowledged) < goal:
            assert not watch.done()
            await asyncio.sleep(0.01)
        os.kill(postmaster(cluster.placement), signal.SIGKILL)
        await asyncio.gather(*writers)
    again = await start(folder)
    reader = await asyncpg.connect(**connect_arguments(again.dsn(DatabaseRole.OWNER)))
    rows = await reader.fetch("SELECT id, count(*) AS times FROM kept.sample GROUP BY id")
    await reader.close()
    times = {row["id"]: row["times"] for row in rows}
    assert len(acknowledged) >= ROUNDS * 200
    assert [key for key in acknowledged if times.get(key) != 1] == []
    watch.cancel()
    await again.stop()
    await cluster.stop()


async def _write(cluster: Cluster, lane: int, acknowledged: list[int]) -> None:
    """Insert keys until the connection is lost; wait for a server that is still recovering."""
    database = None
    while database is None:
        with suppress(DatabaseGone):
            database = await Database.open(cluster.dsn(DatabaseRole.OWNER), max_size=1)
        await asyncio.sleep(0.05)
    key = lane * 1_000_000
    with suppress(DatabaseGone):
        async with database.acquire() as connection:
            while True:
                key += 1
                await connection.execute("INSERT INTO kept.sample VALUES ($1, $2)", key, "x" * 200)
                acknowledged.append(key)
    await database.close()


SCENARIOS: list[Scenario] = [
    start_at_once_after_a_kill,
    pid_files_naming_a_live_foreign_process,
    cut_off_pid_files,
    orphans_of_a_killed_server,
    an_orphan_that_never_ends,
    a_killed_owner,
    two_processes_one_killed,
    an_interrupted_making_of_the_database,
    the_owner_keeps_it_running,
    acknowledged_commits_survive_kills,
]


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_server_comes_back_from(scenario: Scenario, identity: str) -> None:
    await run_scenario(identity, scenario)


async def a_long_crash_recovery(folder: Path) -> None:
    """Trap: a time-out of ten seconds, then an AssertionError on each call until it was over."""
    placement = await _with_a_long_log(folder)
    clock, said = _HastyClock(), []

    def hear(sentence: str) -> None:
        said.append(sentence)
        if sentence.startswith("PostgreSQL says"):
            clock.hurry()

    before_us = clock.monotonic_us()
    cluster = await Cluster.start(placement.home, clock, placement=placement, on_progress=hear)
    # It waited far longer than the half minute after which a silent server is given up.
    assert clock.monotonic_us() - before_us > 60 * SECOND_US
    assert any(sentence.startswith("PostgreSQL says: the database") for sentence in said)
    assert any(sentence.endswith(" s)") for sentence in said)
    clock.calm_down()
    await _answers(cluster)
    await cluster.stop()


async def _with_a_long_log(folder: Path) -> Placement:
    cluster = await start(
        folder, max_wal_size="8GB", checkpoint_timeout="1h", synchronous_commit="off"
    )
    admin = await asyncpg.connect(**connect_arguments(cluster.admin_dsn()))
    await admin.execute("CREATE TABLE big (id bigint PRIMARY KEY, a uuid UNIQUE)")
    await admin.execute(
        "INSERT INTO big SELECT g, gen_random_uuid() FROM generate_series(1, 400000) g"
    )
    os.kill(postmaster(cluster.placement), signal.SIGKILL)
    admin.terminate()
    cluster._let_go()
    return cluster.placement


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_a_recovery_is_waited_for_without_limit(identity: str) -> None:
    await run_scenario(identity, a_long_crash_recovery)


async def _all_dead(placement: Placement) -> None:
    while not FileLock(placement.server_lock).free():
        await asyncio.sleep(0.01)


def _sleeper(placement: Placement) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "100"], **as_account(placement.account))
