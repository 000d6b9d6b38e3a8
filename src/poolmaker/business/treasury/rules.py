"""Pure decisions of the treasury: keys of arrivals, and custody beside what is in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poolmaker.business.ledger.model import Outcome, Posted
from poolmaker.business.treasury.model import Booked, Booking, CustodyRow, InFlight, NotBooked
from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import CommandKey, fact_key

REFERENCE_MAX = 120


def arrival_key(location: str, reference: str) -> CommandKey:
    """One arrival at a place is one fact, whoever it is credited to and however often it is told.

    Neither the amount nor the user is part of it: the same reference with another amount, or for
    somebody else, is a conflict and not a second credit.
    """
    require_reference(reference)
    return fact_key("arrival", location, reference)


def departure_key(location: str, reference: str) -> CommandKey:
    """One departure of the operator's own money is one request."""
    require_reference(reference)
    return fact_key("departure", location, reference)


def float_key(asset: str, reference: str) -> CommandKey:
    """One funding of the fee float is one request."""
    require_reference(reference)
    return fact_key("float", asset, reference)


def require_reference(reference: str) -> None:
    """Raise CallerFault unless ``reference`` can name something out there."""
    good = 0 < len(reference) <= REFERENCE_MAX and reference.isprintable()
    require(good, f"reference: expected 1 to {REFERENCE_MAX} printable characters")


def booking(outcome: Outcome) -> Booking:
    """What the operator is told."""
    if isinstance(outcome, Posted):
        return Booked(outcome.seq, outcome.already)
    return NotBooked(outcome.reason)


def custody_rows(
    balances: Mapping[tuple[str, str], int], in_flight: Sequence[InFlight]
) -> tuple[CustodyRow, ...]:
    """Balances by (location, asset) with the rows in flight that belong to each, in order."""
    return tuple(
        CustodyRow(
            location,
            asset,
            units,
            tuple(row for row in in_flight if (row.location, row.asset) == (location, asset)),
        )
        for (location, asset), units in sorted(balances.items())
    )
