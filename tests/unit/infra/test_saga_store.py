"""The contract of saga stores, kept by PostgreSQL and by the model of the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.sagas._store import PgSagaStore
from poolmaker.infra.sagas.model import NEVER_US, Saga, SagaChange, SagaMoved, SagaStep
from poolmaker.infra.sagas.ports import RunnerStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import CorrelationId, SagaId
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.sagas import ModelSagaStore

T = TypeVar("T")
NOW = 1_700_000_000_000_000
LEASE = 60_000_000


@dataclass
class Place:
    transactions: Transactions
    store: RunnerStore
    passed_us: int = 0

    async def let_pass(self, duration_us: int) -> None:
        """Time by which leases are judged: the database's own, and the model's argument."""
        if isinstance(self.transactions, Database):
            async with self.transactions.transaction() as connection:
                await connection.execute(
                    "UPDATE infra.saga SET lease_until_us = lease_until_us - $1", duration_us
                )
        else:
            self.passed_us += duration_us

    async def do(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        async with self.transactions.begin("test") as tx:
            return await work(tx)

    async def start(self, name: str, due_us: int = NOW, kind: str = "pay") -> Saga:
        saga = saga_named(name, due_us, kind)
        assert await self.do(lambda tx: self.store.start(tx, saga))
        return saga

    async def claim(self, now_us: int = NOW, holder: str = "a", limit: int = 10) -> list[Saga]:
        at_us = now_us + self.passed_us
        return await self.do(lambda tx: self.store.claim(tx, ["pay"], holder, at_us, LEASE, limit))

    async def renew(self, holder: str) -> None:
        at_us, ids = NOW + self.passed_us, [SagaId("s1")]
        await self.do(lambda tx: self.store.renew(tx, ids, holder, at_us, LEASE))

    async def advance(self, saga: Saga, change: SagaChange, now_us: int = NOW) -> Saga:
        return await self.do(lambda tx: self.store.advance(tx, saga, change, now_us))

    async def find(self, name: str) -> Saga:
        found = await self.do(lambda tx: self.store.find(tx, SagaId(name)))
        assert found is not None
        return found


def saga_named(name: str, due_us: int = NOW, kind: str = "pay") -> Saga:
    return Saga(SagaId(name), kind, "NEW", 0, due_us, 0, b"{}", CorrelationId(f"co-{name}"))


@pytest.fixture(params=["model", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "model":
        return Place(ModelDatabase(), ModelSagaStore())
    database: Database = request.getfixturevalue("database")
    return Place(database, PgSagaStore())


GO = SagaChange(state="SENT", due_us=NOW + 50, data=b'{"a":1}', note="sent it")


async def test_starting_an_id_twice_changes_nothing(place: Place) -> None:
    saga = await place.start("s1")
    other = replace(saga, data=b"other")
    assert not await place.do(lambda tx: place.store.start(tx, other))
    assert await place.find("s1") == saga


async def test_only_a_new_saga_can_be_started(place: Place) -> None:
    with pytest.raises(PreconditionError):
        await place.do(lambda tx: place.store.start(tx, replace(saga_named("s1"), version=1)))


async def test_due_sagas_are_claimed_oldest_first_and_only_of_the_kinds_asked_for(
    place: Place,
) -> None:
    for name, due_us in (("b", NOW - 1), ("a", NOW - 1), ("old", NOW - 9), ("later", NOW + 1)):
        await place.start(name, due_us)
    await place.start("other", NOW - 99, kind="rest")
    assert [saga.id for saga in await place.claim(limit=2)] == ["old", "a"]
    assert [saga.id for saga in await place.claim()] == ["b"]


async def test_a_leased_saga_is_nobody_elses_until_the_lease_has_run_out(place: Place) -> None:
    await place.start("s1")
    assert len(await place.claim()) == 1
    await place.let_pass(LEASE // 2)
    assert await place.claim(holder="b") == []
    await place.let_pass(LEASE // 2)
    assert len(await place.claim(holder="b")) == 1


async def test_a_renewed_lease_holds_longer_and_only_for_its_holder(place: Place) -> None:
    await place.start("s1")
    await place.claim()
    await place.renew("stranger")
    await place.let_pass(LEASE)
    assert len(await place.claim(holder="b")) == 1
    await place.let_pass(LEASE // 2)
    await place.renew("b")
    await place.let_pass(LEASE // 2)
    assert await place.claim(holder="c") == []


async def test_found_47_a_clock_that_is_a_day_ahead_takes_no_saga_from_its_holder(
    database: Database,
) -> None:
    place = Place(database, PgSagaStore())
    await place.start("s1")
    assert len(await place.claim()) == 1
    assert await place.claim(NOW + 86_400 * 1_000_000, "b") == []


async def test_an_advance_is_a_compare_and_set_and_leaves_a_step(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    after = await place.advance(saga, GO, NOW + 7)
    assert (after.state, after.version, after.due_us, after.data) == ("SENT", 1, NOW + 50, GO.data)
    assert await place.find("s1") == after
    with pytest.raises(SagaMoved):
        await place.advance(saga, GO)
    steps = await place.do(lambda tx: place.store.steps(tx, saga.id))
    assert steps == [SagaStep(1, "NEW", "SENT", NOW + 7, "sent it")]
    assert await place.claim(NOW + 49) == []
    assert await place.claim(NOW + 50) == [after]


async def test_an_advance_in_a_transaction_that_fails_did_not_happen(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()

    async def advance_and_fail(tx: Tx) -> None:
        await place.store.advance(tx, saga, GO, NOW)
        raise RuntimeError("planned")

    with pytest.raises(RuntimeError, match="planned"):
        await place.do(advance_and_fail)
    assert await place.find("s1") == saga


async def test_an_ended_saga_is_never_claimed_nor_woken(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    after = await place.advance(saga, SagaChange("DONE", None, b"", "paid"))
    assert after.due_us == NEVER_US
    await place.do(lambda tx: place.store.wake(tx, saga.id, NOW))
    assert await place.claim(NEVER_US - 1) == []
    assert await place.find("s1") == after


async def test_a_retry_counts_and_an_advance_forgets_the_tries(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    await place.do(lambda tx: place.store.retry(tx, saga, NOW + 5, "no answer"))
    (again,) = await place.claim(NOW + 5)
    assert (again.tries, again.version, again.state) == (1, 0, "NEW")
    assert (await place.advance(again, GO)).tries == 0


async def test_a_retry_of_a_row_that_moved_has_no_effect(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    after = await place.advance(saga, GO)
    await place.do(lambda tx: place.store.retry(tx, saga, NOW + 5, "late"))
    assert await place.find("s1") == after


async def test_waking_makes_due_now_and_never_later(place: Place) -> None:
    await place.start("s1", NOW + 500)
    await place.do(lambda tx: place.store.wake(tx, SagaId("s1"), NOW + 100))
    await place.do(lambda tx: place.store.wake(tx, SagaId("s1"), NOW + 900))
    await place.do(lambda tx: place.store.wake(tx, SagaId("nobody"), NOW))
    assert (await place.find("s1")).due_us == NOW + 100


async def test_a_wake_during_a_step_is_not_lost_when_the_step_waits(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    await place.do(lambda tx: place.store.wake(tx, saga.id, NOW + 1))
    after = await place.advance(saga, GO, NOW + 2)
    assert after.due_us == NOW + 2
    (again,) = await place.claim(NOW + 2)
    assert (await place.advance(again, GO, NOW + 3)).due_us == NOW + 50


async def test_a_wake_during_a_step_is_not_lost_when_the_step_fails(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    await place.do(lambda tx: place.store.wake(tx, saga.id, NOW + 1))
    await place.do(lambda tx: place.store.retry(tx, saga, NOW + 60, "failed"))
    assert len(await place.claim(NOW + 1)) == 1


async def test_the_next_due_is_the_earliest_to_come_of_the_kinds_asked_for(place: Place) -> None:
    for name, due_us in (("now", NOW), ("soon", NOW + 3), ("late", NOW + 9)):
        await place.start(name, due_us)
    await place.start("other", NOW + 1, kind="rest")
    kinds = ["pay"]
    assert await place.do(lambda tx: place.store.next_due(tx, kinds, NOW)) == NOW + 3
    assert await place.do(lambda tx: place.store.next_due(tx, kinds, NOW + 9)) is None


async def test_a_parked_saga_waits_for_a_person(place: Place) -> None:
    await place.start("s1")
    (saga,) = await place.claim()
    await place.do(lambda tx: place.store.park(tx, saga, "paid twice"))
    await place.do(lambda tx: place.store.wake(tx, saga.id, NOW))
    assert await place.claim(NEVER_US - 1) == []
    (parked,) = await place.do(lambda tx: place.store.parked(tx, 5))
    assert (parked.id, parked.state, parked.incident) == ("s1", "NEW", "paid twice")
    assert await place.do(lambda tx: place.store.unpark(tx, saga.id, NOW + 3))
    assert not await place.do(lambda tx: place.store.unpark(tx, saga.id, NOW + 3))
    assert [one.id for one in await place.claim(NOW + 3)] == ["s1"]
    assert await place.do(lambda tx: place.store.parked(tx, 5)) == []


async def test_two_claims_at_once_never_share_a_saga(database: Database) -> None:
    place = Place(database, PgSagaStore())
    for number in range(6):
        await place.start(f"s{number}")
    async with database.begin("first") as one, database.begin("second") as two:
        first = await place.store.claim(one, ["pay"], "a", NOW, 1_000, 3)
        second = await place.store.claim(two, ["pay"], "b", NOW, 1_000, 6)
    assert sorted(saga.id for saga in [*first, *second]) == [f"s{number}" for number in range(6)]


async def test_a_started_and_a_woken_saga_ring_when_they_are_committed(database: Database) -> None:
    heard: list[str] = []
    listener = await database.listen("saga_due", heard.append, SystemClock())
    place = Place(database, PgSagaStore())
    while not heard:
        await asyncio.sleep(0.01)
    for act in (place.start("s1"), place.do(lambda tx: place.store.wake(tx, SagaId("s1"), NOW))):
        heard.clear()
        await act
        while not heard:
            await asyncio.sleep(0.01)
    await listener.close()
