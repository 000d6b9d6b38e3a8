"""When each thing that waits is due, and what was said of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.relay.model import RelayNotice, RelaySide
from poolmaker.sandbox.relay.rules import delay_us

RETRY_AFTER_US: Final = 1 * SECOND_US
BATCH_MAX: Final = 200

Tell = Callable[[RelayNotice], None]


class Waiting:
    """Keeps the time of everything that leaves a side; what does not wait any more is forgotten."""

    def __init__(self, side: RelaySide, clock: Clock, rng: Rng, mean_us: int) -> None:
        self._side = side
        self._clock = clock
        self._rng = rng
        self._mean_us = mean_us
        self._due_us: dict[str, int] = {}
        self._said: dict[str, RelayNotice] = {}

    def due(self, names: Collection[str]) -> list[str]:
        """Those of ``names`` whose time has come, the longest due first, bounded."""
        now_us, known = self._clock.monotonic_us(), self._due_us
        self._due_us = {
            name: known[name] if name in known
            else now_us + delay_us(self._rng, self._side, name, self._mean_us)
            for name in names
        }  # fmt: skip
        self._said = {name: self._said[name] for name in self._due_us if name in self._said}
        ready = [name for name, due_us in self._due_us.items() if due_us <= now_us]
        return sorted(ready, key=self._due_us.__getitem__)[:BATCH_MAX]

    def again(self, name: str, after_us: int = RETRY_AFTER_US) -> None:
        """It is due once more, later."""
        self._due_us[name] = self._clock.monotonic_us() + after_us

    def is_news(self, name: str, told: RelayNotice) -> bool:
        """Whether this was not the last thing that was said of it."""
        was, self._said[name] = self._said.get(name), told
        return was != told
