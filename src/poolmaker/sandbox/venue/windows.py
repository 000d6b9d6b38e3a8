"""Counts that start anew with each aligned span of time."""

from __future__ import annotations

from poolmaker.kernel.clock import SECOND_US


class Window:
    """How much was used in the running span."""

    __slots__ = ("count", "span_us", "start_us")

    def __init__(self, span_us: int) -> None:
        self.span_us = span_us
        self.start_us = 0
        self.count = 0

    def at(self, time_us: int) -> Window:
        """The same window, emptied when its span is over."""
        start_us = time_us // self.span_us * self.span_us
        if start_us != self.start_us:
            self.start_us, self.count = start_us, 0
        return self

    def retry_after_s(self, time_us: int) -> int:
        """Whole seconds until the next span, at least one."""
        return max(1, (self.start_us + self.span_us - time_us + SECOND_US - 1) // SECOND_US)
