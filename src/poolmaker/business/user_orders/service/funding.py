"""The saga ``order.fund``: reserve the funds, wait for a barrier, join the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, assert_never

import msgspec

from poolmaker.business.ledger.commands import Lock
from poolmaker.business.ledger.model import LedgerRefusal, Posted, PostingRefused
from poolmaker.business.pools.model import DealingRequestKind
from poolmaker.business.user_orders.model import (
    EXIT,
    FUND_TABLE,
    MIXIN,
    NO_CHILD,
    DepositLeg,
    ExitData,
    ExitState,
    FundData,
    FundEvent,
    FundState,
    Order,
    PayoutRequest,
    RequestedAction,
    UserOrderEvent,
    UserOrderState,
)
from poolmaker.business.user_orders.rules import (
    Next,
    after_exit_refused,
    after_join_refused,
    charges,
    is_remainder,
    minted,
    source_of,
    wallet_of,
)
from poolmaker.business.user_orders.service.dealing import join_command
from poolmaker.business.user_orders.service.steps import (
    FUNDING_FEE,
    OrderStep,
    Steps,
    broken,
    monies,
)
from poolmaker.infra.sagas.model import Saga, back_off_us
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, SagaId, request_key
from poolmaker.messages.base import Money, decode

FundWork = OrderStep[FundData]
EXCESS_WAITS: Final = "what is not in the pool's ratio waits for prices that agree"
COOL_OFF_LOOKS: Final = 16
_Before = Literal[
    FundState.AWAITING_DEPOSITS,
    FundState.LOCKING,
    FundState.LOCKED,
    FundState.CHARGING,
    FundState.FUNDING,
]


class FundingSaga:
    """Handler of ``order.fund``. A resume is a funding that begins at LOCKED."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state in one transaction."""
        data, state = decode(saga.data, FundData), FundState(saga.state)
        async with self._steps.ports.transactions.begin(f"order.fund.{state}") as tx:
            work = OrderStep(tx, saga, data, await self._steps.order(tx, data.order))
            match state:
                case (
                    FundState.AWAITING_DEPOSITS
                    | FundState.LOCKING
                    | FundState.LOCKED
                    | FundState.CHARGING
                    | FundState.FUNDING
                ):
                    await self._before_the_queue(work, state)
                case FundState.QUEUED:
                    await self._queued(work)
                case FundState.JOINING:
                    await self._joining(work)
                case FundState.UNFUNDED:
                    await self._again(work)
                case FundState.UNLOCKING:
                    await self._unlocking(work)
                case FundState.DONE:
                    raise InvariantBroken(f"saga {saga.id} has ended")
                case _:
                    assert_never(state)

    async def _before_the_queue(self, work: FundWork, state: _Before) -> None:
        match state:
            case FundState.AWAITING_DEPOSITS:
                await self._awaiting_deposits(work)
            case FundState.LOCKING:
                await self._locking(work)
            case FundState.LOCKED:
                await self._locked(work)
            case FundState.CHARGING:
                await self._charging(work)
            case FundState.FUNDING:
                await self._funding(work)
            case _:
                assert_never(state)

    async def _go(
        self, work: FundWork, event: FundEvent, data: FundData | None = None, after_us: int = 0
    ) -> None:
        state = FUND_TABLE.next(FundState(work.saga.state), event)
        await self._steps.advance(work, state, event, data or work.data, after_us)

    # --------------------------------------------------------------------------------- deposits

    async def _awaiting_deposits(self, work: FundWork) -> None:
        """Lock when all legs are credited; at the end of the countdown pay back what has come."""
        legs = await self._steps.ports.store.legs(work.tx, work.order.id)
        if all(leg.is_paid for leg in legs):
            await self._lock(work, [CommandKey(leg.key) for leg in legs])
            return
        if work.order.wish is RequestedAction.WITHDRAW:
            await self._expire(work, legs)
            return
        deadline_us, looked_us = await self._steps.deposit_deadline(work.tx, work.order)
        left_us = deadline_us - self._steps.clock.now_us()
        if left_us > 0:
            await self._steps.wait(work, left_us, "waiting for deposits")
        elif looked_us < deadline_us:
            # A payment counts by when it was made: what was made in time may not be read yet.
            wait_us = self._steps.settings.event_wait_us
            await self._steps.wait(work, wait_us, "waiting until deposits are read")
        else:
            await self._expire(work, legs)

    async def _lock(self, work: FundWork, keys: Sequence[CommandKey]) -> None:
        for key in keys:
            if await self._steps.outcome(work, key) is None:
                return
        lock = lock_of(work.order, work.saga.id)
        await self._steps.ports.ledger.ask(work.tx, lock)
        await self._steps.tell(work.tx, work.order, FundEvent.DEPOSITED, key=lock.key)
        await self._go(work, FundEvent.DEPOSITED)

    async def _expire(self, work: FundWork, legs: Sequence[DepositLeg]) -> None:
        await self._pay_back(work, legs)
        reason = "its deposits did not come in time"
        order = replace(work.order, child=NO_CHILD, reason=reason)
        await self._steps.happen(work.tx, order, UserOrderEvent.DEADLINE_PASSED, note=order.reason)
        await self._go(work, FundEvent.EXPIRED)

    async def _pay_back(self, work: FundWork, legs: Sequence[DepositLeg]) -> None:
        """What has come goes to its user's wallet, as far as it is not used elsewhere."""
        for leg in legs:
            await self._pay_to_wallet(work, "refund", leg.asset, leg.paid_units)

    async def _locking(self, work: FundWork) -> None:
        key = lock_key(work.saga.id)
        outcome = await self._steps.outcome(work, key)
        match outcome:
            case None:
                return
            case PostingRefused(reason):
                # Nothing was ever taken from the user: only what he paid for this order goes back.
                legs = await self._steps.ports.store.legs(work.tx, work.order.id)
                await self._pay_back(work, legs)
                order = replace(work.order, child=NO_CHILD, reason=reason.value)
                await self._steps.happen(
                    work.tx, order, UserOrderEvent.LOCK_REFUSED, key=key, note=reason
                )
                await self._go(work, FundEvent.LOCK_REFUSED)
            case Posted():
                await self._steps.happen(work.tx, work.order, UserOrderEvent.LOCK_POSTED, key=key)
                await self._go(work, FundEvent.LOCK_POSTED)
            case _:
                assert_never(outcome)

    async def _locked(self, work: FundWork) -> None:
        if work.order.wish is not RequestedAction.NONE:
            await self._hold_back(work, "the user changed his mind")
            return
        held = monies(work.order, *await self._steps.locked(work.tx, work.order))
        due = self._charges(work, held)
        if due:
            await self._steps.ask_charges(work, due, FUNDING_FEE)
            data = msgspec.structs.replace(work.data, charges=due)
            await self._go(work, FundEvent.CHARGE_ASKED, data)
            return
        if work.order.state is UserOrderState.LOCKED:
            order = await self._steps.happen(work.tx, work.order, UserOrderEvent.FUNDING_STARTED)
            work = replace(work, order=order)
        desk = self._steps.ports.funding
        await desk.want(work.tx, work.saga.id, work.order.id, work.order.account, held)
        await self._funding(work)

    def _charges(self, work: FundWork, held: Sequence[Money]) -> tuple[Money, ...]:
        if work.data.charged or work.data.resumed or not work.order.by_mixin:
            return ()
        return charges(self._steps.settings.funding_fees, held)

    async def _charging(self, work: FundWork) -> None:
        if await self._steps.charged(work, work.data.charges, FUNDING_FEE):
            await self._steps.tell(work.tx, work.order, FundEvent.CHARGED)
            data = msgspec.structs.replace(work.data, charged=True)
            await self._go(work, FundEvent.CHARGED, data)

    async def _funding(self, work: FundWork) -> None:
        """Wait until all that is needed is claimed at the venue, then for a barrier."""
        if work.order.wish is not RequestedAction.NONE:
            await self._hold_back(work, "the user changed his mind")
            return
        wait_us = self._steps.settings.event_wait_us
        stopped = await self._stopped(work)
        if stopped and work.saga.state == FundState.FUNDING:
            await self._steps.wait(work, wait_us, stopped)
        elif not stopped and await self._steps.ports.funding.funded(work.tx, work.saga.id):
            await self._steps.queue(work, DealingRequestKind.JOIN, work.data.round)
            await self._go(work, FundEvent.QUEUED, after_us=wait_us)
        elif work.saga.state == FundState.FUNDING:
            await self._steps.wait(work, wait_us, "waiting for cash at the venue")
        else:
            await self._go(work, FundEvent.CASH_WANTED, after_us=wait_us)

    async def _stopped(self, work: FundWork) -> str:
        """Why no order joins at its venue account now: custody there is in doubt."""
        order = work.order
        assets = (order.base.asset, order.quote.asset)
        return await self._steps.ports.funding.why_not_joined(work.tx, order.account, assets)

    async def _queued(self, work: FundWork) -> None:
        if work.order.wish is not RequestedAction.NONE:
            await self._steps.close(work, work.data.round)
            await self._obey(work)
            return
        met = await self._steps.barrier(work, work.data.round)
        if met is None:
            return
        if await self._stopped(work):
            await self._requeue(work, work.data)
            return
        order, offer = work.order, await self._steps.locked(work.tx, work.order)
        pool = await self._steps.pool(work.tx, order)
        is_first = not work.data.resumed and order.state is not UserOrderState.IN_MM
        least = order.shares_min if is_first else 0
        join = join_command(_join_key(work), order, pool, met, offer, least)
        await self._steps.ports.ledger.ask(work.tx, join)
        data = msgspec.structs.replace(work.data, base_units=offer[0], quote_units=offer[1])
        await self._go(work, FundEvent.BARRIER_MET, data)

    async def _requeue(self, work: FundWork, data: FundData) -> None:
        """Wait for another barrier. The attempt is the ledger's, the round is only the ticket's."""
        if FundState(work.saga.state) is not FundState.UNFUNDED:
            await self._steps.close(work, data.round)
        data = msgspec.structs.replace(data, round=data.round + 1)
        await self._steps.queue(work, DealingRequestKind.JOIN, data.round)
        await self._go(work, FundEvent.REQUEUED, data, self._steps.settings.event_wait_us)

    async def _joining(self, work: FundWork) -> None:
        outcome = await self._steps.outcome(work, _join_key(work))
        match outcome:
            case None:
                return
            case Posted():
                await self._joined(work, outcome)
            case PostingRefused(reason):
                await self._join_refused(work, reason)
            case _:
                assert_never(outcome)

    async def _joined(self, work: FundWork, posted: Posted) -> None:
        key = _join_key(work)
        joined = await self._steps.ports.ledger.transaction(work.tx, key)
        if joined is None:
            raise InvariantBroken(f"{key} posted at {posted.seq} and is not in the log")
        share_asset, shares = minted(work.order, joined)
        left = await self._steps.locked(work.tx, work.order)
        more = work.order.state is UserOrderState.IN_MM
        order = replace(
            work.order,
            share_asset=share_asset,
            shares=work.order.shares + shares,
            joined_at_us=posted.at_us,
            reason="",
        )
        # The user wished to leave while the ledger was deciding: it has joined, so it leaves.
        leaving = order.wish in (RequestedAction.PAUSE, RequestedAction.WITHDRAW)
        if leaving:
            order, _ = self._steps.child(replace(order, child=NO_CHILD))
        elif left == (0, 0):
            order = replace(order, child=NO_CHILD, wish=RequestedAction.NONE)
        await self._steps.close(work, work.data.round, posted.seq)
        event = UserOrderEvent.JOINED_MORE if more else UserOrderEvent.JOINED
        order = await self._steps.happen(work.tx, order, event, key=key)
        if not leaving and left != (0, 0):
            await self._part_joined(replace(work, order=order), left)
            return
        await self._steps.ports.funding.close(work.tx, work.saga.id, used=True)
        if leaving:
            await self._start_exit(work, order, ExitState.STAYING)
        await self._go(work, FundEvent.JOINED)

    async def _part_joined(self, work: FundWork, left: tuple[int, int]) -> None:
        """The rest waits for a price, or goes back where it is nothing or its user wants it."""
        order, data = work.order, work.data
        if order.wish is RequestedAction.TAKE_BACK:
            await self._obey(work)
        elif is_remainder(order.base.units, left[0]) and is_remainder(order.quote.units, left[1]):
            await self._ask_unlock(work, data, FundEvent.GIVE_BACK, "a remainder goes back")
        else:
            data = msgspec.structs.replace(data, attempt=data.attempt + 1, price_waits=0)
            await self._await_price(work, data, FundEvent.PART_JOINED, EXCESS_WAITS)

    async def _await_price(
        self, work: FundWork, data: FundData, event: FundEvent, reason: str
    ) -> None:
        """Queue for another barrier, after longer each time that brought no price."""
        settings, now_us = self._steps.settings, self._steps.clock.now_us()
        wait_us = back_off_us(data.price_waits, settings.price_first_us, settings.price_max_us)
        data = msgspec.structs.replace(
            data,
            round=data.round + 1,
            price_waits=data.price_waits + 1,
            price_since_us=data.price_since_us or now_us,
        )
        if work.order.reason != reason:
            order = replace(work.order, reason=reason)
            await self._steps.tell(work.tx, order, event, note=reason)
        await self._steps.queue(work, DealingRequestKind.JOIN, data.round, due_us=now_us + wait_us)
        await self._go(work, event, data, settings.event_wait_us)

    async def _join_refused(self, work: FundWork, reason: LedgerRefusal) -> None:
        data = msgspec.structs.replace(work.data, attempt=work.data.attempt + 1)
        follows, wish = after_join_refused(reason), work.order.wish
        in_pool = work.order.state is UserOrderState.IN_MM
        match follows:
            case Next.BROKEN:
                raise broken(work.saga, _join_key(work), reason)
            case _ if wish is not RequestedAction.NONE:
                await self._steps.close(work, data.round)
                await self._obey(replace(work, data=data), reason)
            case Next.NEW_BARRIER:
                await self._requeue(work, data)
            case Next.PRICE:
                await self._steps.close(work, data.round)
                await self._await_price(work, data, FundEvent.PRICE_AWAITED, reason)
            case Next.LATER:
                await self._steps.close(work, data.round)
                await self._go(work, FundEvent.NOT_NOW, data, await self._later_us(work, reason))
            case Next.GIVE_BACK if in_pool:
                await self._steps.close(work, data.round)
                await self._ask_unlock(work, data, FundEvent.GIVE_BACK, reason)
            case Next.GIVE_BACK if not data.resumed and work.order.by_mixin:
                await self._steps.close(work, data.round)
                await self._send_back(work, reason)
            case Next.GIVE_BACK if not data.resumed:
                await self._steps.close(work, data.round)
                await self._ask_unlock(work, data, FundEvent.GIVE_BACK, reason)
            case Next.GIVE_BACK:
                await self._steps.close(work, data.round)
                await self._hold_back(work, reason)
            case _:
                assert_never(follows)

    async def _later_us(self, work: FundWork, reason: LedgerRefusal) -> int:
        """A time after a leave is long and known: it is not asked for every few seconds."""
        retry_us = self._steps.settings.retry_us
        if reason is not LedgerRefusal.TOO_EARLY:
            return retry_us
        pool = await self._steps.pool(work.tx, work.order)
        return max(retry_us, pool.parameters.cool_off_us // COOL_OFF_LOOKS)

    async def _send_back(self, work: FundWork, reason: str) -> None:
        """What came from a wallet goes back there: its user has nothing else to take it with."""
        user = await self._steps.ports.store.user(work.tx, work.order.user)
        wallet = wallet_of(work.order, user.mixin_id if user is not None else "")
        order = replace(work.order, wish=RequestedAction.WITHDRAW, destinations=wallet)
        await self._hold_back(replace(work, order=order), reason)

    async def _again(self, work: FundWork) -> None:
        """After a wait: another barrier, unless the user wants something else by now."""
        if work.order.wish is not RequestedAction.NONE:
            await self._obey(work)
            return
        await self._requeue(work, work.data)

    async def _obey(self, work: FundWork, note: str = "") -> None:
        """Do what the user wants instead of joining."""
        if work.order.wish is RequestedAction.TAKE_BACK:
            order = replace(work.order, wish=RequestedAction.NONE)
            event, reason = FundEvent.GIVE_BACK, "the user took it back"
            await self._ask_unlock(replace(work, order=order), work.data, event, reason)
        elif work.order.state is UserOrderState.IN_MM:
            await self._leave_instead(work)
        else:
            await self._hold_back(work, note or "the user changed his mind")

    async def _leave_instead(self, work: FundWork) -> None:
        """An order that is in the pool leaves it; what waits for a price stays locked for it."""
        await self._steps.ports.funding.close(work.tx, work.saga.id, used=True)
        order, _ = self._steps.child(replace(work.order, child=NO_CHILD))
        await self._steps.tell(work.tx, order, FundEvent.HELD_BACK)
        await self._start_exit(work, order, ExitState.STAYING)
        await self._go(work, FundEvent.HELD_BACK)

    async def _ask_unlock(
        self, work: FundWork, data: FundData, event: FundEvent, reason: str, after_us: int = 0
    ) -> None:
        units = await self._steps.locked(work.tx, work.order)
        data = msgspec.structs.replace(data, base_units=units[0], quote_units=units[1])
        key = _unlock_key(work, data)
        await self._steps.ask_unlock(work.tx, work.order, key, units)
        await self._steps.tell(work.tx, replace(work.order, reason=reason), event, note=reason)
        await self._go(work, event, data, after_us)

    async def _unlocking(self, work: FundWork) -> None:
        key = _unlock_key(work, work.data)
        outcome = await self._steps.outcome(work, key)
        match outcome:
            case None:
                return
            case Posted():
                await self._unlocked(work, key)
            case PostingRefused(reason):
                if after_exit_refused(reason) is not Next.LATER:
                    raise broken(work.saga, key, reason)
                data = msgspec.structs.replace(work.data, unlock=work.data.unlock + 1)
                after_us = self._steps.settings.retry_us
                await self._ask_unlock(work, data, FundEvent.UNLOCK_REFUSED, reason, after_us)
            case _:
                assert_never(outcome)

    async def _unlocked(self, work: FundWork, key: CommandKey) -> None:
        """What came from a wallet goes back there; the rest of the order goes on as it is."""
        order, in_pool = work.order, work.order.state is UserOrderState.IN_MM
        await self._steps.ports.funding.close(work.tx, work.saga.id, used=in_pool)
        if order.by_mixin:
            await self._pay_unlocked(work)
        leaving = in_pool and order.wish in (RequestedAction.PAUSE, RequestedAction.WITHDRAW)
        event = UserOrderEvent.EXCESS_RETURNED if in_pool else UserOrderEvent.GIVEN_BACK
        order = replace(order, child=NO_CHILD, reason="" if in_pool else order.reason)
        if leaving:
            order, _ = self._steps.child(order)
        order = await self._steps.happen(work.tx, order, event, key=key, note=work.order.reason)
        if leaving:
            await self._start_exit(work, order, ExitState.STAYING)
        await self._go(work, FundEvent.UNLOCKED)

    async def _pay_unlocked(self, work: FundWork) -> None:
        """Free of charge. What no payout can carry stays available to the user."""
        steps = self._steps.settings.steps
        held = monies(work.order, work.data.base_units, work.data.quote_units)
        for money in held:
            step = steps.get((money.asset, MIXIN), 1)
            await self._pay_to_wallet(work, "excess", money.asset, money.units // step * step)

    async def _pay_to_wallet(self, work: FundWork, word: str, asset: str, units: int) -> None:
        """A payout of what is available to the order's user, to his wallet at Mixin."""
        order, ports = work.order, self._steps.ports
        user = await ports.store.user(work.tx, order.user)
        wallet = wallet_of(order, user.mixin_id if user is not None else "")
        where = next(one for one in wallet if one.asset == asset)
        if not units or not where.address:
            return
        wish = PayoutRequest(
            key=request_key(work.saga.id, f"{word}-{asset.replace(':', '.')}", 0),
            user=order.user,
            source=source_of(order, where, self._steps.settings.mixin_forms),
            money=Money(asset=asset, units=units),
            destination=where,
            saga=NO_CHILD,
            correlation=order.correlation,
        )
        await ports.payouts.request_payout(work.tx, wish)

    async def _hold_back(self, work: FundWork, note: str) -> None:
        """Not joined: the funds stay reserved, and a withdrawal that was wished for begins."""
        await self._steps.ports.funding.close(work.tx, work.saga.id, used=False)
        order = replace(work.order, child=NO_CHILD, reason=note)
        paying = order.wish is RequestedAction.WITHDRAW
        if paying:
            order, _ = self._steps.child(order)
        else:
            order = replace(order, wish=RequestedAction.NONE)
        order = await self._steps.happen(work.tx, order, UserOrderEvent.HELD_BACK, note=note)
        if paying:
            await self._start_exit(work, order, ExitState.SETTLED)
        await self._go(work, FundEvent.HELD_BACK)

    async def _start_exit(self, work: FundWork, order: Order, state: ExitState) -> None:
        await self._steps.start(work.tx, order, EXIT, state, ExitData(order=order.id))


def lock_of(order: Order, saga: SagaId) -> Lock:
    """What reserves exactly what the order is for."""
    money = monies(order, order.base.units, order.quote.units)
    return Lock(key=lock_key(saga), user=order.user, order=order.id, money=money)


def lock_key(saga: SagaId) -> CommandKey:
    """LOCK is asked once: its refusal ends the order."""
    return request_key(saga, "lock", 0)


def _join_key(work: FundWork) -> CommandKey:
    return request_key(work.saga.id, "join", work.data.attempt)


def _unlock_key(work: FundWork, data: FundData) -> CommandKey:
    return request_key(work.saga.id, "unlock", data.unlock)
