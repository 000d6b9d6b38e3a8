"""The event bus in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.bus.ports import CursorMoved, KeyConflict, NewEvent
from poolmaker.infra.transactions import Tx
from poolmaker.lab.stores.base import ModelTx, model_tx
from poolmaker.messages.base import Envelope, encode

_HEAD: Final = "bus.head"
_KEY: Final = "bus.key"
_CURSOR: Final = "bus.cursor"


def _events(stream: str) -> str:
    return f"bus.event/{stream}"


class ModelBus:
    """``Bus`` in memory."""

    async def append(
        self, tx: Tx, stream: str, events: Sequence[NewEvent], now_us: int
    ) -> list[int]:
        """See ``Bus.append``."""
        return [self._append(model_tx(tx), stream, event, now_us) for event in events]

    def _append(self, tx: ModelTx, stream: str, event: NewEvent, now_us: int) -> int:
        body = encode(event.message)
        known: int | None = tx.get(_KEY, (stream, event.key))
        if known is not None:
            if tx.get(_events(stream), known).body != body:
                raise KeyConflict(f"{stream}: {event.key} was another event")
            return known
        seq: int = (tx.get(_HEAD, stream) or 0) + 1
        envelope = Envelope(
            stream=stream,
            seq=seq,
            key=event.key,
            body=body,
            occurred_at_us=event.occurred_at_us,
            recorded_at_us=now_us,
            causation=event.causation,
            correlation=event.correlation,
        )
        tx.put(_events(stream), seq, envelope)
        tx.put(_KEY, (stream, event.key), seq)
        tx.put(_HEAD, stream, seq)
        return seq

    async def read(self, tx: Tx, stream: str, after_seq: int, limit: int) -> list[Envelope]:
        """See ``Bus.read``."""
        last = min(await self.head(tx, stream), after_seq + limit)
        table = _events(stream)
        return [model_tx(tx).get(table, seq) for seq in range(after_seq + 1, last + 1)]

    async def head(self, tx: Tx, stream: str) -> int:
        """See ``Bus.head``."""
        head: int | None = model_tx(tx).get(_HEAD, stream)
        return head or 0

    async def cursor(self, tx: Tx, consumer: str, stream: str) -> int:
        """See ``Bus.cursor``."""
        cursor: int | None = model_tx(tx).get(_CURSOR, (consumer, stream))
        return cursor or 0

    async def move_cursor(
        self, tx: Tx, consumer: str, stream: str, from_seq: int, to_seq: int
    ) -> None:
        """See ``Bus.move_cursor``."""
        if await self.cursor(tx, consumer, stream) != from_seq:
            raise CursorMoved(f"{consumer} on {stream} is no longer at {from_seq}")
        model_tx(tx).put(_CURSOR, (consumer, stream), to_seq)
