"""The saga ``transfer``: out of one place of ours, sent, seen at the other, into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

import msgspec

from poolmaker.business.ledger.accounts import transit, venue_account_of
from poolmaker.business.ledger.commands import MoveFee, MoveIn, MoveOut
from poolmaker.business.ledger.model import LedgerRefusal, Outcome, Posted, PostingRefused
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.custody import Stopped
from poolmaker.business.treasury.decisions import (
    DecisionRefusal,
    OutcomeDecision,
    attention_item,
)
from poolmaker.business.treasury.model import (
    NOBODY,
    TRANSFER,
    TRANSFER_TABLE,
    OutgoingPayment,
    PaymentIncident,
    PaymentIncidentKind,
    PaymentSettings,
    Route,
    SendCompleted,
    SendEvent,
    SendFailed,
    SendRequest,
    Transfer,
    TransferArrived,
    TransferData,
    TransferEnd,
    TransferEvent,
    TransferLine,
    TransferRefused,
    TransferRequest,
    TransferState,
)
from poolmaker.business.treasury.ports import (
    ArrivalEvidence,
    CustodyGate,
    PayoutClaims,
    Routes,
    SendingProvider,
    TreasuryStore,
)
from poolmaker.business.treasury.rules import arrival_key, promises, reference_of, way_of
from poolmaker.business.treasury.service.cash import FundingQueue
from poolmaker.business.treasury.service.sending import CourierPorts, OutboundSender
from poolmaker.business.treasury.shortages import Shortage, Shortages
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.sagas.model import Saga, SagaChange, back_off_us
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import CommandKey, CorrelationId, Ids, SagaId, fact_key, request_key
from poolmaker.messages.base import Money, decode, encode

NOTE_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierPorts:
    """What transfers reach the outside through."""

    transactions: Transactions
    store: TreasuryStore
    ledger: LedgerClient
    sagas: SagaStore
    provider: SendingProvider
    evidence: ArrivalEvidence
    routes: Routes
    payouts: PayoutClaims
    fundings: FundingQueue
    gate: CustodyGate


@dataclass(frozen=True, slots=True)
class Carriage:
    """One step: its transaction, its saga with what that remembers, and the row, locked."""

    tx: Tx
    saga: Saga
    data: TransferData
    row: Transfer


class Carrier:
    """Handler of ``transfer``, and the port ``Transfers``. The saga's state is the row's."""

    def __init__(
        self, ports: CarrierPorts, ids: Ids, clock: Clock, settings: PaymentSettings
    ) -> None:
        self._ports = ports
        self._ids = ids
        self._clock = clock
        self._settings = settings
        self._shortages = Shortages()
        courier = CourierPorts(
            transactions=ports.transactions, provider=ports.provider, gate=ports.gate, clock=clock
        )
        self._courier: OutboundSender[Carriage] = OutboundSender(
            self, "transfer", courier, settings
        )

    # --------------------------------------------------------------------------------- requests

    async def request_transfer(self, tx: Tx, wish: TransferRequest) -> str:
        """Raises Unavailable while no route is known."""
        require(wish.money.units > 0, "money: expected more than nothing")
        found = await self._ports.store.transfer_by_key(tx, wish.key)
        if found is not None:
            return found.id
        lane = (wish.source, wish.target, wish.money.asset)
        for route in self._ports.routes.routes():
            if (route.source, route.target, route.asset) == lane:
                row = self.plan(route, wish.money.units, wish.key)
                row = replace(row, parent=wish.saga, correlation=wish.correlation)
                return await self.begin(tx, row)
        raise Unavailable(f"no way is known from {lane[0]} to {lane[1]} for {lane[2]}")

    def plan(self, route: Route, units: int, key: CommandKey) -> Transfer:
        """The row of a transfer that nobody waits for."""
        transfer = self._ids.saga()
        return Transfer(
            id=transfer,
            key=key or CommandKey(transfer),
            source=route.source,
            target=route.target,
            asset=route.asset,
            units=units,
            network=route.network,
            address=route.address,
            tag=route.tag,
            reference=reference_of(transfer),
            requested_us=self._clock.now_us(),
            correlation=CorrelationId(transfer),
        )

    async def begin(self, tx: Tx, row: Transfer) -> str:
        """Record a transfer with its saga."""
        line = TransferLine(row.requested_us, row.state, "planned")
        if not await self._ports.store.add_transfer(tx, row, line):
            raise Unavailable(f"a transfer {row.key!r} is being requested; ask again")
        saga = Saga(
            id=row.id,
            kind=TRANSFER,
            state=row.state,
            version=0,
            due_us=row.requested_us,
            tries=0,
            data=encode(TransferData()),
            correlation=row.correlation,
        )
        ensure(await self._ports.sagas.start(tx, saga), f"saga {saga.id} was there already")
        return row.id

    async def transfer_end(self, tx: Tx, transfer: str) -> TransferEnd | None:
        row = await self._ports.store.transfer(tx, SagaId(transfer))
        require(row is not None, f"transfer: {transfer} is unknown")
        if row is None or row.state not in TRANSFER_TABLE.terminal:
            return None
        if row.state is TransferState.DONE:
            return TransferArrived(row.arrived_units, row.transaction_id)
        return TransferRefused(row.reason)

    async def seen(self, tx: Tx, transfer: SagaId, units: int, reference: str) -> None:
        """The target has told of it; its saga books it."""
        row = await self._ports.store.lock_transfer(tx, transfer)
        if row is None:
            raise InvariantBroken(f"transfer {transfer} was there a moment ago")
        row, now_us = replace(row, arrived_units=units, arrival=reference), self._clock.now_us()
        await self._ports.store.save_transfer(tx, row, TransferLine(now_us, row.state, "seen"))
        await self._ports.sagas.wake(tx, transfer, now_us)

    # ------------------------------------------------------------------------- a person's part

    async def decide(self, transfer: SagaId, decision: OutcomeDecision) -> DecisionRefusal | None:
        """Keep what a person decided about a transfer in doubt; None when it is kept."""
        async with self._ports.transactions.begin("transfer.decide") as tx:
            saga = await self._ports.sagas.find(tx, transfer)
            if saga is None or saga.kind != TRANSFER:
                return DecisionRefusal.UNKNOWN
            if saga.state != TransferState.SENT:
                return DecisionRefusal.NOT_WAITING
            return await self._courier.decide(tx, saga, decision)

    async def sent(self, transfer: SagaId) -> OutgoingPayment | None:
        """What is sent and known of a transfer, None for an unknown one."""
        async with self._ports.transactions.begin("transfer.outgoing") as tx:
            saga = await self._ports.sagas.find(tx, transfer)
            if saga is None or saga.kind != TRANSFER:
                return None
            return self.outgoing(await self.work(tx, saga))

    async def attention(self) -> Sequence[AttentionItem]:
        """Transfers whose outcome a person has to decide, and places that lack money for long."""
        found, assets, now_us = [], self._settings.assets, self._clock.now_us()
        async with self._ports.transactions.begin("transfer.attention") as tx:
            for row in await self._ports.store.open_transfers(tx):
                saga = await self._ports.sagas.find(tx, row.id)
                if saga is not None and row.state is TransferState.SENT:
                    outgoing = self.outgoing(await self.work(tx, saga))
                    found.append(attention_item("treasury", row.id, outgoing, assets))
        decided = [item for item in found if item is not None]
        return [*decided, *self._shortages.attention("treasury", now_us, assets)]

    # ------------------------------------------------------------------------------------- steps

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state."""
        if saga.state == TransferState.SENT:
            await self._courier.follow(saga)
            return
        if saga.state == TransferState.LEFT:
            await self._look_for_it(saga)
            return
        async with self._ports.transactions.begin(f"transfer.{saga.state}") as tx:
            sending = await self._step_inside(await self.work(tx, saga))
        if sending is not None:
            await self._courier.send(*sending)

    async def _step_inside(self, work: Carriage) -> tuple[Saga, OutgoingPayment] | None:
        """The steps that need only the database; answers what is to be sent after the commit."""
        state = work.row.state
        match state:
            case TransferState.PLANNED:
                await self._planned(work)
            case TransferState.MOVED_OUT:
                return await self._moved_out(work)
            case TransferState.ARRIVED | TransferState.REFUSED:
                await self._booked(work)
            case TransferState.SENT | TransferState.LEFT:
                raise InvariantBroken(f"{work.row.id}: what is outside is followed outside")
            case TransferState.DONE | TransferState.RETURNED | TransferState.DECLINED:
                raise InvariantBroken(f"{work.row.id} has ended")
            case _:
                assert_never(state)
        return None

    async def _planned(self, work: Carriage) -> None:
        if not work.data.out_asked:
            await self._ask_out(work)
            return
        key = _out_key(work.saga, work.data)
        outcome = await self._outcome(work, key)
        match outcome:
            case None:
                return
            case Posted():
                await self._go(work, TransferEvent.OUT_POSTED, key=key)
            case PostingRefused(LedgerRefusal.INSUFFICIENT | LedgerRefusal.NOT_FUNDED as reason):
                await self._not_out(work, reason.value)
            case PostingRefused(reason):
                raise InvariantBroken(f"{work.row.id}: {key} was refused: {reason}")
            case _:
                assert_never(outcome)

    async def _ask_out(self, work: Carriage) -> None:
        row = work.row
        # Whose turn it is costs one query and no lock; only who is next asks what the place has.
        if await self._ports.store.lane_taken(work.tx, row):
            await self._wait(work, self._settings.retry_us, "another is on its way there")
            return
        stopped = await why_not_moved(self._ports.gate, work.tx, row)
        if stopped:
            await self._not_out(work, stopped)
            return
        spare = await self._ports.fundings.spare(work.tx, row.source, row.asset)
        if spare is None:
            await self._wait(work, self._settings.ledger_first_us, "positions are being read")
            return
        # Its own units are among the claims already, and so are those of whoever came later.
        units = spare + await self._later(work)
        if units < 0:
            await self._not_out(work, "waiting for cash")
            self._shortage(row, -units)
            return
        if await self._ports.store.lane_taken(work.tx, row):
            await self._wait(work, self._settings.retry_us, "another is on its way there")
            return
        money = Money(asset=row.asset, units=row.units)
        key = _out_key(work.saga, work.data)
        out = MoveOut(key=key, transfer=row.id, location=row.source, money=money)
        await self._ports.ledger.ask(work.tx, out)
        data = msgspec.structs.replace(work.data, out_asked=True)
        await self._go(work, TransferEvent.OUT_ASKED, data, key=key)

    def _shortage(self, row: Transfer, units: int) -> None:
        """What others wait for is told for long ones; the treasury itself plans anew."""
        if row.parent != NOBODY:
            since_us = self._clock.now_us()
            found = Shortage(
                who=row.id, source=row.source, asset=row.asset, units=units, since_us=since_us
            )
            self._shortages.lacks(found)

    async def _later(self, work: Carriage) -> int:
        others = await self._ports.store.open_transfers(work.tx)
        later = [other for other in others if other.id > work.row.id]
        units = 0
        for promise in promises(work.row.source, work.row.asset, (), later):
            there = await self._ports.ledger.balance(work.tx, promise.account, work.row.asset)
            units += promise.open_units(there)
        return units

    async def _not_out(self, work: Carriage, reason: str) -> None:
        """What somebody waits for waits with him; the treasury itself plans anew."""
        if work.row.parent == NOBODY:
            row = replace(work.row, reason=reason)
            await self._go(replace(work, row=row), TransferEvent.OUT_REFUSED, note=reason)
            return
        if not work.data.out_asked:
            await self._wait(work, self._settings.retry_us, reason)
            return
        data = msgspec.structs.replace(work.data, out=work.data.out + 1, out_asked=False)
        retry_us = self._settings.retry_us
        await self._go(work, TransferEvent.OUT_POSTPONED, data, after_us=retry_us, note=reason)

    async def _moved_out(self, work: Carriage) -> tuple[Saga, OutgoingPayment] | None:
        return await self._courier.record(work, work.tx, SendEvent.SENDING)

    async def _look_for_it(self, saga: Saga) -> None:
        """Ask a venue what has come; other places tell by themselves what arrives."""
        async with self._ports.transactions.begin("transfer.left") as tx:
            work = await self.work(tx, saga)
            row = work.row
            if row.arrival:
                await self._arrive(work, row.arrived_units, row.arrival)
                return
            if venue_account_of(row.target) is None:
                await self.polls(work, "not seen at its target yet")
                return
        try:
            units = await self._ports.evidence.arrived_units(
                row.target, row.asset, row.transaction_id
            )
        except (Unavailable, OutcomeUnknown):
            units = None
        async with self._ports.transactions.begin("transfer.seen") as tx:
            work = await self.work(tx, saga)
            if units is None:
                await self.polls(work, "not seen at its target yet")
            else:
                await self._arrive(work, units, row.transaction_id)

    async def _arrive(self, work: Carriage, units: int, reference: str) -> None:
        row = replace(work.row, arrived_units=units, arrival=reference)
        key = arrival_key(row.target, reference)
        arrived = MoveIn(
            key=key,
            transfer=row.id,
            location=row.target,
            money=Money(asset=row.asset, units=units),
            reference=reference,
        )
        await self._ports.ledger.ask(work.tx, arrived)
        expected = row.units - work.data.rest_units - row.fee_units
        note = "" if units == expected else f"{expected} left and {units} arrived"
        if note:
            incident = PaymentIncident(
                PaymentIncidentKind.TRANSFER_DIFFERS, row.id, note, self._clock.now_us()
            )
            await self._ports.store.add_incident(work.tx, incident)
        await self._go(replace(work, row=row), TransferEvent.ARRIVED, key=key, note=note)

    async def _booked(self, work: Carriage) -> None:
        """Every fact is in the ledger: it is over."""
        for key in _fact_keys(work.row, work.data):
            outcome = await self._outcome(work, key)
            if outcome is None:
                return
            if isinstance(outcome, PostingRefused):
                raise InvariantBroken(f"{work.row.id}: {key} was refused: {outcome.reason}")
        back = work.row.state is TransferState.REFUSED
        await self._go(work, TransferEvent.BACK_POSTED if back else TransferEvent.IN_POSTED)

    # ----------------------------------------------------------------- SENT: what its courier asks

    async def work(self, tx: Tx, saga: Saga) -> Carriage:
        """The row, locked."""
        row = await self._ports.store.lock_transfer(tx, saga.id)
        if row is None:
            raise InvariantBroken(f"transfer {saga.id} has a saga and no row")
        return Carriage(tx, saga, decode(saga.data, TransferData), row)

    def outgoing(self, work: Carriage) -> OutgoingPayment:
        """What is sent."""
        row = work.row
        return OutgoingPayment(
            request=SendRequest(
                source=row.source,
                reference=row.reference,
                asset=row.asset,
                units=row.units,
                network=row.network,
                address=row.address,
                tag=row.tag,
            ),
            since_us=row.requested_us,
            sending=work.data.sending,
            provider_id=row.provider_id,
        )

    async def moved(
        self, work: Carriage, event: SendEvent, outgoing: OutgoingPayment, after_us: int
    ) -> tuple[Saga, Carriage]:
        """Keep what is known of the sending."""
        data = msgspec.structs.replace(work.data, sending=outgoing.sending)
        work = replace(work, row=replace(work.row, provider_id=outgoing.provider_id))
        note = outgoing.sending.refusal
        moved = TransferEvent(event.value)
        return await self._go(work, moved, data, after_us=after_us, note=note)

    async def waits(self, work: Carriage, after_us: int, note: str) -> None:
        """Come back after so long."""
        await self._wait(work, after_us, note)

    async def polls(self, work: Carriage, note: str) -> None:
        """However long it takes, it is looked at again."""
        settings = self._settings
        wait = back_off_us(work.saga.tries, settings.poll_first_us, settings.poll_max_us)
        await self._wait(work, wait, note)

    async def frozen(self, tx: Tx) -> str:
        """Why outgoing money is stopped."""
        return await self._ports.payouts.why_frozen(tx)

    async def refused(self, work: Carriage, reason: str, failed: SendFailed | None = None) -> None:
        """The provider's own word: it stands at its source again."""
        row = replace(work.row, reason=reason)
        if row.parent == NOBODY:
            # Nobody waits for it who could tell: the treasury plans it again for ever.
            kind, note = PaymentIncidentKind.TRANSFER_REFUSED, reason[:NOTE_MAX]
            incident = PaymentIncident(kind, way_of(row), note, self._clock.now_us())
            await self._ports.store.add_incident(work.tx, incident)
        back, data = _back(row, row.units, "transfer_back"), work.data
        if failed is not None:
            row = replace(row, provider_id=failed.provider_id)
            data = msgspec.structs.replace(
                data, other_fee=failed.other_fee, other_location=failed.other_location
            )
        for fact in (back, *_facts(row, data)):
            await self._ports.ledger.ask(work.tx, fact)
        work = replace(work, row=row)
        await self._go(work, TransferEvent.REFUSED, data, key=back.key, note=reason)

    async def completed(self, work: Carriage, completed: SendCompleted) -> None:
        """What the history says is booked as it is, in the transaction that believes it."""
        row = replace(
            work.row,
            provider_id=completed.provider_id,
            transaction_id=completed.transaction_id,
            fee_units=completed.fee_units,
        )
        data = msgspec.structs.replace(
            work.data,
            rest_units=max(0, row.units - completed.units),
            sending=msgspec.structs.replace(work.data.sending, in_doubt=False),
            other_fee=completed.other_fee,
            other_location=completed.other_location,
        )
        for fact in _facts(row, data):
            await self._ports.ledger.ask(work.tx, fact)
        after_us = self._settings.poll_first_us
        await self._go(replace(work, row=row), TransferEvent.COMPLETED, data, after_us=after_us)

    # ------------------------------------------------------------------------------------ helpers

    async def _go(
        self,
        work: Carriage,
        event: TransferEvent,
        data: TransferData | None = None,
        *,
        after_us: int = 0,
        key: str = "",
        note: str = "",
    ) -> tuple[Saga, Carriage]:
        """Move the row and its saga together; whoever waits for the end is woken by it."""
        state = TRANSFER_TABLE.next(work.row.state, event)
        if state is None:
            raise InvariantBroken(f"{work.row.id}: {event} is not possible in {work.row.state}")
        self._shortages.solved(work.row.id)
        row, now_us = replace(work.row, state=state), self._clock.now_us()
        line = TransferLine(now_us, state, event, key, note)
        await self._ports.store.save_transfer(work.tx, row, line)
        ends = state in TRANSFER_TABLE.terminal
        if ends and row.parent != NOBODY:
            await self._ports.sagas.wake(work.tx, row.parent, now_us)
        data = data or work.data
        change = SagaChange(state, None if ends else now_us + after_us, encode(data), event)
        saga = await self._ports.sagas.advance(work.tx, work.saga, change, now_us)
        return saga, Carriage(work.tx, saga, data, row)

    async def _outcome(self, work: Carriage, key: CommandKey) -> Outcome | None:
        outcome = await self._ports.ledger.outcome(work.tx, key)
        if outcome is None:
            settings = self._settings
            wait = back_off_us(work.saga.tries, settings.ledger_first_us, settings.ledger_max_us)
            await self._wait(work, wait, "the ledger has not answered yet")
        return outcome

    async def _wait(self, work: Carriage, after_us: int, note: str) -> None:
        due_us = self._clock.now_us() + after_us
        await self._ports.sagas.retry(work.tx, work.saga, due_us, note)


async def why_not_moved(gate: CustodyGate, tx: Tx, way: Transfer | Route) -> str:
    """Why nothing goes from the source of a way to its target, empty when it may."""
    return await gate.stopped(tx, Stopped.OUTGOING, way.source, (way.asset,)) or await gate.stopped(
        tx, Stopped.INCOMING, way.target, (way.asset,)
    )


def _out_key(saga: Saga, data: TransferData) -> CommandKey:
    return request_key(saga.id, "out", data.out)


def _back(row: Transfer, units: int, kind: str) -> MoveIn:
    """What did not leave stands at its source."""
    return MoveIn(
        key=fact_key(kind, row.source, row.reference),
        transfer=row.id,
        location=row.source,
        money=Money(asset=row.asset, units=units),
        reference=row.reference,
    )


def _facts(row: Transfer, data: TransferData) -> list[MoveFee | MoveIn]:
    """What the way has cost, and what was asked for and did not leave."""
    reference = row.transaction_id or row.provider_id
    fees = [("transfer_fee", transit(row.id), Money(asset=row.asset, units=row.fee_units))]
    if data.other_fee is not None:
        location = data.other_location or row.source
        fees.append(("transfer_other_fee", location, data.other_fee))
    taken: list[MoveFee | MoveIn] = [
        MoveFee(
            key=fact_key(kind, row.source, row.reference),
            transfer=row.id,
            location=location,
            money=money,
            reference=reference,
        )
        for kind, location, money in fees
        if money.units > 0
    ]
    rest = [_back(row, data.rest_units, "transfer_rest")] if data.rest_units else []
    return [*taken, *rest]


def _fact_keys(row: Transfer, data: TransferData) -> list[CommandKey]:
    if row.state is TransferState.REFUSED:
        ended = _back(row, row.units, "transfer_back").key
    else:
        ended = arrival_key(row.target, row.arrival)
    return [ended, *(fact.key for fact in _facts(row, data))]
