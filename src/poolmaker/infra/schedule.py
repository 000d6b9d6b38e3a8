"""Scheduled work: each job's next window is a row, each window starts one saga, once.

A window is named by its first microsecond. A missed window runs late, never twice; a job that
says so skips to the newest of the windows it missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from poolmaker.infra.database import connection_of
from poolmaker.infra.logging import get_logger
from poolmaker.infra.sagas.model import Saga
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import CorrelationId, SagaId, require_slug

_WINDOWS_PER_TICK_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Job:
    """Starts a saga of ``saga_kind`` in ``saga_state`` at the end of every window.

    Windows are ``every_us`` long and begin at ``offset_us`` plus a multiple of it. With
    ``newest_only`` the windows that were missed are skipped except the newest.
    """

    name: str
    every_us: int
    saga_kind: str
    saga_state: str
    offset_us: int = 0
    newest_only: bool = False

    def __post_init__(self) -> None:
        require_slug(self.name, "name")
        require(self.every_us > 0, f"every_us: expected a positive int, was {self.every_us}")

    def window_of(self, at_us: int) -> int:
        """The beginning of the window that contains ``at_us``."""
        return at_us - (at_us - self.offset_us) % self.every_us

    def due_windows(self, next_us: int, now_us: int, limit: int) -> list[int]:
        """Windows from ``next_us`` on that are over at ``now_us``, oldest first."""
        over = (now_us - next_us) // self.every_us
        if over <= 0:
            return []
        if self.newest_only:
            return [next_us + (over - 1) * self.every_us]
        return [next_us + index * self.every_us for index in range(min(over, limit))]


def window_saga(job: Job, window_us: int, now_us: int) -> Saga:
    """The saga of one window: its id is the job and the window, so there is never a second."""
    saga = SagaId(f"job:{job.name}:{window_us}")
    data = b'{"window_us":%d}' % window_us
    return Saga(
        id=saga,
        kind=job.saga_kind,
        state=job.saga_state,
        version=0,
        due_us=now_us,
        tries=0,
        data=data,
        correlation=CorrelationId(saga),
    )


class ScheduleStore(Protocol):
    """The rows. Every method runs in the caller's transaction."""

    async def next_window(self, tx: Tx, job: str, first_us: int) -> int:
        """The next window to start, ``first_us`` for a new job; locks the row."""
        ...

    async def set_next_window(self, tx: Tx, job: str, next_us: int) -> None:
        """Everything before ``next_us`` was started or skipped."""
        ...


class PgScheduleStore:
    """``ScheduleStore`` over the table ``infra.schedule``."""

    async def next_window(self, tx: Tx, job: str, first_us: int) -> int:
        found: int = await connection_of(tx).fetchval(
            "INSERT INTO infra.schedule AS known (job, next_window_us) VALUES ($1, $2) "
            "ON CONFLICT (job) DO UPDATE SET next_window_us = known.next_window_us "
            "RETURNING next_window_us",
            job,
            first_us,
        )
        return found

    async def set_next_window(self, tx: Tx, job: str, next_us: int) -> None:
        await connection_of(tx).execute(
            "UPDATE infra.schedule SET next_window_us = $2 WHERE job = $1", job, next_us
        )


class Scheduler:
    """Starts the sagas of windows that are over. Any number of processes may run one."""

    def __init__(
        self,
        jobs: Sequence[Job],
        rows: ScheduleStore,
        sagas: SagaStore,
        transactions: Transactions,
        clock: Clock,
        poll_us: int = SECOND_US,
    ) -> None:
        require(len({job.name for job in jobs}) == len(jobs), "jobs: expected distinct names")
        self._jobs = tuple(jobs)
        self._rows = rows
        self._sagas = sagas
        self._transactions = transactions
        self._clock = clock
        self._poll_us = poll_us

    async def run(self) -> None:
        """Look at every job again and again until cancelled."""
        while True:
            for job in self._jobs:
                try:
                    await self.tick(job)
                except (Unavailable, OutcomeUnknown) as error:
                    get_logger("schedule").warning("tick_failed", job=job.name, error=str(error))
            await self._clock.sleep_us(self._poll_us)

    async def tick(self, job: Job) -> int:
        """Start what is over of one job, at most 50 windows at a time; how many were started."""
        async with self._transactions.begin(f"schedule {job.name}") as tx:
            now_us = self._clock.now_us()
            next_us = await self._rows.next_window(tx, job.name, job.window_of(now_us))
            windows = job.due_windows(next_us, now_us, _WINDOWS_PER_TICK_MAX)
            for window_us in windows:
                await self._sagas.start(tx, window_saga(job, window_us, now_us))
            if windows:
                await self._rows.set_next_window(tx, job.name, windows[-1] + job.every_us)
        return len(windows)
