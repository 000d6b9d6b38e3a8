"""The history of shares: the ledger's log, followed by a stored cursor."""

from __future__ import annotations

from typing import Final

from poolmaker.bus.guard import StreamGuard
from poolmaker.business.ledger.accounts import share_asset
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.rewards.model import ShareCursor, ShareWindow
from poolmaker.business.rewards.ports import ShareStore
from poolmaker.business.rewards.rules import in_one_unit, share_changes
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import PoolId

BATCH: Final = 500
SHARES: Final = "shares"
"""Name of this consumer of the ledger's log."""
LEDGER_LOG: Final = "ledger"


class ShareHistory:
    """What each order had of each pool at any ledger time up to the cursor."""

    def __init__(
        self,
        transactions: Transactions,
        store: ShareStore,
        ledger: LedgerClient,
        guard: StreamGuard,
    ) -> None:
        self._transactions = transactions
        self._store = store
        self._ledger = ledger
        self._guard = guard
        # Only a hint, so that looking costs nothing; what counts is the cursor.
        self._applied = 0

    async def follow(self) -> int:
        """Apply a batch of the ledger's log; how many transactions it had, 0 at its end."""
        async with self._transactions.begin("shares.look") as tx:
            if not await self._ledger.read(tx, self._applied, 1):
                return 0
        return await self._guard.apply(LEDGER_LOG, BATCH, self._follow, self._cursor, self._skip)

    async def _follow(self, limit: int) -> int:
        async with self._transactions.begin("shares.follow") as tx:
            cursor = await self._store.lock_cursor(tx)
            log = await self._ledger.read(tx, cursor.seq, limit)
            if log:
                changes = [change for one in log for change in share_changes(one)]
                ensure(log[0].seq == cursor.seq + 1, f"the log goes on at {log[0].seq}")
                cursor = ShareCursor(log[-1].seq, log[-1].at_us)
                await self._store.apply(tx, changes, cursor)
        self._applied = cursor.seq
        return len(log)

    async def _cursor(self, tx: Tx) -> int:
        return (await self._store.lock_cursor(tx)).seq

    async def _skip(self, tx: Tx, at: int) -> None:
        """Ledger time goes on; what the transaction changed of shares stays out of every weight."""
        (one,) = await self._ledger.read(tx, at, 1)
        await self._store.apply(tx, [], ShareCursor(one.seq, one.at_us))

    async def window(self, tx: Tx, pool: PoolId, from_us: int, to_us: int) -> ShareWindow:
        """The pool's shares in ``[from_us, to_us)`` in ledger time, all epochs in one unit."""
        # Read first: what is applied meanwhile can only be behind what is read here.
        applied = await self._store.cursor(tx)
        opening = await self._store.opening(tx, pool, from_us)
        changes = await self._store.changes(tx, pool, from_us, to_us)
        epochs = {epoch for epoch, _ in opening} | {change.epoch for change in changes}
        scales = {epoch: await self._ledger.scale(tx, share_asset(pool, epoch)) for epoch in epochs}
        return in_one_unit(
            ShareWindow(from_us, to_us, {}, tuple(changes), applied), opening, scales
        )
