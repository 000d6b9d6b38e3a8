"""The process ends when a part does that nothing works without, and says which."""

from __future__ import annotations

import asyncio

import pytest

from poolmaker.app.supervisor import PartFailed, SupervisedTask, Supervisor
from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import InvariantBroken, TakenOver


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(asyncio.Event(), HealthBoard(ManualClock()))


async def test_found_41_whoever_is_told_to_stop_while_starting_stops() -> None:
    stopping, ended = asyncio.Event(), list[str]()
    supervisor = Supervisor(stopping, HealthBoard(ManualClock()))

    async def waits() -> str:
        try:
            await forever()
        finally:
            ended.append("let go")
        return "started"

    async def starts() -> str:
        return "started"

    assert await supervisor.unless_stopped(starts()) == "started"
    asyncio.get_running_loop().call_soon(stopping.set)
    assert await supervisor.unless_stopped(waits()) is None
    assert ended == ["let go"]


async def test_a_start_that_fails_fails_with_its_own_error(supervisor: Supervisor) -> None:
    async def refused() -> None:
        raise InvariantBroken("the books differ")

    with pytest.raises(InvariantBroken, match="the books differ"):
        await supervisor.unless_stopped(refused())


async def test_found_56_a_part_that_was_taken_over_is_known_as_that(
    supervisor: Supervisor,
) -> None:
    async def followed() -> None:
        raise TakenOver("process 5 on host has taken over")

    before = supervisor.is_taken_over
    supervisor.start(SupervisedTask("lease", followed))
    with pytest.raises(TakenOver):
        await supervisor.wait()
    assert (before, supervisor.is_taken_over) == (False, True)
    await supervisor.end()


async def test_a_part_that_fails_stops_the_process_with_its_own_error(
    supervisor: Supervisor,
) -> None:
    async def broken() -> None:
        raise InvariantBroken("the books differ")

    supervisor.start(SupervisedTask("web", forever))
    supervisor.start(SupervisedTask("ledger", broken))
    with pytest.raises(InvariantBroken, match="the books differ"):
        await supervisor.wait()
    await supervisor.end()


async def test_an_error_that_nobody_expected_is_named_as_one(supervisor: Supervisor) -> None:
    async def broken() -> None:
        raise KeyError("x")

    supervisor.start(SupervisedTask("pools", broken))
    with pytest.raises(PartFailed, match="KeyError"):
        await supervisor.wait()
    await supervisor.end()


async def test_parts_end_in_the_reverse_order_of_their_start(supervisor: Supervisor) -> None:
    ended: list[str] = []

    def part(name: str) -> SupervisedTask:
        async def run() -> None:
            try:
                await forever()
            finally:
                ended.append(name)

        return SupervisedTask(name, run)

    for name in ("ledger", "sagas", "web"):
        supervisor.start(part(name))
    await asyncio.sleep(0)
    await supervisor.end()
    assert ended == ["web", "sagas", "ledger"]
