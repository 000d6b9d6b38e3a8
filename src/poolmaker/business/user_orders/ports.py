"""What user orders need: their store, the desk of pools and the desk of payouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.pools.model import BarrierMet, Pool, Ticket
from poolmaker.business.user_orders.model import (
    Destination,
    Order,
    PayoutEnd,
    PayoutWish,
    RequestRow,
    TimelineLine,
    User,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import OrderId, PoolId, UserId, WithdrawalId


class OrderStore(Protocol):
    """Rows of users, orders, time lines and accepted requests, in the caller's transaction."""

    async def add_user(self, tx: Tx, user: User) -> None:
        """Insert a user; his id is new."""
        ...

    async def user(self, tx: Tx, user: UserId) -> User | None:
        """One user, or None."""
        ...

    async def users(self, tx: Tx, after: UserId, limit: int) -> Sequence[User]:
        """Users whose id comes after ``after``, by id."""
        ...

    async def recall(self, tx: Tx, key: str) -> RequestRow | None:
        """The request that was accepted under ``key``, or None."""
        ...

    async def remember(self, tx: Tx, request: RequestRow) -> bool:
        """Keep an accepted request; False when its key was taken a moment ago."""
        ...

    async def add_order(self, tx: Tx, order: Order, line: TimelineLine) -> None:
        """Insert an order with the first line of its story; its id is new."""
        ...

    async def order(self, tx: Tx, order: OrderId) -> Order | None:
        """One order, or None."""
        ...

    async def lock_order(self, tx: Tx, order: OrderId) -> Order | None:
        """One order, locked until the transaction ends, or None."""
        ...

    async def save_order(self, tx: Tx, order: Order, line: TimelineLine) -> None:
        """Overwrite an order that this transaction has locked and add a line to its story."""
        ...

    async def timeline(self, tx: Tx, order: OrderId) -> Sequence[TimelineLine]:
        """The story of an order, oldest first."""
        ...

    async def orders_of(self, tx: Tx, user: UserId, after: OrderId, limit: int) -> Sequence[Order]:
        """A user's orders whose id comes after ``after``, by id."""
        ...


class PoolDesk(Protocol):
    """Where user orders queue for barriers; the room of pools."""

    async def pool(self, tx: Tx, pool: PoolId) -> Pool | None:
        """The pool, or None."""
        ...

    async def want_barrier(self, tx: Tx, ticket: Ticket) -> None:
        """Queue for a barrier; the ticket's saga is woken when it has come."""
        ...

    async def barrier_for(self, tx: Tx, ticket_id: str) -> BarrierMet | None:
        """The barrier that a ticket waited for, None while it has not come."""
        ...

    async def close_ticket(self, tx: Tx, ticket_id: str, ledger_seq: int) -> None:
        """The saga is through with it; ``ledger_seq`` is 0 when it gave up."""
        ...


class PayoutDesk(Protocol):
    """Where money leaves; the room of withdrawals."""

    def accepts(self, destination: Destination) -> bool:
        """Whether payouts of that asset go there at all."""
        ...

    async def request_payout(self, tx: Tx, wish: PayoutWish) -> WithdrawalId:
        """Begin a withdrawal of available money; the same key answers the same withdrawal."""
        ...

    async def payout_end(self, tx: Tx, withdrawal: WithdrawalId) -> PayoutEnd | None:
        """How it ended, None while it is under way."""
        ...
