"""Pure decisions of withdrawals: whose turn it is, and what may be asked again."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.withdrawals.model import Withdrawal
from poolmaker.kernel.ids import SagaId, request_uuid


def reference_of(saga: SagaId) -> str:
    """What the provider knows the payout by: a pure function of the saga, 32 hexadecimal digits."""
    return request_uuid(saga, "payout").hex


def missing_units(surplus_units: int, row: Withdrawal, claims: Sequence[Withdrawal]) -> int:
    """What the place lacks to pay ``row`` after all that were held before it, 0 when it can.

    ``claims`` are the withdrawals from that place whose money is promised and not debited; a row
    that is not held yet stands behind all of them.
    """
    before = [
        other.units
        for other in claims
        if other.id != row.id and (row.held_seq == 0 or other.held_seq < row.held_seq)
    ]
    return max(0, sum(before) + row.units - surplus_units)


def is_for_later(refusal: LedgerRefusal) -> bool:
    """Whether a refused hold or release may succeed once somebody mended something."""
    return refusal is LedgerRefusal.BLOCKED_BY_DEFICIT
