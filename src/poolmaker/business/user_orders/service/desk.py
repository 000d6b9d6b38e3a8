"""What users ask for. Every request is idempotent by the caller's key and one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from poolmaker.business.ledger.accounts import order_locked, user_available
from poolmaker.business.ledger.commands import Lock
from poolmaker.business.user_orders.model import (
    EXIT,
    FUND,
    NAME_MAX,
    Accepted,
    Answer,
    Balances,
    Declined,
    Destination,
    ExitData,
    ExitState,
    FundData,
    FundState,
    Order,
    OrderEvent,
    OrderRefusal,
    OrderSettings,
    OrderState,
    OrderView,
    RequestRow,
    TimelineLine,
    User,
    Wish,
)
from poolmaker.business.user_orders.rules import (
    destinations_refusal,
    may_pause,
    may_resume,
    may_withdraw,
    open_refusal,
)
from poolmaker.business.user_orders.service.funding import Funding, lock_key
from poolmaker.business.user_orders.service.leaving import Leaving
from poolmaker.business.user_orders.service.steps import OrderPorts, Steps, monies
from poolmaker.infra.sagas.ports import SagaHandler
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require, require_int
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import Ids, OrderId, PoolId, UserId, content_hash
from poolmaker.messages.base import Message, Money, encode

KEY_MAX: Final = 128
PAGE: Final = 200


class _OpenAsked(Message, frozen=True, kw_only=True, tag="open"):
    pool: str
    base_units: int
    quote_units: int


class _ChangeAsked(Message, frozen=True, kw_only=True, tag="change"):
    order: str
    wish: str
    destinations: tuple[Destination, ...] = ()


class _UserAsked(Message, frozen=True, kw_only=True, tag="user"):
    name: str


class UserOrders:
    """Users and their orders. ``handlers`` are the sagas that do the work."""

    def __init__(self, ports: OrderPorts, ids: Ids, clock: Clock, settings: OrderSettings) -> None:
        self._ports = ports
        self._ids = ids
        self._clock = clock
        self._steps = Steps(ports, clock, settings)

    def handlers(self) -> dict[str, SagaHandler]:
        """Saga kind to its handler."""
        return {FUND: Funding(self._steps), EXIT: Leaving(self._steps)}

    # --------------------------------------------------------------------------------- requests

    async def create_user(self, name: str, key: str) -> UserId:
        """A new user; the same key and name answer the same user.

        Raises CallerFault for another name under a used key.
        """
        require(0 < len(name.strip()) <= NAME_MAX, f"name: expected 1 to {NAME_MAX} characters")
        asked = _UserAsked(name=name)
        async with self._ports.transactions.begin("orders.create_user") as tx:
            done = await self._done(tx, key, asked)
            require(not isinstance(done, Declined), f"key: {key!r} was used for another user")
            if isinstance(done, str):
                return UserId(done)
            user = User(self._ids.user(), name, self._clock.now_us())
            await self._ports.store.add_user(tx, user)
            await self._remember(tx, key, asked, user.id)
        return user.id

    async def made_by(self, key: str) -> UserId | None:
        """The user that the request with this key made, or None."""
        async with self._ports.transactions.begin("orders.made_by") as tx:
            found = await self._ports.store.recall(tx, key)
        return UserId(found.subject) if found is not None else None

    async def open_order(
        self, user: UserId, pool_id: PoolId, base_units: int, quote_units: int, key: str
    ) -> Answer:
        """Open an order for a pool with so many atomic units of its assets; one may be zero.

        Accepted means that LOCK is asked; whether there is enough shows in the order's state.
        """
        require_int(base_units, "base_units")
        require_int(quote_units, "quote_units")
        asked = _OpenAsked(pool=pool_id, base_units=base_units, quote_units=quote_units)
        key = f"{user}/{key}"
        async with self._ports.transactions.begin("orders.open") as tx:
            done = await self._done(tx, key, asked)
            if done is not None:
                return _again(done)
            if await self._ports.store.user(tx, user) is None:
                return Declined(OrderRefusal.UNKNOWN_USER)
            pool = await self._ports.pools.pool(tx, pool_id)
            refusal = open_refusal(pool, base_units, quote_units)
            if refusal is not None or pool is None:
                return Declined(refusal or OrderRefusal.UNKNOWN_POOL)
            order = Order(
                id=self._ids.order(),
                user=user,
                pool=pool_id,
                account=pool.account,
                base=Money(asset=pool.market.base, units=base_units),
                quote=Money(asset=pool.market.quote, units=quote_units),
                created_us=self._clock.now_us(),
            )
            await self._open(tx, order)
            await self._remember(tx, key, asked, order.id)
        return Accepted(order.id)

    async def _open(self, tx: Tx, order: Order) -> None:
        order, child = self._steps.child(order)
        lock = Lock(
            key=lock_key(child),
            user=order.user,
            order=order.id,
            money=monies(order, order.base.units, order.quote.units),
        )
        line = TimelineLine(order.created_us, order.state, "opened", lock.key)
        await self._ports.store.add_order(tx, order, line)
        await self._ports.ledger.ask(tx, lock)
        await self._steps.start(tx, order, FUND, FundState.LOCKING, FundData(order=order.id))

    async def pause(self, user: UserId, order_id: OrderId, key: str) -> Answer:
        """Leave the pool and keep the funds reserved for the order."""
        return await self._change(user, order_id, Wish.PAUSE, (), key)

    async def withdraw(
        self, user: UserId, order_id: OrderId, destinations: Sequence[Destination], key: str
    ) -> Answer:
        """Leave the pool, pay out to one destination for each asset of the pool, and close."""
        return await self._change(user, order_id, Wish.WITHDRAW, tuple(destinations), key)

    async def resume(self, user: UserId, order_id: OrderId, key: str) -> Answer:
        """A paused order joins its pool again."""
        return await self._change(user, order_id, Wish.NONE, (), key)

    async def _change(
        self,
        user: UserId,
        order_id: OrderId,
        wish: Wish,
        destinations: tuple[Destination, ...],
        key: str,
    ) -> Answer:
        asked = _ChangeAsked(order=order_id, wish=wish, destinations=destinations)
        key = f"{user}/{key}"
        async with self._ports.transactions.begin(f"orders.wish.{wish}") as tx:
            done = await self._done(tx, key, asked)
            if done is not None:
                return _again(done)
            order = await self._ports.store.lock_order(tx, order_id)
            if order is None or order.user != user:
                return Declined(OrderRefusal.UNKNOWN_ORDER)
            refusal = self._change_refusal(order, wish, destinations)
            if refusal is not None:
                return Declined(refusal)
            if wish is Wish.NONE:
                await self._resume(tx, order)
            else:
                await self._let_out(tx, replace(order, wish=wish, destinations=destinations))
            await self._remember(tx, key, asked, order_id)
        return Accepted(order_id)

    def _change_refusal(
        self, order: Order, wish: Wish, destinations: Sequence[Destination]
    ) -> OrderRefusal | None:
        possible = {Wish.NONE: may_resume, Wish.PAUSE: may_pause, Wish.WITHDRAW: may_withdraw}
        if not possible[wish](order):
            return OrderRefusal.WRONG_STATE
        if wish is not Wish.WITHDRAW:
            return None
        refusal = destinations_refusal(order, destinations)
        if refusal is None and not all(map(self._ports.payouts.accepts, destinations)):
            return OrderRefusal.DESTINATION_REFUSED
        return refusal

    async def _resume(self, tx: Tx, order: Order) -> None:
        order, _ = self._steps.child(order)
        order = await self._steps.happen(tx, order, OrderEvent.RESUMED)
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
        state = ExitState.STAYING if order.state is OrderState.IN_MM else ExitState.SETTLED
        await self._steps.start(tx, order, EXIT, state, ExitData(order=order.id))

    # ------------------------------------------------------------------------------------ reads

    async def view(self, order_id: OrderId) -> OrderView | None:
        """An order with its story, or None."""
        async with self._ports.transactions.begin("orders.view") as tx:
            order = await self._ports.store.order(tx, order_id)
            if order is None:
                return None
            child = await self._ports.sagas.find(tx, order.child) if order.child else None
            timeline = tuple(await self._ports.store.timeline(tx, order_id))
        step = f"{child.kind}:{child.state}" if child is not None else ""
        return OrderView(order, step, order.reason, timeline)

    async def orders_of(self, user: UserId) -> Sequence[Order]:
        """A user's orders, oldest first."""
        async with self._ports.transactions.begin("orders.of") as tx:
            return await self._orders(tx, user)

    async def users(self, after: UserId, limit: int) -> Sequence[User]:
        """Users after an id, by id; an empty id begins."""
        async with self._ports.transactions.begin("orders.users") as tx:
            return await self._ports.store.users(tx, after, limit)

    async def knows(self, tx: Tx, user: UserId) -> bool:
        """Whether there is such a user."""
        return await self._ports.store.user(tx, user) is not None

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

    # ---------------------------------------------------------------------------------- requests

    async def _done(self, tx: Tx, key: str, asked: Message) -> str | Declined | None:
        """What an earlier request under ``key`` is about, a conflict, or None for a new one."""
        require(0 < len(key) <= KEY_MAX, f"key: expected 1 to {KEY_MAX} characters")
        found = await self._ports.store.recall(tx, key)
        if found is None:
            return None
        if found.body_hash != content_hash(encode(asked)):
            return Declined(OrderRefusal.SAME_KEY_DIFFERENT_CONTENT)
        return found.subject

    async def _remember(self, tx: Tx, key: str, asked: Message, subject: str) -> None:
        row = RequestRow(key, content_hash(encode(asked)), subject, self._clock.now_us())
        if not await self._ports.store.remember(tx, row):
            raise Unavailable(f"a request with the key {key!r} is being made; make it again")


def _again(done: str | Declined) -> Answer:
    return done if isinstance(done, Declined) else Accepted(OrderId(done))
