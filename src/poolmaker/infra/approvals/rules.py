"""Pure decisions of approvals: who may approve what, when, and what lapses."""

from __future__ import annotations

import json
from collections.abc import Mapping

from poolmaker.infra.approvals.model import (
    APPROVAL_TABLE,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Approver,
)


def canonical(body: Mapping[str, str]) -> bytes:
    """The one encoding of a body: what two people approve is compared by these bytes."""
    return json.dumps(dict(body), sort_keys=True, separators=(",", ":")).encode()


def approving(approval: Approval, approver: Approver, now_us: int, delay_us: int) -> ApprovalEvent:
    """What it is when ``approver`` says yes at ``now_us``."""
    if approver.name != approval.requested_by:
        return ApprovalEvent.SECOND_PERSON
    if approver.alone and now_us >= approval.requested_us + delay_us:
        return ApprovalEvent.SAME_PERSON_AFTER_DELAY
    return ApprovalEvent.SAME_PERSON


def is_old(approval: Approval, now_us: int, valid_us: int) -> bool:
    """Whether it lapses: approved actions count from the approval, others from the request."""
    since_us = approval.approved_us or approval.requested_us
    return now_us >= since_us + valid_us and is_open(approval.state)


def is_open(state: ApprovalState) -> bool:
    """Whether something can still become of it."""
    return state not in APPROVAL_TABLE.terminal
