"""Values of the treasury: what an operator is answered, and where custody is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolmaker.business.ledger.model import Refusal
from poolmaker.kernel.ids import CommandKey, CorrelationId, SagaId
from poolmaker.messages.base import Money


class Trouble(StrEnum):
    """Why an operator's command is refused before the ledger is asked."""

    UNKNOWN_USER = "unknown_user"
    """There is no such user: the money stays where it is until somebody says whose it is."""
    BAD_AMOUNT = "bad_amount"
    """Zero or below."""


@dataclass(frozen=True, slots=True)
class Booked:
    """In the ledger at ``seq``. ``already`` when the same command was booked before."""

    seq: int
    already: bool


@dataclass(frozen=True, slots=True)
class NotBooked:
    """Refused; nothing was moved."""

    reason: Refusal | Trouble


Booking = Booked | NotBooked


@dataclass(frozen=True, slots=True)
class InFlight:
    """Money that a place may have let go before the ledger says so, atomic units."""

    location: str
    asset: str
    units: int
    what: str


@dataclass(frozen=True, slots=True)
class CustodyRow:
    """What the ledger says is at a place, and by which named rows the place may already differ."""

    location: str
    asset: str
    units: int
    in_flight: tuple[InFlight, ...]


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


SendAnswer = SendAccepted | SendRefused


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
    ``fee_units`` is 0. Atomic units.
    """

    provider_id: str
    transaction_id: str
    units: int
    fee_units: int
    other_fee: Money | None = None


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The history says that it was rejected, cancelled or failed, and nothing was taken."""

    provider_id: str
    reason: str


SendStatus = SendAbsent | SendUnderWay | SendCompleted | SendFailed


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
    WAITING = "waiting"
    """A transfer of ours may be it; ask again when more is known."""


# --------------------------------------------------------------------- between our own places


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferWish:
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
