"""Steps of a start wait for a database that cannot do them yet."""

from __future__ import annotations

import pytest

from poolmaker.infra.database import DatabaseUnavailable
from poolmaker.infra.transactions import PATIENCE_US, patiently
from poolmaker.kernel.clock import SECOND_US, ManualClock


async def test_a_step_is_done_again_until_the_database_can_do_it() -> None:
    """Found row 56: a stopped process holds its locks until the server ends its transaction."""
    clock, tries = ManualClock(), list[int]()

    async def step() -> str:
        tries.append(clock.now_us())
        clock.advance(10 * SECOND_US)
        if len(tries) < 7:
            raise DatabaseUnavailable("the server ended a wait of locks")
        return "done"

    assert await patiently(step, clock) == "done"
    assert len(tries) == 7


async def test_a_database_that_never_can_is_said_after_a_while() -> None:
    clock = ManualClock()
    began_us = clock.now_us()

    async def step() -> None:
        clock.advance(10 * SECOND_US)
        raise DatabaseUnavailable("it is away")

    with pytest.raises(DatabaseUnavailable):
        await patiently(step, clock)
    assert clock.now_us() >= began_us + PATIENCE_US
