"""Time as an argument. All times are integer microseconds; wall times count from the Unix epoch."""

from __future__ import annotations

from typing import Final, Protocol

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 86_400 * SECOND_US


class Clock(Protocol):
    """Tells the time and waits. The real one lives in ``infra``, the virtual one in ``lab``."""

    def now_us(self) -> int:
        """Wall time in microseconds since the Unix epoch; may step backwards."""
        ...

    def monotonic_us(self) -> int:
        """Time for measuring durations in microseconds; never steps backwards."""
        ...

    async def sleep_us(self, duration_us: int) -> None:
        """Wait for ``duration_us`` microseconds."""
        ...


class ManualClock:
    """A clock that moves only when told to, for pure tests. ``sleep_us`` moves it."""

    def __init__(self, start_us: int = 1_700_000_000 * SECOND_US) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """The time it was last moved to."""
        return self._now_us

    def monotonic_us(self) -> int:
        """The same line of time as ``now_us``."""
        return self._now_us

    async def sleep_us(self, duration_us: int) -> None:
        """Move forward by ``duration_us`` at once."""
        self.advance(duration_us)

    def advance(self, duration_us: int) -> None:
        """Move forward by ``duration_us``."""
        self._now_us += duration_us


def next_ledger_time(previous_us: int, clock_us: int) -> int:
    """Ledger time: strictly increasing, at the clock where the clock allows it."""
    return max(previous_us + 1, clock_us)
