"""An event loop with virtual time: it jumps to the next timer when nothing else can happen.

While real I/O is outstanding time stands still, so an answer of a real database takes no virtual
time and time-outs of the code under test never fire because a disk was slow.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple

from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import InvariantBroken

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_US: Final = 1_750_000_000 * SECOND_US
_REAL_IO_S: Final = 60
_ASK_EVERY: Final = 64


class _Selector(selectors.DefaultSelector):
    """Asks the operating system without waiting, except while real I/O is outstanding."""

    loop: VirtualLoop
    _asked = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop.real_io > 0:
            events = super().select(0 if timeout == 0 else _REAL_IO_S)
            ensure(
                events or timeout == 0,
                f"real I/O gave no answer in {_REAL_IO_S} s, or a transaction waits for time",
            )
            return events
        # Nothing outside is waited for, so the operating system is asked only now and then.
        self._asked += 1
        events = super().select(0) if self._asked % _ASK_EVERY == 0 or timeout is None else []
        if not events and timeout != 0:
            self.loop.jump(timeout)
        return events


class _Timer(asyncio.TimerHandle):
    """Timers of the same instant run in the order in which they were set."""

    def __init__(self, order: int, when: float, *rest: Any) -> None:
        super().__init__(when, *rest)
        self._place = (when, order)

    def __lt__(self, other: object) -> bool:
        return isinstance(other, _Timer) and self._place < other._place

    __hash__ = asyncio.TimerHandle.__hash__


class VirtualLoop(asyncio.SelectorEventLoop):
    """Virtual time in integer microseconds, counted from the loop's start."""

    _scheduled: list[_Timer]

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now_us = 0
        self.real_io = 0
        self.jumps = 0
        self._timers = 0
        super().__init__(selector)
        self._clock_resolution = 0.5 / SECOND_US

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now_us / SECOND_US

    def jump(self, timeout: float | None) -> None:
        """Move to the next timer. Raises InvariantBroken when there is nothing to wait for."""
        if timeout is None:
            raise InvariantBroken("the simulation is stuck: no timer, no I/O, nothing ready")
        self.now_us += max(1, round(timeout * SECOND_US))
        self.jumps += 1

    @contextmanager
    def real(self) -> Iterator[None]:
        """Real I/O is outstanding inside: time stands still."""
        self.real_io += 1
        try:
            yield
        finally:
            self.real_io -= 1

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio's own, with an order among timers of one instant."""
        self._timers += 1
        timer = _Timer(self._timers, when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001 - as asyncio does
        return timer


class VirtualClock:
    """``kernel.clock.Clock`` over a virtual loop."""

    def __init__(self, loop: VirtualLoop, start_us: int = START_US) -> None:
        self._loop = loop
        self._start_us = start_us

    def now_us(self) -> int:
        """Virtual wall time."""
        return self._start_us + self._loop.now_us

    def monotonic_us(self) -> int:
        """Virtual microseconds since the loop's start."""
        return self._loop.now_us

    async def sleep_us(self, duration_us: int) -> None:
        """Wait for virtual time; at least one microsecond, so that everybody else gets a turn."""
        waiting: asyncio.Future[None] = self._loop.create_future()
        at = (self._loop.now_us + max(1, duration_us)) / SECOND_US
        timer = self._loop.call_at(at, _wake, waiting)
        try:
            await waiting
        finally:
            timer.cancel()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def run_virtual(work: Callable[[VirtualLoop], Awaitable[T]]) -> T:
    """Run ``work`` on a fresh virtual loop and close it; tasks that are left are cancelled."""
    loop = VirtualLoop()

    async def main() -> T:
        return await work(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())
