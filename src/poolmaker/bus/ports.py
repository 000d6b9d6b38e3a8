"""The bus as services see it: streams of envelopes and consumers' cursors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from poolmaker.bus.model import DeadLetter
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import PoolmakerError
from poolmaker.messages.base import Envelope, Message


class KeyConflict(PoolmakerError):
    """The key was used before for another body: the transaction must end, a person must look."""

    code = "key_conflict"


class CursorMoved(PoolmakerError):
    """Another instance of the consumer was faster: the transaction must end, then read again."""

    code = "cursor_moved"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append; ``key`` is its own identity within the stream."""

    key: str
    message: Message
    occurred_at_us: int
    causation: str = ""
    correlation: str = ""


class Bus(Protocol):
    """Gap-free streams. Every method runs in the caller's transaction."""

    async def append(
        self, tx: Tx, stream: str, events: Sequence[NewEvent], now_us: int
    ) -> list[int]:
        """Append in order and answer each event's sequence.

        A key that is there already answers its old sequence; with another body it raises
        KeyConflict and the transaction must end.
        """
        ...

    async def read(self, tx: Tx, stream: str, after_seq: int, limit: int) -> list[Envelope]:
        """Envelopes after ``after_seq`` in order."""
        ...

    async def head(self, tx: Tx, stream: str) -> int:
        """Sequence of the newest event, 0 when there is none."""
        ...

    async def cursor(self, tx: Tx, consumer: str, stream: str) -> int:
        """Up to where ``consumer`` applied ``stream``; locks the cursor for this transaction."""
        ...

    async def move_cursor(
        self, tx: Tx, consumer: str, stream: str, from_seq: int, to_seq: int
    ) -> None:
        """Compare-and-set the cursor; raises CursorMoved when another instance was faster."""
        ...


class DeadLetters(Protocol):
    """Events that stopped their consumers. Every method runs in the caller's transaction."""

    async def bury(self, tx: Tx, letter: DeadLetter) -> None:
        """Write why a consumer stopped; the same event again counts a failure."""
        ...

    async def letter(self, tx: Tx, consumer: str, stream: str) -> DeadLetter | None:
        """What stopped a consumer, or None."""
        ...

    async def letters(self, tx: Tx, limit: int) -> list[DeadLetter]:
        """What is open, by consumer and stream."""
        ...

    async def ask_replay(self, tx: Tx, consumer: str, stream: str) -> bool:
        """Let a stopped consumer try its event again; False when it is not stopped."""
        ...

    async def ask_skip(
        self, tx: Tx, consumer: str, stream: str, seq: int, by: str, reason: str
    ) -> bool:
        """Let a stopped consumer leave its event out; False when it is not stopped at ``seq``."""
        ...

    async def skipped(self, tx: Tx, letter: DeadLetter, now_us: int) -> None:
        """The event is left out: keep who asked for it and why, remove its letter."""
        ...

    async def forget(self, tx: Tx, consumer: str, stream: str) -> None:
        """The event is applied: remove its letter."""
        ...


class StreamStore(Bus, DeadLetters, Protocol):
    """Streams, cursors and what stopped them, in one store."""


E_co = TypeVar("E_co", covariant=True)


class Source(Protocol[E_co]):
    """A gap-free log that a consumer follows: a stream of the bus, or the ledger's own log.

    ``seq`` of the n-th item after ``after_seq`` is ``after_seq + n``.
    """

    @property
    def stream(self) -> str:
        """Its name, under which the cursor is kept."""
        ...

    async def read(self, tx: Tx, after_seq: int, limit: int) -> Sequence[E_co]:
        """Items after ``after_seq`` in order, without a gap."""
        ...

    async def head(self, tx: Tx) -> int:
        """The newest sequence, 0 when there is none."""
        ...
