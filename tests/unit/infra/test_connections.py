"""Connections by importance: whoever uses up its own share takes nothing of the others'."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from poolmaker.infra.connections import SHARES, Purpose, Share, SharedDatabase, working_for
from poolmaker.infra.database import DatabaseUnavailable
from poolmaker.infra.postgres.model import DatabaseRole

TINY = {
    Purpose.ENGINE: Share(1),
    Purpose.WORK: Share(1),
    Purpose.CLIENTS: Share(1, wait_s=1, statement_s=1),
}


@pytest.fixture
async def shared(
    migrated_dsn: Callable[[DatabaseRole], str],
) -> AsyncIterator[SharedDatabase]:
    database = await SharedDatabase.open_shared(migrated_dsn(DatabaseRole.APP), TINY)
    yield database
    await database.close()


async def ask(database: SharedDatabase) -> int:
    async with database.transaction() as connection:
        found: int = await connection.fetchval("SELECT 1")
    return found


async def test_found_33_who_takes_every_connection_of_its_share_leaves_the_others_theirs(
    shared: SharedDatabase,
) -> None:
    taken, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with shared.transaction():
            taken.set()
            await let_go.wait()

    with working_for(Purpose.CLIENTS):
        holder = asyncio.create_task(hold())
        await taken.wait()
        with pytest.raises(DatabaseUnavailable):
            await ask(shared)
    for purpose in (Purpose.ENGINE, Purpose.WORK):
        with working_for(purpose):
            assert await ask(shared) == 1
    assert await ask(shared) == 1
    let_go.set()
    await holder
    with working_for(Purpose.CLIENTS):
        assert await ask(shared) == 1


async def test_a_task_works_for_whom_it_was_started(shared: SharedDatabase) -> None:
    async def own_pool() -> int:
        async with shared.transaction() as connection:
            found: int = await connection.fetchval("SELECT pg_backend_pid()")
        return found

    pids = {}
    for purpose in Purpose:
        with working_for(purpose):
            task = asyncio.create_task(own_pool())
        pids[purpose] = await task
    assert len(set(pids.values())) == len(Purpose)


async def test_a_statement_of_a_client_is_cut_after_its_time(shared: SharedDatabase) -> None:
    with working_for(Purpose.CLIENTS), pytest.raises(DatabaseUnavailable):
        async with shared.transaction() as connection:
            await connection.execute("SELECT pg_sleep(30)")


def test_every_purpose_has_a_share() -> None:
    assert SHARES.keys() == set(Purpose)
    assert all(share.connections > 0 for share in SHARES.values())
