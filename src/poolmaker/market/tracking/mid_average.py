"""Time-weighted average of a book's middle, exact."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RUNGS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Depths at which averages are kept, in halves of what must stand behind any price."""


@dataclass(frozen=True, slots=True)
class AverageMid:
    """``halves_us`` over ``2 * span_us`` is the average price in atomic units of quote."""

    halves_us: int
    span_us: int


class MidAverage:
    """Averages over a moving window. Time during which there was no price does not count."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._steps: deque[tuple[int, int | None]] = deque()

    def add(self, now_us: int, halves: int | None) -> None:
        """From ``now_us`` on twice the middle is this, or there is none."""
        if not self._steps or self._steps[-1][1] != halves:
            self._steps.append((now_us, halves))
        self._forget(now_us - self._window_us)

    def value(self, now_us: int, span_min_us: int) -> AverageMid | None:
        """The average up to ``now_us``; None when prices cover less than ``span_min_us``."""
        self._forget(now_us - self._window_us)
        start_us = now_us - self._window_us
        total = span = 0
        until_us = now_us
        for since_us, mid in reversed(self._steps):
            part_us = until_us - max(since_us, start_us)
            until_us = since_us
            if mid is not None and part_us > 0:
                total += mid * part_us
                span += part_us
        return AverageMid(total, span) if span >= max(1, span_min_us) else None

    def _forget(self, before_us: int) -> None:
        while len(self._steps) > 1 and self._steps[1][0] <= before_us:
            self._steps.popleft()


class DepthAverages:
    """The average at each depth of ``RUNGS`` of one market.

    Which depth a barrier needs is known only then, and an average must have been kept before.
    """

    def __init__(self, window_us: int) -> None:
        self._rungs = [MidAverage(window_us) for _ in RUNGS]

    def add(self, now_us: int, halves: Sequence[int | None]) -> None:
        """From ``now_us`` on twice the middle is this at each depth, or there is none."""
        for rung, mid in zip(self._rungs, halves, strict=True):
            rung.add(now_us, mid)

    def value(self, rung: int, now_us: int, span_min_us: int) -> AverageMid | None:
        """See ``MidAverage.value``, at one depth."""
        return self._rungs[rung].value(now_us, span_min_us)
