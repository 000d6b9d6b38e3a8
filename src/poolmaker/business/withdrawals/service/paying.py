"""The saga ``withdrawal``: wait for cash, hold, record, send, read the history, debit.

Only SENT talks to the provider, and never inside a transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, assert_never

import msgspec

from poolmaker.business.ledger.accounts import suspense, user_available
from poolmaker.business.ledger.commands import (
    DebitWithdraw,
    HoldWithdraw,
    MoveFee,
    NetworkFee,
    Refund,
    ReleaseWithdraw,
    Reversal,
)
from poolmaker.business.ledger.model import Outcome, Posted, PostingRefused
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.decisions import DecisionRefusal, OutcomeDecision
from poolmaker.business.treasury.model import (
    OutgoingPayment,
    SendCompleted,
    SendEvent,
    SendFailed,
    SendRequest,
)
from poolmaker.business.treasury.ports import CustodyGate, SendingProvider
from poolmaker.business.treasury.rules import received_units
from poolmaker.business.treasury.service import CourierPorts, OutboundSender
from poolmaker.business.treasury.shortages import Shortage, Shortages
from poolmaker.business.withdrawals.model import (
    NOBODY,
    WITHDRAWAL_TABLE,
    Withdrawal,
    WithdrawalData,
    WithdrawalEvent,
    WithdrawalLine,
    WithdrawalSettings,
    WithdrawalState,
)
from poolmaker.business.withdrawals.ports import CashService, SuspenseService, WithdrawalStore
from poolmaker.business.withdrawals.rules import is_for_later, missing_units
from poolmaker.infra.sagas.model import Saga, SagaChange, back_off_us
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, WithdrawalId, fact_key, request_key
from poolmaker.messages.base import Money, decode, encode

_UNPAID: Final = frozenset({WithdrawalState.RELEASED, WithdrawalState.DECLINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalPorts:
    """What withdrawals reach the outside through."""

    transactions: Transactions
    store: WithdrawalStore
    ledger: LedgerClient
    sagas: SagaStore
    provider: SendingProvider
    cash: CashService
    suspense: SuspenseService
    gate: CustodyGate


@dataclass(frozen=True, slots=True)
class WithdrawalStep:
    """One step: its transaction, its saga with what that remembers, and the row, locked."""

    tx: Tx
    saga: Saga
    data: WithdrawalData
    row: Withdrawal


class Paying:
    """Handler of ``withdrawal``. The state of the saga is the state of the row."""

    def __init__(self, ports: WithdrawalPorts, clock: Clock, settings: WithdrawalSettings) -> None:
        self._ports = ports
        self._clock = clock
        self._settings = settings
        self.shortages = Shortages()
        courier = CourierPorts(
            transactions=ports.transactions, provider=ports.provider, gate=ports.gate, clock=clock
        )
        self._courier: OutboundSender[WithdrawalStep] = OutboundSender(
            self, "withdrawal", courier, settings
        )

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state."""
        if saga.state == WithdrawalState.SENT:
            await self._courier.follow(saga)
            return
        async with self._ports.transactions.begin(f"withdrawal.{saga.state}") as tx:
            sending = await self._step_inside(await self.work(tx, saga))
        if sending is not None:
            await self._courier.send(*sending)

    async def _step_inside(self, work: WithdrawalStep) -> tuple[Saga, OutgoingPayment] | None:
        """The steps that need only the database; answers what is to be sent after the commit."""
        state = work.row.state
        match state:
            case WithdrawalState.REQUESTED:
                await self._go(work, WithdrawalEvent.QUEUED)
            case WithdrawalState.AWAITING_CASH:
                await self._await_cash(work)
            case WithdrawalState.HELD:
                return await self._held(work)
            case WithdrawalState.CONFIRMED:
                await self._confirmed(work)
            case WithdrawalState.DEBITED:
                await self._go(work, WithdrawalEvent.CLOSED)
            case WithdrawalState.REFUSED:
                await self._refused(work)
            case WithdrawalState.SENT:
                raise InvariantBroken(f"{work.row.id}: a sent one is followed outside")
            case WithdrawalState.DONE | WithdrawalState.RELEASED | WithdrawalState.DECLINED:
                raise InvariantBroken(f"{work.row.id} has ended")
            case _:
                assert_never(state)
        return None

    # ----------------------------------------------------------------------------- before sending

    async def _await_cash(self, work: WithdrawalStep) -> None:
        if not work.data.hold_asked:
            if await self._is_short(work) or await self._cash(work):
                hold = _hold(work)
                await self._ports.ledger.ask(work.tx, hold)
                data = msgspec.structs.replace(work.data, hold_asked=True)
                await self._go(work, WithdrawalEvent.HOLD_ASKED, data, key=hold.key)
            return
        key = _hold_key(work.saga, work.data)
        outcome = await self._outcome(work, key)
        match outcome:
            case None:
                return
            case Posted(seq):
                row = replace(work.row, held_seq=seq, reason="")
                await self._go(replace(work, row=row), WithdrawalEvent.HOLD_POSTED, key=key)
            case PostingRefused(reason) if is_for_later(reason):
                data = msgspec.structs.replace(work.data, hold=work.data.hold + 1, hold_asked=False)
                await self._go(
                    work, WithdrawalEvent.HOLD_POSTPONED, data, after_us=self._settings.retry_us
                )
            case PostingRefused(reason):
                row = replace(work.row, reason=reason.value)
                await self._go(
                    replace(work, row=row), WithdrawalEvent.HOLD_REFUSED, key=key, note=reason
                )
            case _:
                assert_never(outcome)

    async def _is_short(self, work: WithdrawalStep) -> bool:
        """Whether its owner has not got it: the ledger will refuse, no cash is fetched for it."""
        row = work.row
        owner = suspense(row.suspense) if row.suspense else user_available(row.user)
        return await self._ports.ledger.balance(work.tx, owner, row.asset) < row.units

    async def _cash(self, work: WithdrawalStep) -> bool:
        """Whether the place can pay; when not, the saga comes back."""
        row = work.row
        surplus = await self._ports.cash.surplus(work.tx, row.source, row.asset)
        if surplus is None:
            await self._wait(work, self._settings.ledger_first_us, "positions are being read")
            return False
        claims = await self._ports.store.claims(work.tx, row.source, row.asset)
        missing = missing_units(surplus, row, claims)
        if missing:
            self.shortages.lacks(self._shortage(row, missing))
            await self._wait(work, self._settings.retry_us, "waiting for cash")
            return False
        self.shortages.solved(row.id)
        return True

    def _shortage(self, row: Withdrawal, units: int) -> Shortage:
        return Shortage(
            who=row.id,
            source=row.source,
            asset=row.asset,
            units=units,
            since_us=self._clock.now_us(),
        )

    async def _held(self, work: WithdrawalStep) -> tuple[Saga, OutgoingPayment] | None:
        """Record the sending: one lane, enough cash for all who were first, nothing frozen."""
        if not await self._cash(work):
            return None
        if not await self._ports.store.claim_lane(work.tx, work.row):
            await self._wait(work, self._settings.retry_us, "another is on its way there")
            return None
        sending = await self._courier.record(work, work.tx, SendEvent.SENDING)
        if sending is None:
            await self._ports.store.free_lane(work.tx, work.row)
        return sending

    # ----------------------------------------------------------------- SENT: what its courier asks

    async def work(self, tx: Tx, saga: Saga) -> WithdrawalStep:
        """The row, locked."""
        row = await self._ports.store.lock(tx, WithdrawalId(saga.id))
        if row is None:
            raise InvariantBroken(f"withdrawal {saga.id} has a saga and no row")
        return WithdrawalStep(tx, saga, decode(saga.data, WithdrawalData), row)

    def outgoing(self, work: WithdrawalStep) -> OutgoingPayment:
        """What is sent."""
        row = work.row
        return OutgoingPayment(
            request=_request(row),
            since_us=row.requested_us,
            sending=work.data.sending,
            provider_id=row.provider_id,
        )

    async def moved(
        self, work: WithdrawalStep, event: SendEvent, outgoing: OutgoingPayment, after_us: int
    ) -> tuple[Saga, WithdrawalStep]:
        """Keep what is known of the sending."""
        data = msgspec.structs.replace(work.data, sending=outgoing.sending)
        row = replace(work.row, provider_id=outgoing.provider_id)
        note = outgoing.sending.refusal
        work = replace(work, row=row)
        return await self._go(
            work, WithdrawalEvent(event.value), data, after_us=after_us, note=note
        )

    async def waits(self, work: WithdrawalStep, after_us: int, note: str) -> None:
        """Come back after so long."""
        await self._wait(work, after_us, note)

    async def polls(self, work: WithdrawalStep, note: str) -> None:
        """However long it takes, it is looked at again."""
        settings = self._settings
        wait = back_off_us(work.saga.tries, settings.poll_first_us, settings.poll_max_us)
        await self._wait(work, wait, note)

    async def frozen(self, tx: Tx) -> str:
        """Why outgoing money is stopped."""
        freeze = await self._ports.store.freeze(tx)
        return freeze.reason if freeze is not None else ""

    async def refused(
        self, work: WithdrawalStep, reason: str, failed: SendFailed | None = None
    ) -> None:
        """The provider's own word: the held money goes back to whom it belongs."""
        await self._ports.store.free_lane(work.tx, work.row)
        work = replace(work, row=replace(work.row, reason=reason))
        if failed is not None and failed.other_fee is not None:
            # The hold is given back whole: what the attempt has cost is the operator's.
            fee = MoveFee(
                key=fact_key("payout_failed_fee", work.row.source, work.row.reference),
                transfer=work.row.id,
                location=failed.other_location or work.row.source,
                money=failed.other_fee,
                reference=failed.provider_id,
            )
            await self._ports.ledger.ask(work.tx, fee)
        await self._ask_release(work, work.data, WithdrawalEvent.REFUSED)

    async def completed(self, work: WithdrawalStep, completed: SendCompleted) -> None:
        """What the history says is booked as it is, in the transaction that believes it."""
        row = replace(
            work.row,
            provider_id=completed.provider_id,
            transaction_id=completed.transaction_id,
            fee_units=completed.fee_units,
        )
        data = msgspec.structs.replace(
            work.data,
            received_units=received_units(completed),
            rest_units=max(0, row.units - completed.units),
            sending=msgspec.structs.replace(work.data.sending, in_doubt=False),
            other_fee=completed.other_fee,
            other_location=completed.other_location,
        )
        for fact in _facts(row, data):
            await self._ports.ledger.ask(work.tx, fact)
        await self._ports.store.free_lane(work.tx, row)
        await self._go(replace(work, row=row), WithdrawalEvent.COMPLETED, data, key=_debit_key(row))

    async def decide(self, tx: Tx, saga: Saga, decision: OutcomeDecision) -> DecisionRefusal | None:
        """Keep what a person decided about a payout whose outcome nobody else says."""
        return await self._courier.decide(tx, saga, decision)

    # ------------------------------------------------------------------------------ after sending

    async def _confirmed(self, work: WithdrawalStep) -> None:
        for fact in _facts(work.row, work.data):
            outcome = await self._outcome(work, fact.key)
            if outcome is None:
                return
            if isinstance(outcome, PostingRefused):
                raise InvariantBroken(f"{work.row.id}: {fact.key} was refused: {outcome.reason}")
        if work.data.rest_units and not await self._give_rest_back(work):
            return
        await self._go(work, WithdrawalEvent.DEBIT_POSTED, key=_debit_key(work.row))

    async def _give_rest_back(self, work: WithdrawalStep) -> bool:
        """The provider took less than was held: the rest is the user's. True once it is."""
        if work.row.suspense:
            raise InvariantBroken(f"{work.row.id}: a refund was sent only in part")
        key = request_key(work.saga.id, "rest", work.data.release)
        if not work.data.rest_asked:
            release = ReleaseWithdraw(
                key=key,
                user=work.row.user,
                withdrawal=work.row.id,
                money=_money(work.row, work.data.rest_units),
            )
            await self._ports.ledger.ask(work.tx, release)
            data = msgspec.structs.replace(work.data, rest_asked=True)
            await self._go(work, WithdrawalEvent.REST_ASKED, data, key=key)
            return False
        outcome = await self._outcome(work, key)
        if isinstance(outcome, PostingRefused):
            data = msgspec.structs.replace(
                work.data, rest_asked=False, release=work.data.release + 1
            )
            retry_us = self._settings.retry_us
            await self._go(
                work, WithdrawalEvent.REST_ASKED, data, after_us=retry_us, note=outcome.reason
            )
        return isinstance(outcome, Posted)

    async def _ask_release(
        self, work: WithdrawalStep, data: WithdrawalData, event: WithdrawalEvent, after_us: int = 0
    ) -> None:
        await self._ports.ledger.ask(work.tx, _release(work, data))
        await self._go(work, event, data, after_us=after_us, note=work.row.reason)

    async def _refused(self, work: WithdrawalStep) -> None:
        key = request_key(work.saga.id, "release", work.data.release)
        outcome = await self._outcome(work, key)
        match outcome:
            case None:
                return
            case Posted():
                await self._go(work, WithdrawalEvent.RELEASE_POSTED, key=key)
            case PostingRefused(reason) if is_for_later(reason):
                data = msgspec.structs.replace(work.data, release=work.data.release + 1)
                retry_us = self._settings.retry_us
                await self._ask_release(work, data, WithdrawalEvent.RELEASE_POSTPONED, retry_us)
            case PostingRefused(reason):
                raise InvariantBroken(f"{work.row.id}: {key} was refused: {reason}")
            case _:
                assert_never(outcome)

    # ------------------------------------------------------------------------------------ helpers

    async def _go(
        self,
        work: WithdrawalStep,
        event: WithdrawalEvent,
        data: WithdrawalData | None = None,
        *,
        after_us: int = 0,
        key: str = "",
        note: str = "",
    ) -> tuple[Saga, WithdrawalStep]:
        """Move the row and its saga together; whoever waits for the end is told by it."""
        state = WITHDRAWAL_TABLE.next(work.row.state, event)
        if state is None:
            raise InvariantBroken(f"{work.row.id}: {event} is not possible in {work.row.state}")
        row, now_us = replace(work.row, state=state), self._clock.now_us()
        line = WithdrawalLine(now_us, state, event, key, note)
        self.shortages.solved(row.id)
        await self._ports.store.save(work.tx, row, line)
        ends = state in WITHDRAWAL_TABLE.terminal
        if ends and row.parent != NOBODY:
            await self._ports.sagas.wake(work.tx, row.parent, now_us)
        if ends and row.suspense:
            why = (row.reason or state.value) if state in _UNPAID else ""
            await self._ports.suspense.refund_ended(work.tx, row.suspense, why)
        data = data or work.data
        change = SagaChange(state, None if ends else now_us + after_us, encode(data), event)
        saga = await self._ports.sagas.advance(work.tx, work.saga, change, now_us)
        return saga, WithdrawalStep(work.tx, saga, data, row)

    async def _outcome(self, work: WithdrawalStep, key: CommandKey) -> Outcome | None:
        outcome = await self._ports.ledger.outcome(work.tx, key)
        if outcome is None:
            settings = self._settings
            wait = back_off_us(work.saga.tries, settings.ledger_first_us, settings.ledger_max_us)
            await self._wait(work, wait, "the ledger has not answered yet")
        return outcome

    async def _wait(self, work: WithdrawalStep, after_us: int, note: str) -> None:
        due_us = self._clock.now_us() + after_us
        await self._ports.sagas.retry(work.tx, work.saga, due_us, note)


def _request(row: Withdrawal) -> SendRequest:
    return SendRequest(
        source=row.source,
        reference=row.reference,
        asset=row.asset,
        units=row.units,
        network=row.network,
        address=row.address,
        tag=row.tag,
    )


def _money(row: Withdrawal, units: int) -> Money:
    return Money(asset=row.asset, units=units)


def _hold(work: WithdrawalStep) -> HoldWithdraw | Refund:
    """What reserves the money: it comes from its user's available, or from suspense."""
    row, key = work.row, _hold_key(work.saga, work.data)
    money = _money(row, row.units)
    if row.suspense:
        return Refund(key=key, source=row.suspense, withdrawal=row.id, money=money)
    return HoldWithdraw(key=key, user=row.user, withdrawal=row.id, money=money)


def _release(work: WithdrawalStep, data: WithdrawalData) -> ReleaseWithdraw | Reversal:
    """What undoes the hold: the money is its user's available again, or nobody's."""
    row, key = work.row, request_key(work.saga.id, "release", data.release)
    if row.suspense:
        return Reversal(key=key, reverses=_hold_key(work.saga, data), reason=row.reason[:200])
    money = _money(row, row.units)
    return ReleaseWithdraw(key=key, user=row.user, withdrawal=row.id, money=money)


def _hold_key(saga: Saga, data: WithdrawalData) -> CommandKey:
    return request_key(saga.id, "hold", data.hold)


def _debit_key(row: Withdrawal) -> CommandKey:
    return fact_key("payout", row.source, row.reference)


def _facts(row: Withdrawal, data: WithdrawalData) -> list[DebitWithdraw | NetworkFee]:
    """What left and what the provider took for it; an amount of nothing is no fact."""
    reference = row.transaction_id or row.provider_id
    debit = DebitWithdraw(
        key=_debit_key(row),
        withdrawal=row.id,
        location=row.source,
        money=_money(row, data.received_units),
        reference=reference,
    )
    fees = [(row.source, _money(row, row.fee_units), "payout_fee")]
    if data.other_fee is not None:
        fees.append((data.other_location or row.source, data.other_fee, "payout_other_fee"))
    taken: list[DebitWithdraw | NetworkFee] = [
        NetworkFee(
            key=fact_key(kind, row.source, row.reference),
            withdrawal=row.id,
            location=location,
            money=money,
            reference=reference,
        )
        for location, money, kind in fees
    ]
    return [fact for fact in (debit, *taken) if fact.money.units > 0]
