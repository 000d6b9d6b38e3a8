"""The runner: claims due sagas, runs their steps side by side, comes back after failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from poolmaker.infra.health import HealthReporter
from poolmaker.infra.leases import LeaseCheck, NoLease
from poolmaker.infra.logging import bind_correlation, get_logger
from poolmaker.infra.sagas._store import PgSagaStore
from poolmaker.infra.sagas.model import Saga, SagaMoved, back_off_us
from poolmaker.infra.sagas.ports import RunnerStore, SagaHandler
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, PoolmakerError, Unavailable
from poolmaker.kernel.rng import Rng

COMPONENT: Final = "sagas"
STUCK_COMPONENT: Final = "sagas_stuck"
_PARKED_SHOWN: Final = 5
_LOOK_AGAIN_US: Final = 1_000


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """Bounds of a runner; times in microseconds.

    ``tries_loud``: after so many failures of one step in a row health says so.
    """

    concurrency: int = 16
    lease_us: int = 30 * SECOND_US
    poll_us: int = SECOND_US
    back_off_first_us: int = SECOND_US // 4
    back_off_max_us: int = 60 * SECOND_US
    tries_loud: int = 10
    stop_grace_us: int = 10 * SECOND_US

    def __post_init__(self) -> None:
        require(self.concurrency > 0, "concurrency: expected a positive int")
        require(self.lease_us > 0 and self.poll_us > 0, "lease_us, poll_us: expected positive ints")


@dataclass(frozen=True, slots=True)
class Tools:
    """What the runner is given besides its store: time, chance and somebody to tell."""

    clock: Clock
    rng: Rng
    health: HealthReporter
    lease: LeaseCheck = field(default_factory=NoLease)
    """Nothing is claimed while the process does not hold it."""
    stepped: Callable[[], None] = lambda: None
    """Hears of each step that ended: others may have something to do now."""


def open_sagas() -> RunnerStore:
    """The rows of sagas in PostgreSQL."""
    return PgSagaStore()


class SagaRunner:
    """Runs sagas of the given kinds; any number of runners may share the rows.

    A step that raises comes back later with a growing delay, for as long as it takes. A step that
    finds a broken promise parks its saga: nobody runs it until a person looks, and health is red.
    """

    def __init__(
        self,
        handlers: Mapping[str, SagaHandler],
        store: RunnerStore,
        transactions: Transactions,
        tools: Tools,
        holder: str,
        options: RunnerOptions | None = None,
    ) -> None:
        self._handlers = dict(handlers)
        self._kinds = sorted(handlers)
        self._store = store
        self._transactions = transactions
        self._clock = tools.clock
        self._rng = tools.rng
        self._health = tools.health
        self._lease = tools.lease
        self._stepped = tools.stepped
        self._holder = holder
        self._options = options or RunnerOptions()
        self._running: dict[asyncio.Task[None], Saga] = {}
        self._stuck: dict[str, str] = {}
        self._something = asyncio.Event()
        self._next_due_us: int | None = None
        self._stopping = False
        self._log = get_logger("sagas")

    def wake_up(self) -> None:
        """There may be something due now that was not there at the last look.

        Without it the next look is when the next known saga is due, at the latest after
        ``poll_us``.
        """
        self._something.set()

    async def run(self) -> None:
        """Work until ``stop`` is called or the task is cancelled."""
        renewing = asyncio.create_task(self._renew_for_ever(), name="saga leases")
        try:
            await self._report_parked()
            while not self._stopping:
                self._something.clear()
                await self._look()
                await self._wait_for_something()
            await self._wait_for_steps()
        finally:
            await _cancel([renewing, *self._running])

    async def stop(self) -> None:
        """Claim nothing more; ``run`` ends when running steps did, at most after the grace."""
        self._stopping = True
        self.wake_up()

    async def _look(self) -> None:
        """Claim what there is room for and start it."""
        self._next_due_us = None
        if not self._lease.holds():
            return
        free = self._options.concurrency - len(self._running)
        if free <= 0:
            return
        try:
            claimed = await self._claim(free)
        except (Unavailable, OutcomeUnknown) as error:
            self._log.warning("claim_failed", error=str(error))
            return
        for saga in claimed:
            task = asyncio.create_task(self._run_step(saga), name=f"saga {saga.id}")
            self._running[task] = saga
            task.add_done_callback(self._ended)

    async def _claim(self, limit: int) -> list[Saga]:
        """Nothing is locked while a look says that nothing is due."""
        async with self._transactions.look("saga due") as tx:
            next_us = await self._store.next_due(tx, self._kinds, -1)
        if next_us is None or next_us > self._clock.now_us():
            self._next_due_us = next_us
            return []
        async with self._transactions.begin("saga claim") as tx:
            now_us = self._clock.now_us()
            claimed = await self._store.claim(
                tx, self._kinds, self._holder, now_us, self._options.lease_us, limit
            )
            if len(claimed) < limit:
                self._next_due_us = await self._store.next_due(tx, self._kinds, now_us)
        return claimed

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self.wake_up()
        self._stepped()

    async def _wait_for_something(self) -> None:
        wait_us = self._options.poll_us
        if self._next_due_us is not None:
            # A little above zero: a clock may tell the same microsecond twice.
            wait_us = max(_LOOK_AGAIN_US, min(wait_us, self._next_due_us - self._clock.now_us()))
        try:
            async with asyncio.timeout(wait_us / SECOND_US):
                await self._something.wait()
        except TimeoutError:
            return

    async def _wait_for_steps(self) -> None:
        if self._running:
            await asyncio.wait(list(self._running), timeout=self._options.stop_grace_us / SECOND_US)

    async def _run_step(self, saga: Saga) -> None:
        with bind_correlation(saga.correlation, saga=saga.id, kind=saga.kind, state=saga.state):
            try:
                await self._handlers[saga.kind].step(saga)
                self._worked(saga)
            except SagaMoved:
                self._log.info("another_worker_was_faster")
            except InvariantBroken as broken:
                self._log.error("invariant_broken", exc_info=True)
                await self._park(saga, str(broken))
            except (Unavailable, OutcomeUnknown) as error:
                self._log.info("step_will_be_tried_again", error=str(error), code=error.code)
                await self._come_back(saga, error)
            except Exception as error:  # supervisor
                self._log.exception("step_failed", error=str(error))
                await self._come_back(saga, error)

    async def _come_back(self, saga: Saga, error: Exception) -> None:
        options = self._options
        delay_us = back_off_us(saga.tries, options.back_off_first_us, options.back_off_max_us)
        delay_us -= self._rng.below(delay_us // 2 + 1)
        note = f"{type(error).__name__}: {error}"
        if saga.tries + 1 >= options.tries_loud:
            self._stuck[saga.id] = f"{saga.kind} {saga.id} in {saga.state} failed: {note}"
            self._report_stuck()
        try:
            async with self._transactions.begin("saga retry") as tx:
                await self._store.retry(tx, saga, self._clock.now_us() + delay_us, note)
        except PoolmakerError as failed:
            # The lease runs out by itself and the row is claimed again.
            self._log.warning("retry_not_recorded", error=str(failed))

    def _worked(self, saga: Saga) -> None:
        if self._stuck.pop(saga.id, None) is not None:
            self._report_stuck()

    def _report_stuck(self) -> None:
        first = next(iter(self._stuck.values()), "no step fails again and again")
        more = f" (and {len(self._stuck) - 1} more)" if len(self._stuck) > 1 else ""
        self._health.report(STUCK_COMPONENT, ok=not self._stuck, sentence=first + more)

    async def _park(self, saga: Saga, incident: str) -> None:
        try:
            async with self._transactions.begin("saga park") as tx:
                await self._store.park(tx, saga, incident or "a promise was broken")
        except PoolmakerError as failed:
            # It will be claimed again, break again and be parked then.
            self._log.warning("park_not_recorded", error=str(failed))
        self._health.report(
            COMPONENT, ok=False, sentence=f"{saga.kind} {saga.id} is parked: {incident}"
        )

    async def _report_parked(self) -> None:
        try:
            async with self._transactions.begin("saga parked") as tx:
                parked = await self._store.parked(tx, _PARKED_SHOWN)
        except (Unavailable, OutcomeUnknown) as error:
            self._log.warning("parked_not_read", error=str(error))
            return
        named = "; ".join(f"{saga.kind} {saga.id}: {saga.incident}" for saga in parked)
        sentence = f"parked: {named}" if parked else "no saga is parked"
        self._health.report(COMPONENT, ok=not parked, sentence=sentence)

    async def _renew_for_ever(self) -> None:
        while True:
            await self._clock.sleep_us(self._options.lease_us // 3)
            sagas = [saga.id for saga in self._running.values()]
            if not sagas:
                continue
            now_us, lease_us = self._clock.now_us(), self._options.lease_us
            try:
                async with self._transactions.begin("saga renew") as tx:
                    await self._store.renew(tx, sagas, self._holder, now_us, lease_us)
            except PoolmakerError as failed:
                # Another runner may then do the step as well; the advance lets only one win.
                self._log.warning("leases_not_renewed", error=str(failed))


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
