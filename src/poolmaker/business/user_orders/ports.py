"""What user orders need: their store, the desk of pools and the desk of payouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.pools.model import BarrierMet, DealingRequest, Pool
from poolmaker.business.user_orders.model import (
    DepositLeg,
    Order,
    PayoutDestination,
    PayoutEnd,
    PayoutRequest,
    RequestRow,
    TimelineLine,
    User,
    WalletClaim,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import OrderId, PoolId, SagaId, UserId, VenueAccountId, WithdrawalId
from poolmaker.messages.base import Money


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

    async def user_at_mixin(self, tx: Tx, mixin_id: str) -> User | None:
        """The user with that id at Mixin, or None."""
        ...

    async def user_named(self, tx: Tx, name: str) -> User | None:
        """The first user of that name, or None."""
        ...

    async def set_mixin_id(self, tx: Tx, user: UserId, mixin_id: str) -> None:
        """Say who a user is at Mixin; nobody else has that id."""
        ...

    async def set_disabled(self, tx: Tx, user: UserId, disabled_us: int) -> None:
        """Disable a user since then, or with 0 not any more."""
        ...

    async def save_claim(self, tx: Tx, claim: WalletClaim) -> None:
        """Insert a claim, or overwrite the one with its trace."""
        ...

    async def claim(self, tx: Tx, trace: str) -> WalletClaim | None:
        """The claim that a trace names, or None."""
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

    async def orders_before(
        self, tx: Tx, user: UserId | None, before: OrderId, limit: int
    ) -> Sequence[Order]:
        """Orders of one user or of all whose id comes before ``before``, the newest first.

        An empty ``before`` begins with the newest.
        """
        ...

    async def orders_of(self, tx: Tx, user: UserId, after: OrderId, limit: int) -> Sequence[Order]:
        """A user's orders whose id comes after ``after``, by id."""
        ...

    async def add_leg(self, tx: Tx, leg: DepositLeg) -> None:
        """Insert a deposit leg; its trace is new."""
        ...

    async def save_leg(self, tx: Tx, leg: DepositLeg) -> None:
        """Overwrite what has been paid of a leg whose order this transaction has locked."""
        ...

    async def leg(self, tx: Tx, trace: str) -> DepositLeg | None:
        """The leg that a payment link's trace names, or None."""
        ...

    async def leg_of(self, tx: Tx, intent: str, asset: str) -> DepositLeg | None:
        """The leg of a deposit intent in that asset, or None."""
        ...

    async def legs(self, tx: Tx, order: OrderId) -> Sequence[DepositLeg]:
        """The legs of an order, by asset."""
        ...


class DealingQueue(Protocol):
    """Where user orders queue for barriers; the room of pools."""

    async def pool(self, tx: Tx, pool: PoolId) -> Pool | None:
        """The pool, or None."""
        ...

    async def want_barrier(self, tx: Tx, ticket: DealingRequest) -> None:
        """Queue for a barrier; the ticket's saga is woken when it has come."""
        ...

    async def barrier_for(self, tx: Tx, ticket_id: str) -> BarrierMet | None:
        """The barrier that a ticket waited for, None while it has not come."""
        ...

    async def close_ticket(self, tx: Tx, ticket_id: str, ledger_seq: int) -> None:
        """The saga is through with it; ``ledger_seq`` is 0 when it gave up."""
        ...


class PayoutService(Protocol):
    """Where money leaves; the room of withdrawals."""

    def accepts(self, destination: PayoutDestination) -> bool:
        """Whether payouts of that asset go there at all."""
        ...

    async def request_payout(self, tx: Tx, wish: PayoutRequest) -> WithdrawalId:
        """Begin a withdrawal of available money; the same key answers the same withdrawal."""
        ...

    async def waiting_of(self, tx: Tx, user: UserId, asset: str) -> int:
        """Atomic units of a user's withdrawals that are requested and not held yet."""
        ...

    async def payout_end(self, tx: Tx, withdrawal: WithdrawalId) -> PayoutEnd | None:
        """How it ended, None while it is under way."""
        ...


class FundingService(Protocol):
    """Where orders queue for cash at their venue account; the treasury."""

    async def want(
        self,
        tx: Tx,
        saga: SagaId,
        order: OrderId,
        account: VenueAccountId,
        moneys: Sequence[Money],
    ) -> None:
        """Queue for the amounts; the saga is woken when all are funded. Again changes nothing."""
        ...

    async def funded(self, tx: Tx, saga: SagaId) -> bool:
        """Whether all that the saga wants is claimed for it at the venue account."""
        ...

    async def why_not_joined(self, tx: Tx, account: VenueAccountId, assets: Sequence[str]) -> str:
        """Why nobody joins a pool of these assets at present, empty when they may."""
        ...

    async def close(self, tx: Tx, saga: SagaId, *, used: bool) -> None:
        """The saga is through: a pool owns it now, or the order went without."""
        ...


class WatchedArrivals(Protocol):
    """How a place was watched since a time."""

    @property
    def looked_us(self) -> int:
        """Everything that had come until then has been told."""
        ...

    @property
    def unseen_us(self) -> int:
        """How long nobody looked, of the time that was asked for."""
        ...


class DepositWatch(Protocol):
    """Whether arrivals are being looked for; the treasury."""

    async def watched(self, tx: Tx, place: str, since_us: int) -> WatchedArrivals:
        """How the accounts that begin with ``place`` were watched since a time."""
        ...


class DepositMemos(Protocol):
    """How a memo names a deposit intent; the codec of Mixin."""

    def write(self, intent: bytes) -> bytes:
        """The memo that names the intent of these 16 bytes."""
        ...

    def read(self, memo: bytes) -> bytes | None:
        """The 16 bytes of the intent that a memo names, None when it is none of ours."""
        ...
