"""Sagas that need a person: parked ones, and those that have not moved for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.attention import LISTED_MAX, AttentionItem, Remedy, and_more
from poolmaker.infra.sagas.model import WaitingSaga
from poolmaker.infra.sagas.ports import RunnerStore
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import MINUTE_US, Clock

SOURCE: Final = "sagas"
PARKED: Final = "parked"
LATE: Final = "late"
PATIENCE_US: Final = 30 * MINUTE_US
"""How long a saga may stay in one state before somebody is told."""


class SagaAttention:
    """Reads the rows of sagas; ``steady`` are kinds, or ``<kind>:<state>``, that may last."""

    def __init__(
        self,
        transactions: Transactions,
        store: RunnerStore,
        clock: Clock,
        steady: frozenset[str] = frozenset(),
    ) -> None:
        self._transactions = transactions
        self._store = store
        self._clock = clock
        self._steady = steady

    async def attention(self) -> Sequence[AttentionItem]:
        """Every parked saga, and every open one whose last step was long ago."""
        before_us = self._clock.now_us() - PATIENCE_US
        async with self._transactions.begin("sagas.attention") as tx:
            parked, parked_total = await self._store.needing(tx, LISTED_MAX)
            late, late_total = await self._store.unmoved(
                tx, sorted(self._steady), before_us, LISTED_MAX
            )
        return [
            *and_more([_item(PARKED, saga) for saga in parked], parked_total),
            *and_more([_item(LATE, saga) for saga in late], late_total),
        ]


def _item(kind: str, saga: WaitingSaga) -> AttentionItem:
    action = "resume" if kind == PARKED else "retry"
    return AttentionItem(
        source=SOURCE,
        kind=kind,
        subject=saga.id,
        since_us=saga.since_us,
        evidence={
            "saga": saga.kind,
            "state": saga.state,
            "reason": saga.incident or saga.note,
            "tries": str(saga.tries),
        },
        blocks=(saga.kind,),
        remedies=(
            Remedy(
                action=action,
                command=f"poolmaker saga {action} {saga.id}",
                route=f"POST /api/v1/sagas/{{saga_id}}/{action}",
            ),
        ),
    )
