"""Choreography of the treasury: the operator's commands into the ledger, and where custody is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from poolmaker.business.ledger.accounts import custody_venue, is_custody, transit
from poolmaker.business.ledger.commands import (
    CreditDeposit,
    CreditSuspense,
    FloatTrade,
    OperatorIn,
    OperatorOut,
    Reversal,
    SettleFees,
)
from poolmaker.business.ledger.model import LedgerTransaction
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.booking import Bearable, Booking, NotBooked, StatementRefusal
from poolmaker.business.treasury.custody import (
    CustodyIncidentKind,
    Stopped,
    shortfall_named,
)
from poolmaker.business.treasury.incidents import incident_item, suspense_item
from poolmaker.business.treasury.model import (
    ArrivalRow,
    CustodyRow,
    FundingRow,
    FundingState,
    PaymentIncident,
    PaymentIncidentKind,
    Suspense,
    SuspenseState,
    Transfer,
    TransferLine,
    TransferState,
)
from poolmaker.business.treasury.ports import ArrivalEvidence, OnTheWayOut, TreasuryStore, Users
from poolmaker.business.treasury.rules import (
    custody_rows,
    departure_key,
    float_key,
    not_booked,
    reversal_key,
    settle_key,
    suspense_name,
    way_of,
)
from poolmaker.business.treasury.service.cash import FundingQueue
from poolmaker.business.treasury.service.custody import CustodyRecords, bear_command
from poolmaker.business.treasury.service.stating import (
    LedgerBooker,
    StatedArrival,
    StatedArrivals,
    StatedPorts,
)
from poolmaker.infra.attention import LISTED_MAX, AttentionItem, and_more
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import CommandKey, SagaId, UserId, VenueAccountId, fact_key
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money, decode

_LOOK_BACK: Final = 100
REVERSIBLE: Final = frozenset(
    {
        "OPERATOR_IN",
        "OPERATOR_OUT",
        "CREDIT_DEPOSIT",
        "FLOAT_TRADE",
        "FLOAT_TRADE.v2",
        "SETTLE_FEES",
        "BEAR_SHORTFALL",
    }
)
"""What people state or decide; what sagas book has its own way back."""
_ARRIVALS: Final[Mapping[str, type[CreditDeposit | OperatorIn]]] = {
    "CREDIT_DEPOSIT": CreditDeposit,
    "OPERATOR_IN": OperatorIn,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasuryPorts:
    """What the treasury reaches the outside through."""

    transactions: Transactions
    ledger: LedgerClient
    users: Users
    on_the_way_out: OnTheWayOut
    store: TreasuryStore
    evidence: ArrivalEvidence
    custody: CustodyRecords
    fundings: FundingQueue


class TreasuryService:
    """The operator's commands. After a doubt give the same again: one reference, one effect.

    ``account`` is the venue account where the money is.
    """

    def __init__(self, ports: TreasuryPorts) -> None:
        self._transactions = ports.transactions
        self._ledger = ports.ledger
        self._users = ports.users
        self._on_the_way_out = ports.on_the_way_out
        self._store = ports.store
        self._evidence = ports.evidence
        self._gate = ports.custody
        self._fundings = ports.fundings
        self._taking_out = asyncio.Lock()
        self._booker = LedgerBooker(ports.transactions, ports.ledger)
        self._stated = StatedArrivals(
            StatedPorts(
                transactions=ports.transactions,
                ledger=ports.ledger,
                store=ports.store,
                evidence=ports.evidence,
                custody=ports.custody,
            ),
            self._booker,
        )

    async def operator_in(
        self,
        account: VenueAccountId,
        amount: Amount,
        reference: str,
        *,
        second_person: bool = False,
    ) -> Booking:
        """The operator's own money has arrived at a venue account; see ``operator_in_at``."""
        location = custody_venue(account)
        return await self.operator_in_at(location, amount, reference, second_person=second_person)

    async def operator_in_at(
        self, location: str, amount: Amount, reference: str, *, second_person: bool = False
    ) -> Booking:
        """The operator's own money has arrived at a place; see ``StatedArrivals``."""
        require(is_custody(location), f"location: expected a custody account, was {location!r}")
        money = Money.of(amount)

        def fact(key: CommandKey, known_as: str) -> OperatorIn:
            return OperatorIn(key=key, location=location, money=money, reference=known_as)

        return await self._stated.book(
            fact, StatedArrival(location, money, reference), second_person=second_person
        )

    async def credit_deposit(
        self,
        user: UserId,
        account: VenueAccountId,
        amount: Amount,
        reference: str,
        *,
        second_person: bool = False,
    ) -> Booking:
        """A user's money has arrived; see ``StatedArrivals``.

        A reference booked for anybody is never booked again.
        """
        location, money = custody_venue(account), Money.of(amount)
        async with self._transactions.begin("treasury.user") as tx:
            if not await self._users.knows(tx, user):
                return NotBooked(StatementRefusal.UNKNOWN_USER)

        def fact(key: CommandKey, known_as: str) -> CreditDeposit:
            return CreditDeposit(
                key=key, user=user, location=location, money=money, reference=known_as
            )

        return await self._stated.book(
            fact, StatedArrival(location, money, reference), second_person=second_person
        )

    async def trade_float(self, amount: Amount, reference: str, *, into_float: bool) -> Booking:
        """The operator's equity becomes float for fees in a third asset, or float equity."""
        key = float_key(amount.asset.code, reference)
        trade = FloatTrade(key=key, money=Money.of(amount), into_float=into_float)
        return await self._booker.book(trade)

    async def settle_fees(self, account: str, amount: Amount, reference: str) -> Booking:
        """Fees that the platform has earned, or remainders, become the operator's equity."""
        key = settle_key(account, amount.asset.code, reference)
        return await self._booker.book(SettleFees(key=key, account=account, money=Money.of(amount)))

    async def operator_out(self, location: str, amount: Amount, reference: str) -> Booking:
        """The operator takes his own money: booked first, sent after; never below zero equity.

        Only what nobody at that place is promised, and not where custody is short. Raises
        Unavailable while nobody can say what is free.
        """
        money = Money.of(amount)
        command = OperatorOut(
            key=departure_key(location, reference),
            location=location,
            money=money,
            reference=reference,
        )
        if money.units <= 0:
            return NotBooked(StatementRefusal.BAD_AMOUNT)
        # What one takes is free for nobody else, also before the ledger says that it is gone.
        async with self._taking_out:
            async with self._transactions.begin("treasury.operator_out") as tx:
                if await self._ledger.outcome(tx, command.key) is None:
                    refused = await self._not_free(tx, location, money)
                    if refused is not None:
                        return refused
                    await self._ledger.ask(tx, command)
            return await self._booker.book(command)

    async def _not_free(self, tx: Tx, location: str, money: Money) -> NotBooked | None:
        if await self._gate.stopped(tx, Stopped.OUTGOING, location, (money.asset,)):
            return NotBooked(StatementRefusal.CUSTODY_STOPPED)
        spare = await self._fundings.spare(tx, location, money.asset)
        if spare is None:
            raise Unavailable(f"what is free at {location} is being read; ask again")
        if spare < money.units:
            return NotBooked(StatementRefusal.NOT_FREE, max(0, spare))
        return None

    async def bearable(self, incident: str) -> Bearable | NotBooked:
        """What equity would bear of an open shortfall, whatever the cap; by its name.

        Not again before the place has been compared with what was borne last. Raises Unavailable
        while the ledger is booking it.
        """
        one = await self._gate.incident(incident)
        if one is None or one.finding.kind is not CustodyIncidentKind.SHORTFALL:
            return NotBooked(StatementRefusal.UNKNOWN_INCIDENT)
        async with self._transactions.begin("treasury.bearable") as tx:
            attempt, borne_us = await self._gate.next_attempt(tx, one)
        if one.seen_us <= borne_us:
            return NotBooked(StatementRefusal.NOT_SEEN_AGAIN)
        return Bearable(one.finding.asset, one.finding.units, attempt)

    async def bear_shortfall(self, incident: str, units: int, attempt: int) -> Booking:
        """Equity bears exactly ``units``; the same attempt again answers as the first did.

        Refused where another amount is missing by now, or another attempt would be the next.
        """
        named = shortfall_named(incident, units)
        if named is None:
            return NotBooked(StatementRefusal.UNKNOWN_INCIDENT)
        command = bear_command(named, attempt)
        async with self._transactions.begin("treasury.borne") as tx:
            answered = await self._ledger.outcome(tx, command.key) is not None
        if not answered:
            now = await self.bearable(incident)
            if isinstance(now, NotBooked):
                return now
            if (now.units, now.attempt) != (units, attempt):
                return NotBooked(StatementRefusal.DIFFERENCE_CHANGED)
        return await self._booker.book(command)

    async def reverse(self, seq: int, reason: str) -> Booking:
        """Undo what a person stated or decided: the mirror image of transaction ``seq``.

        What came to a place that tells by itself is still there and nobody can state it anew: it
        is in suspense from then on, until somebody says whose it is.
        """
        require(reason.strip(), "reason: expected some words")
        async with self._transactions.begin("treasury.reverse") as tx:
            found = await self._ledger.read(tx, seq - 1, 1) if seq > 0 else []
            if not found or found[0].kind not in REVERSIBLE:
                return NotBooked(StatementRefusal.NOT_REVERSIBLE)
            undone = found[0].key
            fact = Reversal(key=reversal_key(undone), reverses=undone, reason=reason)
            if await self._ledger.outcome(tx, fact.key) is None:
                await self._ledger.ask(tx, fact)
                await self._keep_what_is_there(tx, found[0], reason)
        return await self._booker.book(fact)

    async def _keep_what_is_there(self, tx: Tx, undone: LedgerTransaction, reason: str) -> None:
        if undone.kind not in _ARRIVALS:
            return
        arrived = decode(undone.body, _ARRIVALS[undone.kind])
        location, money = arrived.location, arrived.money
        if self._evidence.knows(location, money.asset):
            return
        told = await self._store.arrival(tx, location, arrived.reference)
        row = Suspense(
            source=suspense_name(location, arrived.reference),
            location=location,
            reference=arrived.reference,
            money=money,
            sender=told.sender if told is not None else "",
            transaction_id="",
            at_us=undone.at_us,
            state=SuspenseState.OPEN,
            reason=reason,
        )
        key = fact_key("suspense", reversal_key(undone.key))
        await self._ledger.ask(
            tx,
            CreditSuspense(
                key=key, source=row.source, location=location, money=money, reference=row.reference
            ),
        )
        await self._store.save_suspense(tx, row)

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

    async def incidents(self) -> Sequence[PaymentIncident]:
        """What a person has to look at, oldest first."""
        async with self._transactions.begin("treasury.incidents") as tx:
            return await self._store.incidents(tx)

    async def attention(self) -> Sequence[AttentionItem]:
        """Incidents that have not settled, and money that nobody can be credited for."""
        async with self._transactions.begin("treasury.attention") as tx:
            waiting = await self._store.open_suspense(tx)
            nobodys = [row for row in waiting if row.state is SuspenseState.OPEN]
            newest = await self._store.transfers(tx, _LOOK_BACK)
            names = {row.source for row in nobodys}
            incidents = [
                one
                for one in await self._store.incidents(tx)
                if await self._is_open(tx, one, names, newest)
            ]
        return [
            *and_more([incident_item(one) for one in incidents[:LISTED_MAX]], len(incidents)),
            *and_more([suspense_item(row) for row in nobodys[:LISTED_MAX]], len(nobodys)),
        ]

    async def _is_open(
        self, tx: Tx, one: PaymentIncident, nobodys: set[str], newest: Sequence[Transfer]
    ) -> bool:
        match one.kind:
            case PaymentIncidentKind.ARRIVAL_CONFLICT:
                return True
            case PaymentIncidentKind.REFUND_REFUSED:
                return one.subject in nobodys
            case PaymentIncidentKind.TRANSFER_DIFFERS:
                row = await self._store.transfer(tx, SagaId(one.subject))
                place = transit(one.subject)
                return row is not None and await self._ledger.balance(tx, place, row.asset) != 0
            case PaymentIncidentKind.TRANSFER_REFUSED:
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
