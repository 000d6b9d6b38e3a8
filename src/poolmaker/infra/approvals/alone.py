"""What one person may do alone: per limit and asset, summed over all persons and 24 hours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from poolmaker.infra.approvals._store import ApprovalStore
from poolmaker.infra.approvals.model import (
    APPROVAL_TABLE,
    Approval,
    ApprovalEvent,
    ApprovalState,
    ApprovalStep,
)
from poolmaker.infra.approvals.rules import ALONE, canonical, fits_alone
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import DAY_US, Clock
from poolmaker.kernel.ids import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class LoneAct:
    """One person wants to do something of ``units`` alone; ``request_id`` repeats with it."""

    limit: str
    """Which limit it counts against."""
    asset: str
    units: int
    request_id: str
    by: str

    @property
    def action(self) -> str:
        """How it stands in the list of approvals, where its history is kept."""
        return f"{ALONE}{self.limit}"

    @property
    def body(self) -> bytes:
        """Everything of it but who; the same at every repetition."""
        return canonical({"request": self.request_id, "units": str(self.units)})


class LoneActs:
    """The limits of one installation: of each name and asset, in atomic units."""

    def __init__(
        self,
        transactions: Transactions,
        clock: Clock,
        ids: Ids,
        limits: Mapping[str, Mapping[str, int]],
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._limits = limits
        self._store = ApprovalStore()

    async def take(self, act: LoneAct) -> bool:
        """Whether one person may do it; then it counts from now on, once per request.

        What was taken counts for 24 hours, whoever took it, unless ``settle`` gives it back.
        """
        require(act.units > 0, "units: expected a positive number")
        max_units = self._limits.get(act.limit, {}).get(act.asset, 0)
        async with self._transactions.begin("approvals.take") as tx:
            await self._store.lock_limit(tx, act.action, act.asset)
            if await self._taken(tx, act) is not None:
                return True
            since_us = self._clock.now_us() - DAY_US
            bodies = await self._store.alone_since(tx, act.action, act.asset, since_us)
            spent_units = sum(int(json.loads(body)["units"]) for body in bodies)
            if not fits_alone(spent_units, act.units, max_units):
                return False
            await self._keep(tx, act)
        return True

    async def settle(self, act: LoneAct, *, done: bool) -> None:
        """It was done, or it was refused and counts no more. Again is no error."""
        async with self._transactions.begin("approvals.settle") as tx:
            taken = await self._store.open_for(tx, act.action, act.asset, act.body)
            if taken is None:
                return
            if done:
                await self._move(tx, replace(taken, used_for=act.request_id), ApprovalEvent.USED)
            else:
                await self._move(tx, taken, ApprovalEvent.CANCELLED)

    async def _taken(self, tx: Tx, act: LoneAct) -> Approval | None:
        found = await self._store.open_for(tx, act.action, act.asset, act.body)
        return found or await self._store.used_by(
            tx, act.request_id, act.action, act.asset, act.body
        )

    async def _keep(self, tx: Tx, act: LoneAct) -> None:
        now_us = self._clock.now_us()
        made = Approval(
            id=self._ids.approval(),
            action=act.action,
            subject=act.asset,
            body=act.body,
            state=ApprovalState.WAITING,
            requested_by=act.by,
            requested_us=now_us,
        )
        await self._store.insert(tx, made)
        named = replace(made, approved_by=act.by, approved_us=now_us)
        await self._move(tx, named, ApprovalEvent.WITHIN_LIMIT)

    async def _move(self, tx: Tx, approval: Approval, event: ApprovalEvent) -> None:
        state = APPROVAL_TABLE.next(approval.state, event)
        ensure(state is not None, f"approval {approval.id}: {event} from {approval.state}")
        after = replace(approval, state=state or approval.state)
        step = ApprovalStep(after.state, event.value, approval.requested_by, self._clock.now_us())
        await self._store.move(tx, approval, after, step)
