"""What rewards need: their stores, whose campaign it was, whose an order is, and payouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from poolmaker.business.rewards.model import (
    Allocation,
    Reward,
    RewardDecision,
    RewardIncident,
    RewardLine,
    RewardTotals,
    RewardTrouble,
    ShareChange,
    ShareCursor,
    StoredAllocation,
    UserPart,
)
from poolmaker.business.user_orders.model import Order
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey, OrderId, PoolId, UserId


class RewardStore(Protocol):
    """Rows of rewards, their stories, incidents and allocations, in the caller's transaction."""

    async def add(self, tx: Tx, reward: Reward, line: RewardLine) -> bool:
        """Insert a reward; False when its key is there already (then nothing changed)."""
        ...

    async def reward(self, tx: Tx, reward: str) -> Reward | None:
        """One reward by our name for it, or None."""
        ...

    async def lock(self, tx: Tx, reward: str) -> Reward | None:
        """One reward, locked until the transaction ends, or None."""
        ...

    async def save(self, tx: Tx, reward: Reward, line: RewardLine) -> None:
        """Overwrite a reward that this transaction has locked and add a line to its story."""
        ...

    async def listed(self, tx: Tx, campaign: str, limit: int) -> Sequence[Reward]:
        """Rewards of a campaign, or of all when it is empty, newest period first."""
        ...

    async def timeline(self, tx: Tx, reward: str) -> Sequence[RewardLine]:
        """The story of a reward, oldest first."""
        ...

    async def open_incident(self, tx: Tx, incident: RewardIncident) -> bool:
        """Open an incident; False when the reward has such a one open (then nothing changed)."""
        ...

    async def close_incident(
        self, tx: Tx, reward: str, trouble: RewardTrouble, now_us: int
    ) -> None:
        """The trouble is over; no effect where there was none."""
        ...

    async def incidents(self, tx: Tx, reward: str) -> Sequence[RewardIncident]:
        """A reward's incidents, or every open one when ``reward`` is empty, oldest first."""
        ...

    async def add_decision(self, tx: Tx, decision: RewardDecision) -> None:
        """Keep a person's word; the newest one counts and none is ever changed."""
        ...

    async def decision(self, tx: Tx, reward: str) -> RewardDecision | None:
        """The newest decision about a reward, or None."""
        ...

    async def add_allocation(self, tx: Tx, allocation: Allocation, digest: str) -> None:
        """Store who gets what; a reward is allocated once."""
        ...

    async def allocation(self, tx: Tx, reward: str) -> StoredAllocation | None:
        """The stored allocation of a reward, or None."""
        ...

    async def parts_of_user(
        self, tx: Tx, user: UserId, after: str, limit: int
    ) -> Sequence[UserPart]:
        """A user's parts of rewards whose name comes after ``after``, by name and order."""
        ...

    async def credited(
        self, tx: Tx, orders: Sequence[OrderId]
    ) -> Mapping[OrderId, Mapping[str, int]]:
        """What was credited for each of these orders, atomic units by asset."""
        ...

    async def totals(self, tx: Tx) -> Sequence[RewardTotals]:
        """Sums over all booked rewards, by asset."""
        ...


class ShareStore(Protocol):
    """The history of shares as read from the ledger's log, in the caller's transaction."""

    async def cursor(self, tx: Tx) -> ShareCursor:
        """Up to where the log is applied."""
        ...

    async def lock_cursor(self, tx: Tx) -> ShareCursor:
        """The same, locked until the transaction ends."""
        ...

    async def apply(self, tx: Tx, changes: Sequence[ShareChange], cursor: ShareCursor) -> None:
        """Add changes and move the cursor, which this transaction has locked."""
        ...

    async def opening(self, tx: Tx, pool: PoolId, at_us: int) -> Mapping[tuple[int, OrderId], int]:
        """What each order had of each epoch's shares at ``at_us``, changes at it included."""
        ...

    async def changes(
        self, tx: Tx, pool: PoolId, after_us: int, to_us: int
    ) -> Sequence[ShareChange]:
        """Changes in ``(after_us, to_us)``, in the order of the log."""
        ...


class CampaignPools(Protocol):
    """Whose rewards a campaign's are; the room of campaigns."""

    async def pool_of(self, tx: Tx, campaign: str) -> PoolId | None:
        """The pool whose share holders they belong to, None while unknown."""
        ...

    async def counted(self, tx: Tx, campaign: str, from_us: int, to_us: int) -> tuple[int, int]:
        """What of a period counts for us, empty where the second is not after the first."""
        ...


class OrderDirectory(Protocol):
    """Whose an order is, and whether a user has an open one; the store of user orders has these."""

    async def order(self, tx: Tx, order: OrderId) -> Order | None:
        """One order, or None."""
        ...

    async def orders_of(self, tx: Tx, user: UserId, after: OrderId, limit: int) -> Sequence[Order]:
        """A user's orders whose id comes after ``after``, by id."""
        ...


class RewardPayouts(Protocol):
    """Who pays out what rewards have made available; the room of withdrawals."""

    async def waiting(self, tx: Tx, user: UserId, asset: str) -> int:
        """Atomic units of the user's withdrawals that are requested and not held yet."""
        ...

    async def request(self, tx: Tx, user: UserId, asset: str, units: int, key: CommandKey) -> None:
        """Pay available money to the user's own wallet; the same key is the same payout."""
        ...
