"""Pure decisions of approvals: who may approve what, when, and what lapses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from poolmaker.infra.approvals.model import (
    APPROVAL_TABLE,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Approver,
)

ALONE: Final = "alone."
"""How actions begin that one person does within a limit; nobody else has a word in them."""


def canonical(body: Mapping[str, str]) -> bytes:
    """The one encoding of a body: what two people approve is compared by these bytes."""
    return json.dumps(dict(body), sort_keys=True, separators=(",", ":")).encode()


def approving(approval: Approval, approver: Approver, now_us: int, delay_us: int) -> ApprovalEvent:
    """What it is when ``approver`` says yes to an approval at ``now_us``."""
    first, first_us = approval.requested_by, approval.requested_us
    return consent(first, first_us, approver, now_us, delay_us)


def consent(
    first: str, first_us: int, approver: Approver, now_us: int, delay_us: int
) -> ApprovalEvent:
    """What ``approver``'s yes at ``now_us`` is to what ``first`` asked for at ``first_us``.

    The one rule of who may be the second person. Two names of one hand are one person.
    """
    if not approver.may_approve:
        return ApprovalEvent.NOT_AN_APPROVER
    if not approver.may_be(first):
        return ApprovalEvent.SECOND_PERSON
    if approver.alone and now_us >= first_us + delay_us:
        return ApprovalEvent.SAME_PERSON_AFTER_DELAY
    return ApprovalEvent.SAME_PERSON


def is_agreed(event: ApprovalEvent) -> bool:
    """Whether such a yes is enough."""
    return APPROVAL_TABLE.next(ApprovalState.WAITING, event) is ApprovalState.APPROVED


def fits_alone(spent_units: int, units: int, max_units: int) -> bool:
    """Whether one person may do ``units`` more where ``spent_units`` were done in 24 hours."""
    return 0 < units <= max_units - spent_units


def is_of_one(approval: Approval) -> bool:
    """Whether it is an act within a limit: it counts until whoever does it says how it ended."""
    return approval.action.startswith(ALONE)


def is_old(approval: Approval, now_us: int, valid_us: int) -> bool:
    """Whether it lapses: approved actions count from the approval, others from the request."""
    since_us = approval.approved_us or approval.requested_us
    return now_us >= since_us + valid_us and is_open(approval.state)


def is_open(state: ApprovalState) -> bool:
    """Whether something can still become of it."""
    return state not in APPROVAL_TABLE.terminal
