"""Streams that need a person: stopped under a dead letter, or not read for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.bus._store import PgBus
from poolmaker.bus.model import DeadLetter, Lag
from poolmaker.infra.attention import LISTED_MAX, AttentionItem, Remedy
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import MINUTE_US, Clock

SOURCE: Final = "bus"
STOPPED: Final = "stopped"
BEHIND: Final = "behind"
PATIENCE_US: Final = MINUTE_US
"""How long an event may wait for its consumer before somebody is told."""


class BusAttention:
    """Reads dead letters and cursors. There are few of either: one per consumer and stream."""

    def __init__(self, transactions: Transactions, store: PgBus, clock: Clock) -> None:
        self._transactions = transactions
        self._store = store
        self._clock = clock

    async def attention(self) -> Sequence[AttentionItem]:
        """Every stopped consumer, and every one whose next event is older than a minute."""
        before_us = self._clock.now_us() - PATIENCE_US
        async with self._transactions.begin("bus.attention") as tx:
            letters = await self._store.letters(tx, LISTED_MAX)
            lags = await self._store.lags(tx, before_us, LISTED_MAX)
        stopped = {(one.consumer, one.stream) for one in letters}
        behind = [one for one in lags if (one.consumer, one.stream) not in stopped]
        return [*(_stopped(one) for one in letters), *(_behind(one) for one in behind)]


def _stopped(letter: DeadLetter) -> AttentionItem:
    place = f"{letter.consumer} {letter.stream}"
    at = f"{place} {letter.seq}"
    return AttentionItem(
        source=SOURCE,
        kind=STOPPED,
        subject=place,
        since_us=letter.failed_at_us,
        evidence={
            "event": str(letter.seq),
            "error": letter.error,
            "failures": str(letter.failures),
        },
        blocks=(letter.stream,),
        remedies=(
            Remedy(
                action="show",
                command=f"poolmaker stream show {at}",
                route="GET /api/v1/streams/event",
            ),
            Remedy(
                action="replay",
                command=f"poolmaker stream replay {at}",
                route="POST /api/v1/streams/replay",
            ),
            Remedy(
                action="skip",
                command=f"poolmaker stream skip {at} --reason TEXT",
                route="POST /api/v1/streams/skip",
            ),
        ),
    )


def _behind(lag: Lag) -> AttentionItem:
    """Nobody reads it: its process is away, or it waits for something else on this list."""
    return AttentionItem(
        source=SOURCE,
        kind=BEHIND,
        subject=f"{lag.consumer} {lag.stream}",
        since_us=lag.recorded_at_us,
        evidence={"event": str(lag.seq), "waiting": str(lag.waiting)},
        blocks=(lag.stream,),
    )
