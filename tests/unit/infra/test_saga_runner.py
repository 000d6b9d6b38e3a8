"""The runner under virtual time: it comes back after failures, parks broken promises, stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from poolmaker.infra.health import HealthBoard
from poolmaker.infra.logging import current_correlation, silenced
from poolmaker.infra.sagas.model import Saga, SagaChange, back_off_us
from poolmaker.infra.sagas.service import (
    COMPONENT,
    STUCK_COMPONENT,
    RunnerOptions,
    SagaRunner,
    Tools,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import CorrelationId, SagaId
from poolmaker.kernel.rng import Rng
from poolmaker.lab.loop import START_US, VirtualClock, VirtualLoop, run_virtual
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.sagas import ModelSagaStore

Step = Callable[["World", Saga], Awaitable[None]]


class World:
    """One runner over a model store; ``step`` is what the handler does."""

    def __init__(self, loop: VirtualLoop, step: Step, options: RunnerOptions | None = None) -> None:
        self.clock = VirtualClock(loop)
        self.database = ModelDatabase()
        self.store = ModelSagaStore()
        self.health = HealthBoard(self.clock)
        self.steps: list[tuple[int, str]] = []
        self._step = step
        self._options = options
        self.runner = self.new_runner("r1")

    def new_runner(self, holder: str) -> SagaRunner:
        tools = Tools(self.clock, Rng(1), self.health)
        return SagaRunner({"pay": self}, self.store, self.database, tools, holder, self._options)

    async def step(self, saga: Saga) -> None:
        self.steps.append((self.clock.monotonic_us(), saga.id))
        await self._step(self, saga)

    async def start(self, name: str) -> None:
        saga = Saga(SagaId(name), "pay", "NEW", 0, START_US, 0, b"", CorrelationId(f"co-{name}"))
        async with self.database.begin("start") as tx:
            await self.store.start(tx, saga)

    async def advance(self, saga: Saga, state: str = "DONE", due_us: int | None = None) -> None:
        async with self.database.begin("advance") as tx:
            change = SagaChange(state, due_us, saga.data)
            await self.store.advance(tx, saga, change, self.clock.now_us())

    async def find(self, name: str) -> Saga:
        async with self.database.begin("find") as tx:
            found = await self.store.find(tx, SagaId(name))
        assert found is not None
        return found

    async def run_for(self, seconds: int) -> None:
        running = asyncio.ensure_future(self.runner.run())
        await self.clock.sleep_us(seconds * SECOND_US)
        await self.runner.stop()
        await running


def run(work: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    async def quietly(loop: VirtualLoop) -> None:
        with silenced(VirtualClock(loop)):
            await work(loop)

    run_virtual(quietly)


def test_a_saga_runs_through_its_states_without_waiting_for_the_poll() -> None:
    async def step(world: World, saga: Saga) -> None:
        after = {"NEW": "ONE", "ONE": "TWO", "TWO": "DONE"}[saga.state]
        await world.advance(saga, after, None if after == "DONE" else world.clock.now_us())

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(poll_us=60 * SECOND_US))
        await world.start("s1")
        await world.run_for(1)
        assert (await world.find("s1")).state == "DONE"
        assert len(world.steps) == 3

    run(work)


@pytest.mark.parametrize("error", [Unavailable("x"), OutcomeUnknown("x"), RuntimeError("x")])
def test_a_failed_step_comes_back_ever_later_and_is_not_forgotten(error: Exception) -> None:
    async def step(world: World, saga: Saga) -> None:
        if saga.tries < 6:
            raise error
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(tries_loud=5, poll_us=SECOND_US // 100))
        await world.start("s1")
        running = asyncio.ensure_future(world.runner.run())
        while len(world.steps) < 6:
            await world.clock.sleep_us(SECOND_US // 100)
        loud = [part for part in world.health.parts() if part.component == STUCK_COMPONENT]
        assert not loud[0].ok
        assert "s1" in loud[0].sentence
        await world.clock.sleep_us(60 * SECOND_US)
        assert (await world.find("s1")).state == "DONE"
        gaps = [b - a for (a, _), (b, _) in zip(world.steps, world.steps[1:], strict=False)]
        for tries, gap in enumerate(gaps):
            full = back_off_us(tries, SECOND_US // 4, 60 * SECOND_US)
            assert full // 2 <= gap <= full + SECOND_US // 50
        assert world.health.ok()
        await world.runner.stop()
        await running

    run(work)


def test_a_broken_promise_parks_the_saga_and_health_is_red_even_after_a_restart() -> None:
    async def step(world: World, saga: Saga) -> None:
        raise InvariantBroken("paid twice")

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step)
        await world.start("s1")
        await world.run_for(3600)
        assert len(world.steps) == 1
        again = HealthBoard(world.clock)
        world.health = again
        world.runner = world.new_runner("r2")
        await world.run_for(10)
        (part,) = again.parts()
        assert (part.component, part.ok) == (COMPONENT, False)
        assert "paid twice" in part.sentence
        assert len(world.steps) == 1

    run(work)


def test_a_poison_saga_does_not_starve_the_others() -> None:
    """Row E3."""

    async def step(world: World, saga: Saga) -> None:
        if saga.id == "a":
            raise RuntimeError("poison")
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(concurrency=1))
        for name in ("a", "b", "c"):
            await world.start(name)
        await world.run_for(20)
        assert [(await world.find(name)).state for name in "abc"] == ["NEW", "DONE", "DONE"]

    run(work)


def test_a_hung_step_holds_back_nobody_and_its_lease_is_renewed() -> None:
    """Row P4."""

    async def step(world: World, saga: Saga) -> None:
        if saga.id == "a":
            await world.clock.sleep_us(200 * SECOND_US)
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(concurrency=2))
        other = asyncio.ensure_future(world.new_runner("r2").run())
        for name in ("a", "b"):
            await world.start(name)
        await world.run_for(150)
        assert (await world.find("b")).state == "DONE"
        assert [name for _, name in world.steps].count("a") == 1
        other.cancel()

    run(work)


def test_no_more_steps_run_at_once_than_allowed() -> None:
    now = most = 0

    async def step(world: World, saga: Saga) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await world.clock.sleep_us(SECOND_US)
        now -= 1
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(concurrency=3))
        for number in range(10):
            await world.start(f"s{number}")
        await world.run_for(30)
        assert len(world.steps) == 10

    run(work)
    assert most == 3


def test_stopping_lets_running_steps_finish_and_claims_nothing_more() -> None:
    async def step(world: World, saga: Saga) -> None:
        await world.clock.sleep_us(5 * SECOND_US)
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(concurrency=1))
        for name in ("a", "b"):
            await world.start(name)
        await world.run_for(2)
        assert loop.now_us < 6 * SECOND_US
        assert [(await world.find(name)).state for name in "ab"] == ["DONE", "NEW"]

    run(work)


def test_stopping_does_not_wait_for_ever() -> None:
    async def step(world: World, saga: Saga) -> None:
        await world.clock.sleep_us(3_600 * SECOND_US)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(stop_grace_us=10 * SECOND_US))
        await world.start("a")
        await world.run_for(2)
        assert loop.now_us <= 13 * SECOND_US

    run(work)


def test_two_workers_on_one_saga_move_it_once() -> None:
    """Row E15: a lease that ran out lets a second worker try; the advance lets one win."""

    async def step(world: World, saga: Saga) -> None:
        await world.clock.sleep_us(2 * SECOND_US)
        await world.advance(saga, "DONE" if saga.state == "ONE" else "ONE", world.clock.now_us())

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step)
        await world.start("a")
        first = await world.find("a")
        both = (world.runner._run_step(first), world.new_runner("r2")._run_step(first))
        await asyncio.gather(*both)
        after = await world.find("a")
        assert (after.state, after.version, after.tries) == ("ONE", 1, 0)

    run(work)


def test_a_database_that_cannot_be_reached_stops_nothing_for_good() -> None:
    async def step(world: World, saga: Saga) -> None:
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step)
        real, failures = world.store.claim, 5

        async def claim(*arguments: object) -> list[Saga]:
            nonlocal failures
            failures -= 1
            if failures > 0:
                raise Unavailable("down")
            return await real(*arguments)  # type: ignore[arg-type]

        world.store.claim = claim  # type: ignore[assignment, method-assign]
        await world.start("a")
        await world.run_for(10)
        assert (await world.find("a")).state == "DONE"

    run(work)


def test_every_line_of_a_step_carries_the_sagas_correlation() -> None:
    seen: list[str] = []

    async def step(world: World, saga: Saga) -> None:
        seen.append(current_correlation())
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step)
        await world.start("a")
        await world.run_for(1)

    run(work)
    assert seen == ["co-a"]
    assert current_correlation() == ""


def test_the_back_off_doubles_up_to_its_bound() -> None:
    waits = [back_off_us(tries, 250, 5_000) for tries in (0, 1, 2, 4, 5, 1_000)]
    assert waits == [250, 500, 1_000, 4_000, 5_000, 5_000]


def test_a_saga_that_waits_a_little_is_not_left_until_the_poll() -> None:
    async def step(world: World, saga: Saga) -> None:
        due_us = world.clock.now_us() + SECOND_US // 50
        done = saga.version == 3
        await world.advance(saga, "DONE" if done else f"S{saga.version}", None if done else due_us)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(poll_us=60 * SECOND_US))
        await world.start("a")
        await world.run_for(1)
        assert (await world.find("a")).state == "DONE"

    run(work)


def test_a_wake_up_is_heard_before_the_poll() -> None:
    async def step(world: World, saga: Saga) -> None:
        await world.advance(saga)

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step, RunnerOptions(poll_us=60 * SECOND_US))
        running = asyncio.ensure_future(world.runner.run())
        await world.clock.sleep_us(SECOND_US)
        await world.start("a")
        world.runner.wake_up()
        await world.clock.sleep_us(SECOND_US)
        assert (await world.find("a")).state == "DONE"
        await world.runner.stop()
        await running

    run(work)


def test_a_retry_that_cannot_be_recorded_is_made_up_for_when_the_lease_runs_out() -> None:
    async def step(world: World, saga: Saga) -> None:
        if len(world.steps) == 1:
            raise RuntimeError("first")
        await world.advance(replace(saga))

    async def work(loop: VirtualLoop) -> None:
        world = World(loop, step)
        broken = True
        real = world.store.retry

        async def retry(tx: Tx, saga: Saga, due_us: int, note: str) -> None:
            if broken:
                raise Unavailable("down")
            await real(tx, saga, due_us, note)

        world.store.retry = retry  # type: ignore[method-assign]
        await world.start("a")
        await world.run_for(40)
        assert (await world.find("a")).state == "DONE"
        assert world.steps[1][0] >= 30 * SECOND_US

    run(work)
