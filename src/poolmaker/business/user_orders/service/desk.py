"""What users ask for. Every request is idempotent by the caller's key and one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from poolmaker.business.ledger.accounts import order_locked, user_available
from poolmaker.business.pools.model import Pool
from poolmaker.business.user_orders.model import (
    EXIT,
    FUND,
    MIXIN,
    Accepted,
    Answer,
    Balances,
    Declined,
    DepositIntent,
    ExitData,
    ExitState,
    FundData,
    FundState,
    Order,
    OrderRefusal,
    OrderSettings,
    OrderSummary,
    PayoutDestination,
    RequestedAction,
    TimelineLine,
    User,
    UserOrderEvent,
    UserOrderState,
)
from poolmaker.business.user_orders.rules import (
    destinations_refusal,
    legs_of,
    may_pause,
    may_resume,
    may_withdraw,
    open_refusal,
    reaches_the_venue,
    take_back_refusal,
    takes_deposit,
    wallet_of,
)
from poolmaker.business.user_orders.service.funding import FundingSaga, lock_of
from poolmaker.business.user_orders.service.leaving import ExitSaga
from poolmaker.business.user_orders.service.requests import RequestLog
from poolmaker.business.user_orders.service.steps import OrderPorts, Steps
from poolmaker.business.user_orders.service.users import UserRegistry
from poolmaker.infra.sagas.ports import SagaHandler
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require, require_int
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import CommandKey, Ids, OrderId, PoolId, UserId
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Message, Money, decode
from poolmaker.messages.payments import PaymentNames

PAGE: Final = 200
_UUID_BYTES: Final = 16


class _OpenAsked(Message, frozen=True, kw_only=True, tag="open"):
    pool: str
    base_units: int
    quote_units: int
    by_mixin: bool = False


class _OpenLeastAsked(Message, frozen=True, kw_only=True, tag="open.v2"):
    """An open with the least shares; the first form stays as it is, because it is hashed."""

    pool: str
    base_units: int
    quote_units: int
    by_mixin: bool
    shares_min: int


class _ChangeAsked(Message, frozen=True, kw_only=True, tag="change"):
    order: str
    wish: str
    destinations: tuple[PayoutDestination, ...] = ()


class UserOrders:
    """Users and their orders. ``handlers`` are the sagas that do the work."""

    def __init__(self, ports: OrderPorts, ids: Ids, clock: Clock, settings: OrderSettings) -> None:
        self._ports = ports
        self._ids = ids
        self._clock = clock
        self._settings = settings
        self._steps = Steps(ports, clock, settings)
        self._requests = RequestLog(ports.store, clock)
        self.registry: Final = UserRegistry(ports.transactions, ports.store, ids, clock)
        """The users."""

    def handlers(self) -> dict[str, SagaHandler]:
        """Saga kind to its handler."""
        return {FUND: FundingSaga(self._steps), EXIT: ExitSaga(self._steps)}

    # --------------------------------------------------------------------------------- requests

    async def open_order(
        self,
        user: UserId,
        pool_id: PoolId,
        base_units: int,
        quote_units: int,
        key: str,
        *,
        by_mixin: bool = False,
        shares_min: int = 0,
    ) -> Answer:
        """Open an order for a pool with so many atomic units of its assets; one may be zero.

        Accepted means that LOCK is asked, or with ``by_mixin`` that deposits are waited for;
        whether there is enough shows in the order's state. It joins whole for ``shares_min``
        share units or more, or not at all; with 0 a part may join first and the rest later.
        """
        require_int(base_units, "base_units")
        require_int(quote_units, "quote_units")
        require_int(shares_min, "shares_min")
        require(0 <= shares_min <= UNITS_MAX, "shares_min: expected 0 or more")
        asked: _OpenAsked | _OpenLeastAsked = _OpenAsked(
            pool=pool_id, base_units=base_units, quote_units=quote_units, by_mixin=by_mixin
        )
        if shares_min:
            asked = _OpenLeastAsked(
                pool=pool_id,
                base_units=base_units,
                quote_units=quote_units,
                by_mixin=by_mixin,
                shares_min=shares_min,
            )
        key = f"{user}/{key}"
        async with self._ports.transactions.begin("orders.open") as tx:
            done = await self._requests.done(tx, key, asked)
            if done is not None:
                return _again(done)
            order = await self._new_order(tx, user, asked)
            if isinstance(order, OrderRefusal):
                return Declined(order)
            await self._open(tx, order)
            await self._requests.remember(tx, key, asked, order.id)
        return Accepted(order.id)

    async def _new_order(
        self, tx: Tx, user_id: UserId, asked: _OpenAsked | _OpenLeastAsked
    ) -> Order | OrderRefusal:
        user = await self._ports.store.user(tx, user_id)
        if user is None:
            return OrderRefusal.UNKNOWN_USER
        if user.disabled_us:
            return OrderRefusal.USER_DISABLED
        pool = await self._ports.pools.pool(tx, PoolId(asked.pool))
        refusal = open_refusal(pool, asked.base_units, asked.quote_units)
        if refusal is not None or pool is None:
            return refusal or OrderRefusal.UNKNOWN_POOL
        base = Money(asset=pool.market.base, units=asked.base_units)
        quote = Money(asset=pool.market.quote, units=asked.quote_units)
        if asked.by_mixin and not reaches_the_venue((base, quote), self._settings):
            return OrderRefusal.BAD_AMOUNT
        if asked.by_mixin and not self._has_wallet(user, pool):
            return OrderRefusal.NO_WALLET
        return Order(
            id=self._ids.order(),
            user=user_id,
            pool=pool.id,
            account=pool.account,
            base=base,
            quote=quote,
            created_us=self._clock.now_us(),
            by_mixin=asked.by_mixin,
            shares_min=asked.shares_min if isinstance(asked, _OpenLeastAsked) else 0,
        )

    def _has_wallet(self, user: User, pool: Pool) -> bool:
        """Whether both assets of the pool can come from his Mixin wallet and go back there."""
        both = {pool.market.base, pool.market.quote}
        return bool(user.mixin_id) and both <= self._settings.mixin_forms.keys()

    async def _open(self, tx: Tx, order: Order) -> None:
        order, child = self._steps.child(order)
        data = FundData(order=order.id)
        if order.by_mixin:
            line = TimelineLine(order.created_us, order.state, "opened")
            await self._ports.store.add_order(tx, order, line)
            for leg in legs_of(order):
                await self._ports.store.add_leg(tx, leg)
            await self._steps.start(tx, order, FUND, FundState.AWAITING_DEPOSITS, data)
            return
        lock = lock_of(order, child)
        line = TimelineLine(order.created_us, order.state, "opened", lock.key)
        await self._ports.store.add_order(tx, order, line)
        await self._ports.ledger.ask(tx, lock)
        await self._steps.start(tx, order, FUND, FundState.LOCKING, data)

    async def pause(self, user: UserId, order_id: OrderId, key: str) -> Answer:
        """Leave the pool and keep the funds reserved for the order."""
        return await self._change(user, order_id, RequestedAction.PAUSE, (), key)

    async def withdraw(
        self, user: UserId, order_id: OrderId, destinations: Sequence[PayoutDestination], key: str
    ) -> Answer:
        """Leave the pool, pay out to the user's own wallet, and close.

        ``destinations`` may name that wallet, once for each asset of the pool, and nothing else:
        whoever asks, money goes only where its user is known to be (invariant 8).
        """
        return await self._change(
            user, order_id, RequestedAction.WITHDRAW, tuple(destinations), key
        )

    async def take_back(self, user: UserId, order_id: OrderId, key: str) -> Answer:
        """What waits for a price goes back to its user, free; what has joined stays in the pool.

        Possible from ``take_back_us`` on after it began to wait.
        """
        return await self._change(user, order_id, RequestedAction.TAKE_BACK, (), key)

    async def resume(self, user: UserId, order_id: OrderId, key: str) -> Answer:
        """A paused order joins its pool again."""
        return await self._change(user, order_id, RequestedAction.NONE, (), key)

    async def _change(
        self,
        user: UserId,
        order_id: OrderId,
        wish: RequestedAction,
        destinations: tuple[PayoutDestination, ...],
        key: str,
    ) -> Answer:
        asked = _ChangeAsked(order=order_id, wish=wish, destinations=destinations)
        key = f"{user}/{key}"
        async with self._ports.transactions.begin(f"orders.wish.{wish}") as tx:
            done = await self._requests.done(tx, key, asked)
            if done is not None:
                return _again(done)
            order = await self._ports.store.lock_order(tx, order_id)
            if order is None or order.user != user:
                return Declined(OrderRefusal.UNKNOWN_ORDER)
            wallet = await self._wallet(tx, order, wish)
            destinations = destinations or wallet
            if wish is RequestedAction.TAKE_BACK:
                refusal = await self._take_back_refusal(tx, order)
            else:
                refusal = self._change_refusal(order, wish, destinations, wallet)
            if refusal is not None:
                return Declined(refusal)
            if wish is RequestedAction.NONE:
                await self._resume(tx, order)
            else:
                await self._let_out(tx, replace(order, wish=wish, destinations=destinations))
            await self._requests.remember(tx, key, asked, order_id)
        return Accepted(order_id)

    async def _wallet(
        self, tx: Tx, order: Order, wish: RequestedAction
    ) -> tuple[PayoutDestination, ...]:
        user = await self._ports.store.user(tx, order.user)
        if wish is not RequestedAction.WITHDRAW or user is None or not user.mixin_id:
            return ()
        return wallet_of(order, user.mixin_id)

    def _change_refusal(
        self,
        order: Order,
        wish: RequestedAction,
        destinations: Sequence[PayoutDestination],
        wallet: Sequence[PayoutDestination],
    ) -> OrderRefusal | None:
        possible = {
            RequestedAction.NONE: may_resume,
            RequestedAction.PAUSE: may_pause,
            RequestedAction.WITHDRAW: may_withdraw,
        }
        if not possible[wish](order):
            return OrderRefusal.WRONG_STATE
        if wish is not RequestedAction.WITHDRAW:
            return None
        refusal = destinations_refusal(order, destinations, wallet, self._settings)
        if refusal is None and not all(map(self._accepts, destinations)):
            return OrderRefusal.DESTINATION_REFUSED
        return refusal

    async def _take_back_refusal(self, tx: Tx, order: Order) -> OrderRefusal | None:
        child = await self._ports.sagas.find(tx, order.child) if order.child else None
        funding = child if child is not None and child.kind == FUND else None
        state = FundState(funding.state) if funding is not None else None
        data = decode(funding.data, FundData) if funding is not None else None
        since_max_us = self._clock.now_us() - self._settings.take_back_us
        return take_back_refusal(order, state, data, since_max_us)

    def _accepts(self, destination: PayoutDestination) -> bool:
        held = destination.network != MIXIN or destination.asset in self._settings.mixin_forms
        return held and self._ports.payouts.accepts(destination)

    async def _resume(self, tx: Tx, order: Order) -> None:
        order, _ = self._steps.child(order)
        order = await self._steps.happen(tx, order, UserOrderEvent.RESUMED)
        data = FundData(order=order.id, resumed=True)
        await self._steps.start(tx, order, FUND, FundState.LOCKED, data)

    async def _let_out(self, tx: Tx, order: Order) -> None:
        """The child at work obeys at its next safe point; where there is none, an exit begins."""
        event = f"{order.wish}_wished"
        if order.child:
            await self._steps.tell(tx, order, event)
            await self._ports.sagas.wake(tx, order.child, self._clock.now_us())
            return
        order, _ = self._steps.child(order)
        await self._steps.tell(tx, order, event)
        state = ExitState.STAYING if order.state is UserOrderState.IN_MM else ExitState.SETTLED
        await self._steps.start(tx, order, EXIT, state, ExitData(order=order.id))

    # --------------------------------------------------------------------------------- deposits

    async def claim_deposit(
        self, tx: Tx, key: CommandKey, money: Money, payment: PaymentNames
    ) -> UserId | None:
        """Whose deposit this is, None when no open leg waits for it and no wallet is proven by it.

        The answer is the claim: the caller credits the user under ``key`` in this transaction.
        """
        store, trace = self._ports.store, payment.trace
        leg = await store.leg(tx, trace) if trace else None
        named = self._ports.memos.read(payment.memo) if leg is None and payment.memo else None
        intent = str(UUID(bytes=named)) if named and len(named) == _UUID_BYTES else ""
        if intent:
            leg = await store.leg_of(tx, intent, money.asset)
        if leg is None and payment.sender:
            proof = intent or trace
            return await self.registry.prove_wallet(tx, proof, payment.sender, payment.at_us)
        order = await store.lock_order(tx, leg.order) if leg is not None else None
        # What was paid may have changed while somebody else had the order.
        leg = await store.leg(tx, leg.trace) if leg is not None else None
        if leg is None or order is None or not takes_deposit(order, leg, money.asset):
            return None
        await store.save_leg(tx, replace(leg, paid_units=leg.paid_units + money.units, key=key))
        await self._steps.tell(tx, order, "deposit", key=key)
        await self._ports.sagas.wake(tx, order.child, self._clock.now_us())
        return order.user

    async def deposit_intent(self, order_id: OrderId) -> DepositIntent | None:
        """What the user is asked to pay for an order, None for one not paid through Mixin."""
        async with self._ports.transactions.begin("orders.deposit_intent") as tx:
            order = await self._ports.store.order(tx, order_id)
            legs = tuple(await self._ports.store.legs(tx, order_id))
            if order is None or not legs:
                return None
            deadline_us, _ = await self._steps.deposit_deadline(tx, order)
        intent = legs[0].intent
        return DepositIntent(
            id=intent,
            order=order_id,
            memo=self._ports.memos.write(UUID(intent).bytes),
            until_us=deadline_us,
            legs=legs,
        )

    # ------------------------------------------------------------------------------------ reads

    async def view(self, order_id: OrderId) -> OrderSummary | None:
        """An order with its story, or None."""
        async with self._ports.transactions.begin("orders.view") as tx:
            order = await self._ports.store.order(tx, order_id)
            if order is None:
                return None
            child = await self._ports.sagas.find(tx, order.child) if order.child else None
            timeline = tuple(await self._ports.store.timeline(tx, order_id))
        step = f"{child.kind}:{child.state}" if child is not None else ""
        return OrderSummary(order, step, order.reason, timeline)

    async def order(self, order_id: OrderId) -> Order | None:
        """One order, or None."""
        async with self._ports.transactions.begin("orders.order") as tx:
            return await self._ports.store.order(tx, order_id)

    async def orders_before(
        self, user: UserId | None, before: OrderId, limit: int
    ) -> Sequence[Order]:
        """Orders of one user or of all before an id, newest first; an empty id begins."""
        async with self._ports.transactions.begin("orders.before") as tx:
            return await self._ports.store.orders_before(tx, user, before, limit)

    async def orders_of(self, user: UserId) -> Sequence[Order]:
        """A user's orders, oldest first."""
        async with self._ports.transactions.begin("orders.of") as tx:
            return await self._orders(tx, user)

    async def balances(self, user: UserId, assets: Sequence[str]) -> tuple[Balances, ...]:
        """What the user is owed of each asset: free, and reserved for his orders."""
        ledger = self._ports.ledger
        async with self._ports.transactions.begin("orders.balances") as tx:
            orders = await self._orders(tx, user)
            found = []
            for asset in assets:
                available = await ledger.balance(tx, user_available(user), asset)
                locked = [await ledger.balance(tx, order_locked(o.id), asset) for o in orders]
                found.append(Balances(asset=asset, available=available, locked=sum(locked)))
        return tuple(found)

    async def _orders(self, tx: Tx, user: UserId) -> list[Order]:
        orders: list[Order] = []
        while True:
            after = orders[-1].id if orders else OrderId("")
            page = await self._ports.store.orders_of(tx, user, after, PAGE)
            orders += page
            if len(page) < PAGE:
                return orders


def _again(done: str | Declined) -> Answer:
    return done if isinstance(done, Declined) else Accepted(OrderId(done))
