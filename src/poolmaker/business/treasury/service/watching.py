"""When arrivals were looked for: time in which nobody looked is not the user's who was to pay."""

from __future__ import annotations

from typing import Final

from poolmaker.business.treasury.booking import Watched
from poolmaker.business.treasury.ports import TreasuryStore
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import SECOND_US, Clock

SEEN_AGAIN_US: Final = 5 * SECOND_US
"""Looks that are closer together than this leave no gap."""


class ArrivalWatch:
    """Remembers up to when what came to a place has been read, and the gaps before that."""

    def __init__(self, store: TreasuryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def looked(self, tx: Tx, place: str, at_us: int) -> None:
        before_us = await self._store.looked_us(tx, place) or 0
        is_gap = before_us > 0 and at_us - before_us > SEEN_AGAIN_US
        await self._store.save_look(tx, place, at_us, before_us if is_gap else 0)

    async def watched(self, tx: Tx, place: str, since_us: int) -> Watched:
        """How a place was watched since a time; one that nobody ever watches hides nothing."""
        now_us = self._clock.now_us()
        looked_us = await self._store.looked_us(tx, place)
        if looked_us is None:
            return Watched(looked_us=now_us, unseen_us=0)
        unseen_us = await self._store.gap_us(tx, place, since_us)
        if now_us - looked_us > SEEN_AGAIN_US:
            unseen_us += max(0, now_us - max(looked_us, since_us))
        return Watched(looked_us=looked_us, unseen_us=unseen_us)
