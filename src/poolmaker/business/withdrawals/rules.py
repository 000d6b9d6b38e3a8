"""Pure decisions of withdrawals: whose turn it is, what the history means, what is booked."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from poolmaker.business.ledger.model import Refusal
from poolmaker.business.treasury.model import (
    SendAbsent,
    SendCompleted,
    SendFailed,
    SendStatus,
    SendUnderWay,
)
from poolmaker.business.withdrawals.model import Withdrawal, WithdrawalData
from poolmaker.kernel.ids import SagaId, request_uuid


class Verdict(StrEnum):
    """What the provider's history means for a withdrawal that is SENT."""

    WAIT = "wait"
    """Nothing to be done yet; unknown is never failed."""
    SEND_AGAIN = "send_again"
    """It has surely not left."""
    COMPLETED = "completed"
    """It has left."""
    REFUSED = "refused"
    """The provider's own word, and no earlier sending is in doubt."""


def reference_of(saga: SagaId) -> str:
    """What the provider knows the payout by: a pure function of the saga, 32 hexadecimal digits."""
    return request_uuid(saga, "payout").hex


def verdict(
    status: SendStatus, row: Withdrawal, data: WithdrawalData, now_us: int, absent_after_us: int
) -> Verdict:
    """Judge the history. Only absence after the stated time is evidence that nothing has left."""
    match status:
        case SendCompleted():
            return Verdict.COMPLETED
        case SendFailed():
            return Verdict.REFUSED
        case SendUnderWay():
            return Verdict.WAIT
        case SendAbsent():
            return _absent(row, data, now_us, absent_after_us)
        case _:
            assert_never(status)


def _absent(row: Withdrawal, data: WithdrawalData, now_us: int, absent_after_us: int) -> Verdict:
    # What the provider acknowledged is never sent again, however long its history is silent.
    if row.provider_id:
        return Verdict.WAIT
    if data.in_doubt and now_us < data.sent_at_us + absent_after_us:
        return Verdict.WAIT
    return Verdict.REFUSED if data.refusal else Verdict.SEND_AGAIN


def believes_refusal(data: WithdrawalData) -> bool:
    """A refusal of the first sending is the last word; one after a doubt needs the history."""
    return data.sends <= 1


def has_cash(surplus_units: int, row: Withdrawal, claims: Sequence[Withdrawal]) -> bool:
    """Whether the place can pay ``row`` after all that were held before it.

    ``claims`` are the withdrawals from that place whose money is promised and not debited; a row
    that is not held yet stands behind all of them.
    """
    before = [
        other.units
        for other in claims
        if other.id != row.id and (row.held_seq == 0 or other.held_seq < row.held_seq)
    ]
    return sum(before) + row.units <= surplus_units


def is_for_later(refusal: Refusal) -> bool:
    """Whether a refused hold or release may succeed once somebody mended something."""
    return refusal is Refusal.BLOCKED_BY_DEFICIT


def received_units(completed: SendCompleted) -> int:
    """What the receiver got: the provider takes its fee out of what leaves."""
    return completed.units - completed.fee_units
