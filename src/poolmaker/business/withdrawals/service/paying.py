"""The saga ``withdrawal``: wait for cash, hold, record, send, read the history, debit.

Only SENT talks to the provider, and never inside a transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

import msgspec

from poolmaker.business.ledger.accounts import custody_venue
from poolmaker.business.ledger.commands import (
    DebitWithdraw,
    HoldWithdraw,
    NetworkFee,
    ReleaseWithdraw,
)
from poolmaker.business.ledger.model import Outcome, Posted, Refused
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.model import (
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendFailed,
    SendRefused,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.business.treasury.ports import SendingProvider
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
from poolmaker.business.withdrawals.ports import CashDesk, WithdrawalStore
from poolmaker.business.withdrawals.rules import (
    Verdict,
    believes_refusal,
    has_cash,
    is_for_later,
    received_units,
    verdict,
)
from poolmaker.infra.sagas.model import Saga, SagaChange, back_off_us
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import CommandKey, WithdrawalId, fact_key, request_key
from poolmaker.messages.base import Money, decode, encode


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalPorts:
    """What withdrawals reach the outside through."""

    transactions: Transactions
    store: WithdrawalStore
    ledger: LedgerClient
    sagas: SagaStore
    provider: SendingProvider
    cash: CashDesk


@dataclass(frozen=True, slots=True)
class _Work:
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

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state."""
        if saga.state == WithdrawalState.SENT:
            await self._follow(saga)
            return
        async with self._ports.transactions.begin(f"withdrawal.{saga.state}") as tx:
            work = await self._work(tx, saga)
            sending = await self._step_inside(work)
        if sending is not None:
            await self._send(*sending)

    async def _step_inside(self, work: _Work) -> tuple[Saga, Withdrawal] | None:
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

    async def _await_cash(self, work: _Work) -> None:
        if not work.data.hold_asked:
            if await self._cash(work):
                hold = HoldWithdraw(
                    key=_hold_key(work.saga, work.data),
                    user=work.row.user,
                    withdrawal=work.row.id,
                    money=_money(work.row, work.row.units),
                )
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
            case Refused(reason) if is_for_later(reason):
                data = msgspec.structs.replace(work.data, hold=work.data.hold + 1, hold_asked=False)
                await self._go(
                    work, WithdrawalEvent.HOLD_POSTPONED, data, after_us=self._settings.retry_us
                )
            case Refused(reason):
                row = replace(work.row, reason=reason.value)
                await self._go(
                    replace(work, row=row), WithdrawalEvent.HOLD_REFUSED, key=key, note=reason
                )
            case _:
                assert_never(outcome)

    async def _cash(self, work: _Work) -> bool:
        """Whether the place can pay; when not, the saga comes back."""
        row = work.row
        surplus = await self._ports.cash.surplus(work.tx, row.account, row.asset)
        if surplus is None:
            await self._wait(work, self._settings.ledger_first_us, "positions are being read")
            return False
        claims = await self._ports.store.claims(work.tx, row.account, row.asset)
        if not has_cash(surplus, row, claims):
            await self._wait(work, self._settings.retry_us, "waiting for cash")
            return False
        return True

    async def _held(self, work: _Work) -> tuple[Saga, Withdrawal] | None:
        """Record the sending: one lane, enough cash for all who were first, nothing frozen."""
        freeze = await self._ports.store.freeze(work.tx)
        if freeze is not None:
            await self._wait(work, self._settings.retry_us, f"frozen: {freeze.reason}")
            return None
        if not await self._cash(work):
            return None
        if not await self._ports.store.claim_lane(work.tx, work.row):
            await self._wait(work, self._settings.retry_us, "another is on its way there")
            return None
        return await self._record_sending(work, WithdrawalEvent.SENDING)

    async def _record_sending(self, work: _Work, event: WithdrawalEvent) -> tuple[Saga, Withdrawal]:
        data = msgspec.structs.replace(
            work.data,
            sends=work.data.sends + 1,
            sent_at_us=self._clock.now_us(),
            in_doubt=True,
            refusal="",
        )
        return await self._go(work, event, data, after_us=self._settings.send_wait_us)

    # ------------------------------------------------------------------------------ SENT: outside

    async def _send(self, saga: Saga, row: Withdrawal) -> None:
        """Send what was just recorded, and keep what is known of it now."""
        try:
            answer = await self._ports.provider.send(_request(row))
        except OutcomeUnknown:
            await self._after_send(saga, None)
        except Unavailable:
            await self._not_sent(saga)
        else:
            await self._after_send(saga, answer)

    async def _not_sent(self, saga: Saga) -> None:
        async with self._ports.transactions.begin("withdrawal.not_sent") as tx:
            work = await self._work(tx, saga)
            data = msgspec.structs.replace(work.data, in_doubt=False)
            await self._go(work, WithdrawalEvent.NOT_SENT, data, after_us=self._settings.retry_us)

    async def _after_send(self, saga: Saga, answer: SendAnswer | None) -> None:
        async with self._ports.transactions.begin("withdrawal.answered") as tx:
            work = await self._work(tx, saga)
            match answer:
                case None:
                    await self._wait(work, self._settings.poll_first_us, "the outcome is unknown")
                case SendAccepted(provider_id):
                    row = replace(work.row, provider_id=provider_id)
                    await self._go(
                        replace(work, row=row),
                        WithdrawalEvent.ACKNOWLEDGED,
                        after_us=self._settings.poll_first_us,
                    )
                case SendRefused(reason) if believes_refusal(work.data):
                    await self._refuse(work, reason)
                case SendRefused(reason):
                    # It may be refused because an earlier sending was taken after all.
                    data = msgspec.structs.replace(work.data, refusal=reason)
                    await self._go(
                        work,
                        WithdrawalEvent.REFUSED_IN_DOUBT,
                        data,
                        after_us=self._settings.poll_first_us,
                        note=reason,
                    )
                case _:
                    assert_never(answer)

    async def _follow(self, saga: Saga) -> None:
        """Read the history and act on what it proves."""
        async with self._ports.transactions.begin("withdrawal.sent") as tx:
            row = (await self._work(tx, saga)).row
        try:
            status = await self._ports.provider.find(_request(row), row.requested_us)
        except (Unavailable, OutcomeUnknown) as error:
            async with self._ports.transactions.begin("withdrawal.unread") as tx:
                await self._poll(await self._work(tx, saga), f"the history is unread: {error}")
            return
        async with self._ports.transactions.begin("withdrawal.judged") as tx:
            sending = await self._judge(await self._work(tx, saga), status)
        if sending is not None:
            await self._send(*sending)

    async def _judge(self, work: _Work, status: SendStatus) -> tuple[Saga, Withdrawal] | None:
        now_us, absent_after_us = self._clock.now_us(), self._settings.absent_after_us
        judged = verdict(status, work.row, work.data, now_us, absent_after_us)
        match judged:
            case Verdict.COMPLETED:
                ensure(isinstance(status, SendCompleted), "a completed payout says so")
                if isinstance(status, SendCompleted):
                    await self._complete(work, status)
            case Verdict.REFUSED:
                reason = status.reason if isinstance(status, SendFailed) else work.data.refusal
                await self._refuse(work, reason)
            case Verdict.SEND_AGAIN:
                return await self._send_again(work)
            case Verdict.WAIT:
                await self._note(work, status)
            case _:
                assert_never(judged)
        return None

    async def _send_again(self, work: _Work) -> tuple[Saga, Withdrawal] | None:
        freeze = await self._ports.store.freeze(work.tx)
        if freeze is not None:
            await self._wait(work, self._settings.retry_us, f"frozen: {freeze.reason}")
            return None
        return await self._record_sending(work, WithdrawalEvent.SENDING_AGAIN)

    async def _note(self, work: _Work, status: SendStatus) -> None:
        """Keep the provider's id when the history is the first to tell it, then look again."""
        if isinstance(status, SendUnderWay) and not work.row.provider_id:
            row = replace(work.row, provider_id=status.provider_id)
            await self._go(
                replace(work, row=row),
                WithdrawalEvent.ACKNOWLEDGED,
                after_us=self._settings.poll_first_us,
            )
            return
        await self._poll(work, "not complete yet")

    async def _refuse(self, work: _Work, reason: str) -> None:
        """The provider's own word: the held money goes back to the user."""
        await self._ports.store.free_lane(work.tx, work.row)
        work = replace(work, row=replace(work.row, reason=reason))
        await self._ask_release(work, work.data, WithdrawalEvent.REFUSED)

    async def _complete(self, work: _Work, completed: SendCompleted) -> None:
        """What the history says is booked as it is, in the transaction that believes it."""
        row = replace(
            work.row,
            provider_id=completed.provider_id,
            transaction_id=completed.transaction_id,
            fee_units=completed.fee_units,
        )
        for fact in _facts(row, completed):
            await self._ports.ledger.ask(work.tx, fact)
        await self._ports.store.free_lane(work.tx, row)
        data = msgspec.structs.replace(
            work.data, rest_units=max(0, row.units - completed.units), in_doubt=False
        )
        await self._go(replace(work, row=row), WithdrawalEvent.COMPLETED, data, key=_debit_key(row))

    # ------------------------------------------------------------------------------ after sending

    async def _confirmed(self, work: _Work) -> None:
        for key in _fact_keys(work.row, work.data):
            outcome = await self._outcome(work, key)
            if outcome is None:
                return
            if isinstance(outcome, Refused):
                raise InvariantBroken(
                    f"{work.row.id}: the fact {key} was refused: {outcome.reason}"
                )
        if work.data.rest_units and not await self._give_rest_back(work):
            return
        await self._go(work, WithdrawalEvent.DEBIT_POSTED, key=_debit_key(work.row))

    async def _give_rest_back(self, work: _Work) -> bool:
        """The provider took less than was held: the rest is the user's. True once it is."""
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
        if isinstance(outcome, Refused):
            data = msgspec.structs.replace(
                work.data, rest_asked=False, release=work.data.release + 1
            )
            retry_us = self._settings.retry_us
            await self._go(
                work, WithdrawalEvent.REST_ASKED, data, after_us=retry_us, note=outcome.reason
            )
        return isinstance(outcome, Posted)

    async def _ask_release(
        self, work: _Work, data: WithdrawalData, event: WithdrawalEvent, after_us: int = 0
    ) -> None:
        release = ReleaseWithdraw(
            key=request_key(work.saga.id, "release", data.release),
            user=work.row.user,
            withdrawal=work.row.id,
            money=_money(work.row, work.row.units),
        )
        await self._ports.ledger.ask(work.tx, release)
        await self._go(work, event, data, after_us=after_us, note=work.row.reason)

    async def _refused(self, work: _Work) -> None:
        key = request_key(work.saga.id, "release", work.data.release)
        outcome = await self._outcome(work, key)
        match outcome:
            case None:
                return
            case Posted():
                await self._go(work, WithdrawalEvent.RELEASE_POSTED, key=key)
            case Refused(reason) if is_for_later(reason):
                data = msgspec.structs.replace(work.data, release=work.data.release + 1)
                retry_us = self._settings.retry_us
                await self._ask_release(work, data, WithdrawalEvent.RELEASE_POSTPONED, retry_us)
            case Refused(reason):
                raise InvariantBroken(f"{work.row.id}: {key} was refused: {reason}")
            case _:
                assert_never(outcome)

    # ------------------------------------------------------------------------------------ helpers

    async def _work(self, tx: Tx, saga: Saga) -> _Work:
        row = await self._ports.store.lock(tx, WithdrawalId(saga.id))
        if row is None:
            raise InvariantBroken(f"withdrawal {saga.id} has a saga and no row")
        return _Work(tx, saga, decode(saga.data, WithdrawalData), row)

    async def _go(
        self,
        work: _Work,
        event: WithdrawalEvent,
        data: WithdrawalData | None = None,
        *,
        after_us: int = 0,
        key: str = "",
        note: str = "",
    ) -> tuple[Saga, Withdrawal]:
        """Move the row and its saga together; whoever waits for the end is woken by it."""
        state = WITHDRAWAL_TABLE.next(work.row.state, event)
        if state is None:
            raise InvariantBroken(f"{work.row.id}: {event} is not possible in {work.row.state}")
        row, now_us = replace(work.row, state=state), self._clock.now_us()
        line = WithdrawalLine(now_us, state, event, key, note)
        await self._ports.store.save(work.tx, row, line)
        ends = state in WITHDRAWAL_TABLE.terminal
        if ends and row.parent != NOBODY:
            await self._ports.sagas.wake(work.tx, row.parent, now_us)
        change = SagaChange(
            state, None if ends else now_us + after_us, encode(data or work.data), event
        )
        return await self._ports.sagas.advance(work.tx, work.saga, change, now_us), row

    async def _outcome(self, work: _Work, key: CommandKey) -> Outcome | None:
        outcome = await self._ports.ledger.outcome(work.tx, key)
        if outcome is None:
            settings = self._settings
            wait = back_off_us(work.saga.tries, settings.ledger_first_us, settings.ledger_max_us)
            await self._wait(work, wait, "the ledger has not answered yet")
        return outcome

    async def _poll(self, work: _Work, note: str) -> None:
        """However long it takes, it is looked at again."""
        settings = self._settings
        wait = back_off_us(work.saga.tries, settings.poll_first_us, settings.poll_max_us)
        await self._wait(work, wait, note)

    async def _wait(self, work: _Work, after_us: int, note: str) -> None:
        due_us = self._clock.now_us() + after_us
        await self._ports.sagas.retry(work.tx, work.saga, due_us, note)


def _request(row: Withdrawal) -> SendRequest:
    return SendRequest(
        source=custody_venue(row.account),
        reference=row.reference,
        asset=row.asset,
        units=row.units,
        network=row.network,
        address=row.address,
        tag=row.tag,
    )


def _money(row: Withdrawal, units: int) -> Money:
    return Money(asset=row.asset, units=units)


def _hold_key(saga: Saga, data: WithdrawalData) -> CommandKey:
    return request_key(saga.id, "hold", data.hold)


def _debit_key(row: Withdrawal) -> CommandKey:
    return fact_key("payout", row.account, row.reference)


def _fee_key(row: Withdrawal) -> CommandKey:
    return fact_key("payout_fee", row.account, row.reference)


def _facts(row: Withdrawal, completed: SendCompleted) -> list[DebitWithdraw | NetworkFee]:
    """What left and what the provider took for it; an amount of nothing is no fact."""
    location, received = custody_venue(row.account), received_units(completed)
    debit = DebitWithdraw(
        key=_debit_key(row),
        withdrawal=row.id,
        location=location,
        money=_money(row, received),
        reference=completed.transaction_id or completed.provider_id,
    )
    fee = NetworkFee(
        key=_fee_key(row),
        withdrawal=row.id,
        location=location,
        money=_money(row, completed.fee_units),
        reference=completed.transaction_id or completed.provider_id,
    )
    return [fact for fact in (debit, fee) if fact.money.units > 0]


def _fact_keys(row: Withdrawal, data: WithdrawalData) -> list[CommandKey]:
    taken = row.units - data.rest_units
    keys = [(_debit_key(row), taken - row.fee_units), (_fee_key(row), row.fee_units)]
    return [key for key, units in keys if units > 0]
