"""Attacks on the price at which shares are issued, by search.

The fundamental price is constant. Others quote at or away from it and take what is offered beyond
it. The attacker knows only orders of their own, places and cancels them at will, waits, joins,
leaves and joins again. Books, averages and joins are the product's own.

* With less than L of own orders on a side nothing is gained beyond rounding, even where nobody
  ever takes those orders.
* With L or more the join is refused, or what others take of the orders costs at least the gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.rules import PostingDecision
from poolmaker.business.pools.model import DealingRequest, DealingRequestKind
from poolmaker.business.pools.rules import configured, depths_wanted
from poolmaker.kernel.ids import SagaId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Ratio
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.mid_average import NO_PRICE, DepthTwaps
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, Depth
from poolmaker.messages.base import Rate
from tests.support.business import ACCOUNT, config
from tests.support.business import POOL as POOL_ID
from tests.support.ledger import (
    BOB,
    BTC,
    OTHER,
    USDT,
    Page,
    btc,
    deposit,
    fill,
    join_v2,
    leave_v2,
    lock,
    prices,
    settle,
    usdt,
)

MARKET: Final = Market("BTC/USDT", BTC, USDT, 10_000, 1_000)
FAIR: Final = 60_000_000_000
"""The fundamental price: atomic USDT (6 decimals) of one whole BTC."""
ONE: Final = 10**8
MINUTE_US: Final = 60_000_000
FAIR_RATIO: Final = Fraction(FAIR, ONE)
DEPTH_MIN: Final = 100 * 10**6

Levels = dict[int, int]
"""Base units by price in atomic quote units of one whole base."""


@dataclass
class Attacked:
    """A market of others, a pool of Alice's, and Bob, who attacks."""

    bids: Levels
    asks: Levels
    pool: tuple[int, int]
    own: tuple[Levels, Levels] = ({}, {})
    page: Page = field(default_factory=Page)
    average: DepthTwaps = field(default_factory=lambda: DepthTwaps(MINUTE_US))
    us: int = 0
    fair_loss: Fraction = Fraction(0)
    names: int = 0

    def __post_init__(self) -> None:
        base, quote = self.pool
        self.page.must(
            deposit("alice-q", usdt(quote)),
            deposit("alice-b", btc(base)),
            lock("alice", usdt(quote), btc(base)),
            join_v2("alice-in", base, quote, prices(_rate(Fraction(FAIR_RATIO)))),
            deposit("bob-q", usdt(10**15), user=BOB),
            deposit("bob-b", btc(10**12), user=BOB),
            lock("bob", usdt(10**15), btc(10**12), order=OTHER, user=BOB),
        )
        self.place({}, {})

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    # ------------------------------------------------------------------------------- the market

    def place(self, bids: Levels, asks: Levels) -> None:
        """Bob's orders are these from now on, where they do not cross what is there."""
        best_ask, best_bid = min(self.asks), max(self.bids)
        bids = {price: size for price, size in bids.items() if price < best_ask}
        highest = max(bids, default=best_bid)
        asks = {price: size for price, size in asks.items() if price > max(highest, best_bid)}
        self.own = bids, asks
        self.average.add(self.us, (self._halves(), *NO_PRICE[1:]))

    def wait(self, duration_us: int) -> None:
        self.us += duration_us

    def taken_by_others(self) -> None:
        """Who trades at the fundamental price takes every order of Bob's beyond it."""
        bids, asks = self.own
        for price, size in bids.items():
            self.fair_loss += max(0, price - FAIR) * Fraction(size, ONE)
        for price, size in asks.items():
            self.fair_loss += max(0, FAIR - price) * Fraction(size, ONE)

    def book(self) -> OrderBook:
        book = OrderBook(MARKET)
        bids, asks = (
            sorted(_added(others, own).items())
            for others, own in zip((self.bids, self.asks), self.own, strict=True)
        )
        book.on_snapshot(BookSnapshot(1, bids, asks), self.us)
        book.on_diff(BookDiff(2, 2, [], []), self.us)
        return book

    def _halves(self) -> int | None:
        top = self.book().top_of_others({}, {}, Depth(0, DEPTH_MIN))
        return top.halves if top is not None else None

    # --------------------------------------------------------------------------------- the pool

    def depth(self, base: int, quote: int) -> Depth:
        """L of a barrier at which this offer waits."""
        held = self.page.balance
        pool = replace(
            configured(config(), None),
            base_units=held("pool:p1:capital", "BTC"),
            quote_units=held("pool:p1:capital", "USDT"),
            issued=1,
        )
        ticket = DealingRequest(
            id="t",
            saga=SagaId("s"),
            pool=POOL_ID,
            account=ACCOUNT,
            kind=DealingRequestKind.JOIN,
            base_units=base,
            quote_units=quote,
        )
        (wanted,) = depths_wanted([pool], [ticket])
        excess = Depth(wanted.excess_base_units, wanted.excess_quote_units)
        return excess.largest(Depth(0, DEPTH_MIN))

    def prices(self, depth: Depth) -> c.DealingPrices:
        """What the engine says at a barrier of that depth, the raw mid for the worst case."""
        book = self.book()
        top, best = book.top_of_others({}, {}, depth), book.top()
        average = self.average.value(0, self.us, 10_000_000)
        return c.DealingPrices(
            mid=_rate_of(book.ratio(best.halves, 2)) if best else None,
            twap_60s=_rate_of(book.ratio(average.halves_us, 2 * average.span_us))
            if average
            else None,
            bid_depth=_rate_of(book.ratio(top.bid_units)) if top else None,
            ask_depth=_rate_of(book.ratio(top.ask_units)) if top else None,
            depth_base_units=depth.base_units,
            depth_quote_units=depth.quote_units,
            taker_fee_ppm=0,
            rules_version=1,
            book_version=1,
            price_time_us=self.page.now_us,
        )

    def join(self, base: int, quote: int, bound_ppm: int) -> bool:
        """Whether anything of Bob's offer joined."""
        at = self.prices(self.depth(base, quote))
        command = join_v2(
            self.name(),
            base,
            quote,
            at,
            order=OTHER,
            barrier_seq=self.names,
            divergence_max_ppm=bound_ppm,
            price_age_max_us=10**15,
        )
        return isinstance(self.page.post(command), PostingDecision)

    def leave(self) -> None:
        """Bob takes out all that has joined."""
        held = self.page.balance("order:o2:shares", "share:p1:1")
        if held:
            exit_id = self.name()
            self.page.must(
                leave_v2(self.name(), held, order=OTHER, exit_id=exit_id),
                settle(self.name(), order=OTHER, exit_id=exit_id),
            )

    def worth(self) -> Fraction:
        """What Bob has at the fundamental price, in atomic quote units."""
        base = self.page.balance("order:o2:locked", "BTC")
        return self.page.balance("order:o2:locked", "USDT") + base * FAIR_RATIO


def _added(others: Levels, own: Levels) -> Levels:
    return {price: others.get(price, 0) + own.get(price, 0) for price in sorted({*others, *own})}


def _rate(price: Fraction) -> Rate:
    return Rate(numerator=price.numerator, denominator=price.denominator)


def _rate_of(price: Ratio) -> Rate:
    return Rate.of(price)


TICK: Final = 10_000


def _levels(above: bool) -> st.SearchStrategy[Levels]:
    """Others' orders of a side: none beyond the fundamental price, the best not far from it."""
    distance = st.integers(1, 500_000).map(lambda ticks: ticks * TICK)
    size = st.integers(1_000, 5 * ONE)
    sign = 1 if above else -1
    return st.dictionaries(distance, size, min_size=1, max_size=4).map(
        lambda found: {FAIR + sign * away: units for away, units in found.items()}
    )


def _spoofs(size_max: int) -> st.SearchStrategy[Levels]:
    """The attacker's orders of a side, up to 20 % from the fundamental price either way."""
    price = st.integers(-1_200_000, 1_200_000).map(lambda ticks: FAIR + ticks * TICK)
    return st.dictionaries(price, st.integers(1, size_max), max_size=3)


pools = st.tuples(st.integers(10**5, 10 * ONE), st.integers(10**8, 10**12))
offers = st.tuples(st.integers(0, 10 * ONE), st.integers(0, 10**12)).filter(any)
waits = st.sampled_from([0, 1_000_000, 30_000_000, 59_000_000, 61_000_000, 120_000_000])
steps = st.lists(
    st.tuples(_spoofs(ONE), _spoofs(ONE), waits, offers, st.booleans()), min_size=1, max_size=4
)
ROUNDING: Final = FAIR_RATIO + 1
"""One atomic unit of each asset."""


def _size(levels: Levels) -> Depth:
    base = sum(levels.values())
    return Depth(base, sum(price * size // ONE for price, size in levels.items()))


def _below(levels: Levels, depth: Depth) -> Levels:
    """The attacker's orders cut so that together they stay below L in base or in quote."""
    kept: Levels = {}
    for price, size in sorted(levels.items(), reverse=True):
        more = {**kept, price: size}
        if not _size(more).covers(depth):
            kept = more
    return kept


@settings(max_examples=300)
@given(_levels(above=False), _levels(above=True), pools, steps, st.sampled_from([10_000, 900_000]))
def test_with_less_than_l_nothing_is_gained_beyond_rounding(
    bids: Levels,
    asks: Levels,
    pool: tuple[int, int],
    moves: list[tuple[Levels, Levels, int, tuple[int, int], bool]],
    bound_ppm: int,
) -> None:
    """Also where the prices may be far apart: the cost alone is enough."""
    world = Attacked(bids, asks, pool)
    before, joined = world.worth(), 0
    for spoof_bids, spoof_asks, wait_us, offer, leaves in moves:
        depth = world.depth(*offer)
        world.place(_below(spoof_bids, depth), _below(spoof_asks, depth))
        world.wait(wait_us)
        joined += world.join(*offer, bound_ppm)
        world.place({}, {})
        if leaves:
            world.leave()
    world.leave()
    event(f"{min(joined, 2)} joins or more")
    assert world.worth() - before <= ROUNDING * joined
    assert world.page.balanced()


@settings(max_examples=300)
@given(_levels(above=False), _levels(above=True), pools, steps)
def test_with_l_or_more_a_join_is_refused_or_costs_at_least_what_it_gains(
    bids: Levels,
    asks: Levels,
    pool: tuple[int, int],
    moves: list[tuple[Levels, Levels, int, tuple[int, int], bool]],
) -> None:
    world = Attacked(bids, asks, pool)
    before, joined = world.worth(), 0
    for spoof_bids, spoof_asks, wait_us, offer, leaves in moves:
        large = {price: 20 * size for price, size in spoof_bids.items()}
        world.place(large, {price: 20 * size for price, size in spoof_asks.items()})
        world.wait(wait_us)
        if world.join(*offer, 10_000):
            joined += 1
            world.taken_by_others()
        world.place({}, {})
        if leaves:
            world.leave()
    world.leave()
    event(f"{min(joined, 2)} joins or more")
    assert world.worth() - before <= world.fair_loss + ROUNDING * joined


@settings(max_examples=200)
@given(
    base=st.integers(1, 10**9),
    quote=st.integers(1, 10**12),
    trades=st.lists(
        st.tuples(st.booleans(), st.integers(1, 10**6), st.integers(1, 10**10)), max_size=3
    ),
    offer=st.tuples(st.integers(0, 10**9), st.integers(0, 10**12)).filter(any),
)
def test_rounding_costs_a_joiner_at_most_a_unit_of_each_asset_or_one_part_in_a_billion(
    base: int,
    quote: int,
    trades: list[tuple[bool, int, int]],
    offer: tuple[int, int],
) -> None:
    """Whatever trades have made of the pool: the part in ratio joins and leaves for the same."""
    world = Attacked({FAIR - TICK: ONE}, {FAIR + TICK: ONE}, (base, quote))
    page, given_units = world.page, page_locked(world)
    for number, (buys, base_units, quote_units) in enumerate(trades, 1):
        side = Side.BUY if buys else Side.SELL
        page.must(fill(f"f{number}", side, base_units, quote_units, seq=number))
    capital = page.balance("pool:p1:capital", "BTC"), page.balance("pool:p1:capital", "USDT")
    joined = page.post(join_v2("in", *offer, order=OTHER))
    if not isinstance(joined, PostingDecision):
        return
    after = page_locked(world)
    paid = given_units[0] - after[0], given_units[1] - after[1]
    assert page.balance("pool:p1:capital", "BTC") == capital[0] + paid[0]
    world.leave()
    back = page_locked(world)
    lost = given_units[0] - back[0], given_units[1] - back[1]
    assert 0 <= lost[0] <= max(1, paid[0] // 10**9)
    assert 0 <= lost[1] <= max(1, paid[1] // 10**9)


def page_locked(world: Attacked) -> tuple[int, int]:
    locked = "order:o2:locked"
    return world.page.balance(locked, "BTC"), world.page.balance(locked, "USDT")


def _thin_book() -> Attacked:
    """57,000 against 63,000 with 2 BTC a side; the pool has 10 BTC and 500,000 USDT."""
    sides = {57_000_000_000: 2 * ONE}, {63_000_000_000: 2 * ONE}
    return Attacked(*sides, (10 * ONE, 500_000 * 10**6))


def test_found_1_an_order_below_l_moves_no_price_that_decides() -> None:
    """A bid of 0.0001 BTC at 62,990, for a moment and for as long as one likes."""
    world = _thin_book()
    world.wait(MINUTE_US)
    depth = world.depth(ONE, 0)
    before = world.prices(depth)
    start = world.worth()
    for wait_us in (0, 52_000_000, 10 * MINUTE_US):
        world.place({62_990_000_000: 10_000}, {})
        world.wait(wait_us)
        after = world.prices(depth)
        assert (after.bid_depth, after.ask_depth) == (before.bid_depth, before.ask_depth)
        assert after.twap_60s == before.twap_60s
        # The best bid has moved the mid: with the excess alone nothing joins.
        assert not world.join(ONE, 0, 10_000)
        assert world.join(ONE, 50_000 * 10**6, 10_000)
        world.place({}, {})
        world.leave()
    assert world.worth() - start <= 3 * ROUNDING


@pytest.mark.parametrize("push_ppm", [50_000, 200_000])
def test_found_2_who_pushes_mid_and_average_gains_nothing_by_joining_with_one_asset(
    push_ppm: int,
) -> None:
    pushed = FAIR + FAIR * push_ppm // 1_000_000
    world = _thin_book()
    world.bids = {FAIR - TICK: ONE, FAIR - 2 * TICK: 20 * ONE}
    world.asks = {pushed + 10 * TICK: 20 * ONE}
    start = world.worth()
    # Small orders: the mid moves, the depth prices do not.
    world.place({pushed: 10_000}, {pushed + TICK: 10_000})
    world.wait(2 * MINUTE_US)
    assert not world.join(10 * ONE, 0, 10_000)
    # As much as L: it joins at that price, and others take 10 BTC of the bid beyond theirs.
    world.place({pushed: 10 * ONE}, {})
    world.wait(2 * MINUTE_US)
    if world.join(10 * ONE, 0, 10_000):
        world.taken_by_others()
    world.place({}, {})
    world.leave()
    assert world.worth() - start <= world.fair_loss


@settings(max_examples=300)
@given(
    depths=st.tuples(*[st.tuples(st.integers(0, ONE), st.integers(0, 10**10)) for _ in range(3)]),
    offers=st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 10**10)), max_size=12
    ),
)
def test_no_barrier_prices_more_than_its_depth_in_whatever_order_joins_of_several_come(
    depths: tuple[tuple[int, int], ...], offers: list[tuple[int, bool, int]]
) -> None:
    """Barriers are named by whoever joins; their prices may all be fresh at once."""
    world = Attacked({FAIR - TICK: ONE}, {FAIR + TICK: ONE}, (10 * ONE, 10**12))
    priced = [[0, 0] for _ in depths]
    for number, (barrier, of_base, units) in enumerate(offers):
        offer = (units, 0) if of_base else (0, units)
        before = page_locked(world)
        at = prices(_rate(FAIR_RATIO), depth=depths[barrier])
        world.page.post(join_v2(f"j{number}", *offer, at, order=OTHER, barrier_seq=barrier + 1))
        after = page_locked(world)
        for asset in range(2):
            priced[barrier][asset] += before[asset] - after[asset]
    event(f"{sum(any(one) for one in priced)} barriers priced some")
    for used, depth in zip(priced, depths, strict=True):
        assert used[0] <= depth[0]
        assert used[1] <= depth[1]
