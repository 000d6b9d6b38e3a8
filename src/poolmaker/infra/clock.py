"""The machine's own clock, the only place that reads it, and the guard against its jumps."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from poolmaker.kernel.clock import SECOND_US, Clock

STEP_MAX_US: Final = SECOND_US
"""A step of the wall clock that is followed, as a time service makes them."""
# Counts on while the machine is suspended, as the wall clock does.
_COUNTER: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Wall and monotonic time of this machine; waits on the running event loop."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Microseconds of the machine's monotonic clock."""
        return time.clock_gettime_ns(_COUNTER) // 1000

    async def sleep_us(self, duration_us: int) -> None:
        """Wait for ``duration_us`` microseconds on the running loop."""
        await asyncio.sleep(duration_us / 1_000_000)


class SteadyClock:
    """Wall time that is never more than ``STEP_MAX_US`` off its monotonic clock from read to read.

    A larger jump, forward or back, is not followed: time goes on by the monotonic clock from the
    last wall time that fitted, until the wall clock is back on that line. A process that was
    started anew believes the machine's clock again.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._wall_us = machine.now_us()
        self._counter_us = machine.monotonic_us()
        self._off_us = 0

    @property
    def off_us(self) -> int:
        """How far the machine's clock is ahead of ours (negative: behind); 0 while it is followed.

        As of the last reading of ``now_us``.
        """
        return self._off_us

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        wall_us, counter_us = self._machine.now_us(), self._machine.monotonic_us()
        ours_us = self._wall_us + counter_us - self._counter_us
        off_us = wall_us - ours_us
        if abs(off_us) > STEP_MAX_US:
            self._off_us = off_us
            return ours_us
        self._wall_us, self._counter_us, self._off_us = wall_us, counter_us, 0
        return wall_us

    def monotonic_us(self) -> int:
        return self._machine.monotonic_us()

    async def sleep_us(self, duration_us: int) -> None:
        await self._machine.sleep_us(duration_us)
