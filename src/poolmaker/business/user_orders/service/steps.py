"""What the children of an order do in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Generic, TypeVar

from poolmaker.business.ledger.accounts import custody_mixin, order_locked
from poolmaker.business.ledger.commands import PlatformFee, Unlock
from poolmaker.business.ledger.model import LedgerRefusal, Outcome, PostingRefused
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.pools.model import BarrierMet, DealingRequest, DealingRequestKind, Pool
from poolmaker.business.user_orders.model import (
    ORDER_TABLE,
    ExitData,
    FundData,
    Order,
    OrderSettings,
    TimelineLine,
    UserOrderEvent,
)
from poolmaker.business.user_orders.ports import (
    DealingQueue,
    DepositMemos,
    DepositWatch,
    FundingService,
    OrderStore,
    PayoutService,
)
from poolmaker.infra.sagas.model import Saga, SagaChange, back_off_us
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, OrderId, SagaId, request_key
from poolmaker.messages.base import Message, Money, encode


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPorts:
    """What user orders reach the outside through."""

    transactions: Transactions
    store: OrderStore
    ledger: LedgerClient
    sagas: SagaStore
    pools: DealingQueue
    payouts: PayoutService
    funding: FundingService
    memos: DepositMemos
    watch: DepositWatch


D = TypeVar("D", FundData, ExitData)

FUNDING_FEE: Final = "funding"
EXIT_FEE: Final = "exit"
DUST: Final = "dust"
"""Reasons of PLATFORM_FEE."""

MIXIN_PLACE: Final = custody_mixin("").rstrip(":")
"""The beginning of all custody accounts at Mixin."""

DONE: Final = "done"
"""The state that ends a child of an order."""


@dataclass(frozen=True, slots=True)
class OrderStep(Generic[D]):
    """One step: its transaction, its saga with what that remembers, and the order, locked."""

    tx: Tx
    saga: Saga
    data: D
    order: Order


class Steps:
    """Shared by the desk and by the sagas: rows of orders, waits, tickets."""

    def __init__(self, ports: OrderPorts, clock: Clock, settings: OrderSettings) -> None:
        self.ports = ports
        self.clock = clock
        self.settings = settings

    async def order(self, tx: Tx, order_id: OrderId) -> Order:
        """The order, locked."""
        order = await self.ports.store.lock_order(tx, order_id)
        if order is None:
            raise InvariantBroken(f"order {order_id} has a saga and no row")
        return order

    async def pool(self, tx: Tx, order: Order) -> Pool:
        """The order's pool."""
        pool = await self.ports.pools.pool(tx, order.pool)
        if pool is None:
            raise InvariantBroken(f"order {order.id} is for {order.pool}, which has no row")
        return pool

    async def deposit_deadline(self, tx: Tx, order: Order) -> tuple[int, int]:
        """Until when its deposits may be made, and until when those made have been read.

        Time in which nobody looked for deposits is not the user's.
        """
        watched = await self.ports.watch.watched(tx, MIXIN_PLACE, order.created_us)
        waits_us = self.settings.deposit_wait_us + watched.unseen_us
        return order.created_us + waits_us, watched.looked_us

    async def happen(
        self, tx: Tx, order: Order, event: UserOrderEvent, *, key: str = "", note: str = ""
    ) -> Order:
        """Move the order by its table and tell its story; ``order`` carries other changes."""
        state = ORDER_TABLE.next(order.state, event)
        if state is None:
            raise InvariantBroken(f"order {order.id}: {event} is not possible in {order.state}")
        order = replace(order, state=state)
        await self.tell(tx, order, event, key=key, note=note)
        return order

    async def tell(
        self, tx: Tx, order: Order, event: str, *, key: str = "", note: str = ""
    ) -> None:
        """Save the order as it is and add a line to its story."""
        line = TimelineLine(self.clock.now_us(), order.state, event, key, note)
        await self.ports.store.save_order(tx, order, line)

    def child(self, order: Order) -> tuple[Order, SagaId]:
        """The order with one more child, whose id is a pure function of the order."""
        ensure(not order.child, f"order {order.id}: {order.child} is at work")
        child = SagaId(f"{order.id}-{order.children + 1}")
        return replace(order, child=child, children=order.children + 1), child

    async def start(self, tx: Tx, order: Order, kind: str, state: str, data: Message) -> None:
        """Start the order's child, due now."""
        saga = Saga(
            id=order.child,
            kind=kind,
            state=state,
            version=0,
            due_us=self.clock.now_us(),
            tries=0,
            data=encode(data),
            correlation=order.correlation,
        )
        ensure(await self.ports.sagas.start(tx, saga), f"saga {saga.id} was there already")

    async def advance(
        self, work: OrderStep[D], state: StrEnum | None, event: str, data: D, after_us: int = 0
    ) -> None:
        """Move the saga by its table's answer, due ``after_us`` from now; DONE ends it."""
        saga, now_us = work.saga, self.clock.now_us()
        if state is None:
            raise InvariantBroken(f"saga {saga.id}: {event} is not possible in {saga.state}")
        due_us = None if state.value == DONE else now_us + after_us
        change = SagaChange(state.value, due_us, encode(data), event)
        await self.ports.sagas.advance(work.tx, saga, change, now_us)

    async def outcome(self, work: OrderStep[D], key: CommandKey) -> Outcome | None:
        """What the ledger answered; when it has not yet, the saga comes back soon."""
        outcome = await self.ports.ledger.outcome(work.tx, key)
        if outcome is None:
            settings = self.settings
            wait = back_off_us(work.saga.tries, settings.ledger_first_us, settings.ledger_max_us)
            await self.wait(work, wait, "the ledger has not answered yet")
        return outcome

    async def wait(self, work: OrderStep[D], after_us: int, note: str) -> None:
        """Stay and look again; whoever wakes the saga shortens it."""
        due_us = self.clock.now_us() + after_us
        await self.ports.sagas.retry(work.tx, work.saga, due_us, note)

    async def queue(
        self, work: OrderStep[D], kind: DealingRequestKind, number: int, due_us: int = 0
    ) -> None:
        """Take ticket ``number`` of this saga, for a barrier not before ``due_us``."""
        saga, order = work.saga, work.order
        joins = kind is DealingRequestKind.JOIN
        base, quote = await self.locked(work.tx, order) if joins else (0, 0)
        ticket = DealingRequest(
            id=ticket_id(saga, number),
            saga=saga.id,
            pool=order.pool,
            account=order.account,
            kind=kind,
            shares=order.shares if kind is DealingRequestKind.LEAVE else 0,
            base_units=base,
            quote_units=quote,
            due_us=due_us,
        )
        await self.ports.pools.want_barrier(work.tx, ticket)

    async def barrier(self, work: OrderStep[D], number: int) -> BarrierMet | None:
        """The barrier of ticket ``number``; when it has not come, the saga waits to be woken."""
        met = await self.ports.pools.barrier_for(work.tx, ticket_id(work.saga, number))
        if met is None:
            await self.wait(work, self.settings.event_wait_us, "waiting for a barrier")
        return met

    async def close(self, work: OrderStep[D], number: int, ledger_seq: int = 0) -> None:
        """Close ticket ``number``, used by a ledger transaction or not at all."""
        await self.ports.pools.close_ticket(work.tx, ticket_id(work.saga, number), ledger_seq)

    async def locked(self, tx: Tx, order: Order) -> tuple[int, int]:
        """Base and quote units that the order has locked."""
        account, ledger = order_locked(order.id), self.ports.ledger
        base = await ledger.balance(tx, account, order.base.asset)
        return base, await ledger.balance(tx, account, order.quote.asset)

    async def ask_charges(self, work: OrderStep[D], moneys: Sequence[Money], reason: str) -> None:
        """Ask for what the order was quoted."""
        for money in moneys:
            fee = PlatformFee(
                key=charge_key(work.saga, money, reason),
                user=work.order.user,
                order=work.order.id,
                money=money,
                reason=reason,
            )
            await self.ports.ledger.ask(work.tx, fee)

    async def charged(self, work: OrderStep[D], moneys: Sequence[Money], reason: str) -> bool:
        """Whether all that was asked for is booked; when not, the saga comes back soon."""
        for money in moneys:
            key = charge_key(work.saga, money, reason)
            outcome = await self.outcome(work, key)
            if outcome is None:
                return False
            if isinstance(outcome, PostingRefused):
                raise broken(work.saga, key, outcome.reason)
        return True

    async def ask_unlock(
        self, tx: Tx, order: Order, key: CommandKey, units: tuple[int, int]
    ) -> None:
        """Ask to give the order's locked funds back to its user."""
        unlock = Unlock(key=key, user=order.user, order=order.id, money=monies(order, *units))
        await self.ports.ledger.ask(tx, unlock)


def ticket_id(saga: Saga, number: int) -> str:
    """The id of a saga's ticket: a pure function of both."""
    return f"{saga.id}:{number}"


def charge_key(saga: Saga, money: Money, reason: str) -> CommandKey:
    """A fee is asked for once in each asset, and so is what no payout can carry."""
    kind = DUST if reason == DUST else "fee"
    return request_key(saga.id, f"{kind} {money.asset.replace(':', '.')}", 0)


def monies(order: Order, base_units: int, quote_units: int) -> tuple[Money, ...]:
    """Those of the two amounts that are not nothing."""
    both = (
        Money(asset=order.base.asset, units=base_units),
        Money(asset=order.quote.asset, units=quote_units),
    )
    return tuple(money for money in both if money.units)


def broken(saga: Saga, key: CommandKey, refusal: LedgerRefusal) -> InvariantBroken:
    """A refusal that cannot happen while our books are right."""
    return InvariantBroken(f"saga {saga.id}: {key} was refused: {refusal}")
