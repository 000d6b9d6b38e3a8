"""The order book: snapshot, diffs, gap, confirmation, staleness, and what is read from it."""

from __future__ import annotations

import pytest

from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Ratio
from poolmaker.market.tracking.book import BookState, DiffOutcome, OrderBook
from poolmaker.market.tracking.mid_average import NO_PRICE, DepthTwaps
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, Levels
from tests.unit.market.makers import MARKET

SNAPSHOT = BookSnapshot(100, [(99, 5), (98, 7)], [(101, 6), (102, 8)])


def diff(first: int, last: int, bids: Levels | None = None, asks: Levels | None = None) -> BookDiff:
    return BookDiff(first, last, bids or [], asks or [])


def live_book() -> OrderBook:
    book = OrderBook(MARKET)
    book.on_snapshot(SNAPSHOT, 0)
    book.on_diff(diff(101, 101), 1_000)
    return book


def test_a_snapshot_is_not_used_before_one_diff_continued_it() -> None:
    """Exchange fault 19: a stale snapshot looks as good as a fresh one."""
    book = OrderBook(MARKET)
    book.on_snapshot(SNAPSHOT, 0)
    assert book.state is BookState.UNCONFIRMED
    assert not book.usable(0, 10**9)
    assert book.on_diff(diff(101, 103), 5) is DiffOutcome.APPLIED
    assert book.usable(5, 10**9)


def test_a_snapshot_older_than_the_first_diff_is_dropped() -> None:
    """Exchange fault 19: its last update does not reach the stream."""
    book = OrderBook(MARKET)
    book.on_diff(diff(150, 151), 0)
    book.on_snapshot(SNAPSHOT, 1)
    assert book.needs_snapshot
    book.on_snapshot(BookSnapshot(150, [(90, 1)], [(110, 1)]), 2)
    assert book.state is BookState.LIVE
    assert book.last_id == 151


def test_the_first_diff_may_begin_before_the_snapshot_and_later_ones_may_not() -> None:
    book = OrderBook(MARKET)
    book.on_snapshot(SNAPSHOT, 0)
    assert book.on_diff(diff(95, 104), 0) is DiffOutcome.APPLIED
    assert book.on_diff(diff(104, 105), 0) is DiffOutcome.GAP


def test_hummingbot_fact_1_old_diffs_never_reach_a_newer_snapshot() -> None:
    book = OrderBook(MARKET)
    book.on_diff(diff(101, 101, bids=[(995, 1)]), 0)
    book.on_diff(diff(102, 102, asks=[(1005, 1)]), 0)
    book.on_snapshot(BookSnapshot(200, [(970, 1)], [(1030, 1)]), 0)
    book.on_diff(diff(201, 201), 0)
    top = book.top()
    assert top is not None
    assert (top.bid_units, top.ask_units) == (970, 1030)


def test_hummingbot_fact_2_a_gap_makes_the_book_unusable_until_a_new_snapshot() -> None:
    """Exchange fault 18."""
    book = live_book()
    assert book.on_diff(diff(103, 104), 0) is DiffOutcome.GAP
    assert book.needs_snapshot
    assert book.top() is None
    assert not book.usable(0, 10**9)
    book.on_diff(diff(105, 105, bids=[(97, 1)]), 0)
    book.on_snapshot(BookSnapshot(103, [(99, 5)], [(101, 6)]), 0)
    assert book.state is BookState.LIVE
    assert book.last_id == 105
    assert book.depth(Side.BUY, 9) == [(99, 5), (97, 1)]


def test_a_stream_that_runs_back_is_not_believed() -> None:
    """A number that was too high must not silence every change that comes after it."""
    book = live_book()
    assert book.on_diff(diff(102, 900), 0) is DiffOutcome.APPLIED
    assert book.on_diff(diff(103, 103), 0) is DiffOutcome.GAP
    assert book.needs_snapshot


def test_a_stream_may_catch_up_once_with_a_snapshot_that_was_ahead_of_it() -> None:
    book = OrderBook(MARKET)
    book.on_snapshot(SNAPSHOT, 0)
    assert book.on_repeated(SNAPSHOT, 1)
    assert book.on_diff(diff(97, 98), 2) is DiffOutcome.OLD
    assert book.on_diff(diff(99, 103), 3) is DiffOutcome.APPLIED
    assert book.on_diff(diff(103, 104), 4) is DiffOutcome.GAP


def test_diffs_from_before_a_broken_stream_continue_nothing() -> None:
    book = OrderBook(MARKET)
    book.on_diff(diff(101, 102, bids=[(50, 1)]), 0)
    book.lose()
    book.on_snapshot(SNAPSHOT, 1)
    assert (book.state, book.last_id) == (BookState.UNCONFIRMED, 100)


def test_a_repeated_diff_is_old_and_changes_nothing() -> None:
    book = live_book()
    book.on_diff(diff(102, 102, bids=[(99, 1)]), 0)
    assert book.on_diff(diff(101, 102, bids=[(99, 9)]), 0) is DiffOutcome.OLD
    assert book.depth(Side.BUY, 1) == [(99, 1)]


def test_hummingbot_fact_3_a_silent_feed_ages_out() -> None:
    book = live_book()
    assert book.usable(1_000 + 2_000, 2_000)
    assert not book.usable(1_000 + 2_001, 2_000)


def test_a_second_source_that_knows_nothing_newer_keeps_a_quiet_book_fresh() -> None:
    """Exchange fault 15: quiet and silent look alike until somebody else is asked."""
    book = live_book()
    same = BookSnapshot(101, SNAPSHOT.bids, SNAPSHOT.asks)
    assert book.on_repeated(same, 9_000)
    assert book.age_us(9_000) == 0
    assert not book.on_repeated(BookSnapshot(102, SNAPSHOT.bids, SNAPSHOT.asks), 20_000)
    assert book.age_us(20_000) == 11_000
    assert book.on_repeated(BookSnapshot(101, [(99, 5)], [(101, 6)]), 21_000)
    assert book.age_us(21_000) == 0
    assert book.on_repeated(same, 5_000)
    assert book.age_us(21_000) == 0


def test_found_22_a_second_equal_snapshot_confirms_a_quiet_book() -> None:
    """Row 22: nobody moved, so no diff will ever continue the first one."""
    book = OrderBook(MARKET)
    book.on_snapshot(SNAPSHOT, 0)
    assert not book.on_repeated(BookSnapshot(99, SNAPSHOT.bids, SNAPSHOT.asks), 3)
    assert not book.usable(3, 10**9)
    assert book.on_repeated(SNAPSHOT, 5)
    assert book.usable(5, 0)
    assert book.depth(Side.BUY, 9) == [(99, 5), (98, 7)]


@pytest.mark.parametrize(
    "other",
    [
        BookSnapshot(100, [(99, 5), (98, 6)], [(101, 6), (102, 8)]),
        BookSnapshot(100, [(99, 5), (98, 7)], [(101, 6), (103, 8)]),
        BookSnapshot(100, [(99, 5), (98, 7), (97, 1)], [(101, 6)]),
        BookSnapshot(100, [(98, 7)], [(101, 6), (102, 8)]),
    ],
)
def test_a_second_snapshot_that_says_otherwise_denies_the_book(other: BookSnapshot) -> None:
    """Two answers under one number cannot both be right: neither is used."""
    book = OrderBook(MARKET)
    book.on_snapshot(SNAPSHOT, 0)
    assert not book.on_repeated(other, 5)
    assert book.needs_snapshot
    book.on_snapshot(SNAPSHOT, 6)
    assert not book.needs_snapshot


def test_a_stream_that_answers_keeps_a_live_book_fresh_and_makes_none_live() -> None:
    book = live_book()
    book.on_alive(7_000)
    book.on_alive(2_000)
    assert book.age_us(7_000) == 0
    unconfirmed = OrderBook(MARKET)
    unconfirmed.on_snapshot(SNAPSHOT, 0)
    unconfirmed.on_alive(7_000)
    assert unconfirmed.state is BookState.UNCONFIRMED
    assert not unconfirmed.usable(7_000, 10**9)


def test_a_snapshot_that_nobody_needs_changes_nothing() -> None:
    """A late answer must not put a live book back to what it was."""
    book = live_book()
    book.on_snapshot(BookSnapshot(90, [(1, 1)], [(2, 1)]), 0)
    assert (book.state, book.last_id) == (BookState.LIVE, 101)
    assert book.depth(Side.BUY, 1) == [(99, 5)]


def test_zero_lots_remove_a_level_and_removing_an_unknown_one_is_nothing() -> None:
    book = live_book()
    book.on_diff(diff(102, 102, bids=[(99, 0), (50, 0)], asks=[(100, 3)]), 0)
    top = book.top()
    assert top is not None
    assert (top.bid_units, top.ask_units) == (98, 100)
    assert book.depth(Side.BUY, 1) == [(98, 7)]
    assert book.depth(Side.SELL, 1) == [(100, 3)]


def test_own_lots_do_not_lead_us() -> None:
    """Hummingbot fact 13: own quotes are no market to lean on."""
    book = live_book()
    top = book.top_of_others({99: 5}, {101: 2})
    assert top is not None
    assert (top.bid_units, top.ask_units) == (98, 101)
    assert book.top_of_others({99: 5, 98: 7}, {}) is None


def test_the_middle_is_exact() -> None:
    top = live_book().top()
    assert top is not None
    assert top.halves == 200
    assert live_book().ratio(top.halves, 2) == Ratio(200, 2 * MARKET.base.one)


def test_a_crossed_or_one_sided_book_has_no_top() -> None:
    book = live_book()
    book.on_diff(diff(102, 102, bids=[(103, 1)]), 0)
    assert book.top() is None


def test_every_change_raises_the_version() -> None:
    book = live_book()
    before = book.version
    book.on_diff(diff(102, 102, bids=[(99, 1)]), 0)
    book.lose()
    assert book.version == before + 2


def prices(*halves: int | None) -> tuple[int | None, ...]:
    """These at the first depths, none at the others."""
    return halves + NO_PRICE[len(halves) :]


def test_the_average_weights_by_time_and_leaves_out_time_without_a_price() -> None:
    average = DepthTwaps(60)
    average.add(0, prices(100, 7))
    average.add(10, prices(200, 7))
    average.add(20, prices(None, 7))
    average.add(30, prices(400, None))
    value = average.value(0, 40, 1)
    assert value is not None
    assert (value.halves_us, value.span_us) == (10 * 100 + 10 * 200 + 10 * 400, 30)
    assert average.value(0, 40, 30) == value
    assert average.value(0, 40, 31) is None
    deeper = average.value(1, 40, 1)
    assert deeper is not None
    assert (deeper.halves_us, deeper.span_us) == (7 * 30, 30)
    assert average.value(2, 40, 0) is None


def test_the_average_forgets_what_left_the_window() -> None:
    average = DepthTwaps(60)
    average.add(0, prices(100))
    average.add(50, prices(300))
    value = average.value(0, 100, 1)
    assert value is not None
    assert (value.halves_us, value.span_us) == (10 * 100 + 50 * 300, 60)
    average.add(200, prices(300))
    later = average.value(0, 200, 1)
    assert later is not None
    assert (later.halves_us, later.span_us) == (60 * 300, 60)
