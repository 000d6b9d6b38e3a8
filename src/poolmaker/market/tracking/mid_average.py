"""Time-weighted average of a book's middle, exact."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

RUNGS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Depths at which averages are kept, in halves of what must stand behind any price."""
Halves = tuple[int | None, ...]
"""Twice the middle at each of these depths, None where there is no price."""
NO_PRICE: Final[Halves] = (None,) * len(RUNGS)


@dataclass(frozen=True, slots=True)
class Twap:
    """``halves_us`` over ``2 * span_us`` is the average price in atomic units of quote."""

    halves_us: int
    span_us: int


class DepthTwaps:
    """Averages over a moving window, at each depth of ``RUNGS``.

    Which depth a barrier needs is known only then, and an average must have been kept before.
    Time during which there was no price at a depth does not count there.
    """

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._steps: deque[tuple[int, Halves]] = deque()

    def add(self, now_us: int, halves: Halves) -> None:
        """From ``now_us`` on twice the middle is this at each depth, or there is none."""
        if not self._steps or self._steps[-1][1] != halves:
            self._steps.append((now_us, halves))
        self._forget(now_us - self._window_us)

    def value(self, rung: int, now_us: int, span_min_us: int) -> Twap | None:
        """The average up to ``now_us``; None when prices cover less than ``span_min_us``."""
        self._forget(now_us - self._window_us)
        start_us = now_us - self._window_us
        total = span = 0
        until_us = now_us
        for since_us, halves in reversed(self._steps):
            part_us = until_us - max(since_us, start_us)
            until_us, mid = since_us, halves[rung]
            if mid is not None and part_us > 0:
                total += mid * part_us
                span += part_us
        return Twap(total, span) if span >= max(1, span_min_us) else None

    def _forget(self, before_us: int) -> None:
        while len(self._steps) > 1 and self._steps[1][0] <= before_us:
            self._steps.popleft()
