"""The order book of one market: a snapshot, then diffs without a gap.

A snapshot is only believed after a diff has continued it, because venues serve stale ones. While
a number is missing between two diffs the book is not usable; only a new snapshot mends it.
Times are monotonic microseconds of the caller.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.market import Side
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, Levels

PENDING_DIFFS_MAX: Final = 2_000


class BookState(StrEnum):
    """How far a book may be trusted."""

    EMPTY = "EMPTY"
    """No snapshot yet; diffs are kept for it."""
    UNCONFIRMED = "UNCONFIRMED"
    """A snapshot that no diff has continued yet."""
    LIVE = "LIVE"
    """Complete up to its last update."""
    GAP = "GAP"
    """An update is missing; only a new snapshot mends it."""


class DiffOutcome(StrEnum):
    """What became of a diff."""

    APPLIED = "APPLIED"
    KEPT = "KEPT"
    OLD = "OLD"
    GAP = "GAP"


@dataclass(frozen=True, slots=True)
class Top:
    """Best prices in ticks with their lots."""

    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int

    @property
    def mid_halfticks(self) -> int:
        """Twice the middle, so that it is an int."""
        return self.bid_ticks + self.ask_ticks

    @property
    def microprice(self) -> tuple[int, int]:
        """(numerator, weight) of the price weighted by the other side's size, in ticks."""
        weight = self.bid_lots + self.ask_lots
        return self.bid_ticks * self.ask_lots + self.ask_ticks * self.bid_lots, weight


class _Half:
    """One side: lots by ticks, and the ticks in ascending order."""

    __slots__ = ("lots", "ticks")

    def __init__(self, levels: Levels) -> None:
        self.lots = {ticks: lots for ticks, lots in levels if lots > 0}
        self.ticks = sorted(self.lots)

    def apply(self, levels: Levels) -> None:
        for ticks, lots in levels:
            if lots > 0:
                if ticks not in self.lots:
                    insort(self.ticks, ticks)
                self.lots[ticks] = lots
            elif self.lots.pop(ticks, None) is not None:
                del self.ticks[bisect_left(self.ticks, ticks)]


class OrderBook:
    """A book that says whether it may be used. Tells what it needs; does no I/O itself."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.state = BookState.EMPTY
        self.version = 0
        self.last_id = 0
        self.fresh_us = 0
        self._bids = _Half([])
        self._asks = _Half([])
        self._pending: deque[BookDiff] = deque(maxlen=PENDING_DIFFS_MAX)

    @property
    def needs_snapshot(self) -> bool:
        """Whether only a snapshot can make it usable."""
        return self.state in (BookState.EMPTY, BookState.GAP)

    def lose(self) -> None:
        """Forget everything: the stream broke."""
        self._reset(BookState.EMPTY)

    def on_snapshot(self, snapshot: BookSnapshot, now_us: int) -> None:
        """Start anew from a snapshot and continue it with the diffs kept meanwhile.

        A snapshot from before the kept diffs does not connect to them and is dropped.
        """
        following = [diff for diff in self._pending if diff.last_id > snapshot.last_id]
        if following and following[0].first_id > snapshot.last_id + 1:
            return
        self._bids, self._asks = _Half(snapshot.bids), _Half(snapshot.asks)
        self.last_id = snapshot.last_id
        self.state = BookState.UNCONFIRMED
        self._pending.clear()
        for diff in following:
            self.on_diff(diff, now_us)

    def on_diff(self, diff: BookDiff, now_us: int) -> DiffOutcome:
        """Apply a diff where it continues the book; keep it while there is no snapshot."""
        if self.needs_snapshot:
            self._pending.append(diff)
            return DiffOutcome.KEPT
        if diff.last_id <= self.last_id:
            return DiffOutcome.OLD
        if diff.first_id > self.last_id + 1 or self._overlaps_midway(diff):
            self._reset(BookState.GAP)
            self._pending.append(diff)
            return DiffOutcome.GAP
        self._bids.apply(diff.bids)
        self._asks.apply(diff.asks)
        self.last_id = diff.last_id
        self.state = BookState.LIVE
        self.fresh_us = now_us
        self.version += 1
        return DiffOutcome.APPLIED

    def confirm(self, last_id: int, now_us: int) -> None:
        """A second source names ``last_id`` as newest: the same id proves that we miss nothing."""
        if self.state is BookState.LIVE and last_id == self.last_id:
            self.fresh_us = now_us

    def age_us(self, now_us: int) -> int:
        """Time since it was last known to be complete."""
        return now_us - self.fresh_us

    def usable(self, now_us: int, age_max_us: int) -> bool:
        """Whether quotes may be made from it."""
        live = self.state is BookState.LIVE and self.age_us(now_us) <= age_max_us
        return live and self.top() is not None

    def top(self) -> Top | None:
        """Best bid and ask; None while a side is empty or the book is crossed."""
        return self.top_of_others({}, {})

    def top_of_others(self, own_bids: Mapping[int, int], own_asks: Mapping[int, int]) -> Top | None:
        """Best bid and ask without own lots (by ticks): own quotes must not lead us."""
        bid = self._best(self._bids, reversed(self._bids.ticks), own_bids)
        ask = self._best(self._asks, self._asks.ticks, own_asks)
        if bid is None or ask is None or bid[0] >= ask[0]:
            return None
        return Top(*bid, *ask)

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """The best (ticks, lots) of a side, best first."""
        half = self._bids if side is Side.BUY else self._asks
        best = half.ticks[: -levels - 1 : -1] if side is Side.BUY else half.ticks[:levels]
        return [(ticks, half.lots[ticks]) for ticks in best]

    def ticklots_to_take(self, side: Side, lots: int) -> int | None:
        """Σ ticks·lots of taking ``lots`` as a buyer or a seller; None beyond the book.

        Divided by ``lots`` it is the volume weighted average price in ticks.
        """
        half = self._asks if side is Side.BUY else self._bids
        left, total = lots, 0
        for ticks in half.ticks if side is Side.BUY else reversed(half.ticks):
            part = min(left, half.lots[ticks])
            total += part * ticks
            left -= part
            if left == 0:
                return total
        return None

    def _overlaps_midway(self, diff: BookDiff) -> bool:
        # After the first diff every next one must begin where the last one ended.
        return self.state is BookState.LIVE and diff.first_id != self.last_id + 1

    def _reset(self, state: BookState) -> None:
        self.state = state
        self._bids, self._asks = _Half([]), _Half([])
        self._pending.clear()
        self.version += 1

    @staticmethod
    def _best(
        half: _Half, ticks_best_first: Iterable[int], own: Mapping[int, int]
    ) -> tuple[int, int] | None:
        for ticks in ticks_best_first:
            lots = half.lots[ticks] - own.get(ticks, 0)
            if lots > 0:
                return ticks, lots
        return None
