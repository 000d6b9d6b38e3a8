"""The one I/O gate of a simulated world: latency, order and faults come from the seed.

A transaction passes the gate as a whole: it waits its turn, runs alone from begin to commit, and
may meet one of the fates below. So row locks never block each other, and the order of all effects
is the seed's alone, on either store.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.lab.loop import VirtualClock, VirtualLoop

_LATENCY_US: Final = 4_000
_TAIL: Final = 60


class ProcessCrash(BaseException):
    """The simulated process is gone; no handler of the code under test may catch it."""


class FaultOutcome(StrEnum):
    """What happens to one transaction at the gate."""

    FINE = "fine"
    """It commits and its answer arrives."""
    CRASH_BEFORE = "crash_before"
    """The process dies before it is sent."""
    CRASH_AFTER = "crash_after"
    """It commits; the process dies before the answer arrives."""
    ANSWER_LOST = "answer_lost"
    """It commits; the process lives and never hears so."""
    UNAVAILABLE = "unavailable"
    """The database could not be reached; nothing happened."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each fate is drawn, in parts per million of transactions."""

    crash_before_ppm: int = 0
    crash_after_ppm: int = 0
    answer_lost_ppm: int = 0
    unavailable_ppm: int = 0

    @classmethod
    def drawn(cls, rng: Rng) -> Faults:
        """Each seed its own mix; about a third of the kinds stays away."""

        def rate(most: int) -> int:
            return 0 if rng.chance_ppm(333_000) else rng.below(most)

        return cls(rate(8_000), rate(8_000), rate(25_000), rate(25_000))

    def draw(self, rng: Rng) -> FaultOutcome:
        """The fate of one transaction."""
        ticket = rng.below(1_000_000)
        for fate, ppm in (
            (FaultOutcome.CRASH_BEFORE, self.crash_before_ppm),
            (FaultOutcome.CRASH_AFTER, self.crash_after_ppm),
            (FaultOutcome.ANSWER_LOST, self.answer_lost_ppm),
            (FaultOutcome.UNAVAILABLE, self.unavailable_ppm),
        ):
            if ticket < ppm:
                return fate
            ticket -= ppm
        return FaultOutcome.FINE


class Trace:
    """A running hash of (virtual time, label, result) of everything that passed."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.count = 0

    def add(self, at_us: int, label: str, result: str) -> None:
        """Record one passage."""
        line = f"{at_us} {label} {result}"
        self._hash.update(line.encode() + b"\n")
        self.tail.append(line)
        self.count += 1

    def digest(self) -> str:
        """The hash so far, 16 hexadecimal digits."""
        return self._hash.hexdigest()[:16]


class SimProcess:
    """One start of one simulated process; dies once. One that is not mortal never crashes."""

    def __init__(self, name: str, *, mortal: bool = True) -> None:
        self.name = name
        self.mortal = mortal
        self.dead = asyncio.Event()
        self.killed_at = ""

    def kill(self, where: str) -> None:
        """From now on nothing of this process passes the gate."""
        self.killed_at = self.killed_at or where
        self.dead.set()

    def check(self) -> None:
        """Raise ProcessCrash when the process is dead."""
        if self.dead.is_set():
            raise ProcessCrash(self.killed_at)


class FaultGate:
    """The only door to stores and to the simulated outside world."""

    def __init__(self, loop: VirtualLoop, clock: VirtualClock, rng: Rng, faults: Faults) -> None:
        self.faults = faults
        self.trace = Trace()
        self.fates: Counter[FaultOutcome] = Counter()
        self._loop = loop
        self._clock = clock
        self._rng = rng
        self._turn = asyncio.Lock()
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, hint: Callable[[], None]) -> None:
        """Call ``hint`` when the transaction that is in the gate now commits, else never.

        It stands for the notification of a real database.
        """
        self._after_commit.append(hint)

    async def close(self) -> None:
        """Wait until nothing is in the gate, and let nothing in any more."""
        await self._turn.acquire()

    def note(self, label: str, result: str) -> None:
        """Record something of the simulated outside world in the trace."""
        self.trace.add(self._clock.monotonic_us(), label, result)

    @asynccontextmanager
    async def through(
        self, inner: Transactions, label: str, process: SimProcess
    ) -> AsyncIterator[Tx]:
        """One transaction of ``process`` on ``inner``, with latency and its fate."""
        process.check()
        fate = self._fate(process)
        after_us = self._rng.exponential_us(_LATENCY_US)
        await self._clock.sleep_us(self._rng.exponential_us(_LATENCY_US))
        try:
            async with self._turn:
                # One tick alone: whoever was ready at the moment of the turn has run before.
                await self._clock.sleep_us(1)
                process.check()
                self._before(fate, label, process)
                async with self._recorded(inner, label) as tx:
                    yield tx
                self._after(fate, label, process)
        finally:
            # The answer arrives later: nobody sees it in the instant in which it was made,
            # whatever number of turns of the loop the store took for it.
            if not process.dead.is_set():
                await self._clock.sleep_us(after_us)
        process.check()
        if fate is FaultOutcome.ANSWER_LOST:
            raise OutcomeUnknown(f"the answer to the commit of {label} was lost")

    @asynccontextmanager
    async def _recorded(self, inner: Transactions, label: str) -> AsyncIterator[Tx]:
        result = "commit"
        self._after_commit = []
        try:
            with self._loop.real():
                async with inner.begin(label) as tx:
                    yield tx
        except BaseException as error:
            result = type(error).__name__
            raise
        finally:
            self.note(label, result)
        for hint in self._after_commit:
            hint()

    def _fate(self, process: SimProcess) -> FaultOutcome:
        fate = self.faults.draw(self._rng)
        crash = fate in (FaultOutcome.CRASH_BEFORE, FaultOutcome.CRASH_AFTER)
        return FaultOutcome.FINE if crash and not process.mortal else fate

    def _before(self, fate: FaultOutcome, label: str, process: SimProcess) -> None:
        self.fates[fate] += 1
        if fate is FaultOutcome.CRASH_BEFORE:
            self._crash(process, f"before {label}")
        if fate is FaultOutcome.UNAVAILABLE:
            self.note(label, fate)
            raise Unavailable(f"the database could not be reached for {label}")

    def _after(self, fate: FaultOutcome, label: str, process: SimProcess) -> None:
        if fate is FaultOutcome.CRASH_AFTER:
            self._crash(process, f"after {label}")

    def _crash(self, process: SimProcess, where: str) -> None:
        self.note(f"crash {process.name}", where)
        process.kill(where)
        process.check()


class GatedTransactions:
    """Any ``Transactions``, as one simulated process sees them."""

    def __init__(self, inner: Transactions, gate: FaultGate, process: SimProcess) -> None:
        self._inner = inner
        self._gate = gate
        self._process = process

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        """Open a transaction behind the gate."""
        async with self._gate.through(self._inner, label, self._process) as tx:
            yield tx

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        """Behind the gate as well: a look may fail like anything else."""
        return self.begin(label)


def virtual_seconds(loop: VirtualLoop) -> int:
    """Whole virtual seconds that passed."""
    return loop.now_us // SECOND_US
