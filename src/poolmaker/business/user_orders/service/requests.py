"""Requests that were accepted once: the same key and content is answered the same."""

from __future__ import annotations

from typing import Final

from poolmaker.business.user_orders.model import Declined, OrderRefusal, RequestRow
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import content_hash
from poolmaker.messages.base import Message, encode

KEY_MAX: Final = 128


class RequestLog:
    """What callers' keys stand for."""

    def __init__(self, store: OrderStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def done(self, tx: Tx, key: str, asked: Message) -> str | Declined | None:
        """What an earlier request under ``key`` is about, a conflict, or None for a new one."""
        require(0 < len(key) <= KEY_MAX, f"key: expected 1 to {KEY_MAX} characters")
        found = await self._store.recall(tx, key)
        if found is None:
            return None
        if found.body_hash != content_hash(encode(asked)):
            return Declined(OrderRefusal.SAME_KEY_DIFFERENT_CONTENT)
        return found.subject

    async def remember(self, tx: Tx, key: str, asked: Message, subject: str) -> None:
        """Keep an accepted request. Raises Unavailable while another with its key is made."""
        row = RequestRow(key, content_hash(encode(asked)), subject, self._clock.now_us())
        if not await self._store.remember(tx, row):
            raise Unavailable(f"a request with the key {key!r} is being made; make it again")
