"""Scheduled windows: a missed one runs late, never twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.sagas._store import PgSagaStore
from poolmaker.infra.schedule import Job, PgScheduleStore, Scheduler, window_saga
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import SagaId

MINUTE = 60_000_000
JOB = Job("sweep", MINUTE, "sweeping", "NEW", offset_us=10)


def scheduler(database: Database, clock: ManualClock, job: Job = JOB) -> Scheduler:
    return Scheduler([job], PgScheduleStore(), PgSagaStore(), database, clock)


async def started(database: Database, job: Job = JOB) -> list[int]:
    async with database.transaction() as connection:
        rows = await connection.fetch("SELECT id FROM infra.saga")
    return sorted(int(row["id"].removeprefix(f"job:{job.name}:")) for row in rows)


async def test_each_window_starts_one_saga_when_it_is_over(database: Database) -> None:
    clock = ManualClock(10 * MINUTE + 10)
    schedule = scheduler(database, clock)
    assert await schedule.tick(JOB) == 0
    clock.advance(MINUTE - 1)
    assert await schedule.tick(JOB) == 0
    clock.advance(1)
    assert await schedule.tick(JOB) == 1
    assert await schedule.tick(JOB) == 0
    assert await started(database) == [10 * MINUTE + 10]


async def test_missed_windows_run_late_all_of_them_or_the_newest(database: Database) -> None:
    newest = replace(JOB, name="newest", newest_only=True)
    clock = ManualClock(10 * MINUTE + 10)
    for job in (JOB, newest):
        await scheduler(database, clock, job).tick(job)
    clock.advance(70 * MINUTE)
    assert await scheduler(database, clock).tick(JOB) == 50
    assert await scheduler(database, clock).tick(JOB) == 20
    assert await scheduler(database, clock, newest).tick(newest) == 1
    async with database.transaction() as connection:
        rows = await connection.fetch("SELECT id FROM infra.saga WHERE id LIKE 'job:newest:%'")
    assert [row["id"] for row in rows] == [f"job:newest:{79 * MINUTE + 10}"]
    assert await scheduler(database, clock, newest).tick(newest) == 0


async def test_two_schedulers_at_once_start_each_window_once(
    migrated_dsn: Callable[[DatabaseRole], str], database: Database
) -> None:
    clock = ManualClock(10 * MINUTE + 10)
    other = await Database.open(migrated_dsn(DatabaseRole.APP))
    try:
        await scheduler(database, clock).tick(JOB)
        for _ in range(5):
            clock.advance(MINUTE)
            counts = [
                await scheduler(database, clock).tick(JOB),
                await scheduler(other, clock).tick(JOB),
            ]
            assert counts == [1, 0]
    finally:
        await other.close()


def test_the_sagas_id_is_the_job_and_the_window() -> None:
    saga = window_saga(JOB, 10, 99)
    assert saga.id == SagaId("job:sweep:10")
    assert (saga.kind, saga.state, saga.due_us, saga.data) == (
        "sweeping",
        "NEW",
        99,
        b'{"window_us":10}',
    )


def test_jobs_have_distinct_names_and_positive_windows() -> None:
    with pytest.raises(PreconditionError):
        Job("x", 0, "k", "NEW")
    with pytest.raises(PreconditionError):
        Job("Not a slug", 1, "k", "NEW")


@given(st.integers(1, 10**12), st.integers(-(10**6), 10**6), st.integers(0, 10**15))
def test_a_moment_lies_in_its_window(every_us: int, offset_us: int, at_us: int) -> None:
    job = Job("j", every_us, "k", "NEW", offset_us)
    window_us = job.window_of(at_us)
    assert window_us <= at_us < window_us + every_us
    assert (window_us - offset_us) % every_us == 0


@given(st.integers(1, 100), st.integers(0, 1_000), st.integers(0, 5_000), st.integers(1, 50))
def test_due_windows_are_all_that_are_over_each_once(
    every_us: int, next_us: int, later_us: int, limit: int
) -> None:
    job = Job("j", every_us, "k", "NEW")
    now_us, seen = next_us + later_us, []
    at = next_us
    while windows := job.due_windows(at, now_us, limit):
        assert len(windows) <= limit
        seen += windows
        at = windows[-1] + every_us
    assert seen == list(range(next_us, now_us - every_us + 1, every_us))
    newest = replace(job, newest_only=True).due_windows(next_us, now_us, limit)
    assert newest == seen[-1:]
