"""Depth prices: what less than L of orders cannot do, for any book and any orders of an attacker.

The oracle is the definition, computed without the book's data structures.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.market import Side
from poolmaker.market.tracking.book import OrderBook, Top
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, Depth
from tests.unit.market.makers import MARKET

Orders = dict[int, int]
ONE = MARKET.base.one
sides = st.dictionaries(st.integers(1, 40), st.integers(1, 60), max_size=8)
depths = st.builds(Depth, st.integers(0, 150), st.integers(0, 3_000))


def reached(orders: Orders, side: Side, depth: Depth) -> int | None:
    """The best price from which on at least ``depth`` rests, asked of every price by itself."""
    for price in sorted(orders, reverse=side is Side.BUY):
        better = {
            p: s for p, s in orders.items() if (p >= price if side is Side.BUY else p <= price)
        }
        enough = sum(better.values()) >= depth.base_units
        worth = sum(p * s for p, s in better.items())
        if enough and worth >= depth.quote_units * ONE:
            return price
    return None


def book_of(bids: Orders, asks: Orders) -> OrderBook:
    """A live book; asks stand above all bids."""
    book = OrderBook(MARKET)
    book.on_snapshot(BookSnapshot(1, list(bids.items()), list(asks.items())), 0)
    book.on_diff(BookDiff(2, 2, [], []), 0)
    return book


def scaled(bids: Orders, asks: Orders) -> tuple[Orders, Orders]:
    """Prices in units, so that worth is in the range of the depths; asks above the bids."""
    return (
        {price * ONE: size for price, size in bids.items()},
        {(price + 40) * ONE: size for price, size in asks.items()},
    )


def expected(bids: Orders, asks: Orders, depth: Depth) -> Top | None:
    bid, ask = reached(bids, Side.BUY, depth), reached(asks, Side.SELL, depth)
    return Top(bid, ask) if bid is not None and ask is not None else None


@given(sides, sides, depths)
def test_a_depth_price_is_the_level_at_which_both_sums_reach_l(
    bids: Orders, asks: Orders, depth: Depth
) -> None:
    """Decision 0106; at the bound itself the level counts, one unit below it does not."""
    bids, asks = scaled(bids, asks)
    assert book_of(bids, asks).top_of_others({}, {}, depth) == expected(bids, asks, depth)


@given(sides, sides, sides, sides, depths)
def test_own_orders_are_left_out_of_every_depth(
    bids: Orders, asks: Orders, own_bids: Orders, own_asks: Orders, depth: Depth
) -> None:
    """Whatever of ours rests, the price is that of the book without it."""
    bids, asks = scaled(bids, asks)
    own_bids, own_asks = scaled(own_bids, own_asks)
    shown = Counter(bids) + Counter(own_bids), Counter(asks) + Counter(own_asks)
    found = book_of(*map(dict, shown)).top_of_others(own_bids, own_asks, depth)
    assert found == expected(bids, asks, depth)


@given(sides, sides, st.lists(depths, min_size=1, max_size=5))
def test_several_depths_at_once_are_what_each_is_by_itself(
    bids: Orders, asks: Orders, wanted: list[Depth]
) -> None:
    bids, asks = scaled(bids, asks)
    rising = [wanted[0]]
    for depth in wanted[1:]:
        rising.append(rising[-1].largest(depth))
    book = book_of(bids, asks)
    single = [book.top_of_others({}, {}, depth) for depth in rising]
    assert book.tops_of_others({}, {}, rising) == single


@given(sides, sides, depths, st.integers(1, 79), st.integers(1, 60), st.sampled_from(Side))
def test_found_1_an_order_below_l_makes_no_price_of_its_own(
    bids: Orders, asks: Orders, depth: Depth, at: int, size: int, side: Side
) -> None:
    """Row 1, by search: with less than L an attacker sets no price that nobody else stands behind.

    The price of the side with the attacker's order is never better than the best of the others,
    and where one of the others' levels holds L by itself, nothing better than it is reached.
    """
    bids, asks = scaled(bids, asks)
    others = bids if side is Side.BUY else asks
    price = at * ONE
    before = reached(others, side, depth)
    if not others or size >= depth.base_units or price * size >= depth.quote_units * ONE:
        return
    after = reached(dict(Counter(others) + Counter({price: size})), side, depth)
    if after is None:
        assert before is None
        return
    best = max(others) if side is Side.BUY else min(others)
    assert after <= best if side is Side.BUY else after >= best


@given(
    st.integers(100, 10**6), st.integers(1, 10**6), st.integers(1, 99), st.sampled_from(Side),
    st.data(),
)  # fmt: skip
def test_found_1_where_each_level_holds_l_an_order_below_l_moves_nothing(
    size: int, price: int, part: int, side: Side, data: st.DataObject
) -> None:
    """Row 1: the thin book of two levels, whatever the spoof's price, and whichever part of L."""
    level, other = price * ONE, 2 * price * ONE
    bids, asks = {level: size}, {other: size}
    depth = Depth(size, price * size)
    spoof = data.draw(st.integers(level + 1, other - 1), label="spoof price")
    lots = size * part // 100
    spoofed = ({**bids, spoof: lots}, asks) if side is Side.BUY else (bids, {**asks, spoof: lots})
    found = book_of(*spoofed).top_of_others({}, {}, depth)
    assert found == Top(level, other) == book_of(bids, asks).top_of_others({}, {}, depth)
