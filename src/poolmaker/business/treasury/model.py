"""Values of the treasury: what an operator is answered, and where custody is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import CommandKey, CorrelationId, OrderId, SagaId, VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.kernel.states import StateTable
from poolmaker.messages.base import Message, Money


@dataclass(frozen=True, slots=True)
class InFlight:
    """Money that a place may have let go before the ledger says so, atomic units.

    ``certain``: it is surely still there, so it explains nothing that is missing.
    """

    location: str
    asset: str
    units: int
    what: str
    certain: bool = False


@dataclass(frozen=True, slots=True)
class CustodyRow:
    """What the ledger says is at a place, and by which named rows the place may already differ.

    The place may have ``in_flight`` less and ``not_booked`` more than the ledger says: transfers
    of ours that the ledger has moved and the place has not, or the other way round.
    """

    location: str
    asset: str
    units: int
    in_flight: tuple[InFlight, ...]
    not_booked: tuple[InFlight, ...] = ()


# ------------------------------------------------------------------------------ sending


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """What a provider is asked to send: ``units`` leave ``source``, its fee included.

    ``source`` is the custody account of the place. ``reference`` is 32 hexadecimal digits, a pure
    function of the saga that sends.
    """

    source: str
    reference: str
    asset: str
    units: int
    network: str
    address: str
    tag: str


@dataclass(frozen=True, slots=True)
class SendAccepted:
    """The provider took it under its own id."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class SendRefused:
    """The provider's own word that it did not take it."""

    reason: str


@dataclass(frozen=True, slots=True)
class SendPostponed:
    """The provider does not take it now, and nothing of it can leave by itself: ask again.

    ``needs_person``: time alone is not known to change that.
    """

    reason: str
    needs_person: bool = False


SendAnswer = SendAccepted | SendRefused | SendPostponed


@dataclass(frozen=True, slots=True)
class SendAbsent:
    """The history does not know the reference."""


@dataclass(frozen=True, slots=True)
class SendUnderWay:
    """The history knows it and it is not complete."""

    provider_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCompleted:
    """It has left: ``units`` were taken from the place, of which ``fee_units`` are the fee.

    A provider that takes its fee in another asset says so in ``other_fee``, and then
    ``fee_units`` is 0; ``other_location`` is the custody account it was taken from, empty for the
    source itself. Atomic units.
    """

    provider_id: str
    transaction_id: str
    units: int
    fee_units: int
    other_fee: Money | None = None
    other_location: str = ""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The history says that it was rejected, cancelled or failed, and nothing of it was taken.

    What the attempt itself has cost is ``other_fee``, taken at ``other_location``.
    """

    provider_id: str
    reason: str
    other_fee: Money | None = None
    other_location: str = ""


SendStatus = SendAbsent | SendUnderWay | SendCompleted | SendFailed | SendPostponed


class SendDecision(StrEnum):
    """What a person decided about something that is SENT, with the evidence in view."""

    SENT = "sent"
    """It has left; the person says under which transaction and what was taken."""
    AGAIN = "again"
    """It has not left: send it again."""
    NOT_SENT = "not_sent"
    """It has not left and is not to be sent: the money goes back to whom it belongs."""


class Sending(Message, frozen=True, kw_only=True):
    """What a saga remembers of what it sends. ``in_doubt``: the last one may have had its effect.

    ``refusal`` is the provider's answer to a sending that followed a doubt: it says nothing of the
    earlier one. ``earlier_in_doubt`` is None for what an older version began. ``needs_person`` and
    ``trouble`` are shown until evidence or a decision changes them; ``decided_units`` are what left
    by a person's word, ``decided_fee_units`` of them the fee. ``asked_again``: a person wanted the
    last sending.
    """

    sends: int = 0
    sent_at_us: int = 0
    in_doubt: bool = False
    refusal: str = ""
    earlier_in_doubt: bool | None = None
    asked_again: bool = False
    trouble: str = ""
    needs_person: bool = False
    decision: SendDecision | None = None
    decided_by: str = ""
    decided_transaction: str = ""
    decided_units: int = 0
    decided_fee_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPayment:
    """Something that is SENT: what was asked since when, and what is known of it."""

    request: SendRequest
    since_us: int
    sending: Sending
    provider_id: str


class SendEvent(StrEnum):
    """What happens to something that is SENT and stays so."""

    SENDING = "sending"
    SENDING_AGAIN = "sending_again"
    ACKNOWLEDGED = "acknowledged"
    NOT_SENT = "not_sent"
    REFUSED_IN_DOUBT = "refused_in_doubt"
    NEEDS_PERSON = "needs_person"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """Waiting times of whoever sends.

    ``doubt_after_us`` is how long a history may be silent before a person is asked. However long
    it is silent, that proves nothing. ``assets`` say how many decimals an amount is shown with.
    """

    ledger_first_us: int = SECOND_US // 50
    ledger_max_us: int = SECOND_US
    send_wait_us: int = 30 * SECOND_US
    poll_first_us: int = SECOND_US
    poll_max_us: int = 30 * SECOND_US
    doubt_after_us: int = MINUTE_US
    assets: Mapping[str, Asset] = field(default_factory=dict)
    retry_us: int = 5 * SECOND_US


# ----------------------------------------------------------------------------- arriving


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Money that a place of ours has received, as that place tells it; nobody is credited yet.

    ``reference`` is its natural identity there. ``sender`` is whom it came from where the place
    knows, empty where it does not. ``trace`` is the payment link's, ``memo`` the raw bytes that
    came with it. ``transaction_id`` is that of the chain, empty for what never left the place.
    """

    location: str
    asset: str
    units: int
    reference: str
    at_us: int
    sender: str = ""
    trace: str = ""
    memo: bytes = b""
    transaction_id: str = ""


class Disposition(StrEnum):
    """What became of an arrival."""

    DEPOSIT = "deposit"
    """It is credited to a user."""
    TRANSFER = "transfer"
    """It is what we sent from another place of ours."""
    REFUND = "refund"
    """Nobody's: it goes back to its sender."""
    SUSPENSE = "suspense"
    """Nobody's and without a sender: it waits for a person."""
    OPERATOR = "operator"
    """The operator's own, from one of the operator's wallets."""
    WAITING = "waiting"
    """A transfer of ours may be it; ask again when more is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """What the treasury asks of withdrawals: ``money`` of suspense ``source`` back to its sender.

    It is paid from the custody account ``location``, over ``network`` to ``address``.
    """

    source: str
    location: str
    money: Money
    network: str
    address: str


# --------------------------------------------------------------------- between our own places


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequest:
    """What a saga asks of the treasury: ``money`` from one place of ours to another.

    The same ``key`` is the same transfer for ever. ``saga`` is woken when it has ended.
    """

    key: CommandKey
    source: str
    target: str
    money: Money
    saga: SagaId
    correlation: CorrelationId


@dataclass(frozen=True, slots=True)
class TransferArrived:
    """It is booked at its target: ``units`` came, fees less."""

    units: int
    transaction_id: str


@dataclass(frozen=True, slots=True)
class TransferRefused:
    """The provider's own word: it did not leave, and stands at its source again."""

    reason: str


TransferEnd = TransferArrived | TransferRefused


class TransferState(StrEnum):
    """Where a transfer between our own places stands."""

    PLANNED = "planned"
    """Recorded; MOVE_OUT is asked or waits for cash. Its units are claimed at the source."""
    MOVED_OUT = "moved_out"
    """The ledger has it in transit; it waits for its turn to be sent."""
    SENT = "sent"
    """The sending is recorded: it may have left."""
    LEFT = "left"
    """The provider's history says it left; nobody has seen it at the target yet."""
    ARRIVED = "arrived"
    """The target has it; MOVE_IN is told to the ledger."""
    DONE = "done"
    """Over: it is booked at the target."""
    REFUSED = "refused"
    """The provider's own word: it did not leave; MOVE_IN at the source is told to the ledger."""
    RETURNED = "returned"
    """Over: it stands at its source again."""
    DECLINED = "declined"
    """Over: the source could not spare it, so nothing was moved."""


class TransferEvent(StrEnum):
    """What happens to a transfer."""

    OUT_ASKED = "out_asked"
    OUT_POSTPONED = "out_postponed"
    OUT_REFUSED = "out_refused"
    OUT_POSTED = "out_posted"
    SENDING = "sending"
    SENDING_AGAIN = "sending_again"
    ACKNOWLEDGED = "acknowledged"
    NOT_SENT = "not_sent"
    REFUSED_IN_DOUBT = "refused_in_doubt"
    NEEDS_PERSON = "needs_person"
    DECIDED = "decided"
    REFUSED = "refused"
    COMPLETED = "completed"
    ARRIVED = "arrived"
    IN_POSTED = "in_posted"
    BACK_POSTED = "back_posted"


TRANSFER: Final = "transfer"
NOBODY: Final = SagaId("")

_S, _E = TransferState, TransferEvent

TRANSFER_TABLE: Final[StateTable[TransferState, TransferEvent]] = StateTable(
    name="Transfer",
    initial=_S.PLANNED,
    terminal=frozenset({_S.DONE, _S.RETURNED, _S.DECLINED}),
    transitions={
        (_S.PLANNED, _E.OUT_ASKED): _S.PLANNED,
        (_S.PLANNED, _E.OUT_POSTPONED): _S.PLANNED,
        (_S.PLANNED, _E.OUT_REFUSED): _S.DECLINED,
        (_S.PLANNED, _E.OUT_POSTED): _S.MOVED_OUT,
        (_S.MOVED_OUT, _E.SENDING): _S.SENT,
        (_S.SENT, _E.SENDING_AGAIN): _S.SENT,
        (_S.SENT, _E.ACKNOWLEDGED): _S.SENT,
        (_S.SENT, _E.NOT_SENT): _S.SENT,
        (_S.SENT, _E.REFUSED_IN_DOUBT): _S.SENT,
        (_S.SENT, _E.NEEDS_PERSON): _S.SENT,
        (_S.SENT, _E.DECIDED): _S.SENT,
        (_S.SENT, _E.REFUSED): _S.REFUSED,
        (_S.SENT, _E.COMPLETED): _S.LEFT,
        (_S.LEFT, _E.ARRIVED): _S.ARRIVED,
        (_S.ARRIVED, _E.IN_POSTED): _S.DONE,
        (_S.REFUSED, _E.BACK_POSTED): _S.RETURNED,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How an asset goes from one place of ours to another, as configuration and providers say.

    ``fee_units`` is added to what is needed at the target, for what the way may cost.
    ``minimum_units`` is the least that may be sent; every amount is a multiple of ``step_units``.
    ``nets``: whether the treasury may use it by itself.
    """

    source: str
    target: str
    asset: str
    network: str
    address: str
    tag: str = ""
    fee_units: int = 0
    minimum_units: int = 1
    step_units: int = 1
    nets: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One transfer of one asset. ``units`` leave the source, its fee included.

    ``reference`` is what the provider knows it by. ``parent`` is the saga that waits for its end,
    empty when nobody does. ``arrived_units`` and ``arrival`` are what the target told of it.
    """

    id: SagaId
    key: CommandKey
    source: str
    target: str
    asset: str
    units: int
    network: str
    address: str
    tag: str
    reference: str
    requested_us: int
    correlation: CorrelationId
    parent: SagaId = NOBODY
    state: TransferState = TransferState.PLANNED
    provider_id: str = ""
    transaction_id: str = ""
    fee_units: int = 0
    arrived_units: int = 0
    arrival: str = ""
    reason: str = ""

    @property
    def lane(self) -> tuple[str, str, str]:
        """One transfer is in flight per lane."""
        return self.source, self.target, self.asset


@dataclass(frozen=True, slots=True)
class TransferLine:
    """One line of a transfer's story; ``key`` is the ledger command that moved money, if any."""

    at_us: int
    state: TransferState
    event: str
    key: str = ""
    note: str = ""


class TransferData(Message, frozen=True, kw_only=True):
    """What a transfer's saga remembers; ``rest_units`` were asked for and did not leave."""

    out: int = 0
    out_asked: bool = False
    sending: Sending = Sending()
    rest_units: int = 0
    other_fee: Money | None = None
    other_location: str = ""


# ----------------------------------------------------------------------- what came, and whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalRow:
    """An arrival that was judged. ``subject`` is whose it is: a user, a transfer, a suspense."""

    location: str
    reference: str
    money: Money
    sender: str
    body_hash: bytes
    disposition: Disposition
    subject: str
    at_us: int


class SuspenseState(StrEnum):
    """Where money that is nobody's stands."""

    OPEN = "open"
    """It waits for a person."""
    REFUNDING = "refunding"
    """It is on its way back."""
    REFUNDED = "refunded"
    """Its sender has it."""
    RESOLVED = "resolved"
    """It turned out to be a user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspense:
    """Money that nobody can be credited for. ``source`` names the ledger's suspense account."""

    source: str
    location: str
    reference: str
    money: Money
    sender: str
    transaction_id: str
    at_us: int
    state: SuspenseState
    reason: str


class PaymentIncidentKind(StrEnum):
    """What a person has to look at."""

    ARRIVAL_CONFLICT = "arrival_conflict"
    """A place tells a known reference with another content."""
    REFUND_REFUSED = "refund_refused"
    """Money that is nobody's could not be given back; it is in suspense again."""
    TRANSFER_DIFFERS = "transfer_differs"
    """Another amount arrived than left; the difference is still in transit."""
    TRANSFER_REFUSED = "transfer_refused"
    """A way that the treasury uses by itself is refused; it is tried again after a while."""


@dataclass(frozen=True, slots=True)
class PaymentIncident:
    """Opened once per (kind, subject, note)."""

    kind: PaymentIncidentKind
    subject: str
    note: str
    at_us: int


# --------------------------------------------------------------------------------------- funding


class FundingState(StrEnum):
    """Where the funding of one asset of an order stands."""

    WANTED = "wanted"
    """The venue account has not enough that nobody claims."""
    FUNDED = "funded"
    """It is claimed there."""
    USED = "used"
    """Over: a pool owns it."""
    GONE = "gone"
    """Over: the order went without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRow:
    """What an order needs of one asset at its venue account; rows are funded in their order."""

    saga: SagaId
    order: OrderId
    account: VenueAccountId
    asset: str
    units: int
    state: FundingState = FundingState.WANTED


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings(SendSettings):
    """Waiting times of the treasury.

    ``net_us``: how often what places need is held against what they have. ``evidence_us``: how
    long an arrival from a chain may wait for evidence before it is nobody's. ``refused_us``: how
    long a way on which a transfer was refused is left alone. ``shortfall_max``: atomic units per
    asset that equity bears by itself, per day and custody account. ``operators``: senders whose
    money is the operator's own.
    """

    net_us: int = 5 * SECOND_US
    refused_us: int = MINUTE_US
    evidence_us: int = 10 * MINUTE_US
    event_wait_us: int = 5 * SECOND_US
    shortfall_max: Mapping[str, int] = field(default_factory=dict)
    operators: frozenset[str] = frozenset()
