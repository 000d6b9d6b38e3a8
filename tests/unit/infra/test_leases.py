"""Leases by rows: one holder at a time, an epoch that grows, judged by the database's clock."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.holder import described, is_gone, own_holder
from poolmaker.infra.leases import (
    Lease,
    LeaseEvidence,
    LeaseHeld,
    LeaseKeeper,
    LeaseLost,
    LeaseWatch,
    PgLeases,
)
from poolmaker.kernel.clock import DAY_US, SECOND_US, ManualClock

LEASE = 3_000_000


class _SetClock(ManualClock):
    """A wall clock that was set wrong; the monotonic one goes on."""

    def __init__(self, wrong_us: int) -> None:
        super().__init__()
        self._wrong_us = wrong_us

    def now_us(self) -> int:
        return super().now_us() + self._wrong_us

    async def sleep_us(self, duration_us: int) -> None:
        await super().sleep_us(duration_us)
        await asyncio.sleep(0)


async def take(database: Database, holder: str, lapsed: Lease | None = None) -> Lease | None:
    async with database.begin("take") as tx:
        return await PgLeases().take(tx, "engine", holder, LEASE, lapsed)


async def renew(database: Database, lease: Lease) -> Lease | None:
    async with database.begin("renew") as tx:
        return await PgLeases().renew(tx, lease, LEASE)


async def let_pass(database: Database, duration_us: int) -> None:
    """The database's clock goes on by so much, as leases see it."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE infra.lease SET until_us = until_us - $1", duration_us)


async def test_one_holder_at_a_time_and_every_take_over_has_a_higher_epoch(
    database: Database,
) -> None:
    first = await take(database, "a")
    assert first is not None
    assert (first.epoch, first.holder) == (1, "a")
    assert await take(database, "b") is None
    again = await take(database, "a")
    assert again is not None
    assert again.epoch == 1
    assert again.until_us > first.until_us
    await let_pass(database, LEASE)
    second = await take(database, "b")
    assert second is not None
    assert second.epoch == 2
    assert await take(database, "a") is None


async def test_a_lease_that_ran_out_stays_ours_until_somebody_takes_it(database: Database) -> None:
    lease = await take(database, "a")
    assert lease is not None
    await let_pass(database, 2 * LEASE)
    assert await renew(database, lease) is not None
    await let_pass(database, 2 * LEASE)
    assert await take(database, "b") is not None
    await let_pass(database, 2 * LEASE)
    assert await renew(database, lease) is None


async def test_a_released_lease_is_free_at_once_and_only_its_holder_can_release_it(
    database: Database,
) -> None:
    lease = await take(database, "a")
    assert lease is not None
    async with database.begin("release") as tx:
        await PgLeases().release(tx, Lease("engine", 1, "stranger", 0))
    assert await take(database, "b") is None
    async with database.begin("release") as tx:
        await PgLeases().release(tx, lease)
    assert await take(database, "b") is not None


async def test_two_who_take_at_once_are_not_both_served(database: Database) -> None:
    taken = await asyncio.gather(*(take(database, f"h{n}") for n in range(6)))
    assert len([lease for lease in taken if lease is not None]) == 1


async def test_only_a_lease_that_is_still_as_it_was_seen_is_taken_as_lapsed(
    database: Database,
) -> None:
    seen = await take(database, "a")
    assert seen is not None
    await renew(database, seen)
    assert await take(database, "b", lapsed=seen) is None
    async with database.begin("find") as tx:
        now = await PgLeases().find(tx, "engine")
    assert await take(database, "b", lapsed=now) is not None


# ------------------------------------------------------------------------------------ the keeper


async def test_found_41_a_holder_that_renews_is_named_and_not_waited_for(
    database: Database,
) -> None:
    first = LeaseKeeper(PgLeases(), database, SystemClock(), own_holder(), LEASE)
    said: list[str] = []
    await first.acquire("platform", said.append)
    renewing = asyncio.create_task(first.run())
    second = LeaseKeeper(PgLeases(), database, SystemClock(), "host/77/elsewhere/1", LEASE)
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()} on"):
        await second.acquire("platform", said.append)
    renewing.cancel()
    assert len(said) == 1
    assert said[0].startswith(f"waits for process {os.getpid()} on ")


@pytest.mark.parametrize("wrong_us", [DAY_US, -DAY_US])
async def test_found_47_a_clock_that_is_a_day_off_neither_takes_nor_blocks_a_lease(
    database: Database, wrong_us: int
) -> None:
    wrong = LeaseKeeper(PgLeases(), database, _SetClock(wrong_us), "a", LEASE)
    await wrong.acquire("platform", print)
    assert wrong.holds()
    assert await take_platform(database, "b") is None
    await let_pass(database, LEASE)
    assert await take_platform(database, "b") is not None


async def take_platform(database: Database, holder: str) -> Lease | None:
    async with database.begin("take") as tx:
        return await PgLeases().take(tx, "platform", holder, LEASE)


async def test_found_47_where_the_databases_clock_was_set_our_own_time_decides(
    database: Database,
) -> None:
    assert await take_platform(database, "host/1/elsewhere/1") is not None
    await let_pass(database, -DAY_US)
    clock, said = _SetClock(0), list[str]()
    began_us = clock.monotonic_us()
    keeper = LeaseKeeper(PgLeases(), database, clock, "b", LEASE)
    taken = await keeper.acquire("platform", said.append)
    assert taken.epoch == 2
    assert LEASE < clock.monotonic_us() - began_us < 2 * LEASE
    assert said == [
        "waits for process 1 on host, which holds the lease 'platform'",
        "takes over from process 1 on host, which no longer renews",
    ]


async def test_found_56_whoever_was_taken_over_stops_and_takes_nothing_back(
    database: Database,
) -> None:
    keeper = LeaseKeeper(PgLeases(), database, SystemClock(), "a", 100_000)
    await keeper.acquire("platform", print)
    await let_pass(database, LEASE)
    thief = await take_platform(database, "host/5/elsewhere/1")
    assert thief is not None
    with pytest.raises(LeaseLost, match="process 5 on host has taken over"):
        await keeper.run()
    assert not keeper.holds()
    await let_pass(database, 2 * LEASE)
    with pytest.raises(LeaseLost):
        await keeper.run()
    with pytest.raises(LeaseLost):
        async with database.begin("act") as tx:
            await keeper.check(tx)


async def test_a_keeper_that_could_not_renew_in_time_goes_on_when_nobody_came(
    database: Database,
) -> None:
    clock = ManualClock()
    keeper = LeaseKeeper(PgLeases(), database, clock, "a", LEASE)
    await keeper.acquire("platform", print)
    assert keeper.holds(LEASE - 1)
    assert not keeper.holds(LEASE)
    clock.advance(20 * SECOND_US)
    assert not keeper.holds()
    await keeper._renew()
    assert keeper.holds(LEASE - 1)


async def test_what_is_checked_in_a_transaction_is_not_taken_before_its_end(
    database: Database,
) -> None:
    keeper = LeaseKeeper(PgLeases(), database, ManualClock(), "a", LEASE)
    await keeper.acquire("platform", print)
    await let_pass(database, LEASE)
    async with database.begin("act") as tx:
        await keeper.check(tx)
        taking = asyncio.create_task(take_platform(database, "b"))
        await asyncio.wait([taking], timeout=0.2)
        assert not taking.done()
    assert await taking is not None


# ----------------------------------------------------------------------------------- the watching


@given(
    looks=st.lists(st.tuples(st.integers(0, LEASE // 2), st.booleans()), min_size=1, max_size=30)
)
def test_a_watched_lease_is_lapsed_only_after_its_length_without_a_renewal(
    looks: list[tuple[int, bool]],
) -> None:
    clock = ManualClock()
    watch = LeaseWatch(clock, LEASE)
    until_us = 1
    watch.look("other", 1, until_us)
    unchanged_us = 0
    for slept_us, renewed in looks:
        clock.advance(slept_us)
        unchanged_us += slept_us
        until_us += renewed
        standing = watch.look("other", 1, until_us)
        if renewed:
            assert standing is LeaseEvidence.RENEWED
            return
        assert (standing is LeaseEvidence.LAPSED) == (unchanged_us > LEASE)


def test_a_holder_that_ended_on_this_machine_is_gone_and_no_other_is() -> None:
    ours = own_holder()
    assert not is_gone(ours)
    assert described(ours).startswith(f"process {os.getpid()} on ")
    code = "from poolmaker.infra.holder import own_holder; print(own_holder())"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert is_gone(ended)
    host, pid, _, started = ended.rsplit("/", 3)
    assert not is_gone(f"{host}/{pid}/anotherspace/{started}")
    assert not is_gone("a name of some test")
