"""Virtual time: it jumps when nothing else can happen and stands still while real I/O works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.lab.loop import START_US, VirtualClock, VirtualLoop, run_virtual


def test_a_day_passes_at_once() -> None:
    async def work(loop: VirtualLoop) -> tuple[int, int]:
        clock = VirtualClock(loop)
        await clock.sleep_us(86_400 * SECOND_US)
        return clock.now_us(), clock.monotonic_us()

    day_us = 86_400 * SECOND_US
    assert run_virtual(work) == (START_US + day_us, day_us)


def test_many_short_waits_do_not_drift() -> None:
    async def work(loop: VirtualLoop) -> int:
        clock = VirtualClock(loop)
        for duration_us in range(1, 3_000):
            await clock.sleep_us(duration_us)
        return clock.monotonic_us()

    assert run_virtual(work) == sum(range(1, 3_000))


def test_timers_of_one_instant_run_in_the_order_in_which_they_were_set() -> None:
    async def work(loop: VirtualLoop) -> list[int]:
        seen: list[int] = []

        async def one(number: int) -> None:
            await VirtualClock(loop).sleep_us(1_000)
            seen.append(number)

        await asyncio.gather(*(one(number) for number in range(50)))
        return seen

    assert run_virtual(work) == list(range(50))


def test_a_wait_for_nothing_is_reported_instead_of_hanging() -> None:
    async def work(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(InvariantBroken, match="stuck"):
        run_virtual(work)


def test_time_outs_of_asyncio_follow_virtual_time() -> None:
    async def work(loop: VirtualLoop) -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await VirtualClock(loop).sleep_us(31 * SECOND_US)
        return loop.now_us

    assert run_virtual(work) == 30 * SECOND_US


def test_time_stands_still_while_a_real_database_works(
    migrated_dsn: Callable[[DatabaseRole], str],
) -> None:
    async def work(loop: VirtualLoop) -> tuple[int, int]:
        with loop.real():
            database = await Database.open(migrated_dsn(DatabaseRole.APP))
            async with database.transaction() as connection:
                # Loops that jump while real I/O is outstanding time out here at once.
                answer = await asyncio.wait_for(
                    connection.fetchval("SELECT 7 FROM pg_sleep(0.3)"), 5
                )
            await database.close()
        return answer, loop.now_us

    assert run_virtual(work) == (7, 0)
