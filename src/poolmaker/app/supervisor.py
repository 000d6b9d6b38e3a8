"""Runs the parts of a process side by side until told to stop, or until one of them fails."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from poolmaker.infra.connections import Purpose, working_for
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.logging import get_logger
from poolmaker.kernel.errors import PoolmakerError, TakenOver

_LOG: Final = get_logger("app")
T = TypeVar("T")


class PartFailed(PoolmakerError):
    """A part that the process cannot live without has ended; the message names it and why."""

    code = "part_failed"


@dataclass(frozen=True, slots=True)
class SupervisedTask:
    """A long task. The process ends when it does, unless it is told to."""

    name: str
    run: Callable[[], Awaitable[None]]
    purpose: Purpose = Purpose.WORK
    """Whose connections it uses."""


class Supervisor:
    """Keeps parts running. ``stopping`` is set by a signal, by ``stop`` or by a failure."""

    def __init__(self, stopping: asyncio.Event, health: HealthReporter) -> None:
        self._stopping = stopping
        self._health = health
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None

    def listen_for_signals(self) -> None:
        """SIGTERM and SIGINT ask the process to stop; asked twice it still stops in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)

    @property
    def is_taken_over(self) -> bool:
        """A part found that another process has taken over."""
        return isinstance(self._failure, TakenOver)

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What ``work`` answers; None, with it cancelled, when the process is to stop before."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return None
        finally:
            stopping.cancel()

    def start(self, part: SupervisedTask) -> None:
        """Run a part from now on."""
        self._tasks.append(asyncio.create_task(self._guard(part), name=part.name))

    async def wait(self) -> None:
        """Until the process is to stop. Raises what made a part fail."""
        await self._stopping.wait()
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what made a part fail, if one did."""
        if isinstance(self._failure, PoolmakerError):
            raise self._failure
        if self._failure is not None:
            raise PartFailed(repr(self._failure)) from self._failure

    async def end(self) -> None:
        """Cancel every part, the last started first, and wait for it."""
        for task in reversed(self._tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _guard(self, part: SupervisedTask) -> None:
        self._health.report(part.name, ok=True, sentence="running")
        try:
            with working_for(part.purpose):
                await part.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # supervisor
            self._failure = self._failure or error
            self._health.report(part.name, ok=False, sentence=str(error) or repr(error))
            _LOG.error("a part failed", part=part.name, error=repr(error), exc_info=True)
            self._stopping.set()
