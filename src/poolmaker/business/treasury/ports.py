"""What the treasury asks of other rooms."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from poolmaker.business.treasury.booking import ReportedDeposit
from poolmaker.business.treasury.custody import CustodyIncident, Stopped
from poolmaker.business.treasury.model import (
    Arrival,
    ArrivalRow,
    Disposition,
    FundingRow,
    InFlight,
    PaymentIncident,
    RefundRequest,
    Route,
    SendAnswer,
    SendRequest,
    SendStatus,
    Suspense,
    Transfer,
    TransferEnd,
    TransferLine,
    TransferRequest,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey, SagaId, UserId, VenueAccountId, WithdrawalId
from poolmaker.messages.base import Money
from poolmaker.messages.payments import PaymentNames


class Users(Protocol):
    """Who is known; the room of user orders."""

    async def knows(self, tx: Tx, user: UserId) -> bool:
        """Whether there is such a user."""
        ...


class OnTheWayOut(Protocol):
    """What has left or may have left and is not debited yet; the room of withdrawals."""

    async def in_flight(self, tx: Tx) -> Sequence[InFlight]:
        """Every such row."""
        ...


class PayoutClaims(OnTheWayOut, Protocol):
    """What the room of withdrawals promises from a place, atomic units, and its freeze."""

    async def claimed_units(self, tx: Tx, source: str, asset: str) -> int:
        """Promised from there and not debited yet."""
        ...

    async def waiting_units(self, tx: Tx, source: str, asset: str) -> int:
        """What waits until there is cash for it."""
        ...

    async def why_frozen(self, tx: Tx) -> str:
        """Why outgoing money is stopped, empty when it is not."""
        ...

    async def request_refund(self, tx: Tx, key: CommandKey, wish: RefundRequest) -> WithdrawalId:
        """What is nobody's goes back where it came from; the same key is the same refund."""
        ...


class Surpluses(Protocol):
    """What venue accounts hold beyond what pools and leavers claim; the room of pools."""

    async def surplus(self, tx: Tx, account: VenueAccountId, asset: str) -> int | None:
        """Atomic units, or None while nobody can say."""
        ...


class SendingProvider(Protocol):
    """Who sends money out. Every call has its timeout."""

    async def send(self, request: SendRequest) -> SendAnswer:
        """Ask to send. Not idempotent: the caller has recorded it and reads the history first.

        Raises OutcomeUnknown when it may have been taken, Unavailable when it surely was not.
        """
        ...

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        """What the history says of the request's reference; ``since_us`` is when it was made.

        Raises Unavailable when the history cannot be read.
        """
        ...


class Arrivals(Protocol):
    """Who judges what arrives; the treasury. The rooms of the places outside call it."""

    async def arrived(self, tx: Tx, arrival: Arrival) -> Disposition:
        """Classify an arrival and book it, in the caller's transaction; once per reference.

        WAITING means that nothing was written: the caller keeps it and asks again.
        """
        ...


class ScannedArrivals(Arrivals, Protocol):
    """Who judges what arrives where a countdown runs, and has to know when it was looked for."""

    async def looked(self, tx: Tx, place: str, at_us: int) -> None:
        """Everything that had come to the accounts of ``place`` until ``at_us`` was told."""
        ...


class CustodyGate(Protocol):
    """The one place that says whether custody incidents stop something; the treasury."""

    async def stopped(self, tx: Tx, what: Stopped, location: str, assets: Collection[str]) -> str:
        """Why it does not happen at a custody account at present, empty when it may."""
        ...


class Transfers(Protocol):
    """What the treasury does for other rooms: money from one place of ours to another."""

    async def request_transfer(self, tx: Tx, wish: TransferRequest) -> str:
        """Begin a transfer; the same key answers the same transfer's id."""
        ...

    async def transfer_end(self, tx: Tx, transfer: str) -> TransferEnd | None:
        """How it ended, None while it is under way."""
        ...


class CustodyStore(Protocol):
    """Rows of custody incidents, in the caller's transaction."""

    async def custody_incidents(self, tx: Tx) -> Sequence[CustodyIncident]:
        """Open incidents, oldest first."""
        ...

    async def custody_history(self, tx: Tx, limit: int) -> Sequence[CustodyIncident]:
        """The newest incidents, open and closed, newest first."""
        ...

    async def save_custody_incident(self, tx: Tx, incident: CustodyIncident) -> None:
        """Insert an incident, or overwrite all of it but its owner."""
        ...

    async def own_custody_incident(self, tx: Tx, incident: CustodyIncident) -> None:
        """Overwrite the owner of an incident that is there."""
        ...

    async def borne_units(self, tx: Tx, location: str, asset: str, since_us: int) -> int:
        """What equity was asked to bear there of incidents that are open or closed since."""
        ...


class TreasuryStore(CustodyStore, Protocol):
    """Rows of the treasury, in the caller's transaction."""

    async def last_stated(self, tx: Tx, location: str, asset: str) -> str:
        """The key of the newest arrival that people stated there, empty for none."""
        ...

    async def looked_us(self, tx: Tx, place: str) -> int | None:
        """Up to when arrivals at a place were read, None where nobody ever looks."""
        ...

    async def save_look(self, tx: Tx, place: str, at_us: int, gap_from_us: int) -> None:
        """Keep a look, and that nobody had looked since ``gap_from_us``, 0 for no gap."""
        ...

    async def gap_us(self, tx: Tx, place: str, since_us: int) -> int:
        """How long of the time since then nobody looked, without what goes on now."""
        ...

    async def note_stated(self, tx: Tx, location: str, asset: str, key: CommandKey) -> None:
        """Keep the key of an arrival that people stated there."""
        ...

    async def lock_place(self, tx: Tx, location: str, asset: str) -> None:
        """Nobody else decides about that asset there until the transaction ends."""
        ...

    async def add_transfer(self, tx: Tx, row: Transfer, line: TransferLine) -> bool:
        """Insert a transfer; False when its key is there already (then nothing changed)."""
        ...

    async def transfer_by_key(self, tx: Tx, key: CommandKey) -> Transfer | None:
        """The transfer that was requested under ``key``, or None."""
        ...

    async def transfer(self, tx: Tx, transfer: SagaId) -> Transfer | None:
        """One transfer, or None."""
        ...

    async def lock_transfer(self, tx: Tx, transfer: SagaId) -> Transfer | None:
        """One transfer, locked until the transaction ends, or None."""
        ...

    async def save_transfer(self, tx: Tx, row: Transfer, line: TransferLine) -> None:
        """Overwrite a transfer that this transaction has locked and add a line to its story."""
        ...

    async def open_transfers(self, tx: Tx) -> Sequence[Transfer]:
        """Transfers that have not ended, by id."""
        ...

    async def lane_taken(self, tx: Tx, row: Transfer) -> bool:
        """Whether another is in flight on the row's lane, or was planned before it."""
        ...

    async def transfers(self, tx: Tx, limit: int) -> Sequence[Transfer]:
        """The newest transfers, newest first."""
        ...

    async def transfer_lines(self, tx: Tx, transfer: SagaId) -> Sequence[TransferLine]:
        """The story of a transfer, oldest first."""
        ...

    async def arrival(self, tx: Tx, location: str, reference: str) -> ArrivalRow | None:
        """How an arrival was judged, or None."""
        ...

    async def add_arrival(self, tx: Tx, row: ArrivalRow) -> None:
        """Keep how an arrival was judged; its reference is new."""
        ...

    async def arrivals(self, tx: Tx, limit: int) -> Sequence[ArrivalRow]:
        """The newest arrivals that were judged, newest first."""
        ...

    async def suspenses(self, tx: Tx, limit: int) -> Sequence[Suspense]:
        """The newest money that was nobody's, newest first, whatever became of it."""
        ...

    async def suspense(self, tx: Tx, source: str) -> Suspense | None:
        """Money that is nobody's, locked until the transaction ends, or None."""
        ...

    async def save_suspense(self, tx: Tx, row: Suspense) -> None:
        """Insert or overwrite."""
        ...

    async def open_suspense(self, tx: Tx) -> Sequence[Suspense]:
        """What is not refunded or resolved, by source."""
        ...

    async def add_incident(self, tx: Tx, incident: PaymentIncident) -> None:
        """Open an incident; one that is open already stays as it is."""
        ...

    async def incidents(self, tx: Tx) -> Sequence[PaymentIncident]:
        """Every incident, oldest first."""
        ...

    async def add_funding(self, tx: Tx, row: FundingRow) -> None:
        """Queue behind all that are there; the same saga and asset again changes nothing."""
        ...

    async def save_funding(self, tx: Tx, row: FundingRow) -> None:
        """Overwrite the state of a row that is there; what is over stays over.

        Whoever funds has read the row without a lock: its saga may have closed it since.
        """
        ...

    async def fundings_of(self, tx: Tx, saga: SagaId) -> Sequence[FundingRow]:
        """A saga's rows, by their place."""
        ...

    async def open_fundings(self, tx: Tx) -> Sequence[FundingRow]:
        """Rows WANTED or FUNDED, first come first."""
        ...


class Routes(Protocol):
    """How our places are joined; configuration and the providers' own addresses."""

    def routes(self) -> Sequence[Route]:
        """Every route that is known now, the preferred ones first."""
        ...


class ArrivalEvidence(Protocol):
    """What a place's own history says of what came. Every call has its timeout."""

    def knows(self, location: str, asset: str) -> bool:
        """Whether people may state what came there: the place can be asked and tells nothing."""
        ...

    async def deposit(self, location: str, asset: str, reference: str) -> ReportedDeposit | None:
        """What came there under a reference and is final, None where the place knows of nothing.

        Raises Unavailable when the history cannot be read.
        """
        ...

    async def held_units(self, location: str, asset: str) -> int:
        """What the place reports to hold now, atomic units. Raises Unavailable."""
        ...

    async def arrived_units(self, target: str, asset: str, transaction_id: str) -> int | None:
        """Atomic units that came with that transaction and are free there, None for not yet.

        Raises Unavailable when the history cannot be read.
        """
        ...


class Deposits(Protocol):
    """Who waits for deposits; the room of user orders."""

    async def claim_deposit(
        self, tx: Tx, key: CommandKey, money: Money, payment: PaymentNames
    ) -> UserId | None:
        """Whose deposit this is, None when no open leg waits for it and no wallet is proven by it.

        The answer is the claim: the caller credits the user under ``key`` in this transaction.
        """
        ...
