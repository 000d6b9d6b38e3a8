"""How long to wait: until what is awaited has ended, or the machine had enough time for it.

Patience is counted in time that the machine had for one process: with eight others on each core a
second counts for an eighth. So a busy machine is slow and never wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from poolmaker.kernel.clock import SECOND_US, Clock

SLOWER_MAX: Final = 60.0
"""However busy the machine says it is, patience comes to its end."""


def slowness() -> float:
    """How many processes want each core now, at least 1."""
    cores = os.cpu_count() or 1
    try:
        lately = os.getloadavg()[0]
    except OSError:
        return 1.0
    return min(SLOWER_MAX, max(1.0, lately / cores))


class Patience:
    """One wait. ``rest_us`` counts down by the clock, slower where the machine is busy."""

    def __init__(
        self, clock: Clock, patience_us: int, slower: Callable[[], float] = slowness
    ) -> None:
        self._clock = clock
        self._slower = slower
        self._began_us = self._looked_us = clock.monotonic_us()
        self._rest_us = float(patience_us)

    def is_over(self) -> bool:
        """Whether it lasted long enough. Look often: the time since the last look counts."""
        now_us = self._clock.monotonic_us()
        self._rest_us -= (now_us - self._looked_us) / self._slower()
        self._looked_us = now_us
        return self._rest_us <= 0

    def renew(self, patience_us: int) -> None:
        """Begin anew: what is awaited has moved."""
        self._rest_us = float(patience_us)

    @property
    def waited_s(self) -> int:
        """Whole seconds since the beginning."""
        return (self._clock.monotonic_us() - self._began_us) // SECOND_US
