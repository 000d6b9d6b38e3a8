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
    NAME_MAX,
    Accepted,
    Answer,
    Balances,
    Declined,
    DepositIntent,
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
    legs_of,
    may_pause,
    may_resume,
    may_withdraw,
    open_refusal,
    reaches_the_venue,
    takes_deposit,
    wallet_of,
)
from poolmaker.business.user_orders.service.funding import Funding, lock_of
from poolmaker.business.user_orders.service.leaving import Leaving
from poolmaker.business.user_orders.service.steps import OrderPorts, Steps
from poolmaker.infra.sagas.ports import SagaHandler
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import require, require_int
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import CommandKey, Ids, OrderId, PoolId, UserId, content_hash
from poolmaker.messages.base import Message, Money, encode

KEY_MAX: Final = 128
PAGE: Final = 200
_UUID_BYTES: Final = 16


class _OpenAsked(Message, frozen=True, kw_only=True, tag="open"):
    pool: str
    base_units: int
    quote_units: int
    by_mixin: bool = False


class _ChangeAsked(Message, frozen=True, kw_only=True, tag="change"):
    order: str
    wish: str
    destinations: tuple[Destination, ...] = ()


class _UserAsked(Message, frozen=True, kw_only=True, tag="user"):
    name: str
    mixin_id: str = ""


class UserOrders:
    """Users and their orders. ``handlers`` are the sagas that do the work."""

    def __init__(self, ports: OrderPorts, ids: Ids, clock: Clock, settings: OrderSettings) -> None:
        self._ports = ports
        self._ids = ids
        self._clock = clock
        self._settings = settings
        self._steps = Steps(ports, clock, settings)

    def handlers(self) -> dict[str, SagaHandler]:
        """Saga kind to its handler."""
        return {FUND: Funding(self._steps), EXIT: Leaving(self._steps)}

    # --------------------------------------------------------------------------------- requests

    async def create_user(self, name: str, key: str, mixin_id: str = "") -> UserId:
        """A new user; the same key and content answer the same user.

        Raises CallerFault for another content under a used key, and for a Mixin id that is taken.
        """
        require(0 < len(name.strip()) <= NAME_MAX, f"name: expected 1 to {NAME_MAX} characters")
        require(len(mixin_id) <= NAME_MAX, f"mixin_id: expected at most {NAME_MAX} characters")
        asked = _UserAsked(name=name, mixin_id=mixin_id)
        async with self._ports.transactions.begin("orders.create_user") as tx:
            done = await self._done(tx, key, asked)
            require(not isinstance(done, Declined), f"key: {key!r} was used for another user")
            if isinstance(done, str):
                return UserId(done)
            await self._require_free(tx, mixin_id)
            user = User(self._ids.user(), name, self._clock.now_us(), mixin_id)
            await self._ports.store.add_user(tx, user)
            await self._remember(tx, key, asked, user.id)
        return user.id

    async def set_mixin_id(self, user: UserId, mixin_id: str) -> None:
        """Say who a user is at Mixin, once: payouts go there. The same again changes nothing.

        Raises CallerFault for an unknown user, for another id than before, and for one of another.
        """
        require(0 < len(mixin_id) <= NAME_MAX, f"mixin_id: expected 1 to {NAME_MAX} characters")
        async with self._ports.transactions.begin("orders.set_mixin_id") as tx:
            found = await self._ports.store.user(tx, user)
            require(found is not None, f"user: {user} is unknown")
            if found is None or found.mixin_id == mixin_id:
                return
            require(not found.mixin_id, f"mixin_id: {user} has another")
            await self._require_free(tx, mixin_id)
            await self._ports.store.set_mixin_id(tx, user, mixin_id)

    async def user_at_mixin(self, mixin_id: str) -> User | None:
        """Who has that id at Mixin, or None."""
        async with self._ports.transactions.begin("orders.user_at_mixin") as tx:
            return await self._ports.store.user_at_mixin(tx, mixin_id)

    async def _require_free(self, tx: Tx, mixin_id: str) -> None:
        taken = mixin_id and await self._ports.store.user_at_mixin(tx, mixin_id) is not None
        require(not taken, "mixin_id: another user has it")

    async def made_by(self, key: str) -> UserId | None:
        """The user that the request with this key made, or None."""
        async with self._ports.transactions.begin("orders.made_by") as tx:
            found = await self._ports.store.recall(tx, key)
        return UserId(found.subject) if found is not None else None

    async def open_order(
        self,
        user: UserId,
        pool_id: PoolId,
        base_units: int,
        quote_units: int,
        key: str,
        *,
        by_mixin: bool = False,
    ) -> Answer:
        """Open an order for a pool with so many atomic units of its assets; one may be zero.

        Accepted means that LOCK is asked, or with ``by_mixin`` that deposits are waited for;
        whether there is enough shows in the order's state.
        """
        require_int(base_units, "base_units")
        require_int(quote_units, "quote_units")
        asked = _OpenAsked(
            pool=pool_id, base_units=base_units, quote_units=quote_units, by_mixin=by_mixin
        )
        key = f"{user}/{key}"
        async with self._ports.transactions.begin("orders.open") as tx:
            done = await self._done(tx, key, asked)
            if done is not None:
                return _again(done)
            order = await self._new_order(tx, user, asked)
            if isinstance(order, OrderRefusal):
                return Declined(order)
            await self._open(tx, order)
            await self._remember(tx, key, asked, order.id)
        return Accepted(order.id)

    async def _new_order(self, tx: Tx, user_id: UserId, asked: _OpenAsked) -> Order | OrderRefusal:
        user = await self._ports.store.user(tx, user_id)
        if user is None:
            return OrderRefusal.UNKNOWN_USER
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
        return await self._change(user, order_id, Wish.PAUSE, (), key)

    async def withdraw(
        self, user: UserId, order_id: OrderId, destinations: Sequence[Destination], key: str
    ) -> Answer:
        """Leave the pool, pay out to one destination for each asset of the pool, and close.

        Without any, an order that was paid through Mixin is paid out to its user's wallet there.
        """
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
            destinations = destinations or await self._wallet(tx, order, wish)
            refusal = self._change_refusal(order, wish, destinations)
            if refusal is not None:
                return Declined(refusal)
            if wish is Wish.NONE:
                await self._resume(tx, order)
            else:
                await self._let_out(tx, replace(order, wish=wish, destinations=destinations))
            await self._remember(tx, key, asked, order_id)
        return Accepted(order_id)

    async def _wallet(self, tx: Tx, order: Order, wish: Wish) -> tuple[Destination, ...]:
        user = await self._ports.store.user(tx, order.user)
        if wish is not Wish.WITHDRAW or not order.by_mixin or user is None or not user.mixin_id:
            return ()
        return wallet_of(order, user.mixin_id)

    def _change_refusal(
        self, order: Order, wish: Wish, destinations: Sequence[Destination]
    ) -> OrderRefusal | None:
        possible = {Wish.NONE: may_resume, Wish.PAUSE: may_pause, Wish.WITHDRAW: may_withdraw}
        if not possible[wish](order):
            return OrderRefusal.WRONG_STATE
        if wish is not Wish.WITHDRAW:
            return None
        refusal = destinations_refusal(order, destinations)
        if refusal is None and not all(map(self._accepts, destinations)):
            return OrderRefusal.DESTINATION_REFUSED
        return refusal

    def _accepts(self, destination: Destination) -> bool:
        held = destination.network != MIXIN or destination.asset in self._settings.mixin_forms
        return held and self._ports.payouts.accepts(destination)

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

    # --------------------------------------------------------------------------------- deposits

    async def claim_deposit(
        self, tx: Tx, key: CommandKey, money: Money, trace: str, memo: bytes
    ) -> UserId | None:
        """Whose deposit this is, None when no open leg waits for it.

        The answer is the claim: the caller credits the user under ``key`` in this transaction.
        """
        store = self._ports.store
        leg = await store.leg(tx, trace) if trace else None
        intent = self._ports.memos.read(memo) if leg is None and memo else None
        if intent is not None and len(intent) == _UUID_BYTES:
            leg = await store.leg_of(tx, str(UUID(bytes=intent)), money.asset)
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
        intent = legs[0].intent
        return DepositIntent(
            id=intent,
            order=order_id,
            memo=self._ports.memos.write(UUID(intent).bytes),
            until_us=order.created_us + self._settings.deposit_wait_us,
            legs=legs,
        )

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
