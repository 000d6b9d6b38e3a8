"""Choreography of the treasury: the operator's commands into the ledger, and where custody is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from poolmaker.business.ledger.accounts import custody_venue, is_custody, transit
from poolmaker.business.ledger.commands import (
    Command,
    CreditDeposit,
    FundFeeFloat,
    OperatorIn,
    OperatorOut,
)
from poolmaker.business.ledger.model import Refusal
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.model import (
    ArrivalRow,
    Booking,
    CustodyRow,
    FundingRow,
    FundingState,
    Incident,
    NotBooked,
    Suspense,
    SuspenseState,
    Transfer,
    TransferLine,
    TransferState,
    Trouble,
    TroubleKind,
)
from poolmaker.business.treasury.ports import OnTheWayOut, TreasuryStore, Users
from poolmaker.business.treasury.rules import (
    arrival_key,
    booking,
    custody_rows,
    departure_key,
    float_key,
    not_booked,
    way_of,
)
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.kernel.ids import SagaId, UserId, VenueAccountId
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money, encode

_LOOK_BACK: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasuryPorts:
    """What the treasury reaches the outside through."""

    transactions: Transactions
    ledger: LedgerClient
    users: Users
    on_the_way_out: OnTheWayOut
    store: TreasuryStore


class Treasury:
    """The operator's commands. After a doubt give the same again: one reference, one effect.

    ``account`` is the venue account where the money is.
    """

    def __init__(self, ports: TreasuryPorts) -> None:
        self._transactions = ports.transactions
        self._ledger = ports.ledger
        self._users = ports.users
        self._on_the_way_out = ports.on_the_way_out
        self._store = ports.store

    async def operator_in(self, account: VenueAccountId, amount: Amount, reference: str) -> Booking:
        """The operator's own money has arrived at a venue account."""
        return await self.operator_in_at(custody_venue(account), amount, reference)

    async def operator_in_at(self, location: str, amount: Amount, reference: str) -> Booking:
        """The operator's own money has arrived at any custody account."""
        require(is_custody(location), f"location: expected a custody account, was {location!r}")
        return await self._book(
            OperatorIn(
                key=arrival_key(location, reference),
                location=location,
                money=Money.of(amount),
                reference=reference,
            )
        )

    async def credit_deposit(
        self, user: UserId, account: VenueAccountId, amount: Amount, reference: str
    ) -> Booking:
        """A user's money has arrived. A reference booked for anybody is never booked again."""
        location = custody_venue(account)
        async with self._transactions.begin("treasury.user") as tx:
            if not await self._users.knows(tx, user):
                return NotBooked(Trouble.UNKNOWN_USER)
        return await self._book(
            CreditDeposit(
                key=arrival_key(location, reference),
                user=user,
                location=location,
                money=Money.of(amount),
                reference=reference,
            )
        )

    async def fund_fee_float(self, amount: Amount, reference: str) -> Booking:
        """The operator's equity becomes float for fees in a third asset."""
        key = float_key(amount.asset.code, reference)
        return await self._book(FundFeeFloat(key=key, money=Money.of(amount)))

    async def operator_out(
        self, account: VenueAccountId, amount: Amount, reference: str
    ) -> Booking:
        """The operator takes his own money: booked first, sent after; never below zero equity."""
        location = custody_venue(account)
        return await self._book(
            OperatorOut(
                key=departure_key(location, reference),
                location=location,
                money=Money.of(amount),
                reference=reference,
            )
        )

    async def _book(
        self, command: OperatorIn | CreditDeposit | FundFeeFloat | OperatorOut
    ) -> Booking:
        if command.money.units <= 0:
            return NotBooked(Trouble.BAD_AMOUNT)
        try:
            return booking(await self._ledger.submit(command))
        except OutcomeUnknown:
            return await self._look_up(command)

    async def _look_up(self, command: Command) -> Booking:
        """The answer was lost: only what the ledger stored says what happened."""
        async with self._transactions.begin("treasury.look_up") as tx:
            outcome = await self._ledger.outcome(tx, command.key)
            posted = await self._ledger.transaction(tx, command.key)
        if posted is not None and posted.body != encode(command):
            return NotBooked(Refusal.SAME_KEY_DIFFERENT_CONTENT)
        if outcome is None:
            raise OutcomeUnknown(
                f"{command.key}: the ledger has not answered; give the same command again"
            )
        return booking(outcome)

    async def custody(self) -> tuple[CustodyRow, ...]:
        """What the ledger says is where, with the rows by which a place may already differ.

        Every custody account of the ledger is there, whoever is configured.
        """
        async with self._transactions.begin("treasury.custody") as tx:
            balances = await self._ledger.custody(tx)
            in_flight = await self._on_the_way_out.in_flight(tx)
            transfers = await self._store.open_transfers(tx)
        return custody_rows(balances, in_flight, not_booked(transfers))

    async def transfers(self, limit: int) -> Sequence[tuple[Transfer, tuple[TransferLine, ...]]]:
        """The newest transfers between our own places, each with its story."""
        async with self._transactions.begin("treasury.transfers") as tx:
            rows = await self._store.transfers(tx, limit)
            return [(row, tuple(await self._store.transfer_lines(tx, row.id))) for row in rows]

    async def arrivals(self, limit: int) -> Sequence[tuple[ArrivalRow, Suspense | None]]:
        """The newest arrivals; what was nobody's with what became of it."""
        async with self._transactions.begin("treasury.arrivals") as tx:
            rows = await self._store.arrivals(tx, limit)
            waiting = {row.source: row for row in await self._store.suspenses(tx, limit)}
        return [(row, waiting.get(row.subject)) for row in rows]

    async def incidents(self) -> Sequence[Incident]:
        """What a person has to look at, oldest first."""
        async with self._transactions.begin("treasury.incidents") as tx:
            return await self._store.incidents(tx)

    async def troubles(self) -> Sequence[str]:
        """What a person has to look at now, one sentence each; what has settled is left out."""
        async with self._transactions.begin("treasury.troubles") as tx:
            waiting = await self._store.open_suspense(tx)
            nobodys = {row.source for row in waiting if row.state is SuspenseState.OPEN}
            newest = await self._store.transfers(tx, _LOOK_BACK)
            found = [
                f"{one.kind.value} of {one.subject}: {one.note}"
                for one in await self._store.incidents(tx)
                if await self._is_open(tx, one, nobodys, newest)
            ]
        return [*found, *(f"nobody knows whose {source} is" for source in sorted(nobodys))]

    async def _is_open(
        self, tx: Tx, one: Incident, nobodys: set[str], newest: Sequence[Transfer]
    ) -> bool:
        match one.kind:
            case TroubleKind.ARRIVAL_CONFLICT:
                return True
            case TroubleKind.REFUND_REFUSED:
                return one.subject in nobodys
            case TroubleKind.TRANSFER_DIFFERS:
                row = await self._store.transfer(tx, SagaId(one.subject))
                place = transit(one.subject)
                return row is not None and await self._ledger.balance(tx, place, row.asset) != 0
            case TroubleKind.TRANSFER_REFUSED:
                last = next((row for row in newest if way_of(row) == one.subject), None)
                return last is not None and last.state is not TransferState.DONE
            case _:
                assert_never(one.kind)

    async def transfers_under_way(self) -> Sequence[Transfer]:
        """Transfers between our own places that have not ended."""
        async with self._transactions.begin("treasury.under_way") as tx:
            return await self._store.open_transfers(tx)

    async def wanted(self) -> Sequence[FundingRow]:
        """What orders wait for at their venue accounts, first come first."""
        async with self._transactions.begin("treasury.wanted") as tx:
            rows = await self._store.open_fundings(tx)
        return [row for row in rows if row.state is FundingState.WANTED]

    async def open_suspense(self) -> Sequence[Suspense]:
        """Money that is nobody's and not given back yet."""
        async with self._transactions.begin("treasury.suspense") as tx:
            return await self._store.open_suspense(tx)
