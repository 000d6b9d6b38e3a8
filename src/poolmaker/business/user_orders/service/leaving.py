"""The saga ``order.exit``: leave the pool, settle on evidence, pause or pay out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, assert_never

import msgspec

from poolmaker.business.ledger.accounts import user_available
from poolmaker.business.ledger.commands import SettleExit
from poolmaker.business.ledger.model import LedgerRefusal, Posted, PostingRefused
from poolmaker.business.pools.model import DealingRequestKind
from poolmaker.business.pools.rules import exit_id_of
from poolmaker.business.user_orders.model import (
    EXIT_TABLE,
    MIXIN,
    NO_CHILD,
    ORDER_TABLE,
    ExitData,
    ExitEvent,
    ExitState,
    PayoutDestination,
    PayoutEnd,
    PayoutRequest,
    RequestedAction,
    UserOrderEvent,
)
from poolmaker.business.user_orders.rules import (
    Next,
    after_exit_refused,
    charges,
    remainders,
    source_of,
)
from poolmaker.business.user_orders.service.dealing import leave_command
from poolmaker.business.user_orders.service.steps import (
    DUST,
    EXIT_FEE,
    OrderStep,
    Steps,
    broken,
    monies,
)
from poolmaker.infra.sagas.model import Saga
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, OrderId, WithdrawalId, request_key
from poolmaker.messages.base import Money, decode

ExitWork = OrderStep[ExitData]
_PAGE: Final = 200
_Out = Literal[ExitState.SETTLED, ExitState.CHARGING, ExitState.UNLOCKING, ExitState.PAYING]


class ExitSaga:
    """Handler of ``order.exit``. A withdrawal of a paused order begins at SETTLED."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state in one transaction."""
        data, state = decode(saga.data, ExitData), ExitState(saga.state)
        async with self._steps.ports.transactions.begin(f"order.exit.{state}") as tx:
            work = OrderStep(tx, saga, data, await self._steps.order(tx, data.order))
            match state:
                case ExitState.STAYING:
                    await self._staying(work)
                case ExitState.DRAINING:
                    await self._draining(work)
                case ExitState.LEAVING:
                    await self._leaving(work)
                case ExitState.SETTLING:
                    await self._settling(work)
                case ExitState.EVIDENCE:
                    await self._evidence(work)
                case (
                    ExitState.SETTLED | ExitState.CHARGING | ExitState.UNLOCKING | ExitState.PAYING
                ):
                    await self._pay_out(work, state)
                case ExitState.DONE:
                    raise InvariantBroken(f"saga {saga.id} has ended")
                case _:
                    assert_never(state)

    async def _pay_out(self, work: ExitWork, state: _Out) -> None:
        match state:
            case ExitState.SETTLED:
                await self._settled(work)
            case ExitState.CHARGING:
                await self._charging(work)
            case ExitState.UNLOCKING:
                await self._unlocking(work)
            case ExitState.PAYING:
                await self._paying(work)
            case _:
                assert_never(state)

    async def _go(
        self, work: ExitWork, event: ExitEvent, data: ExitData | None = None, after_us: int = 0
    ) -> None:
        state = EXIT_TABLE.next(ExitState(work.saga.state), event)
        await self._steps.advance(work, state, event, data or work.data, after_us)

    async def _staying(self, work: ExitWork) -> None:
        pool = await self._steps.pool(work.tx, work.order)
        until_us = work.order.joined_at_us + pool.parameters.stay_min_us
        left_us = until_us - self._steps.clock.now_us()
        if left_us > 0:
            await self._steps.wait(work, left_us, "the minimum stay is not over")
            return
        await self._queue(work, work.data, ExitEvent.STAYED)

    async def _queue(self, work: ExitWork, data: ExitData, event: ExitEvent) -> None:
        await self._steps.queue(work, DealingRequestKind.LEAVE, data.round)
        await self._go(work, event, data, self._steps.settings.event_wait_us)

    async def _draining(self, work: ExitWork) -> None:
        met = await self._steps.barrier(work, work.data.round)
        if met is None:
            return
        order, pool = work.order, await self._steps.pool(work.tx, work.order)
        exit_id = exit_id_of(order.pool, work.saga.id)
        risk = met.at_risk_of(order.pool)
        leave = leave_command(_leave_key(work), order, pool, met, exit_id)
        await self._steps.ports.ledger.ask(work.tx, leave)
        data = msgspec.structs.replace(
            work.data,
            exit_id=exit_id,
            base_at_risk=risk.base_units,
            quote_at_risk=risk.quote_units,
            orders_open=risk.unknown_orders,
            fees_open=risk.unpriced_fees,
        )
        await self._go(work, ExitEvent.BARRIER_MET, data)

    async def _leaving(self, work: ExitWork) -> None:
        key = _leave_key(work)
        outcome = await self._steps.outcome(work, key)
        match outcome:
            case None:
                return
            case Posted(seq):
                await self._steps.close(work, work.data.round, seq)
                order = replace(work.order, shares=0)
                await self._steps.tell(work.tx, order, "shares_burnt", key=key)
                data = msgspec.structs.replace(work.data, left_us=self._steps.clock.now_us())
                await self._ask_settle(work, data, ExitEvent.LEFT)
            case PostingRefused(reason):
                await self._leave_refused(work, reason)
            case _:
                assert_never(outcome)

    async def _leave_refused(self, work: ExitWork, reason: LedgerRefusal) -> None:
        await self._steps.close(work, work.data.round)
        data = msgspec.structs.replace(
            work.data, attempt=work.data.attempt + 1, round=work.data.round + 1
        )
        follows = after_exit_refused(reason)
        match follows:
            case Next.NEW_BARRIER:
                await self._queue(work, data, ExitEvent.REQUEUED)
            case Next.LATER:
                await self._go(work, ExitEvent.NOT_NOW, data, self._steps.settings.retry_us)
            case Next.PRICE | Next.GIVE_BACK | Next.BROKEN:
                raise broken(work.saga, _leave_key(work), reason)
            case _:
                assert_never(follows)

    async def _ask_settle(
        self, work: ExitWork, data: ExitData, event: ExitEvent, after_us: int = 0
    ) -> None:
        settle = SettleExit(
            key=_settle_key(work, data),
            order=data.order,
            exit_id=data.exit_id,
            base_at_risk_units=data.base_at_risk,
            quote_at_risk_units=data.quote_at_risk,
            final=_is_final(data),
        )
        await self._steps.ports.ledger.ask(work.tx, settle)
        await self._go(work, event, data, after_us)

    async def _settling(self, work: ExitWork) -> None:
        key = _settle_key(work, work.data)
        outcome = await self._steps.outcome(work, key)
        match outcome:
            case None:
                return
            case Posted():
                await self._settle_posted(work, key)
            case PostingRefused(LedgerRefusal.INSUFFICIENT) if not _is_final(work.data):
                # Everything is at risk still, so there was nothing to pay yet.
                data = msgspec.structs.replace(work.data, settle=work.data.settle + 1)
                await self._await_evidence(work, data)
            case PostingRefused(reason):
                if after_exit_refused(reason) is not Next.LATER:
                    raise broken(work.saga, key, reason)
                data = msgspec.structs.replace(work.data, settle=work.data.settle + 1)
                after_us = self._steps.settings.retry_us
                await self._ask_settle(work, data, ExitEvent.SETTLE_REFUSED, after_us)
            case _:
                assert_never(outcome)

    async def _settle_posted(self, work: ExitWork, key: CommandKey) -> None:
        data = msgspec.structs.replace(work.data, settles=work.data.settles + 1, settle=0)
        if _is_final(data):
            await self._steps.happen(work.tx, work.order, UserOrderEvent.LEFT, key=key)
            await self._go(work, ExitEvent.ALL_SETTLED, data)
            return
        await self._steps.tell(work.tx, work.order, ExitEvent.PART_SETTLED, key=key)
        await self._await_evidence(work, data)

    async def _await_evidence(self, work: ExitWork, data: ExitData) -> None:
        """The next settlement has a key of its own, because its amounts at risk are others."""
        data = msgspec.structs.replace(data, round=data.round + 1)
        await self._steps.queue(work, DealingRequestKind.EVIDENCE, data.round)
        await self._go(work, ExitEvent.PART_SETTLED, data, self._steps.settings.event_wait_us)

    async def _evidence(self, work: ExitWork) -> None:
        met = await self._steps.barrier(work, work.data.round)
        if met is None:
            return
        await self._steps.close(work, work.data.round)
        risk, known = met.at_risk_of(work.order.pool), work.data
        # What opened after the barrier of the leave is none of the leaver's.
        waited_us = self._steps.clock.now_us() - known.left_us
        fees_wait = waited_us < self._steps.settings.fee_wait_us
        orders_open = min(_orders_open(known), risk.unknown_orders)
        fees_open = min(known.fees_open, risk.unpriced_fees) if fees_wait else 0
        is_settled = not orders_open and not fees_open
        data = msgspec.structs.replace(
            known,
            base_at_risk=0 if is_settled else min(known.base_at_risk, risk.base_units),
            quote_at_risk=0 if is_settled else min(known.quote_at_risk, risk.quote_units),
            orders_open=orders_open,
            fees_open=fees_open,
        )
        await self._ask_settle(work, data, ExitEvent.EVIDENCE_MET)

    async def _settled(self, work: ExitWork) -> None:
        if work.order.wish is not RequestedAction.WITHDRAW:
            order = replace(work.order, child=NO_CHILD, wish=RequestedAction.NONE)
            await self._steps.tell(work.tx, order, ExitEvent.PAUSED)
            await self._go(work, ExitEvent.PAUSED)
            return
        base, quote = await self._steps.locked(work.tx, work.order)
        if base == 0 and quote == 0:
            await self._pay_leftovers(work)
            order = replace(work.order, child=NO_CHILD)
            await self._steps.happen(work.tx, order, UserOrderEvent.NOTHING_LEFT)
            await self._go(work, ExitEvent.NOTHING_LEFT)
            return
        fees, dust = self._charges(work, monies(work.order, base, quote))
        if fees or dust:
            await self._steps.ask_charges(work, fees, EXIT_FEE)
            await self._steps.ask_charges(work, dust, DUST)
            data = msgspec.structs.replace(work.data, charges=fees, dust=dust)
            await self._go(work, ExitEvent.CHARGE_ASKED, data)
            return
        data = msgspec.structs.replace(work.data, base_units=base, quote_units=quote)
        await self._ask_unlock(work, data, ExitEvent.UNLOCK_ASKED)

    def _charges(
        self, work: ExitWork, held: Sequence[Money]
    ) -> tuple[tuple[Money, ...], tuple[Money, ...]]:
        """Fees and dust. Only the way to a Mixin wallet was quoted."""
        if work.data.charged:
            return (), ()
        settings, there = self._steps.settings, work.order.destinations
        to_mixin = {to.asset for to in there if to.network == MIXIN}
        back = [money for money in held if money.asset in to_mixin]
        fees = charges(settings.exit_fees, back)
        steps = {to.asset: settings.steps.get((to.asset, to.network), 1) for to in there}
        return fees, remainders(held, fees, steps)

    async def _charging(self, work: ExitWork) -> None:
        paid = await self._steps.charged(work, work.data.charges, EXIT_FEE)
        if paid and await self._steps.charged(work, work.data.dust, DUST):
            await self._steps.tell(work.tx, work.order, ExitEvent.CHARGED)
            data = msgspec.structs.replace(work.data, charged=True)
            await self._go(work, ExitEvent.CHARGED, data)

    async def _ask_unlock(
        self, work: ExitWork, data: ExitData, event: ExitEvent, after_us: int = 0
    ) -> None:
        units, key = (data.base_units, data.quote_units), _unlock_key(work, data)
        await self._steps.ask_unlock(work.tx, work.order, key, units)
        await self._go(work, event, data, after_us)

    async def _unlocking(self, work: ExitWork) -> None:
        key = _unlock_key(work, work.data)
        outcome = await self._steps.outcome(work, key)
        match outcome:
            case None:
                return
            case Posted():
                await self._start_payouts(work, key)
            case PostingRefused(reason):
                if after_exit_refused(reason) is not Next.LATER:
                    raise broken(work.saga, key, reason)
                data = msgspec.structs.replace(work.data, unlock=work.data.unlock + 1)
                after_us = self._steps.settings.retry_us
                await self._ask_unlock(work, data, ExitEvent.UNLOCK_REFUSED, after_us)
            case _:
                assert_never(outcome)

    async def _start_payouts(self, work: ExitWork, key: CommandKey) -> None:
        order, payouts = work.order, list[WithdrawalId]()
        await self._steps.happen(work.tx, order, UserOrderEvent.PAYOUT_STARTED, key=key)
        where = {destination.asset: destination for destination in order.destinations}
        for money in monies(order, work.data.base_units, work.data.quote_units):
            wish = PayoutRequest(
                key=request_key(work.saga.id, f"payout-{money.asset}", 0),
                user=order.user,
                source=source_of(order, where[money.asset], self._steps.settings.mixin_forms),
                money=money,
                destination=where[money.asset],
                saga=work.saga.id,
                correlation=order.correlation,
            )
            payouts.append(await self._steps.ports.payouts.request_payout(work.tx, wish))
        data = msgspec.structs.replace(work.data, payouts=tuple(payouts))
        await self._go(work, ExitEvent.PAYOUT_STARTED, data, self._steps.settings.event_wait_us)

    async def _paying(self, work: ExitWork) -> None:
        desk = self._steps.ports.payouts
        ends = [await desk.payout_end(work.tx, payout) for payout in work.data.payouts]
        if any(end is None for end in ends):
            await self._steps.wait(
                work, self._steps.settings.event_wait_us, "the payout is under way"
            )
            return
        unpaid = PayoutEnd.NOT_PAID in ends
        note = "a payout was not possible: its money is available to the user" if unpaid else ""
        await self._pay_leftovers(work)
        order = replace(work.order, child=NO_CHILD, reason=note or work.order.reason)
        await self._steps.happen(work.tx, order, UserOrderEvent.PAYOUT_ENDED, note=note)
        await self._go(work, ExitEvent.PAYOUT_ENDED)

    async def _pay_leftovers(self, work: ExitWork) -> None:
        """What rewards made available while he had an order follows his last one to his wallet."""
        ports, settings, owner = self._steps.ports, self._steps.settings, work.order.user
        user = await ports.store.user(work.tx, owner)
        if user is None or not user.mixin_id or await self._has_another(work):
            return
        for asset, minimum in settings.leftover_min.items():
            # What waits is read first: a hold that posts meanwhile pays too little, never twice.
            waiting = await ports.payouts.waiting_of(work.tx, owner, asset)
            available = await ports.ledger.balance(work.tx, user_available(owner), asset)
            step = settings.steps.get((asset, MIXIN), 1)
            units = max(0, available - waiting) // step * step
            if units < max(1, minimum):
                continue
            where = PayoutDestination(asset=asset, network=MIXIN, address=user.mixin_id)
            wish = PayoutRequest(
                key=request_key(work.saga.id, f"leftover {asset.replace(':', '.')}", 0),
                user=owner,
                source=source_of(work.order, where, settings.mixin_forms),
                money=Money(asset=asset, units=units),
                destination=where,
                saga=NO_CHILD,
                correlation=work.order.correlation,
            )
            await ports.payouts.request_payout(work.tx, wish)

    async def _has_another(self, work: ExitWork) -> bool:
        """Whether he has another order that has not ended: his available may be meant for it."""
        after = OrderId("")
        while True:
            page = await self._steps.ports.store.orders_of(work.tx, work.order.user, after, _PAGE)
            others = [one for one in page if one.id != work.order.id]
            if any(one.state not in ORDER_TABLE.terminal for one in others):
                return True
            if len(page) < _PAGE:
                return False
            after = page[-1].id


def _is_final(data: ExitData) -> bool:
    nothing_at_risk = data.base_at_risk == 0 and data.quote_at_risk == 0
    return nothing_at_risk and not data.orders_open and not data.fees_open


def _orders_open(data: ExitData) -> int:
    """A saga from before the counts has amounts only."""
    nothing_at_risk = data.base_at_risk == 0 and data.quote_at_risk == 0
    return data.orders_open if nothing_at_risk or data.fees_open else max(1, data.orders_open)


def _leave_key(work: ExitWork) -> CommandKey:
    return request_key(work.saga.id, "leave", work.data.attempt)


def _settle_key(work: ExitWork, data: ExitData) -> CommandKey:
    return request_key(work.saga.id, f"settle-{data.settles}", data.settle)


def _unlock_key(work: ExitWork, data: ExitData) -> CommandKey:
    return request_key(work.saga.id, "unlock", data.unlock)
