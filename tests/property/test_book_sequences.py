"""Any stream of diffs with gaps, repeats and resyncs: a usable book equals an honest replay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.market import Side
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, Levels
from tests.unit.market.makers import MARKET

levels = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=4)


class Venue:
    """The truth: every diff, and the book after each update."""

    def __init__(self, changes: list[tuple[Levels, Levels, int]]) -> None:
        self.diffs: list[BookDiff] = []
        self.books: dict[int, tuple[dict[int, int], dict[int, int]]] = {0: ({}, {})}
        last = 0
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        for bid_levels, ask_levels, span in changes:
            shifted = [(ticks + 40, lots) for ticks, lots in ask_levels]
            for book, rows in ((bids, bid_levels), (asks, shifted)):
                for ticks, lots in rows:
                    book.pop(ticks, None)
                    if lots:
                        book[ticks] = lots
            self.diffs.append(BookDiff(last + 1, last + span, bid_levels, shifted))
            last += span
            self.books[last] = (dict(bids), dict(asks))

    def snapshot(self, last_id: int) -> BookSnapshot:
        bids, asks = self.books[last_id]
        return BookSnapshot(last_id, list(bids.items()), list(asks.items()))


@given(
    st.lists(st.tuples(levels, levels, st.integers(1, 3)), min_size=3, max_size=25),
    st.data(),
)
def test_a_live_book_is_the_venues_book_at_its_update(
    changes: list[tuple[Levels, Levels, int]], data: st.DataObject
) -> None:
    """Tracking invariant 1."""
    venue = Venue(changes)
    book = OrderBook(MARKET)
    for index, diff in enumerate(venue.diffs):
        what = data.draw(st.sampled_from(["deliver", "deliver", "deliver", "drop", "repeat"]))
        if what != "drop":
            book.on_diff(diff, index)
        if what == "repeat":
            book.on_diff(diff, index)
        if data.draw(st.booleans()) and book.needs_snapshot:
            ids = [i for i in venue.books if i <= diff.last_id]
            book.on_snapshot(venue.snapshot(data.draw(st.sampled_from(ids))), index)
        if book.state.value == "LIVE":
            bids, asks = venue.books[book.last_id]
            assert dict(book.depth(Side.BUY, 99)) == bids
            assert dict(book.depth(Side.SELL, 99)) == asks
            assert [t for t, _ in book.depth(Side.BUY, 99)] == sorted(bids, reverse=True)
            assert [t for t, _ in book.depth(Side.SELL, 99)] == sorted(asks)
