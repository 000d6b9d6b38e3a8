"""The ports of what one person may not do alone: limits, and approvals by a second person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.infra.approvals.model import (
    Approval,
    ApprovalAsk,
    ApprovalGranted,
    ApprovalPending,
    ApprovalRefused,
    ApprovalStep,
    Approver,
)
from poolmaker.kernel.ids import ApprovalId
from poolmaker.views.model import AmountView


class LoneLimits(Protocol):
    """What one person may do alone, summed over all persons and 24 hours."""

    async def take(self, limit: str, money: AmountView, request_id: str, by: str) -> bool:
        """Whether it is within ``limit``; then it counts, once per request."""
        ...

    async def settle(
        self, limit: str, money: AmountView, request_id: str, by: str, *, done: bool
    ) -> None:
        """It was done, or it was refused and counts no more."""
        ...


class Approvals(Protocol):
    """What waits for a second person; ``infra.approvals`` says how a route uses it."""

    async def permit(
        self, ask: ApprovalAsk, approver: Approver
    ) -> ApprovalGranted | ApprovalPending:
        """Request an action, or approve what another requested, and use it when approved."""
        ...

    async def granted(self, request_id: str, action: str, subject: str) -> Approval | None:
        """What of an action the request was granted already, or None."""
        ...

    async def approve(
        self, approval_id: ApprovalId, approver: Approver
    ) -> Approval | ApprovalRefused:
        """Approve a request by its id."""
        ...

    async def cancel(
        self, approval_id: ApprovalId, approver: Approver
    ) -> Approval | ApprovalRefused:
        """Take a request back, or refuse another's."""
        ...

    async def page(
        self, after: ApprovalId, limit: int, *, ended: bool = False
    ) -> Sequence[Approval]:
        """Approvals by id, the oldest first; without ``ended`` only open ones."""
        ...

    async def history(self, approval_id: ApprovalId) -> Sequence[ApprovalStep]:
        """Everything that happened to one approval, in order."""
        ...
