"""The order book of one market: a snapshot, then diffs without a gap.

A snapshot is only believed after a diff has continued it or a second one repeated it, because
venues serve stale ones. While a number is missing between two diffs the book is not usable; only
a new snapshot mends it.

Prices are atomic quote units of one whole base, sizes atomic base units: not ticks and lots, so
that a change of the venue's rules never changes what a price means. Times are monotonic
microseconds of the caller.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.checks import ensure
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Ratio
from poolmaker.kernel.states import StateTable
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, Depth, Levels

PENDING_DIFFS_MAX: Final = 2_000
NO_DEPTH: Final = Depth()
"""Nothing need stand behind a price but the smallest order."""
Own = Mapping[int, int]
"""Own sizes that the public book shows, by price."""


class BookState(StrEnum):
    """How far a book may be trusted."""

    EMPTY = "EMPTY"
    """No snapshot yet; diffs are kept for it."""
    UNCONFIRMED = "UNCONFIRMED"
    """A snapshot that nothing has confirmed yet."""
    LIVE = "LIVE"
    """Complete up to its last update."""
    GAP = "GAP"
    """An update is missing; only a new snapshot mends it."""


class BookEvent(StrEnum):
    """What moves a book."""

    SNAPSHOT = "SNAPSHOT"
    """A snapshot that connects to the diffs kept meanwhile."""
    REPEATED = "REPEATED"
    """A second snapshot said the same as the first, and the stream brought nothing between."""
    CONTINUED = "CONTINUED"
    """A diff that begins where the book ends."""
    SKIPPED = "SKIPPED"
    """A diff that begins later than where the book ends, or a snapshot that denies the book."""
    LOST = "LOST"
    """The stream broke."""


_S: Final = BookState
_E: Final = BookEvent
BOOK_STATES: Final = StateTable(
    name="order book",
    initial=_S.EMPTY,
    terminal=frozenset(),
    transitions={
        (_S.EMPTY, _E.SNAPSHOT): _S.UNCONFIRMED,
        (_S.GAP, _E.SNAPSHOT): _S.UNCONFIRMED,
        (_S.UNCONFIRMED, _E.REPEATED): _S.LIVE,
        (_S.LIVE, _E.REPEATED): _S.LIVE,
        (_S.UNCONFIRMED, _E.CONTINUED): _S.LIVE,
        (_S.LIVE, _E.CONTINUED): _S.LIVE,
        (_S.UNCONFIRMED, _E.SKIPPED): _S.GAP,
        (_S.LIVE, _E.SKIPPED): _S.GAP,
        **{(state, _E.LOST): _S.EMPTY for state in _S},
    },
)


class DiffOutcome(StrEnum):
    """What became of a diff."""

    APPLIED = "APPLIED"
    KEPT = "KEPT"
    OLD = "OLD"
    GAP = "GAP"


@dataclass(frozen=True, slots=True)
class Top:
    """A bid and an ask of a book; prices in atomic quote units of one whole base."""

    bid_units: int
    ask_units: int

    @property
    def halves(self) -> int:
        """Twice the middle, so that it is an int."""
        return self.bid_units + self.ask_units


class _Half:
    """One side: sizes by price, and the prices in ascending order."""

    __slots__ = ("prices", "sizes")

    def __init__(self, levels: Levels) -> None:
        self.sizes = {price: size for price, size in levels if size > 0}
        self.prices = sorted(self.sizes)

    def apply(self, levels: Levels) -> None:
        for price, size in levels:
            if size > 0:
                if price not in self.sizes:
                    insort(self.prices, price)
                self.sizes[price] = size
            elif self.sizes.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]


class OrderBook:
    """A book that says whether it may be used. Tells what it needs; does no I/O itself."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.state = BookState.EMPTY
        self.version = 0
        self.last_id = 0
        self.fresh_us = 0
        self._bids = _Half([])
        self._asks = _Half([])
        self._pending: deque[BookDiff] = deque(maxlen=PENDING_DIFFS_MAX)
        self._continued = False

    @property
    def needs_snapshot(self) -> bool:
        """Whether only a snapshot can make it usable."""
        return self.state in (BookState.EMPTY, BookState.GAP)

    def lose(self) -> None:
        """Forget everything: the stream broke."""
        self._reset(BookEvent.LOST)

    def on_snapshot(self, snapshot: BookSnapshot, now_us: int) -> None:
        """Start anew from a snapshot and continue it with the diffs kept meanwhile.

        A snapshot from before the kept diffs does not connect to them and is dropped, and so is
        one that is not needed.
        """
        if not self.needs_snapshot:
            return
        following = [diff for diff in self._pending if diff.last_id > snapshot.last_id]
        if following and following[0].first_id > snapshot.last_id + 1:
            return
        self._bids, self._asks = _Half(snapshot.bids), _Half(snapshot.asks)
        self.last_id = snapshot.last_id
        self._move(BookEvent.SNAPSHOT)
        self._pending.clear()
        for diff in following:
            self.on_diff(diff, now_us)

    def on_diff(self, diff: BookDiff, now_us: int) -> DiffOutcome:
        """Apply a diff where it continues the book; keep it while there is no snapshot."""
        if self.needs_snapshot:
            self._pending.append(diff)
            return DiffOutcome.KEPT
        if diff.last_id == self.last_id or (diff.last_id < self.last_id and not self._continued):
            return DiffOutcome.OLD
        if self._breaks(diff):
            self._reset(BookEvent.SKIPPED)
            self._pending.append(diff)
            return DiffOutcome.GAP
        self._bids.apply(diff.bids)
        self._asks.apply(diff.asks)
        self.last_id = diff.last_id
        self._move(BookEvent.CONTINUED)
        self._continued = True
        self.fresh_us = now_us
        self.version += 1
        return DiffOutcome.APPLIED

    def on_repeated(self, snapshot: BookSnapshot, now_us: int) -> bool:
        """Whether a further snapshot says the same as the book: nobody moved, nothing is missing.

        It may show fewer levels than the book has. ``now_us`` is when it was asked for. One that
        names the same update and other levels denies the book, which then needs a new one.
        """
        if self.needs_snapshot or snapshot.last_id != self.last_id:
            return False
        if not self._shows(snapshot):
            self._reset(BookEvent.SKIPPED)
            return False
        self._move(BookEvent.REPEATED)
        self.fresh_us = max(self.fresh_us, now_us)
        return True

    def on_alive(self, now_us: int) -> None:
        """The stream itself answered what was asked at ``now_us``: it held nothing back by then."""
        if self.state is BookState.LIVE:
            self.fresh_us = max(self.fresh_us, now_us)

    def _shows(self, snapshot: BookSnapshot) -> bool:
        bids, asks = sorted(snapshot.bids, reverse=True), sorted(snapshot.asks)
        ours = self.depth(Side.BUY, len(bids)), self.depth(Side.SELL, len(asks))
        return (bids, asks) == ours

    def age_us(self, now_us: int) -> int:
        """Time since it was last known to be complete."""
        return now_us - self.fresh_us

    def usable(self, now_us: int, age_max_us: int) -> bool:
        """Whether quotes may be made from it."""
        live = self.state is BookState.LIVE and self.age_us(now_us) <= age_max_us
        bids, asks = self._bids.prices, self._asks.prices
        return live and bool(bids and asks) and bids[-1] < asks[0]

    def top(self) -> Top | None:
        """Best bid and ask; None while a side is empty or the book is crossed."""
        return self.top_of_others({}, {})

    def top_of_others(self, own_bids: Own, own_asks: Own, depth: Depth = NO_DEPTH) -> Top | None:
        """Bid and ask that ``depth`` of others' orders stands behind; by default the best of all.

        Own orders are left out: own quotes must not lead us, nor make the price of money.
        """
        return self.tops_of_others(own_bids, own_asks, [depth])[0]

    def tops_of_others(
        self, own_bids: Own, own_asks: Own, depths: Sequence[Depth]
    ) -> list[Top | None]:
        """The same at several depths, of which none may be smaller than the one before."""
        wanted = [(depth.base_units, depth.quote_units * self.market.base.one) for depth in depths]
        bids = _reached(self._bids, reversed(self._bids.prices), own_bids, wanted)
        asks = _reached(self._asks, self._asks.prices, own_asks, wanted)
        return [
            Top(bid, ask) if bid is not None and ask is not None and bid < ask else None
            for bid, ask in zip(bids, asks, strict=True)
        ]

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """The best (price, size) of a side, best first."""
        half = self._bids if side is Side.BUY else self._asks
        best = half.prices[: -levels - 1 : -1] if side is Side.BUY else half.prices[:levels]
        return [(price, half.sizes[price]) for price in best]

    def ratio(self, units: int, parts: int = 1) -> Ratio:
        """A price of this book, divided by ``parts``, as quote units for base units."""
        return Ratio(units, parts * self.market.base.one)

    def _breaks(self, diff: BookDiff) -> bool:
        """Whether it does not begin where the book ends.

        The first diff may begin before the snapshot and catch up with it. After that the stream
        neither skips nor tells again what lies before its newest change: one of the two numbers
        would not be true.
        """
        if self._continued:
            return diff.first_id != self.last_id + 1
        return diff.first_id > self.last_id + 1

    def _move(self, event: BookEvent) -> None:
        after = BOOK_STATES.next(self.state, event)
        ensure(after is not None, f"book: {event} in {self.state}")
        self.state = after or self.state

    def _reset(self, event: BookEvent) -> None:
        self._move(event)
        self._continued = False
        self._bids, self._asks = _Half([]), _Half([])
        self._pending.clear()
        self.version += 1


def _reached(
    half: _Half, best_first: Iterable[int], own: Own, wanted: Sequence[tuple[int, int]]
) -> list[int | None]:
    """Prices at which the summed (size, price times size) of others reaches each of ``wanted``."""
    found: list[int | None] = []
    sizes, size_sum, worth_sum = half.sizes, 0, 0
    size_min, worth_min = wanted[0]
    for price in best_first:
        size = sizes[price]
        if price in own:
            size = max(0, size - own[price])
        size_sum += size
        worth_sum += price * size
        # A level of our own only adds nothing, and is no price although the sum is there.
        while size and size_sum >= size_min and worth_sum >= worth_min:
            found.append(price)
            if len(found) == len(wanted):
                return found
            size_min, worth_min = wanted[len(found)]
    return found + [None] * (len(wanted) - len(found))
