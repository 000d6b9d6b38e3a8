"""Consumers: each applies one log in order, its cursor moves with its effect, none is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from poolmaker.bus._store import PgBus
from poolmaker.bus.model import Condition, ConsumerHealth, DeadLetter
from poolmaker.bus.ports import Bus, CursorMoved, DeadLetters, Source
from poolmaker.bus.rules import raise_when_it_may_pass
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.messages.base import Envelope

E = TypeVar("E")

Handler = Callable[[Tx, Sequence[E]], Awaitable[None]]
"""Applies events in the transaction that moves the cursor. It must not wait for anything else."""


def open_bus() -> PgBus:
    """The bus in PostgreSQL."""
    return PgBus()


class BusSource:
    """A stream of the bus as a consumer follows it."""

    def __init__(self, bus: Bus, stream: str) -> None:
        self._bus = bus
        self._stream = stream

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self._stream

    async def read(self, tx: Tx, after_seq: int, limit: int) -> Sequence[Envelope]:
        return await self._bus.read(tx, self._stream, after_seq, limit)

    async def head(self, tx: Tx) -> int:
        return await self._bus.head(tx, self._stream)


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Bounds of a consumer. It looks every ``poll_us`` even when nobody wakes it."""

    batch_max: int = 500
    poll_us: int = SECOND_US // 2
    back_off_us: int = SECOND_US // 4
    back_off_max_us: int = 5 * SECOND_US


@dataclass(frozen=True, slots=True)
class ConsumerContext:
    """What every consumer works with."""

    transactions: Transactions
    bus: Bus
    letters: DeadLetters
    clock: Clock


class Consumer(Generic[E]):
    """Applies a source to ``handle``, each event exactly once.

    A batch that fails is tried again event by event; the one that fails alone stops the consumer
    under a dead letter until a replay is asked for. While the database cannot be reached nothing
    is buried: it tries again.
    """

    def __init__(
        self,
        name: str,
        source: Source[E],
        handle: Handler[E],
        desk: ConsumerContext,
        settings: ConsumerSettings | None = None,
    ) -> None:
        self._name = name
        self._source = source
        self._handle = handle
        self._desk = desk
        self._settings = settings or ConsumerSettings()
        self._wake = asyncio.Event()
        self._back_off_us = self._settings.back_off_us
        self._health = ConsumerHealth(name, source.stream, Condition.STARTING, 0, 0, None)

    @property
    def health(self) -> ConsumerHealth:
        """How it is doing, as last seen."""
        return self._health

    def wake(self, _payload: str = "") -> None:
        """Something may have come: a hint, as from a notification."""
        self._wake.set()

    async def run(self) -> None:
        """Apply events until cancelled."""
        while True:
            if not await self.run_once():
                await self._wait(self._settings.poll_us)

    async def run_once(self) -> bool:
        """Apply what is there, at most one batch; False when there was nothing to do."""
        try:
            busy = await self._step()
            self._back_off_us = self._settings.back_off_us
            return busy
        except CursorMoved:
            return True
        except (OutcomeUnknown, Unavailable):
            self._health = replace(self._health, condition=Condition.UNREACHABLE)
            await self._desk.clock.sleep_us(self._back_off_us)
            self._back_off_us = min(2 * self._back_off_us, self._settings.back_off_max_us)
            return True

    async def _wait(self, duration_us: int) -> None:
        woken = asyncio.ensure_future(self._wake.wait())
        slept = asyncio.ensure_future(self._desk.clock.sleep_us(duration_us))
        try:
            await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()
        self._wake.clear()

    async def _step(self) -> bool:
        letter = await self._stopping_letter()
        if letter is not None and not letter.replay_asked:
            return False
        if letter is None and not await self._anything_new():
            return False
        # Behind a dead letter one goes alone, so that its failure is not another's.
        limit = 1 if letter is not None else self._settings.batch_max
        try:
            return await self._apply(limit, letter)
        except (CursorMoved, OutcomeUnknown, Unavailable):
            raise
        except Exception as error:  # supervisor
            raise_when_it_may_pass(error)
            return await self._single_out(limit, error)

    async def _stopping_letter(self) -> DeadLetter | None:
        async with self._desk.transactions.look(f"{self._name}: letter") as tx:
            letter = await self._desk.letters.letter(tx, self._name, self._source.stream)
        if letter is not None and not letter.replay_asked:
            self._say(Condition.STOPPED, letter.seq - 1, await self._head(), letter)
        return letter

    async def _head(self) -> int:
        async with self._desk.transactions.look(f"{self._name}: head") as tx:
            return await self._source.head(tx)

    async def _anything_new(self) -> bool:
        """A look without locks, because most looks find nothing."""
        running = self._health.condition is Condition.RUNNING
        return not running or await self._head() > self._health.applied_seq

    async def _apply(self, limit: int, letter: DeadLetter | None) -> bool:
        """One transaction: events, their effect, the cursor."""
        name, stream = self._name, self._source.stream
        async with self._desk.transactions.begin(f"{name}: apply") as tx:
            at = await self._desk.bus.cursor(tx, name, stream)
            events = await self._source.read(tx, at, limit)
            if events:
                await self._handle(tx, events)
                await self._desk.bus.move_cursor(tx, name, stream, at, at + len(events))
            if letter is not None:
                await self._desk.letters.forget(tx, name, stream)
            head = await self._source.head(tx)
        self._say(Condition.RUNNING, at + len(events), head, None)
        return bool(events)

    async def _single_out(self, limit: int, error: Exception) -> bool:
        """A batch failed: go one by one up to the event that fails alone, and bury that one."""
        if limit > 1:
            try:
                while await self._apply(1, None):
                    pass
            except (CursorMoved, OutcomeUnknown, Unavailable):
                raise
            except Exception as alone:  # supervisor
                raise_when_it_may_pass(alone)
                error = alone
            else:
                return True
        await self._bury(error)
        return False

    async def _bury(self, error: Exception) -> None:
        name, stream = self._name, self._source.stream
        now_us = self._desk.clock.now_us()
        async with self._desk.transactions.begin(f"{name}: bury") as tx:
            at = await self._desk.bus.cursor(tx, name, stream)
            what = f"{type(error).__name__}: {error}"
            letter = DeadLetter(name, stream, at + 1, what, 1, now_us)
            await self._desk.letters.bury(tx, letter)
            head = await self._source.head(tx)
        self._say(Condition.STOPPED, at, head, letter)

    def _say(
        self, condition: Condition, applied_seq: int, head: int, letter: DeadLetter | None
    ) -> None:
        self._health = ConsumerHealth(
            self._name, self._source.stream, condition, applied_seq, head - applied_seq, letter
        )
