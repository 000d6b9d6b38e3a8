"""The saga ``order.fund``: reserve the funds, wait for a barrier, join the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, assert_never

import msgspec

from poolmaker.business.ledger.commands import JoinPoolV1, Lock
from poolmaker.business.ledger.model import Posted, Refusal, Refused
from poolmaker.business.pools.model import BarrierMet, Pool, TicketKind
from poolmaker.business.user_orders.model import (
    EXIT,
    FUND_TABLE,
    NO_CHILD,
    DepositLeg,
    ExitData,
    ExitState,
    FundData,
    FundEvent,
    FundState,
    Order,
    OrderEvent,
    OrderState,
    PayoutWish,
    Wish,
)
from poolmaker.business.user_orders.rules import (
    Next,
    after_exit_refused,
    after_join_refused,
    charges,
    minted,
    source_of,
    wallet_of,
)
from poolmaker.business.user_orders.service.steps import (
    FUNDING_FEE,
    Steps,
    Work,
    broken,
    monies,
)
from poolmaker.infra.sagas.model import Saga
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, SagaId, request_key
from poolmaker.messages.base import Money, decode
from poolmaker.messages.market import BarrierPrice, account_stream

FundWork = Work[FundData]
_Before = Literal[
    FundState.AWAITING_DEPOSITS,
    FundState.LOCKING,
    FundState.LOCKED,
    FundState.CHARGING,
    FundState.FUNDING,
]


class Funding:
    """Handler of ``order.fund``. A resume is a funding that begins at LOCKED."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state in one transaction."""
        data, state = decode(saga.data, FundData), FundState(saga.state)
        async with self._steps.ports.transactions.begin(f"order.fund.{state}") as tx:
            work = Work(tx, saga, data, await self._steps.order(tx, data.order))
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
                    await self._unfunded(work)
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
        if work.order.wish is Wish.WITHDRAW:
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
        await self._steps.happen(work.tx, order, OrderEvent.DEADLINE_PASSED, note=order.reason)
        await self._go(work, FundEvent.EXPIRED)

    async def _pay_back(self, work: FundWork, legs: Sequence[DepositLeg]) -> None:
        """What has come goes to its user's wallet, as far as he has not used it elsewhere."""
        if not legs:
            return
        order, ports = work.order, self._steps.ports
        user = await ports.store.user(work.tx, order.user)
        wallet = wallet_of(order, user.mixin_id if user is not None else "")
        forms = self._steps.settings.mixin_forms
        for leg in legs:
            if not leg.paid_units:
                continue
            where = next(one for one in wallet if one.asset == leg.asset)
            wish = PayoutWish(
                key=request_key(work.saga.id, f"refund-{leg.asset.replace(':', '.')}", 0),
                user=order.user,
                source=source_of(order, where, forms),
                money=Money(asset=leg.asset, units=leg.paid_units),
                destination=where,
                saga=NO_CHILD,
                correlation=order.correlation,
            )
            await ports.payouts.request_payout(work.tx, wish)

    async def _locking(self, work: FundWork) -> None:
        key = lock_key(work.saga.id)
        outcome = await self._steps.outcome(work, key)
        match outcome:
            case None:
                return
            case Refused(reason):
                # Nothing was ever taken from the user: only what he paid for this order goes back.
                legs = await self._steps.ports.store.legs(work.tx, work.order.id)
                await self._pay_back(work, legs)
                order = replace(work.order, child=NO_CHILD, reason=reason.value)
                await self._steps.happen(
                    work.tx, order, OrderEvent.LOCK_REFUSED, key=key, note=reason
                )
                await self._go(work, FundEvent.LOCK_REFUSED)
            case Posted():
                await self._steps.happen(work.tx, work.order, OrderEvent.LOCK_POSTED, key=key)
                await self._go(work, FundEvent.LOCK_POSTED)
            case _:
                assert_never(outcome)

    async def _locked(self, work: FundWork) -> None:
        if work.order.wish is not Wish.NONE:
            await self._hold_back(work, "the user changed his mind")
            return
        held = monies(work.order, *await self._steps.locked(work.tx, work.order))
        due = self._charges(work, held)
        if due:
            await self._steps.ask_charges(work, due, FUNDING_FEE)
            data = msgspec.structs.replace(work.data, charges=due)
            await self._go(work, FundEvent.CHARGE_ASKED, data)
            return
        if work.order.state is OrderState.LOCKED:
            order = await self._steps.happen(work.tx, work.order, OrderEvent.FUNDING_STARTED)
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
        if work.order.wish is not Wish.NONE:
            await self._hold_back(work, "the user changed his mind")
            return
        wait_us = self._steps.settings.event_wait_us
        stopped = await self._stopped(work)
        if stopped and work.saga.state == FundState.FUNDING:
            await self._steps.wait(work, wait_us, stopped)
        elif not stopped and await self._steps.ports.funding.funded(work.tx, work.saga.id):
            await self._steps.queue(work, TicketKind.JOIN, work.data.round)
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
        if work.order.wish is not Wish.NONE:
            await self._steps.close(work, work.data.round)
            await self._hold_back(work, "the user changed his mind")
            return
        met = await self._steps.barrier(work, work.data.round)
        if met is None:
            return
        price = met.price_of(work.order.pool)
        if price is None or await self._stopped(work):
            await self._requeue(work, work.data)
            return
        base, quote = await self._steps.locked(work.tx, work.order)
        pool = await self._steps.pool(work.tx, work.order)
        join = _join(work, pool, met, price, (base, quote))
        await self._steps.ports.ledger.ask(work.tx, join)
        data = msgspec.structs.replace(work.data, base_units=base, quote_units=quote)
        await self._go(work, FundEvent.BARRIER_MET, data)

    async def _requeue(self, work: FundWork, data: FundData) -> None:
        """Wait for another barrier. The attempt is the ledger's, the round is only the ticket's."""
        if FundState(work.saga.state) is not FundState.UNFUNDED:
            await self._steps.close(work, data.round)
        data = msgspec.structs.replace(data, round=data.round + 1)
        await self._steps.queue(work, TicketKind.JOIN, data.round)
        await self._go(work, FundEvent.REQUEUED, data, self._steps.settings.event_wait_us)

    async def _joining(self, work: FundWork) -> None:
        outcome = await self._steps.outcome(work, _join_key(work))
        match outcome:
            case None:
                return
            case Posted():
                await self._joined(work, outcome)
            case Refused(reason):
                await self._join_refused(work, reason)
            case _:
                assert_never(outcome)

    async def _joined(self, work: FundWork, posted: Posted) -> None:
        key = _join_key(work)
        joined = await self._steps.ports.ledger.transaction(work.tx, key)
        if joined is None:
            raise InvariantBroken(f"{key} posted at {posted.seq} and is not in the log")
        share_asset, shares = minted(work.order, joined)
        order = replace(
            work.order,
            child=NO_CHILD,
            share_asset=share_asset,
            shares=shares,
            joined_at_us=posted.at_us,
            reason="",
        )
        await self._steps.close(work, work.data.round, posted.seq)
        await self._steps.ports.funding.close(work.tx, work.saga.id, used=True)
        # He wished to leave while the ledger was deciding: he has joined, so he leaves properly.
        leaving = order.wish is not Wish.NONE
        if leaving:
            order, _ = self._steps.child(order)
        order = await self._steps.happen(work.tx, order, OrderEvent.JOINED, key=key)
        if leaving:
            await self._start_exit(work, order, ExitState.STAYING)
        await self._go(work, FundEvent.JOINED)

    async def _join_refused(self, work: FundWork, reason: Refusal) -> None:
        data = msgspec.structs.replace(work.data, attempt=work.data.attempt + 1)
        follows, wish = after_join_refused(reason), work.order.wish
        match follows:
            case Next.BROKEN:
                raise broken(work.saga, _join_key(work), reason)
            case Next.NEW_BARRIER if wish is Wish.NONE:
                await self._requeue(work, data)
            case Next.LATER if wish is Wish.NONE:
                await self._steps.close(work, data.round)
                await self._go(work, FundEvent.NOT_NOW, data, self._steps.settings.retry_us)
            case Next.GIVE_BACK if wish is Wish.NONE and not data.resumed and work.order.by_mixin:
                await self._steps.close(work, data.round)
                await self._send_back(work, reason)
            case Next.GIVE_BACK if wish is Wish.NONE and not data.resumed:
                await self._steps.close(work, data.round)
                await self._ask_unlock(work, data, FundEvent.GIVE_BACK, reason)
            case Next.NEW_BARRIER | Next.LATER | Next.GIVE_BACK:
                await self._steps.close(work, data.round)
                await self._hold_back(work, reason)
            case _:
                assert_never(follows)

    async def _send_back(self, work: FundWork, reason: str) -> None:
        """What came from a wallet goes back there: its user has nothing else to take it with."""
        user = await self._steps.ports.store.user(work.tx, work.order.user)
        wallet = wallet_of(work.order, user.mixin_id if user is not None else "")
        order = replace(work.order, wish=Wish.WITHDRAW, destinations=wallet)
        await self._hold_back(replace(work, order=order), reason)

    async def _unfunded(self, work: FundWork) -> None:
        if work.order.wish is not Wish.NONE:
            await self._hold_back(work, "the user changed his mind")
            return
        await self._requeue(work, work.data)

    async def _ask_unlock(
        self, work: FundWork, data: FundData, event: FundEvent, reason: str, after_us: int = 0
    ) -> None:
        units = await self._steps.locked(work.tx, work.order)
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
                await self._steps.ports.funding.close(work.tx, work.saga.id, used=False)
                order = replace(work.order, child=NO_CHILD)
                await self._steps.happen(
                    work.tx, order, OrderEvent.GIVEN_BACK, key=key, note=order.reason
                )
                await self._go(work, FundEvent.UNLOCKED)
            case Refused(reason):
                if after_exit_refused(reason) is not Next.LATER:
                    raise broken(work.saga, key, reason)
                data = msgspec.structs.replace(work.data, unlock=work.data.unlock + 1)
                after_us = self._steps.settings.retry_us
                await self._ask_unlock(work, data, FundEvent.UNLOCK_REFUSED, reason, after_us)
            case _:
                assert_never(outcome)

    async def _hold_back(self, work: FundWork, note: str) -> None:
        """Not joined: the funds stay reserved, and a withdrawal that was wished for begins."""
        await self._steps.ports.funding.close(work.tx, work.saga.id, used=False)
        order = replace(work.order, child=NO_CHILD, reason=note)
        paying = order.wish is Wish.WITHDRAW
        if paying:
            order, _ = self._steps.child(order)
        else:
            order = replace(order, wish=Wish.NONE)
        order = await self._steps.happen(work.tx, order, OrderEvent.HELD_BACK, note=note)
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


def _join(
    work: FundWork, pool: Pool, met: BarrierMet, price: BarrierPrice, units: tuple[int, int]
) -> JoinPoolV1:
    order, parameters = work.order, pool.parameters
    ensure(price.mid is not None and price.twap_60s is not None, "price: expected a usable one")
    if price.mid is None or price.twap_60s is None:
        raise InvariantBroken("price: expected a usable one")
    quote = order.quote.asset
    return JoinPoolV1(
        key=_join_key(work),
        order=order.id,
        pool=pool.id,
        account=pool.account,
        base=Money(asset=order.base.asset, units=units[0]),
        quote=Money(asset=quote, units=units[1]),
        mid=price.mid,
        twap_60s=price.twap_60s,
        book_version=price.book_version,
        price_time_us=price.price_time_us,
        price_age_max_us=parameters.price_age_max_us,
        join_cost_cbps=parameters.join_cost_cbps,
        first_join_min=Money(asset=quote, units=parameters.first_join_min_units),
        nav_floor=Money(asset=quote, units=parameters.nav_floor_units),
        stream=account_stream(pool.account),
        barrier_seq=met.seq,
        facts_seq=met.barrier.facts_seq,
    )
