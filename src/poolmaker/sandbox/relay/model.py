"""What the relay sees: withdrawals that wait, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from poolmaker.sandbox.relay.routes import Route

WithdrawalId = NewType("WithdrawalId", str)
TxId = NewType("TxId", str)


class Side(StrEnum):
    """Where a withdrawal leaves."""

    VENUE = "venue"
    """It leaves the venue and arrives at Mixin."""
    MIXIN = "mixin"
    """It leaves Mixin and arrives at the venue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A pending withdrawal; ``units`` (1e-8) is what the receiver gets, fees excluded.

    ``route`` is None when the other side does not list ``asset``.
    """

    side: Side
    withdrawal_id: WithdrawalId
    asset: str
    route: Route | None
    units: int
    address: str
    tag: str


class Outcome(StrEnum):
    """What a line of the relay's log tells."""

    ARRIVED = "arrived"
    """Both sides show the transaction id."""
    LEFT_PENDING = "left_pending"
    """A side refused it; it is offered again later."""
    UNAVAILABLE = "unavailable"
    """A side did not answer; the same is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One line of the relay's log; ``amount`` is decimal text."""

    outcome: Outcome
    leaves: Side
    withdrawal_id: str = ""
    tx_id: str = ""
    asset: str = ""
    amount: str = ""
    address: str = ""
    why: str = ""
