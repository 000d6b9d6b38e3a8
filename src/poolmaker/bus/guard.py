"""What every cursor loop runs under: an event that fails stops its own stream and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from poolmaker.bus.model import DeadLetter
from poolmaker.bus.ports import CursorMoved, StreamStore
from poolmaker.bus.rules import raise_when_it_may_pass
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable

LOOK_AGAIN_US: Final = SECOND_US
"""How often a stopped stream is looked at for what a person asked."""

Once = Callable[[int], Awaitable[int]]
"""Applies at most so many events with their cursor in one transaction; how many it applied."""
Cursor = Callable[[Tx], Awaitable[int]]
"""Up to where a stream is applied, locked for the transaction."""
Skip = Callable[[Tx, int], Awaitable[None]]
"""Moves the cursor from the given sequence to the one behind it, without any effect."""


class StreamGuard:
    """Runs the loops of one consumer under bus invariant 5.

    A batch that fails is tried again event by event; the one that fails alone is buried under a
    dead letter, and its stream waits until a person asks for a replay or a skip. While the database
    is away nothing is buried: Unavailable, OutcomeUnknown and ``through`` pass through.
    """

    def __init__(
        self,
        consumer: str,
        transactions: Transactions,
        store: StreamStore,
        clock: Clock,
        through: tuple[type[Exception], ...] = (),
    ) -> None:
        self._consumer = consumer
        self._through: tuple[type[Exception], ...] = (OutcomeUnknown, Unavailable, *through)
        self._transactions = transactions
        self._store = store
        self._clock = clock
        # Of these streams no letter is open, as far as this process knows.
        self._free: set[str] = set()
        self._stopped_until_us: dict[str, int] = {}
        self._reasons: dict[str, str] = {}

    def why_stopped(self, stream: str) -> str:
        """Why a stream is stopped, empty while it is not. Known once ``apply`` has looked at it."""
        return self._reasons.get(stream, "")

    async def apply(
        self,
        stream: str,
        limit: int,
        once: Once,
        cursor: Cursor | None = None,
        skip: Skip | None = None,
    ) -> int:
        """Apply a batch of ``stream``; how many events it was, 0 for none or while it is stopped.

        ``cursor`` and ``skip`` are for a loop whose cursor is not kept by the bus.
        """
        if self._clock.monotonic_us() < self._stopped_until_us.get(stream, 0):
            return 0
        letter = None if stream in self._free else await self._letter(stream)
        if letter is not None and letter.skip_by:
            await self._skip(letter, cursor or self._cursor_of(stream), skip)
            return 1
        if letter is not None and not letter.replay_asked:
            self._stop(letter)
            return 0
        return await self._attempt(stream, 1 if letter else limit, once, cursor)

    async def _attempt(self, stream: str, limit: int, once: Once, cursor: Cursor | None) -> int:
        try:
            done = await once(limit)
        except CursorMoved:
            return 1
        except self._through:
            raise
        except Exception as error:  # supervisor
            raise_when_it_may_pass(error)
            return await self._single_out(stream, limit, once, cursor, error)
        if stream not in self._free:
            async with self._transactions.begin(f"{self._consumer}: forget") as tx:
                await self._store.forget(tx, self._consumer, stream)
            self._let_go(stream)
        return done

    async def _single_out(
        self, stream: str, limit: int, once: Once, cursor: Cursor | None, error: Exception
    ) -> int:
        """A batch failed: go one by one up to the event that fails alone, and bury that one."""
        done = 0
        try:
            while limit > 1 and (step := await once(1)):
                done += step
        except CursorMoved:
            return 1
        except self._through:
            raise
        except Exception as alone:  # supervisor
            raise_when_it_may_pass(alone)
            error = alone
        else:
            if limit > 1:
                return done
        await self._bury(stream, error, cursor or self._cursor_of(stream))
        return done

    def _cursor_of(self, stream: str) -> Cursor:
        async def cursor(tx: Tx) -> int:
            return await self._store.cursor(tx, self._consumer, stream)

        return cursor

    async def _letter(self, stream: str) -> DeadLetter | None:
        async with self._transactions.begin(f"{self._consumer}: letter") as tx:
            return await self._store.letter(tx, self._consumer, stream)

    async def _bury(self, stream: str, error: Exception, cursor: Cursor) -> None:
        now_us, what = self._clock.now_us(), f"{type(error).__name__}: {error}"
        async with self._transactions.begin(f"{self._consumer}: bury") as tx:
            at = await cursor(tx)
            letter = DeadLetter(self._consumer, stream, at + 1, what, 1, now_us)
            await self._store.bury(tx, letter)
        self._stop(letter)

    async def _skip(self, letter: DeadLetter, cursor: Cursor, skip: Skip | None) -> None:
        async with self._transactions.begin(f"{self._consumer}: skip") as tx:
            at = await cursor(tx)
            if at + 1 == letter.seq and skip is not None:
                await skip(tx, at)
            elif at + 1 == letter.seq:
                await self._store.move_cursor(tx, self._consumer, letter.stream, at, at + 1)
            await self._store.skipped(tx, letter, self._clock.now_us())
        self._let_go(letter.stream)

    def _let_go(self, stream: str) -> None:
        self._free.add(stream)
        self._reasons.pop(stream, None)

    def _stop(self, letter: DeadLetter) -> None:
        stream = letter.stream
        self._free.discard(stream)
        self._reasons[stream] = f"{stream} {letter.seq}: {letter.error}"
        self._stopped_until_us[stream] = self._clock.monotonic_us() + LOOK_AGAIN_US
