"""The history of shares: the ledger's log, followed by a stored cursor."""

from __future__ import annotations

from typing import Final

from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.rewards.model import ShareCursor, ShareWindow
from poolmaker.business.rewards.ports import ShareStore
from poolmaker.business.rewards.rules import share_changes
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import PoolId

BATCH: Final = 500


class ShareHistory:
    """What each order had of each pool at any ledger time up to the cursor."""

    def __init__(self, transactions: Transactions, store: ShareStore, ledger: LedgerClient) -> None:
        self._transactions = transactions
        self._store = store
        self._ledger = ledger
        # Only a hint, so that looking costs nothing; what counts is the cursor.
        self._applied = 0

    async def follow(self) -> int:
        """Apply a batch of the ledger's log; how many transactions it had, 0 at its end."""
        async with self._transactions.begin("shares.look") as tx:
            if not await self._ledger.read(tx, self._applied, 1):
                return 0
        async with self._transactions.begin("shares.follow") as tx:
            cursor = await self._store.lock_cursor(tx)
            log = await self._ledger.read(tx, cursor.seq, BATCH)
            if log:
                changes = [change for one in log for change in share_changes(one)]
                ensure(log[0].seq == cursor.seq + 1, f"the log goes on at {log[0].seq}")
                cursor = ShareCursor(log[-1].seq, log[-1].at_us)
                await self._store.apply(tx, changes, cursor)
        self._applied = cursor.seq
        return len(log)

    async def window(self, tx: Tx, pool: PoolId, from_us: int, to_us: int) -> ShareWindow:
        """The pool's shares in ``[from_us, to_us)`` in ledger time, all epochs."""
        # Read first: what is applied meanwhile can only be behind what is read here.
        applied = await self._store.cursor(tx)
        return ShareWindow(
            from_us,
            to_us,
            await self._store.opening(tx, pool, from_us),
            tuple(await self._store.changes(tx, pool, from_us, to_us)),
            applied,
        )
