"""The process ends when a part does that nothing works without, and says which."""

from __future__ import annotations

import asyncio

import pytest

from poolmaker.app.supervisor import Part, PartFailed, Supervisor
from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import InvariantBroken


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(asyncio.Event(), HealthBoard(ManualClock()))


async def test_a_part_that_fails_stops_the_process_with_its_own_error(
    supervisor: Supervisor,
) -> None:
    async def broken() -> None:
        raise InvariantBroken("the books differ")

    supervisor.start(Part("web", forever))
    supervisor.start(Part("ledger", broken))
    with pytest.raises(InvariantBroken, match="the books differ"):
        await supervisor.wait()
    await supervisor.end()


async def test_an_error_that_nobody_expected_is_named_as_one(supervisor: Supervisor) -> None:
    async def broken() -> None:
        raise KeyError("x")

    supervisor.start(Part("pools", broken))
    with pytest.raises(PartFailed, match="KeyError"):
        await supervisor.wait()
    await supervisor.end()


async def test_parts_end_in_the_reverse_order_of_their_start(supervisor: Supervisor) -> None:
    ended: list[str] = []

    def part(name: str) -> Part:
        async def run() -> None:
            try:
                await forever()
            finally:
                ended.append(name)

        return Part(name, run)

    for name in ("ledger", "sagas", "web"):
        supervisor.start(part(name))
    await asyncio.sleep(0)
    await supervisor.end()
    assert ended == ["web", "sagas", "ledger"]
