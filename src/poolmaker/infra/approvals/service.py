"""Requests, approvals and their single use. The package's docstring shows how a route uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.infra.approvals._store import ApprovalStore
from poolmaker.infra.approvals.model import (
    APPROVAL_TABLE,
    Approval,
    ApprovalAsk,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalPending,
    ApprovalRefusal,
    ApprovalRefused,
    ApprovalState,
    ApprovalStep,
    Approver,
)
from poolmaker.infra.approvals.rules import approving, canonical, is_of_one, is_old
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import DAY_US, Clock
from poolmaker.kernel.ids import ApprovalId, Ids

BODY_BYTES_MAX: Final = 16_384
PAGE_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class ApprovalTimes:
    """How long a person who is alone waits, and how long a request or an approval is good."""

    delay_us: int = DAY_US
    valid_us: int = 7 * DAY_US


class ApprovalService:
    """The two-person rule of one installation."""

    def __init__(
        self, transactions: Transactions, clock: Clock, ids: Ids, times: ApprovalTimes
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._times = times
        self._store = ApprovalStore()

    async def permit(
        self, ask: ApprovalAsk, approver: Approver
    ) -> ApprovalGranted | ApprovalPending:
        """Request the action, or approve what another requested, and use it when it is approved.

        A grant belongs to ``ask.request_id``: the same request is granted again, so that it may be
        repeated after a crash; another request needs an approval of its own.
        """
        body = canonical(ask.body)
        require(len(body) <= BODY_BYTES_MAX, "an approval's body is too large")
        async with self._transactions.begin("approvals.permit") as tx:
            used = await self._store.used_by(tx, ask.request_id, ask.action, ask.subject, body)
            if used is not None:
                return ApprovalGranted(used)
            approval, is_new = await self._requested(tx, ask, body, approver)
            if approval.state is ApprovalState.WAITING and not is_new:
                approval = await self._approved(tx, approval, approver)
            if approval.state is ApprovalState.APPROVED:
                used = replace(approval, used_for=ask.request_id)
                return ApprovalGranted(await self._move(tx, used, ApprovalEvent.USED, approver))
        return self._pending(approval, approver)

    async def granted(self, request_id: str, action: str, subject: str) -> Approval | None:
        """What of this action the request was granted already, as it was approved; else None.

        A request that is repeated after a crash acts on what was approved then, not on what is
        there now.
        """
        async with self._transactions.begin("approvals.granted") as tx:
            return await self._store.granted(tx, request_id, action, subject)

    async def approve(
        self, approval_id: ApprovalId, approver: Approver
    ) -> Approval | ApprovalRefused:
        """Approve a request by its id; whoever requested it then sends it again."""
        async with self._transactions.begin("approvals.approve") as tx:
            approval = await self._current(tx, approval_id)
            if approval is None:
                return ApprovalRefused(ApprovalRefusal.UNKNOWN)
            if approval.state is not ApprovalState.WAITING:
                return ApprovalRefused(ApprovalRefusal.ENDED)
            approval = await self._approved(tx, approval, approver)
        if approval.state is not ApprovalState.APPROVED:
            return ApprovalRefused(ApprovalRefusal.SAME_PERSON)
        return approval

    async def cancel(
        self, approval_id: ApprovalId, approver: Approver
    ) -> Approval | ApprovalRefused:
        """Take a request back, or refuse another's; not what one person does within a limit."""
        async with self._transactions.begin("approvals.cancel") as tx:
            approval = await self._current(tx, approval_id)
            if approval is None:
                return ApprovalRefused(ApprovalRefusal.UNKNOWN)
            is_over = APPROVAL_TABLE.next(approval.state, ApprovalEvent.CANCELLED) is None
            if is_over or is_of_one(approval):
                return ApprovalRefused(ApprovalRefusal.ENDED)
            return await self._move(tx, approval, ApprovalEvent.CANCELLED, approver)

    async def page(
        self, after: ApprovalId, limit: int, *, ended: bool = False
    ) -> Sequence[Approval]:
        """Approvals by id, the oldest first, at most 500; without ``ended`` only open ones."""
        async with self._transactions.begin("approvals.page") as tx:
            return await self._store.page(tx, after, min(limit, PAGE_MAX), ended=ended)

    async def history(self, approval_id: ApprovalId) -> Sequence[ApprovalStep]:
        """Everything that happened to one approval, in order; nothing for an unknown id."""
        async with self._transactions.begin("approvals.history") as tx:
            return await self._store.steps(tx, approval_id)

    async def _requested(
        self, tx: Tx, ask: ApprovalAsk, body: bytes, approver: Approver
    ) -> tuple[Approval, bool]:
        """The open approval of this action, and whether this call has made it."""
        found = await self._store.open_for(tx, ask.action, ask.subject, body)
        if found is not None and not await self._lapsed(tx, found):
            return found, False
        made = Approval(
            id=self._ids.approval(),
            action=ask.action,
            subject=ask.subject,
            body=body,
            state=ApprovalState.WAITING,
            requested_by=approver.name,
            requested_us=self._clock.now_us(),
        )
        await self._store.insert(tx, made)
        kept = await self._store.open_for(tx, ask.action, ask.subject, body)
        # Another request for the same action may have been first; then its row is the one.
        return (made, True) if kept is None or kept.id == made.id else (kept, False)

    async def _current(self, tx: Tx, approval_id: ApprovalId) -> Approval | None:
        approval = await self._store.find(tx, approval_id)
        if approval is not None and await self._lapsed(tx, approval):
            return replace(approval, state=ApprovalState.LAPSED)
        return approval

    async def _lapsed(self, tx: Tx, approval: Approval) -> bool:
        if not is_old(approval, self._clock.now_us(), self._times.valid_us):
            return False
        await self._move(tx, approval, ApprovalEvent.LAPSED, Approver("time"))
        return True

    async def _approved(self, tx: Tx, approval: Approval, approver: Approver) -> Approval:
        """The approval after ``approver`` said yes; unchanged where that is not enough."""
        now_us = self._clock.now_us()
        event = approving(approval, approver, now_us, self._times.delay_us)
        if APPROVAL_TABLE.next(approval.state, event) is not ApprovalState.APPROVED:
            return approval
        named = replace(approval, approved_by=approver.name, approved_us=now_us)
        return await self._move(tx, named, event, approver)

    async def _move(
        self, tx: Tx, approval: Approval, event: ApprovalEvent, approver: Approver
    ) -> Approval:
        state = APPROVAL_TABLE.next(approval.state, event)
        require(state is not None, f"approval {approval.id}: {event} from {approval.state}")
        after = replace(approval, state=state or approval.state)
        step = ApprovalStep(after.state, event.value, approver.name, self._clock.now_us())
        return await self._store.move(tx, approval, after, step)

    def _pending(self, approval: Approval, approver: Approver) -> ApprovalPending:
        alone = approver.alone and approver.may_be(approval.requested_by)
        repeat_us = approval.requested_us + self._times.delay_us if alone else 0
        return ApprovalPending(approval, repeat_us)
