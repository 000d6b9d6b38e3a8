"""The machine's own clock, the only place that reads it."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Wall and monotonic time of this machine; waits on the running event loop."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Microseconds of the machine's monotonic clock."""
        return time.monotonic_ns() // 1000

    async def sleep_us(self, duration_us: int) -> None:
        """Wait for ``duration_us`` microseconds on the running loop."""
        await asyncio.sleep(duration_us / 1_000_000)
