"""What pools need of their store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.pools.model import (
    BarrierMet,
    DealingRequest,
    DealingRequestState,
    Pool,
    PooledAccountRow,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import PoolId, VenueAccountId


class PoolStore(Protocol):
    """Rows of pools, venue accounts, tickets and barriers, in the caller's transaction."""

    async def lock_account(self, tx: Tx, account: VenueAccountId) -> PooledAccountRow:
        """The account's row, made when missing, locked until the transaction ends."""
        ...

    async def save_account(self, tx: Tx, row: PooledAccountRow) -> None:
        """Overwrite the row of an account that this transaction has locked."""
        ...

    async def pools(self, tx: Tx) -> Sequence[Pool]:
        """Every pool, by id."""
        ...

    async def pool(self, tx: Tx, pool: PoolId) -> Pool | None:
        """One pool, or None."""
        ...

    async def save_pool(self, tx: Tx, pool: Pool) -> None:
        """Insert or overwrite a pool whose account this transaction has locked.

        Two pools of one account and market are refused.
        """
        ...

    async def add_ticket(self, tx: Tx, ticket: DealingRequest) -> bool:
        """Insert a ticket; False when its id is there already (then nothing changed)."""
        ...

    async def ticket(self, tx: Tx, ticket: str) -> DealingRequest | None:
        """One ticket, or None."""
        ...

    async def tickets(self, tx: Tx, account: VenueAccountId) -> Sequence[DealingRequest]:
        """Tickets of the account that are not GONE, oldest first."""
        ...

    async def move_ticket(
        self, tx: Tx, before: DealingRequestState, ticket: DealingRequest
    ) -> bool:
        """Overwrite a ticket that is still in state ``before``; False when it is not."""
        ...

    async def add_barrier(
        self, tx: Tx, account: VenueAccountId, barrier_id: str, met: BarrierMet
    ) -> None:
        """Keep a barrier of the stream; the same one again changes nothing."""
        ...

    async def barrier(self, tx: Tx, account: VenueAccountId, barrier_id: str) -> BarrierMet | None:
        """A barrier that was kept, or None."""
        ...
