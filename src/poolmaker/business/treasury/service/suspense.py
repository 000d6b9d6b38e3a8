"""Money that is nobody's, and how its refunds end."""

from __future__ import annotations

from dataclasses import replace

from poolmaker.business.treasury.model import PaymentIncident, PaymentIncidentKind, SuspenseState
from poolmaker.business.treasury.ports import TreasuryStore
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken


class SuspenseBook:
    """Rows of money that is nobody's. A refund that fails is an incident, never silence."""

    def __init__(self, store: TreasuryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def refund_ended(self, tx: Tx, source: str, reason: str) -> None:
        """A refund is over: paid when ``reason`` is empty, else it is nobody's money again."""
        row = await self._store.suspense(tx, source)
        if row is None:
            raise InvariantBroken(f"suspense {source} was refunded and has no row")
        state = SuspenseState.OPEN if reason else SuspenseState.REFUNDED
        await self._store.save_suspense(tx, replace(row, state=state, reason=reason or row.reason))
        if reason:
            now_us = self._clock.now_us()
            await self._store.add_incident(
                tx, PaymentIncident(PaymentIncidentKind.REFUND_REFUSED, source, reason, now_us)
            )
