"""The gate: one transaction at a time, fates from the seed, nothing for the dead."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import pytest

from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.lab.gate import (
    FaultGate,
    FaultOutcome,
    Faults,
    GatedTransactions,
    ProcessCrash,
    SimProcess,
)
from poolmaker.lab.loop import VirtualClock, VirtualLoop, run_virtual
from poolmaker.lab.stores.base import ModelDatabase, ModelTx

ALWAYS = 1_000_000


@dataclass
class Place:
    gate: FaultGate
    clock: VirtualClock
    database: ModelDatabase
    process: SimProcess

    async def write(self, key: str) -> None:
        gated = GatedTransactions(self.database, self.gate, self.process)
        async with gated.begin(f"write {key}") as tx:
            cast("ModelTx", tx).put("t", key, 1)

    async def has(self, key: str) -> bool:
        async with self.database.begin("read") as tx:
            return cast("ModelTx", tx).get("t", key) is not None


def place(loop: VirtualLoop, faults: Faults, seed: int = 1) -> Place:
    clock = VirtualClock(loop)
    gate = FaultGate(loop, clock, Rng(seed), faults)
    return Place(gate, clock, ModelDatabase(), SimProcess("p1"))


@pytest.mark.parametrize(
    ("faults", "error", "written", "alive"),
    [
        (Faults(), None, True, True),
        (Faults(crash_before_ppm=ALWAYS), ProcessCrash, False, False),
        (Faults(crash_after_ppm=ALWAYS), ProcessCrash, True, False),
        (Faults(answer_lost_ppm=ALWAYS), OutcomeUnknown, True, True),
        (Faults(unavailable_ppm=ALWAYS), Unavailable, False, True),
    ],
)
def test_each_fate_does_what_it_says(
    faults: Faults, error: type[BaseException] | None, written: bool, alive: bool
) -> None:
    async def work(loop: VirtualLoop) -> tuple[type[BaseException] | None, bool, bool]:
        here = place(loop, faults)
        raised: type[BaseException] | None = None
        try:
            await here.write("a")
        except (ProcessCrash, OutcomeUnknown, Unavailable) as caught:
            raised = type(caught)
        return raised, await here.has("a"), not here.process.dead.is_set()

    assert run_virtual(work) == (error, written, alive)


def test_a_dead_process_writes_nothing_more_even_what_was_waiting_at_the_gate() -> None:
    async def work(loop: VirtualLoop) -> list[bool]:
        here = place(loop, Faults())
        waiting = [asyncio.ensure_future(here.write(str(number))) for number in range(5)]
        await here.clock.sleep_us(1)
        here.process.kill("by the test")
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, ProcessCrash) for result in results)
        return [await here.has(str(number)) for number in range(5)]

    assert run_virtual(work) == [False] * 5


def test_a_refused_transaction_is_undone_and_in_the_trace() -> None:
    async def work(loop: VirtualLoop) -> str:
        here = place(loop, Faults())
        gated = GatedTransactions(here.database, here.gate, here.process)
        with pytest.raises(ValueError, match="planned"):
            async with gated.begin("w") as tx:
                cast("ModelTx", tx).put("t", "a", 1)
                raise ValueError("planned")
        assert not await here.has("a")
        return here.gate.trace.tail[-1]

    assert run_virtual(work).endswith("w ValueError")


def test_transactions_never_overlap() -> None:
    async def work(loop: VirtualLoop) -> int:
        here = place(loop, Faults())
        inside = most = 0

        class Watching:
            def begin(self, label: str) -> Watching:
                return self

            look = begin

            async def __aenter__(self) -> Tx:
                nonlocal inside, most
                inside += 1
                most = max(most, inside)
                return Tx()

            async def __aexit__(self, *_: object) -> None:
                nonlocal inside
                inside -= 1

        async def one() -> None:
            async with GatedTransactions(Watching(), here.gate, here.process).begin("x"):
                await asyncio.wait([asyncio.ensure_future(asyncio.wait([done], timeout=None))])

        done: asyncio.Future[None] = loop.create_future()
        done.set_result(None)
        await asyncio.gather(*(one() for _ in range(20)))
        return most

    assert run_virtual(work) == 1


def test_one_seed_one_trace() -> None:
    def trace(seed: int) -> str:
        async def work(loop: VirtualLoop) -> str:
            here = place(loop, Faults(answer_lost_ppm=300_000, unavailable_ppm=300_000), seed)
            tasks = [here.write(str(number)) for number in range(30)]
            await asyncio.gather(*tasks, return_exceptions=True)
            return here.gate.trace.digest()

        return run_virtual(work)

    assert trace(5) == trace(5) != trace(6)


def test_fates_are_drawn_as_often_as_asked() -> None:
    rng = Rng(3)
    faults = Faults(100_000, 200_000, 50_000, 25_000)
    drawn = [faults.draw(rng) for _ in range(40_000)]
    shares = {fate: drawn.count(fate) / len(drawn) for fate in FaultOutcome}
    for fate, share in zip(
        (
            FaultOutcome.CRASH_BEFORE,
            FaultOutcome.CRASH_AFTER,
            FaultOutcome.ANSWER_LOST,
            FaultOutcome.UNAVAILABLE,
        ),
        (0.1, 0.2, 0.05, 0.025),
        strict=True,
    ):
        assert abs(shares[fate] - share) < 0.01
