"""Walks final blocks for transfers to our wallet; shows, and never stores, what lies above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.evm.chain import Chain
from poolmaker.evm.model import BlockHead, ChainTransfer, Cursor, WaitingTransfer
from poolmaker.evm.ports import WatchStore
from poolmaker.evm.rpc import RpcSilent
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable

SPAN_MAX: Final = 500
OVERLAP: Final = 64
"""Final blocks that are read again: a node that lagged may have answered with too little."""
GROWS_AFTER: Final = 8
"""Spans in a row that are answered before more is asked for: a silence ends a look."""
TAIL_MAX: Final = 2_000
_WAITING_MAX: Final = 100


class Watcher:
    """The transfers of registered tokens to one wallet. One process runs it at a time.

    ``tail`` is what the last look saw above the final block: it may vanish.
    """

    def __init__(
        self,
        chain: Chain,
        wallet: str,
        contracts: Sequence[str],
        store: WatchStore,
        transactions: Transactions,
        clock: Clock,
    ) -> None:
        self.wallet = wallet
        self.tail: tuple[ChainTransfer, ...] = ()
        self._chain = chain
        self._contracts = tuple(contracts)
        self._store = store
        self._transactions = transactions
        self._clock = clock
        self._span = SPAN_MAX
        self._answered = 0
        self._refusal = ""

    async def look(self) -> int:
        """Store what became final since the last look, and see the tail; how many are new.

        Raises Unavailable when the node cannot be trusted now: the cursor then stands where the
        last chunk left it. Raises InvariantBroken when a final block is another one now.
        """
        final = await self._chain.finalized()
        cursor = await self._cursor(final)
        new = 0
        if final.number < cursor.head.number:
            raise Unavailable(f"the node's final block {final.number} lies behind what was read")
        same = await self._chain.head(cursor.head.number) == cursor.head
        ensure(same, f"final block {cursor.head.number} is not {cursor.head.hash} any more")
        while cursor.head.number < final.number:
            cursor, found = await self._chunk(cursor, final)
            new += found
        self.tail = await self._look_at_tail(final)
        return new

    async def _cursor(self, final: BlockHead) -> Cursor:
        async with self._transactions.begin("evm.cursor") as tx:
            await self._store.begin_at(tx, self._chain.chain_id, self.wallet, final)
            found = await self._store.cursor(tx, self._chain.chain_id, self.wallet)
        return found or Cursor(final.number, final)

    async def _chunk(self, cursor: Cursor, final: BlockHead) -> tuple[Cursor, int]:
        """Read the next chunk; the cursor moves in the transaction that stores what it found."""
        first = max(cursor.started_block, cursor.head.number - OVERLAP) + 1
        transfers, end = await self._read(first, cursor.head.number + 1, final)
        new, now_us = 0, self._clock.now_us()
        async with self._transactions.begin("evm.chunk") as tx:
            for one in transfers:
                new += await self._store.add(tx, one, now_us)
            moved = await self._store.move(tx, self._chain.chain_id, self.wallet, cursor.head, end)
            if not moved:
                raise Unavailable("somebody else reads this wallet's transfers")
        return Cursor(cursor.started_block, end), new

    async def _read(
        self, first: int, unread: int, final: BlockHead
    ) -> tuple[list[ChainTransfer], BlockHead]:
        """Transfers from ``first`` to the end of a span, which holds ``unread``, and that end.

        A node that refuses the range, in whatever words, is asked for half of it; at most half a
        span is read again. One that is silent is asked for half of it the next time.
        """
        while True:
            start = max(first, unread - self._span // 2)
            number = min(final.number, start + self._span - 1)
            end = final if number == final.number else await self._chain.head(number)
            try:
                found = await self._transfers(start, end)
            except RpcSilent:
                self._shrink()
                raise
            except Unavailable as problem:
                if self._span == 1:
                    raise
                self._shrink()
                self._refusal = f"{str(problem)[:160]}; {self._span} blocks at once"
                continue
            self._grow()
            return found, end

    def _shrink(self) -> None:
        self._span, self._answered = max(1, self._span // 2), 0

    def _grow(self) -> None:
        if self._span == SPAN_MAX:
            self._refusal = ""
        self._answered += 1
        if self._answered >= GROWS_AFTER:
            self._span, self._answered = min(SPAN_MAX, self._span * 2), 0

    @property
    def sentence(self) -> str:
        """How the node is read, for health."""
        singly = "" if self._chain.rpc.takes_batches else "; it takes no batches"
        return f"answers{singly}" + (f"; refused: {self._refusal}" if self._refusal else "")

    async def _transfers(self, first: int, end: BlockHead) -> list[ChainTransfer]:
        return await self._chain.transfers_to(self.wallet, self._contracts, first, end)

    async def _look_at_tail(self, final: BlockHead) -> tuple[ChainTransfer, ...]:
        newest = await self._chain.latest()
        if newest.number <= final.number:
            return ()
        first = max(final.number + 1, newest.number - TAIL_MAX)
        found: list[ChainTransfer] = []
        while first <= newest.number:
            some, end = await self._read(first, first, newest)
            found.extend(some)
            first = end.number + 1
        return tuple(found)

    # ------------------------------------------------------------------ for whoever judges

    async def waiting(self, tx: Tx) -> Sequence[WaitingTransfer]:
        """Final transfers that are due to be judged, oldest first."""
        return await self._store.waiting(
            tx, self._chain.chain_id, self.wallet, self._clock.now_us(), _WAITING_MAX
        )

    async def settle(self, tx: Tx, transfer: ChainTransfer, outcome: str, note: str = "") -> None:
        """A transfer is judged, in the transaction of its effect.

        Raises Unavailable when it already was: the transaction must end without an effect.
        """
        if not await self._store.settle(tx, transfer, outcome, note):
            raise Unavailable(f"{transfer.reference} was judged by somebody else")

    async def postpone(self, tx: Tx, transfer: ChainTransfer, due_us: int, note: str) -> None:
        """Judge it later."""
        await self._store.postpone(tx, transfer, due_us, note)
