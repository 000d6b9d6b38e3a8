"""A market's data over virtual time: wires that are slow, quiet, silent or lossy, new rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from poolmaker.kernel.errors import PreconditionError, VenueUnavailable
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.market import Market
from poolmaker.kernel.rng import Rng
from poolmaker.lab.loop import VirtualClock, VirtualLoop, run_virtual
from poolmaker.market.engine.books import BookPorts, OrderBookManager
from poolmaker.market.engine.model import EngineConfig
from poolmaker.market.engine.readiness import Readiness, ReadinessEvent
from poolmaker.market.engine.state import EngineState, MarketQuoting
from poolmaker.market.tracking.book import BookState, OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import (
    BookDiff,
    BookSnapshot,
    NoMarket,
    VenueMarket,
    VenueOrderEvent,
    VenueOrderState,
)
from poolmaker.market.tracking.ports import BookFeed
from poolmaker.messages.market import MarketSpec
from tests.unit.market.makers import BTC, MARKET, SYMBOL, USDT, order

MS, SECOND, MINUTE = 1_000, 1_000_000, 60_000_000
SIZE = BTC.one
RULES = VenueMarket(replace(MARKET, version=1), is_open=True, maker_fee_cbps=10, taker_fee_ppm=10)


@dataclass
class Wire:
    """A venue with one market. All times are microseconds; ``loss`` is parts per million."""

    clock: VirtualClock
    handshake_us: int = 0
    latency_us: int = 10 * MS
    loss: int = 0
    moves_every_us: int = 100 * MS
    silent: bool = False
    stale_snapshots: bool = False
    rules: VenueMarket | NoMarket | Exception = RULES
    number: int = 1_000
    depth_requests: list[int] = field(default_factory=list)
    rules_requests: int = 0
    asks: int = 0
    connections: int = 0
    read_under: list[Market] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.levels = {59_000 * USDT.one: SIZE, 61_000 * USDT.one: SIZE}
        self.first = BookSnapshot(self.number, *self._sides())
        self._rng = Rng(7)
        self._end = asyncio.Event()
        self._outbox: list[BookDiff] = []

    def _sides(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        middle = 60_000 * USDT.one
        bids = [(p, s) for p, s in self.levels.items() if p < middle]
        return bids, [(p, s) for p, s in self.levels.items() if p > middle]

    def move(self) -> None:
        """Somebody changes the best bid's size."""
        self.number += 1
        price, size = 59_000 * USDT.one, SIZE + self.number
        self.levels[price] = size
        self._outbox.append(BookDiff(self.number, self.number, [(price, size)], []))

    async def live(self) -> None:
        """The market moves at its pace, for ever."""
        while True:
            await self.clock.sleep_us(self.moves_every_us or MINUTE)
            if self.moves_every_us:
                self.move()

    # Venue

    async def book_snapshot(self, market: Market, levels: int) -> BookSnapshot:
        self.depth_requests.append(self.clock.monotonic_us())
        await self.clock.sleep_us(self.latency_us)
        taken = self.first if self.stale_snapshots else BookSnapshot(self.number, *self._sides())
        await self.clock.sleep_us(self.latency_us)
        if self._rng.chance_ppm(self.loss):
            raise VenueUnavailable("lost")
        return taken

    async def market(self, spec: MarketSpec) -> VenueMarket | NoMarket:
        self.rules_requests += 1
        await self.clock.sleep_us(2 * self.latency_us)
        if isinstance(self.rules, Exception):
            raise self.rules
        return self.rules

    # VenueFeeds

    async def run_book(self, market: Market, feed: BookFeed) -> None:
        self.read_under.append(market)
        while True:
            self.connections += 1
            self._end.clear()
            await self.clock.sleep_us(self.handshake_us)
            if not self._end.is_set():
                self._outbox.clear()
                feed.on_book_subscribed(market.symbol)
                await self._stream(market, feed)
            feed.on_book_lost(market.symbol, "ended")
            await self.clock.sleep_us(200 * MS)

    async def _stream(self, market: Market, feed: BookFeed) -> None:
        while not self._end.is_set():
            await self.clock.sleep_us(100 * MS)
            sent, self._outbox = self._outbox, []
            if sent and not self.silent and not self._rng.chance_ppm(self.loss):
                last = sent[-1].last_id
                bids = [level for diff in sent for level in diff.bids]
                feed.on_diff(market.symbol, BookDiff(sent[0].first_id, last, bids, []))

    async def ask_book(self, symbol: str) -> bool:
        self.asks += 1
        await self.clock.sleep_us(2 * self.latency_us)
        return not self.silent and not self._rng.chance_ppm(self.loss)

    def restart_book(self, symbol: str) -> None:
        self._end.set()


class Journal:
    """Rules get the next version when they differ, as the stored ones do."""

    def __init__(self) -> None:
        self.known: list[VenueMarket] = [RULES]

    async def know_rules(self, rules: VenueMarket) -> VenueMarket:
        newest = self.known[-1]
        plain = replace(newest, market=replace(newest.market, version=rules.market.version))
        if plain != rules:
            market = replace(rules.market, version=len(self.known) + 1)
            self.known.append(replace(rules, market=market))
        return self.known[-1]


class Kept:
    """A session's market, kept over a wire."""

    def __init__(self, loop: VirtualLoop, **wire: Any) -> None:
        self.clock = VirtualClock(loop)
        self.wire = Wire(self.clock, **wire)
        config = EngineConfig(account=VenueAccountId("a"), twap_span_min_ms=0)
        self.state = EngineState(config, 1)
        self.reconciles = 0
        ports = BookPorts(self.wire, self.wire, Journal(), self._reconcile)  # type: ignore[arg-type]
        self.keeper = OrderBookManager(self.state, ports, self.clock)
        book = OrderBook(RULES.market)
        averages = DepthTwaps(MINUTE)
        self.desk = MarketQuoting(MarketSpec.of(MARKET), RULES, book, averages)
        self.state.markets[SYMBOL] = self.desk
        self.state.rules[SYMBOL] = RULES.market
        self.desk.move(ReadinessEvent.RECONCILED)

    def _reconcile(self) -> None:
        self.reconciles += 1
        self.desk.move(ReadinessEvent.RECONCILED)

    @property
    def live(self) -> bool:
        return self.desk.book.usable(self.clock.monotonic_us(), 2 * SECOND)

    async def watch(self, seconds: int) -> float:
        """The share of time with a usable book."""
        looks = seconds * 100
        seen = 0
        for _ in range(looks):
            await self.clock.sleep_us(10 * MS)
            seen += self.live
        return seen / looks

    async def until_live(self) -> None:
        until_us = self.clock.monotonic_us() + 10 * MINUTE
        while not self.live:
            assert self.clock.monotonic_us() < until_us, "no book for ten minutes"
            await self.clock.sleep_us(10 * MS)


def kept(work: Callable[[Kept], Awaitable[None]], **wire: Any) -> Kept:
    """Run ``work`` while the market is kept."""

    async def main(loop: VirtualLoop) -> Kept:
        one = Kept(loop, **wire)
        tasks = [
            asyncio.create_task(one.keeper.run(SYMBOL)),
            asyncio.create_task(one.wire.live()),
        ]
        await work(one)
        for task in tasks:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return one

    return run_virtual(main)


@pytest.mark.parametrize("handshake_us", [0, 300 * MS, 600 * MS, SECOND, 3 * SECOND, 20 * SECOND])
def test_found_18_a_connection_that_is_still_being_made_is_not_judged(handshake_us: int) -> None:
    """Row 18: with 0.6 s the book was live 0 % of 40 s, after 50 depth requests."""

    async def work(one: Kept) -> None:
        await one.until_live()
        assert one.clock.monotonic_us() <= handshake_us + SECOND
        assert await one.watch(40) == 1

    one = kept(work, handshake_us=handshake_us)
    assert one.wire.connections == 1
    assert len(one.wire.depth_requests) <= 2
    assert one.wire.depth_requests[0] >= handshake_us


def test_found_22_a_quiet_book_is_confirmed_and_asked_for_less_and_less() -> None:
    """Row 22: UNCONFIRMED, stale for 30 s, 32 depth requests in 20 s."""

    async def work(one: Kept) -> None:
        await one.until_live()
        assert one.clock.monotonic_us() <= SECOND
        before = len(one.wire.depth_requests)
        assert await one.watch(60) == 1
        assert len(one.wire.depth_requests) - before <= 6
        before = len(one.wire.depth_requests)
        assert await one.watch(600) == 1
        assert 10 <= len(one.wire.depth_requests) - before <= 21

    one = kept(work, moves_every_us=0)
    assert one.wire.connections == 1
    assert one.desk.averages.value(0, one.clock.monotonic_us(), 1) is not None


def test_a_quiet_book_that_moves_again_goes_on() -> None:
    async def work(one: Kept) -> None:
        assert await one.watch(30) > 0.95
        one.wire.move()
        await one.watch(1)
        assert one.desk.book.last_id == one.wire.number
        assert await one.watch(10) == 1

    assert kept(work, moves_every_us=0).wire.connections == 1


def test_the_average_follows_every_change_and_stops_with_the_book() -> None:
    """A gap and a lost stream take the price out of the average at that moment, not later."""

    async def work(one: Kept) -> None:
        await one.until_live()
        began_us = one.clock.monotonic_us()
        await one.watch(2)
        one.keeper.on_diff(SYMBOL, BookDiff(10**6, 10**6, [], []))
        gap_us = one.clock.monotonic_us()
        value = one.desk.averages.value(0, gap_us + SECOND, 1)
        assert value is not None
        assert abs(value.span_us - (gap_us - began_us)) <= 150 * MS
        assert value.halves_us == 120_000 * USDT.one * value.span_us
        one.keeper.on_book_lost(SYMBOL, "test")
        assert (one.desk.book.state, one.desk.subscribed) == (BookState.EMPTY, False)

    kept(work)


def test_a_change_of_price_is_in_the_average_from_that_moment_on() -> None:
    async def work(one: Kept) -> None:
        await one.until_live()
        await one.watch(1)
        number, before_us = one.desk.book.last_id + 1, one.clock.monotonic_us()
        better = [(59_500 * USDT.one, 10 * SIZE)]
        one.keeper.on_diff(SYMBOL, BookDiff(number, number, better, []))
        value = one.desk.averages.value(0, before_us + 10 * SECOND, 1)
        assert value is not None
        moved = 120_500 * USDT.one * 10 * SECOND
        assert value.halves_us - moved == 120_000 * USDT.one * (value.span_us - 10 * SECOND)

    kept(work, moves_every_us=0)


def test_a_silent_stream_is_not_believed_for_long_and_is_rebuilt() -> None:
    """Exchange fault 15: usable for 2 s at most, then rebuilt, although REST still answers."""

    async def work(one: Kept) -> None:
        await one.until_live()
        one.wire.silent = True
        await one.watch(3)
        assert not one.live
        await one.watch(3)
        assert one.wire.connections >= 2
        one.wire.silent = False
        await one.watch(5)
        assert one.live

    kept(work)


def test_a_stale_snapshot_is_never_used_however_often_it_comes() -> None:
    """Exchange fault 19: its diffs do not follow, and a second equal one proves nothing then."""

    async def work(one: Kept) -> None:
        await one.watch(20)
        assert not one.live
        one.wire.stale_snapshots = False
        await one.watch(6)
        assert one.live

    one = kept(work, stale_snapshots=True, handshake_us=SECOND)
    assert len(one.wire.depth_requests) <= 16


@pytest.mark.parametrize(
    ("wire", "share"),
    [
        ({"latency_us": 150 * MS}, 0.99),
        ({"loss": 10_000}, 0.95),
        ({"latency_us": 150 * MS, "loss": 10_000, "handshake_us": 3 * SECOND}, 0.9),
    ],
)
def test_a_slow_or_lossy_wire_has_a_live_book_nearly_always(
    wire: dict[str, int], share: float
) -> None:
    async def work(one: Kept) -> None:
        await one.until_live()
        assert await one.watch(120) >= share

    kept(work, **wire)


COARSE = replace(
    RULES, market=replace(MARKET, tick_units=10 * MARKET.tick_units, quantity_min_lots=3)
)


@pytest.mark.parametrize(
    "changed",
    [
        COARSE,
        replace(RULES, market=replace(MARKET, lot_units=7)),
        replace(RULES, market=replace(MARKET, notional_min_units=1)),
        replace(RULES, is_open=False),
        replace(RULES, maker_fee_cbps=11),
        replace(RULES, taker_fee_ppm=12),
    ],
)
def test_found_7_a_change_of_rules_drops_book_average_and_reader_together(
    changed: VenueMarket,
) -> None:
    """Row 7: and the market is only ready again once it was reconciled."""

    async def work(one: Kept) -> None:
        await one.until_live()
        await one.watch(1)
        book, averages = one.desk.book, one.desk.averages
        one.wire.rules, one.desk.reload = changed, True
        while one.desk.book is book:
            await one.clock.sleep_us(MS)
        assert one.desk.averages is not averages
        assert (one.desk.book.state, one.desk.subscribed) == (BookState.EMPTY, False)
        assert one.desk.rules.market.version == 2
        assert one.state.rules[SYMBOL] is one.desk.rules.market
        await one.watch(2)
        assert one.live
        assert (one.desk.readiness, one.reconciles) == (Readiness.READY, 1)

    one = kept(work)
    assert [market.version for market in one.wire.read_under] == [1, 2]


def test_a_change_waits_for_orders_of_the_old_rules_but_not_for_unknown_ones() -> None:
    async def work(one: Kept) -> None:
        await one.until_live()
        mine, lost = order(1, market=RULES.market), order(2, market=RULES.market)
        other = order(3, market=replace(RULES.market, symbol="OTHER"), state=VenueOrderState.OPEN)
        for one_order in (mine, lost, other):
            one.state.shadow.register(one_order)
        one.state.shadow.on_event(lost.intent, VenueOrderEvent.OUTCOME_LOST, 1)
        one.wire.rules, one.desk.reload = COARSE, True
        await one.watch(3)
        assert (one.desk.readiness, one.reconciles) == (Readiness.CHANGING, 0)
        one.state.shadow.on_event(mine.intent, VenueOrderEvent.REJECT_PROVED, 1)
        await one.watch(1)
        assert one.desk.ready
        assert one.reconciles == 1

    kept(work)


def test_rules_are_read_now_and_then_and_at_most_once_a_second_when_asked() -> None:
    async def work(one: Kept) -> None:
        await one.watch(290)
        assert one.wire.rules_requests == 0
        await one.watch(20)
        assert one.wire.rules_requests == 1
        for _ in range(30):
            one.desk.reload = True
            await one.clock.sleep_us(100 * MS)
        assert 3 <= one.wire.rules_requests - 1 <= 4
        assert one.desk.rules == RULES

    kept(work, moves_every_us=10 * SECOND)


@pytest.mark.parametrize(
    "away", [NoMarket("not listed"), PreconditionError("another market"), VenueUnavailable("503")]
)
def test_found_10_a_market_that_is_gone_is_closed_with_its_reason_and_asked_again(
    away: NoMarket | Exception,
) -> None:
    """Row 10: its last rules still tell what orders and trades there mean."""

    async def work(one: Kept) -> None:
        await one.until_live()
        one.wire.rules, one.desk.reload = away, True
        await one.watch(2)
        if isinstance(away, VenueUnavailable):
            assert one.desk.rules == RULES
            return
        assert (one.desk.rules.is_open, one.desk.rules.market) == (False, RULES.market)
        assert one.desk.closed in ("not listed", "another market")
        before = one.wire.rules_requests
        await one.watch(20)
        assert 3 <= one.wire.rules_requests - before <= 5
        one.wire.rules = RULES
        await one.watch(8)
        assert (one.desk.rules.is_open, one.desk.closed) == (True, "")
        assert one.desk.ready
        await one.until_live()
        assert (one.desk.subscribed, one.wire.connections) == (True, 1)

    kept(work)


def test_a_book_that_begins_anew_is_subscribed_anew_whatever_its_rules_are() -> None:
    """A stream belongs to the book that it was begun for: none is left without one."""

    async def work(one: Kept) -> None:
        await one.until_live()
        one.keeper.change_rules(one.desk, one.desk.rules)
        assert not one.desk.subscribed
        await one.until_live()
        assert (one.desk.subscribed, one.wire.connections) == (True, 2)

    kept(work)


def test_the_end_of_a_stream_leaves_nothing_subscribed() -> None:
    """What a stream says between a change of rules and its end is not taken for the next one's."""

    async def work(one: Kept) -> None:
        await one.until_live()
        one.wire.handshake_us = SECOND
        one.keeper.change_rules(one.desk, one.desk.rules)
        one.keeper.on_book_subscribed(SYMBOL)
        await one.clock.sleep_us(SECOND // 2)
        assert not one.desk.subscribed
        await one.until_live()

    kept(work)
