"""A schema is brought up to date only while nobody works on it, and never by who only reads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from poolmaker.app.schema import bring_up_to_date, has_schema
from poolmaker.cli import running
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.holder import own_holder
from poolmaker.infra.leases import LeaseHeld
from poolmaker.infra.migrations.runner import current_revision, newest_revision
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem
from tests.support.clusters import Workshop

OLD = "0021"
LEASE_US = SECOND_US
TAKE = "SELECT ledger.take_lease('main', $1, 3000000, NULL, NULL)"
RENEW = {
    "the ledger's writer": "SELECT ledger.renew_lease('main', 1, 3000000)",
    "the platform": "UPDATE infra.lease SET until_us = until_us + 1",
}


@pytest.fixture
def old(database_workshop: Workshop) -> Iterator[str]:
    name = database_workshop.make_old_database(OLD)
    yield name
    database_workshop.drop_database(name)


@asynccontextmanager
async def as_admin(workshop: Workshop, name: str) -> AsyncIterator[asyncpg.Connection]:
    admin = await asyncpg.connect(**connect_arguments(workshop.cluster.admin_dsn(name)))
    try:
        yield admin
    finally:
        await admin.close()


async def hold(admin: asyncpg.Connection, holder: str) -> None:
    """Both leases of a platform of before."""
    await admin.execute(TAKE, holder)
    await admin.execute("INSERT INTO infra.lease VALUES ('platform', 3, $1, $2)", holder, 2**60)


@asynccontextmanager
async def renewing(admin: asyncpg.Connection, sql: str) -> AsyncIterator[None]:
    async def renew() -> None:
        while True:
            await admin.execute(sql)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("who", RENEW)
async def test_a_platform_that_renews_is_named_and_its_schema_stays(
    database_workshop: Workshop, old: str, who: str
) -> None:
    cluster, said = database_workshop.cluster, list[str]()
    async with as_admin(database_workshop, old) as admin:
        await hold(admin, own_holder())
        async with renewing(admin, RENEW[who]):
            with pytest.raises(LeaseHeld, match=f"process {os.getpid()} on "):
                await bring_up_to_date(cluster, SystemClock(), said.append, database=old)
    assert await current_revision(cluster, old) == OLD
    assert len(said) == 1


@pytest.mark.parametrize("holder", ["stopped", "gone"])
async def test_whoever_no_longer_renews_is_followed(
    database_workshop: Workshop, old: str, holder: str
) -> None:
    cluster, said = database_workshop.cluster, list[str]()
    name = own_holder()
    async with as_admin(database_workshop, old) as admin:
        await hold(admin, name.rpartition("/")[0] + "/1" if holder == "gone" else name)
    revision = await bring_up_to_date(
        cluster, SystemClock(), said.append, database=old, lease_us=LEASE_US
    )
    assert revision == newest_revision() == await current_revision(cluster, old)
    assert bool(said) == (holder == "stopped")


async def test_a_lease_that_was_given_back_is_not_waited_for(
    database_workshop: Workshop, old: str
) -> None:
    said = list[str]()
    async with as_admin(database_workshop, old) as admin:
        await admin.execute("INSERT INTO infra.lease VALUES ('platform', 3, $1, 0)", own_holder())
    await bring_up_to_date(database_workshop.cluster, SystemClock(), said.append, database=old)
    assert said == []


async def test_what_is_up_to_date_is_left_alone_whoever_works_on_it(
    database_workshop: Workshop,
) -> None:
    name, said = database_workshop.make_database(), list[str]()
    try:
        async with as_admin(database_workshop, name) as admin:
            await hold(admin, own_holder())
        clock = SystemClock()
        found = await bring_up_to_date(database_workshop.cluster, clock, said.append, database=name)
        assert (found, said) == (newest_revision(), [])
    finally:
        database_workshop.drop_database(name)


async def test_who_only_reads_refuses_an_older_and_a_newer_schema_and_changes_neither(
    database_workshop: Workshop, old: str
) -> None:
    cluster = database_workshop.cluster
    with pytest.raises(EnvironmentProblem, match=f"revision {OLD} .* poolmaker up"):
        await has_schema(cluster, old)
    assert await current_revision(cluster, old) == OLD
    async with as_admin(database_workshop, old) as admin:
        await admin.execute("UPDATE infra.schema_revision SET version_num = '9999'")
    with pytest.raises(EnvironmentProblem, match="install the newer poolmaker"):
        await has_schema(cluster, old)


async def test_who_only_reads_makes_no_schema_where_there_is_none(
    database_workshop: Workshop,
) -> None:
    cluster = database_workshop.cluster
    async with as_admin(database_workshop, "postgres") as admin:
        await admin.execute(f"CREATE DATABASE nothing_yet OWNER {DatabaseRole.OWNER}")
    try:
        assert not await has_schema(cluster, "nothing_yet")
        assert await current_revision(cluster, "nothing_yet") is None
    finally:
        database_workshop.drop_database("nothing_yet")


@dataclass(frozen=True)
class OldServer:
    """A server whose database is of before, for a command that lets go of it at its end."""

    cluster: Cluster
    name: str

    def dsn(self, role: DatabaseRole, database: str | None = None) -> str:
        return self.cluster.dsn(role, database or self.name)

    async def stop(self) -> None:
        pass


@pytest.mark.parametrize("command", [running.verify, running.trial_balance])
def test_a_command_that_reads_the_ledger_refuses_an_older_schema_and_leaves_it(
    database_workshop: Workshop,
    old: str,
    command: Callable[[object], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = OldServer(database_workshop.cluster, old)

    async def opened(_: object) -> OldServer:
        return server

    monkeypatch.setattr(running, "_open", opened)
    with pytest.raises(EnvironmentProblem, match="poolmaker db migrate"):
        command(None)
    assert asyncio.run(current_revision(database_workshop.cluster, old)) == OLD
    assert running.migrate(None) == newest_revision()
    assert command(None)


async def test_a_platform_of_before_that_still_runs_cannot_renew_its_lease_to_another_century(
    database_workshop: Workshop,
) -> None:
    name = database_workshop.make_database()
    dsn = database_workshop.cluster.dsn(DatabaseRole.WRITER, name)
    until = "SELECT lease_until_us FROM ledger.head"
    writer = await asyncpg.connect(**connect_arguments(dsn))
    try:
        await writer.execute(TAKE, own_holder())
        before = await writer.fetchval(until)
        with pytest.raises(asyncpg.UndefinedFunctionError):
            await writer.execute("SELECT ledger.renew_lease('main', 1, $1)", before)
        assert await writer.fetchval(until) == before
        await writer.execute("SELECT ledger.prolong_lease('main', 1, 3000000)")
        assert before < await writer.fetchval(until) < before + 3600 * SECOND_US
    finally:
        await writer.close()
        database_workshop.drop_database(name)
