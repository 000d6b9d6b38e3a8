"""What arrives at places of ours: whose it is, and what becomes of what is nobody's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from poolmaker.business.ledger.commands import CreditDeposit, CreditSuspense, OperatorIn
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.model import (
    Arrival,
    ArrivalRow,
    Disposition,
    PaymentIncident,
    PaymentIncidentKind,
    PaymentSettings,
    RefundRequest,
    Suspense,
    SuspenseState,
)
from poolmaker.business.treasury.ports import Deposits, PayoutClaims, TreasuryStore
from poolmaker.business.treasury.rules import (
    arrival_key,
    is_from_a_chain,
    may_be_ours,
    suspense_source,
    the_transfer,
)
from poolmaker.business.treasury.service.carrying import Carrier
from poolmaker.business.treasury.service.watching import ArrivalWatch
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import CommandKey, content_hash, fact_key
from poolmaker.messages.base import Message, Money, encode
from poolmaker.messages.payments import PaymentNames

MIXIN_NETWORK: Final = "mixin"


class _Told(Message, frozen=True, kw_only=True, tag="arrival"):
    """What of an arrival may never change."""

    asset: str
    units: int
    sender: str
    trace: str
    memo: bytes
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptionPorts:
    """What the reception asks of others."""

    store: TreasuryStore
    ledger: LedgerClient
    deposits: Deposits
    payouts: PayoutClaims
    carrier: Carrier
    watch: ArrivalWatch


class IncomingPayments:
    """The port ``Arrivals``: every arrival is judged once, and what is nobody's goes back."""

    def __init__(self, ports: ReceptionPorts, clock: Clock, settings: PaymentSettings) -> None:
        self._store = ports.store
        self._ledger = ports.ledger
        self._deposits = ports.deposits
        self._payouts = ports.payouts
        self._carrier = ports.carrier
        self._watch = ports.watch
        self._clock = clock
        self._settings = settings

    async def arrived(self, tx: Tx, arrival: Arrival) -> Disposition:
        require(arrival.units > 0, "units: expected more than nothing")
        key = arrival_key(arrival.location, arrival.reference)
        # Two tellers of one arrival wait for each other here.
        await self._store.lock_place(tx, arrival.location, f"arrival {arrival.reference}")
        known = await self._store.arrival(tx, arrival.location, arrival.reference)
        if known is not None:
            await self._compare(tx, arrival, known)
            return known.disposition
        disposition, subject = await self._judge(tx, arrival, key)
        if disposition is not Disposition.WAITING:
            row = ArrivalRow(
                location=arrival.location,
                reference=arrival.reference,
                money=Money(asset=arrival.asset, units=arrival.units),
                sender=arrival.sender,
                body_hash=_hash(arrival),
                disposition=disposition,
                subject=subject,
                at_us=self._clock.now_us(),
            )
            await self._store.add_arrival(tx, row)
        return disposition

    async def looked(self, tx: Tx, place: str, at_us: int) -> None:
        await self._watch.looked(tx, place, at_us)

    async def _compare(self, tx: Tx, arrival: Arrival, known: ArrivalRow) -> None:
        if known.body_hash == _hash(arrival):
            return
        note = f"{arrival.reference} is told anew as {arrival.units} {arrival.asset}"
        incident = PaymentIncident(
            PaymentIncidentKind.ARRIVAL_CONFLICT, arrival.location, note, self._clock.now_us()
        )
        await self._store.add_incident(tx, incident)

    async def _judge(self, tx: Tx, arrival: Arrival, key: CommandKey) -> tuple[Disposition, str]:
        transfers = await self._store.open_transfers(tx)
        ours = the_transfer(arrival, transfers)
        if ours is not None:
            await self._carrier.seen(tx, ours.id, arrival.units, arrival.reference)
            return Disposition.TRANSFER, ours.id
        money = Money(asset=arrival.asset, units=arrival.units)
        user = await self._deposits.claim_deposit(tx, key, money, _names(arrival))
        if user is not None:
            deposit = CreditDeposit(
                key=key,
                user=user,
                location=arrival.location,
                money=money,
                reference=arrival.reference,
            )
            await self._ledger.ask(tx, deposit)
            return Disposition.DEPOSIT, user
        if self._is_operators(arrival):
            own = OperatorIn(
                key=key, location=arrival.location, money=money, reference=arrival.reference
            )
            await self._ledger.ask(tx, own)
            return Disposition.OPERATOR, arrival.sender
        young = self._clock.now_us() < arrival.at_us + self._settings.evidence_us
        if is_from_a_chain(arrival) and (young or may_be_ours(arrival, transfers)):
            return Disposition.WAITING, ""
        return await self._nobodys(tx, arrival, key, money)

    def _is_operators(self, arrival: Arrival) -> bool:
        """Whether it came from a wallet of the operator, and no order waits for it."""
        inside = not is_from_a_chain(arrival)
        return inside and arrival.sender in self._settings.operators

    async def _nobodys(
        self, tx: Tx, arrival: Arrival, key: CommandKey, money: Money
    ) -> tuple[Disposition, str]:
        source = suspense_source(arrival)
        credit = CreditSuspense(
            key=key,
            source=source,
            location=arrival.location,
            money=money,
            reference=arrival.reference,
        )
        await self._ledger.ask(tx, credit)
        goes_back = bool(arrival.sender) and not is_from_a_chain(arrival)
        row = Suspense(
            source=source,
            location=arrival.location,
            reference=arrival.reference,
            money=money,
            sender=arrival.sender,
            transaction_id=arrival.transaction_id,
            at_us=arrival.at_us,
            state=SuspenseState.REFUNDING if goes_back else SuspenseState.OPEN,
            reason="nobody's deposit" if goes_back else "nobody knows whose it is",
        )
        await self._store.save_suspense(tx, row)
        if not goes_back:
            return Disposition.SUSPENSE, source
        wish = RefundRequest(
            source=source,
            location=arrival.location,
            money=money,
            network=MIXIN_NETWORK,
            address=arrival.sender,
        )
        await self._payouts.request_refund(tx, fact_key("refund", source), wish)
        return Disposition.REFUND, source

    # ------------------------------------------------------------------------------- for people

    async def resolved(self, tx: Tx, source: str, reason: str) -> None:
        """Nothing of it is in suspense any more: a person has said whose it is."""
        row = await self._store.suspense(tx, source)
        if row is not None and row.state is SuspenseState.OPEN:
            found = replace(row, state=SuspenseState.RESOLVED, reason=reason)
            await self._store.save_suspense(tx, found)

    async def refund_again(self, tx: Tx, source: str, reason: str, request_id: str) -> bool:
        """Pay it back to its sender; False where none is known or it does not wait."""
        row = await self._store.suspense(tx, source)
        if row is None or row.state is not SuspenseState.OPEN or not row.sender:
            return False
        going = replace(row, state=SuspenseState.REFUNDING, reason=reason)
        await self._store.save_suspense(tx, going)
        wish = RefundRequest(
            source=source,
            location=row.location,
            money=row.money,
            network=MIXIN_NETWORK,
            address=row.sender,
        )
        await self._payouts.request_refund(tx, fact_key("refund", source, request_id), wish)
        return True


def _names(arrival: Arrival) -> PaymentNames:
    return PaymentNames(
        trace=arrival.trace, memo=arrival.memo, sender=arrival.sender, at_us=arrival.at_us
    )


def _hash(arrival: Arrival) -> bytes:
    told = _Told(
        asset=arrival.asset,
        units=arrival.units,
        sender=arrival.sender,
        trace=arrival.trace,
        memo=arrival.memo,
        transaction_id=arrival.transaction_id,
    )
    return content_hash(encode(told))
