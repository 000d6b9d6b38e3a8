"""Leases by rows: one holder at a time, an epoch that only grows."""

from __future__ import annotations

import asyncio

import pytest

from poolmaker.infra.database import Database
from poolmaker.infra.leases import Lease, LeaseKeeper, LeaseLost, PgLeases
from poolmaker.kernel.clock import ManualClock

NOW = 1_700_000_000_000_000


async def take(database: Database, holder: str, now_us: int) -> Lease | None:
    async with database.begin("take") as tx:
        return await PgLeases().take(tx, "engine", holder, now_us, 1_000)


async def renew(database: Database, lease: Lease, now_us: int) -> Lease | None:
    async with database.begin("renew") as tx:
        return await PgLeases().renew(tx, lease, now_us, 1_000)


async def test_one_holder_at_a_time_and_every_take_over_has_a_higher_epoch(
    database: Database,
) -> None:
    first = await take(database, "a", NOW)
    assert first == Lease("engine", 1, "a", NOW + 1_000)
    assert await take(database, "b", NOW + 999) is None
    again = await take(database, "a", NOW + 500)
    assert again == Lease("engine", 1, "a", NOW + 1_500)
    second = await take(database, "b", NOW + 1_500)
    assert second is not None
    assert second.epoch == 2
    assert await take(database, "a", NOW + 1_600) is None


async def test_a_lease_that_ran_out_is_not_renewed_even_when_nobody_took_it(
    database: Database,
) -> None:
    lease = await take(database, "a", NOW)
    assert lease is not None
    longer = await renew(database, lease, NOW + 900)
    assert longer is not None
    assert longer.until_us == NOW + 1_900
    assert await renew(database, longer, NOW + 1_900) is None
    anew = await take(database, "a", NOW + 2_000)
    assert anew is not None
    assert anew.epoch == 2
    assert await renew(database, longer, NOW + 2_001) is None


async def test_a_released_lease_is_free_at_once_and_only_its_holder_can_release_it(
    database: Database,
) -> None:
    lease = await take(database, "a", NOW)
    assert lease is not None
    async with database.begin("release") as tx:
        await PgLeases().release(tx, Lease("engine", 1, "stranger", 0))
    assert await take(database, "b", NOW + 1) is None
    async with database.begin("release") as tx:
        await PgLeases().release(tx, lease)
    assert await take(database, "b", NOW + 1) is not None


async def test_two_who_take_at_once_are_not_both_served(database: Database) -> None:
    taken = await asyncio.gather(*(take(database, f"h{n}", NOW) for n in range(6)))
    assert len([lease for lease in taken if lease is not None]) == 1


async def test_a_keeper_says_when_it_no_longer_holds(database: Database) -> None:
    clock = ManualClock(NOW)
    keeper = LeaseKeeper(PgLeases(), database, clock, "a", 3_000)
    await keeper.acquire("engine")
    assert keeper.holds(2_999)
    assert not keeper.holds(3_000)
    clock.advance(2_000)
    await keeper._renew()
    assert keeper.holds(2_999)
    clock.advance(3_000)
    assert not keeper.holds()
    with pytest.raises(LeaseLost):
        await keeper._renew()


async def test_a_keeper_that_was_taken_over_stops(database: Database) -> None:
    clock = ManualClock(NOW)
    keeper = LeaseKeeper(PgLeases(), database, clock, "a", 3_000)
    await keeper.acquire("engine")
    async with database.transaction() as connection:
        await connection.execute("UPDATE infra.lease SET epoch = 9, holder = 'b'")
    with pytest.raises(LeaseLost):
        await keeper.run()
    assert not keeper.holds()
