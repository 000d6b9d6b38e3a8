"""Values of withdrawals: the row with its states, and what its saga remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from poolmaker.business.treasury.model import Sending, SendSettings
from poolmaker.kernel.ids import CorrelationId, SagaId, UserId, WithdrawalId
from poolmaker.kernel.states import StateTable
from poolmaker.messages.base import Message, Money

WITHDRAWAL: Final = "withdrawal"
NOBODY: Final = SagaId("")


class WithdrawalState(StrEnum):
    """Where a withdrawal stands. The draining and settling of an order is its exit's part."""

    REQUESTED = "requested"
    """Recorded."""
    AWAITING_CASH = "awaiting_cash"
    """The place that pays has too little that nobody claims; or HOLD_WITHDRAW is asked."""
    HELD = "held"
    """The money is reserved for it; it waits for its turn to be sent."""
    SENT = "sent"
    """The sending is recorded: it may have left."""
    CONFIRMED = "confirmed"
    """The provider's history says it is complete."""
    DEBITED = "debited"
    """The ledger says so too."""
    DONE = "done"
    """Over: paid."""
    REFUSED = "refused"
    """The provider's own word: it was not paid."""
    RELEASED = "released"
    """Over: the money is the user's available again."""
    DECLINED = "declined"
    """Over: the ledger did not hold the money, so nothing was sent."""


class WithdrawalEvent(StrEnum):
    """What happens to a withdrawal."""

    QUEUED = "queued"
    HOLD_ASKED = "hold_asked"
    HOLD_POSTED = "hold_posted"
    HOLD_POSTPONED = "hold_postponed"
    HOLD_REFUSED = "hold_refused"
    SENDING = "sending"
    SENDING_AGAIN = "sending_again"
    ACKNOWLEDGED = "acknowledged"
    NOT_SENT = "not_sent"
    REFUSED_IN_DOUBT = "refused_in_doubt"
    NEEDS_PERSON = "needs_person"
    DECIDED = "decided"
    REFUSED = "refused"
    COMPLETED = "completed"
    REST_ASKED = "rest_asked"
    DEBIT_POSTED = "debit_posted"
    RELEASE_POSTPONED = "release_postponed"
    RELEASE_POSTED = "release_posted"
    CLOSED = "closed"


_S, _E = WithdrawalState, WithdrawalEvent

WITHDRAWAL_TABLE: Final[StateTable[WithdrawalState, WithdrawalEvent]] = StateTable(
    name="Withdrawal",
    initial=_S.REQUESTED,
    terminal=frozenset({_S.DONE, _S.RELEASED, _S.DECLINED}),
    transitions={
        (_S.REQUESTED, _E.QUEUED): _S.AWAITING_CASH,
        (_S.AWAITING_CASH, _E.HOLD_ASKED): _S.AWAITING_CASH,
        (_S.AWAITING_CASH, _E.HOLD_POSTPONED): _S.AWAITING_CASH,
        (_S.AWAITING_CASH, _E.HOLD_POSTED): _S.HELD,
        (_S.AWAITING_CASH, _E.HOLD_REFUSED): _S.DECLINED,
        (_S.HELD, _E.SENDING): _S.SENT,
        (_S.SENT, _E.SENDING_AGAIN): _S.SENT,
        (_S.SENT, _E.ACKNOWLEDGED): _S.SENT,
        (_S.SENT, _E.NOT_SENT): _S.SENT,
        (_S.SENT, _E.REFUSED_IN_DOUBT): _S.SENT,
        (_S.SENT, _E.NEEDS_PERSON): _S.SENT,
        (_S.SENT, _E.DECIDED): _S.SENT,
        (_S.SENT, _E.REFUSED): _S.REFUSED,
        (_S.SENT, _E.COMPLETED): _S.CONFIRMED,
        (_S.CONFIRMED, _E.REST_ASKED): _S.CONFIRMED,
        (_S.CONFIRMED, _E.DEBIT_POSTED): _S.DEBITED,
        (_S.DEBITED, _E.CLOSED): _S.DONE,
        (_S.REFUSED, _E.RELEASE_POSTPONED): _S.REFUSED,
        (_S.REFUSED, _E.RELEASE_POSTED): _S.RELEASED,
    },
)

CLAIMS_CASH: Final = frozenset({_S.HELD, _S.SENT, _S.CONFIRMED})
"""Money of these is still in custody by the ledger and promised to somebody."""

IN_FLIGHT: Final = frozenset({_S.SENT, _S.CONFIRMED})
"""Of these the place may have let the money go before the ledger says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One payout of one asset. ``units`` includes the provider's fee: the receiver gets the rest.

    ``source`` is the custody account that pays. ``reference`` is what the provider knows it by.
    ``held_seq`` is its place in the queue. ``parent`` is the saga that waits for its end, empty
    when nobody does. ``suspense`` names the suspense that a refund gives back, and then there is
    no ``user``; empty for money that is its user's available.
    """

    id: WithdrawalId
    key: str
    user: UserId
    source: str
    asset: str
    units: int
    network: str
    address: str
    tag: str
    reference: str
    requested_us: int
    correlation: CorrelationId
    parent: SagaId = NOBODY
    suspense: str = ""
    state: WithdrawalState = WithdrawalState.REQUESTED
    held_seq: int = 0
    provider_id: str = ""
    transaction_id: str = ""
    fee_units: int = 0
    reason: str = ""

    @property
    def saga(self) -> SagaId:
        """Its saga bears its name."""
        return SagaId(self.id)


@dataclass(frozen=True, slots=True)
class WithdrawalLine:
    """One line of a withdrawal's story; ``key`` is the ledger command that moved money, if any."""

    at_us: int
    state: WithdrawalState
    event: str
    key: str = ""
    note: str = ""


class WithdrawalData(Message, frozen=True, kw_only=True):
    """What the saga remembers.

    The receiver got ``received_units``; ``other_fee`` was taken at ``other_location`` beside that.
    """

    hold: int = 0
    hold_asked: bool = False
    release: int = 0
    sending: Sending = Sending()
    received_units: int = 0
    rest_units: int = 0
    rest_asked: bool = False
    other_fee: Money | None = None
    other_location: str = ""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Outgoing money is stopped, by whom and why."""

    reason: str
    by: str
    at_us: int


class WithdrawRefusal(StrEnum):
    """Why a request is refused; when several hold, the earliest member is given."""

    SAME_KEY_DIFFERENT_CONTENT = "same_key_different_content"
    """The caller's key was used for another withdrawal."""
    BAD_AMOUNT = "bad_amount"
    """Zero or below."""
    DESTINATION_REFUSED = "destination_refused"
    """Payouts of that asset do not go to that network."""


@dataclass(frozen=True, slots=True)
class Requested:
    """Recorded; the same request again answers the same."""

    withdrawal: WithdrawalId


@dataclass(frozen=True, slots=True)
class NotRequested:
    """Refused; nothing was changed."""

    reason: WithdrawRefusal


WithdrawAnswer = Requested | NotRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalSettings(SendSettings):
    """Waiting times, and where each asset may go: asset code to names of networks."""

    networks: Mapping[str, frozenset[str]] = field(default_factory=dict)
