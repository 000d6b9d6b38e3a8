"""The event bus in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from poolmaker.bus.model import DeadLetter
from poolmaker.bus.ports import CursorMoved, KeyConflict, NewEvent
from poolmaker.infra.transactions import Tx
from poolmaker.lab.stores.base import ModelTx, model_tx
from poolmaker.messages.base import Envelope, encode

_HEAD: Final = "bus.head"
_KEY: Final = "bus.key"
_CURSOR: Final = "bus.cursor"
_LETTER: Final = "bus.dead_letter"
_SKIPPED: Final = "bus.skipped_event"


def _events(stream: str) -> str:
    return f"bus.event/{stream}"


class ModelBus:
    """``StreamStore`` in memory."""

    async def append(
        self, tx: Tx, stream: str, events: Sequence[NewEvent], now_us: int
    ) -> list[int]:
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
        last = min(await self.head(tx, stream), after_seq + limit)
        table = _events(stream)
        return [model_tx(tx).get(table, seq) for seq in range(after_seq + 1, last + 1)]

    async def head(self, tx: Tx, stream: str) -> int:
        head: int | None = model_tx(tx).get(_HEAD, stream)
        return head or 0

    async def cursor(self, tx: Tx, consumer: str, stream: str) -> int:
        cursor: int | None = model_tx(tx).get(_CURSOR, (consumer, stream))
        return cursor or 0

    async def move_cursor(
        self, tx: Tx, consumer: str, stream: str, from_seq: int, to_seq: int
    ) -> None:
        if await self.cursor(tx, consumer, stream) != from_seq:
            raise CursorMoved(f"{consumer} on {stream} is no longer at {from_seq}")
        model_tx(tx).put(_CURSOR, (consumer, stream), to_seq)

    async def bury(self, tx: Tx, letter: DeadLetter) -> None:
        found = await self.letter(tx, letter.consumer, letter.stream)
        again = found is not None and found.seq == letter.seq
        failures = found.failures + 1 if found is not None and again else 1
        place = (letter.consumer, letter.stream)
        model_tx(tx).put(_LETTER, place, replace(letter, failures=failures))

    async def letter(self, tx: Tx, consumer: str, stream: str) -> DeadLetter | None:
        found: DeadLetter | None = model_tx(tx).get(_LETTER, (consumer, stream))
        return found

    async def letters(self, tx: Tx, limit: int) -> list[DeadLetter]:
        found = [letter for _, letter in model_tx(tx).rows(_LETTER) if letter is not None]
        return sorted(found, key=lambda letter: (letter.consumer, letter.stream))[:limit]

    async def ask_replay(self, tx: Tx, consumer: str, stream: str) -> bool:
        found = await self.letter(tx, consumer, stream)
        if found is not None:
            model_tx(tx).put(_LETTER, (consumer, stream), replace(found, replay_asked=True))
        return found is not None

    async def ask_skip(
        self, tx: Tx, consumer: str, stream: str, seq: int, by: str, reason: str
    ) -> bool:
        found = await self.letter(tx, consumer, stream)
        if found is None or found.seq != seq:
            return False
        asked = replace(found, skip_by=by, skip_reason=reason)
        model_tx(tx).put(_LETTER, (consumer, stream), asked)
        return True

    async def skipped(self, tx: Tx, letter: DeadLetter, now_us: int) -> None:
        place = (letter.consumer, letter.stream, letter.seq)
        model_tx(tx).put(_SKIPPED, place, (letter.skip_by, letter.skip_reason, now_us))
        await self.forget(tx, letter.consumer, letter.stream)

    async def forget(self, tx: Tx, consumer: str, stream: str) -> None:
        model_tx(tx).put(_LETTER, (consumer, stream), None)
