"""Hints: whoever waits is woken, and what rang while one looked is not lost."""

from __future__ import annotations

import asyncio

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.wakeup import Wakeup
from poolmaker.kernel.clock import SECOND_US

LONG_US = 3_600 * SECOND_US


async def test_everybody_who_waits_is_woken() -> None:
    wake = Wakeup(SystemClock())
    waiting = [asyncio.create_task(wake.wait(wake.rung, LONG_US)) for _ in range(3)]
    await asyncio.sleep(0)
    wake.ring()
    await asyncio.gather(*waiting)


async def test_what_rang_between_the_look_and_the_wait_is_not_lost() -> None:
    wake = Wakeup(SystemClock())
    seen = wake.rung
    wake.ring()
    await wake.wait(seen, LONG_US)


async def test_without_a_hint_the_wait_ends_by_itself_and_an_old_one_wakes_nobody() -> None:
    wake = Wakeup(SystemClock())
    wake.ring()
    await wake.wait(wake.rung, 1_000)
    waiting = asyncio.create_task(wake.wait(wake.rung, LONG_US))
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    waiting.cancel()
