"""Waiting for hints: whoever found nothing to do sleeps until something may have come.

A hint may be missed or mean nothing, so every wait has an end of its own.
"""

from __future__ import annotations

import asyncio

from poolmaker.kernel.clock import Clock


class Wakeup:
    """Wakes everybody who waits; what rang between a look and the wait after it is not lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = 0
        self._ring = asyncio.Event()

    @property
    def rung(self) -> int:
        """How often it has rung; read it before looking, and hand it to ``wait``."""
        return self._rung

    def ring(self) -> None:
        """Something may have come."""
        self._rung += 1
        self._ring.set()
        self._ring = asyncio.Event()

    async def wait(self, seen: int, at_most_us: int) -> None:
        """Until it rings, or rang since ``seen`` was read, or so much time has passed."""
        if self._rung != seen:
            return
        woken = asyncio.ensure_future(self._ring.wait())
        slept = asyncio.ensure_future(self._clock.sleep_us(at_most_us))
        try:
            await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()
