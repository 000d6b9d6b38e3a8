"""Keeps the markets of a session: rules, streams, books; each by itself.

Rules, book, averages and the stream's reader belong together: when the venue changes the rules of
a market all of them are dropped and begin anew, own orders of the old rules are cancelled, and
nothing is quoted or priced until the market is reconciled again (decision 0107).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PreconditionError, VenueUnavailable
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.prices import FRESH_US, note_price
from poolmaker.market.engine.readiness import Readiness, ReadinessEvent
from poolmaker.market.engine.state import EngineState, MarketQuoting
from poolmaker.market.tracking.book import BookState, DiffOutcome, OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import BookDiff, NoMarket, VenueMarket, VenueOrderState
from poolmaker.market.tracking.ports import Venue, VenueFeeds

_LOG: Final = get_logger("market")
_LOOK_US: Final = 50_000
_REPAIR_PAUSE_US: Final = 250_000
_REPAIR_PAUSE_MAX_US: Final = 4_000_000
_QUIET_US: Final = 700_000
"""A book that is silent for so long asks its stream whether it still flows."""
_COMPARE_US: Final = 2_000_000
_COMPARE_MAX_US: Final = 30_000_000
"""While nothing changes, REST is asked less and less often, at least this often."""
_COMPARE_LEVELS: Final = 100
_CATCH_UP_US: Final = 1_000_000
"""How long a stream has to tell what REST has shown before it counts as silent."""
_RELOAD_PAUSE_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class BookPorts:
    """Whom a session's markets ask and tell. ``reconcile`` asks for a round of reconciling."""

    venue: Venue
    feeds: VenueFeeds
    journal: Journal
    reconcile: Callable[[], None]


@dataclass(slots=True)
class _Pace:
    """When a market's questions are due; all monotonic microseconds."""

    repair_us: int = 0
    repair_pause_us: int = _REPAIR_PAUSE_US
    compare_us: int = 0
    compare_pause_us: int = _COMPARE_US
    rules_us: int = 0
    rules_asked_us: int = 0
    seen_id: int = 0


class OrderBookManager:
    """Hears the streams of all markets (see ``BookFeed``) and keeps each one believable."""

    def __init__(self, state: EngineState, ports: BookPorts, clock: Clock) -> None:
        self._state = state
        self._ports = ports
        self._clock = clock

    # ------------------------------------------------------------------ what the streams say

    def on_diff(self, symbol: str, diff: BookDiff) -> None:
        desk = self._state.markets[symbol]
        now_us = self._clock.monotonic_us()
        outcome = desk.book.on_diff(diff, now_us)
        if outcome is not DiffOutcome.KEPT and outcome is not DiffOutcome.OLD:
            note_price(self._state, desk, now_us)

    def on_book_subscribed(self, symbol: str) -> None:
        self._state.markets[symbol].subscribed = True

    def on_book_lost(self, symbol: str, reason: str) -> None:
        _LOG.info("book lost", symbol=symbol, reason=reason)
        desk = self._state.markets[symbol]
        desk.subscribed = False
        desk.book.lose()
        note_price(self._state, desk, self._clock.monotonic_us())

    # ------------------------------------------------------------------ a market's life

    async def run(self, symbol: str) -> None:
        """Keep one market until cancelled; a book that begins anew gets a stream of its own."""
        desk = self._state.markets[symbol]
        pace = _Pace(rules_us=self._clock.monotonic_us() + self._rules_pause_us)
        while True:
            book = desk.book
            stream = asyncio.create_task(self._ports.feeds.run_book(desk.rules.market, self))
            try:
                while desk.book is book and not stream.done():
                    await self._look(desk, pace)
                    await self._clock.sleep_us(_LOOK_US)
            finally:
                stream.cancel()
                ended = await asyncio.gather(stream, return_exceptions=True)
                desk.subscribed = False
            if isinstance(ended[0], Exception):
                raise ended[0]

    @property
    def _rules_pause_us(self) -> int:
        return self._state.config.rules_check_ms * 1_000

    async def _look(self, desk: MarketQuoting, pace: _Pace) -> None:
        """One look. A venue that does not answer is asked again at its own pace."""
        now_us = self._clock.monotonic_us()
        if not desk.book.usable(now_us, FRESH_US):
            note_price(self._state, desk, now_us)
        try:
            await self._keep_rules(desk, pace)
            await self._keep_book(desk, pace)
        except VenueUnavailable as problem:
            _LOG.info("market data without an answer", symbol=desk.spec.symbol, why=str(problem))

    # ------------------------------------------------------------------ rules

    async def _keep_rules(self, desk: MarketQuoting, pace: _Pace) -> None:
        now_us = self._clock.monotonic_us()
        asked_for = desk.reload and now_us >= pace.rules_asked_us + _RELOAD_PAUSE_US
        if asked_for or now_us >= pace.rules_us:
            pace.rules_asked_us = now_us
            pace.rules_us = now_us + self._rules_pause_us
            desk.reload = False
            await self._read_rules(desk, pace)
        if desk.readiness is Readiness.CHANGING and not self._old_orders(desk):
            desk.move(ReadinessEvent.ORDERS_GONE)
            self._ports.reconcile()

    async def _read_rules(self, desk: MarketQuoting, pace: _Pace) -> None:
        try:
            found = await self._ports.venue.market(desk.spec)
        except PreconditionError as problem:
            found = NoMarket(str(problem))
        if isinstance(found, NoMarket):
            # Its last rules still tell what our orders and trades there mean.
            desk.rules = replace(desk.rules, is_open=False)
            desk.closed = found.reason
        else:
            desk.closed = ""
            rules = await self._ports.journal.know_rules(found)
            if rules.market.version == desk.rules.market.version:
                # They were only not to be had for a moment: all that was read with them holds.
                desk.rules = rules
            else:
                self.change_rules(desk, rules)
        if not desk.rules.is_open:
            closed_us = self._state.config.closed_check_ms * 1_000
            pace.rules_us = self._clock.monotonic_us() + closed_us

    def change_rules(self, desk: MarketQuoting, rules: VenueMarket) -> None:
        """The one way in which the rules of a market change: all that was read with them goes."""
        _LOG.warning(
            "the venue changed the rules of a market",
            symbol=desk.spec.symbol,
            version=rules.market.version,
        )
        desk.rules = rules
        self._state.rules[desk.spec.symbol] = rules.market
        desk.subscribed = False
        desk.book = OrderBook(rules.market)
        desk.averages = DepthTwaps(self._state.config.twap_ms * 1_000)
        desk.depth_due_us = 0
        desk.move(ReadinessEvent.RULES_CHANGED)

    def _old_orders(self, desk: MarketQuoting) -> bool:
        """Whether an order of earlier rules may still be cancelled; UNKNOWN ones may not be."""
        version = desk.rules.market.version
        return any(
            order.symbol == desk.spec.symbol
            and order.market.version != version
            and order.state is not VenueOrderState.UNKNOWN
            for order in self._state.shadow.living()
        )

    # ------------------------------------------------------------------ the book

    async def _keep_book(self, desk: MarketQuoting, pace: _Pace) -> None:
        """Only a stream that said that it flows is judged by its silence."""
        if not desk.subscribed:
            return
        book, now_us = desk.book, self._clock.monotonic_us()
        if book.state is BookState.LIVE:
            pace.repair_pause_us = _REPAIR_PAUSE_US
            pace.repair_us = 0
            await self._keep_fresh(desk, pace)
        elif now_us >= pace.repair_us:
            pace.repair_us = now_us + pace.repair_pause_us
            pace.repair_pause_us = min(2 * pace.repair_pause_us, _REPAIR_PAUSE_MAX_US)
            if book.needs_snapshot:
                await self._repair(desk)
            else:
                await self._compare(desk)

    async def _repair(self, desk: MarketQuoting) -> None:
        book = desk.book
        levels = self._state.config.book_levels
        snapshot = await self._ports.venue.book_snapshot(desk.rules.market, levels)
        if desk.book is book:
            book.on_snapshot(snapshot, self._clock.monotonic_us())
            note_price(self._state, desk, self._clock.monotonic_us())

    async def _keep_fresh(self, desk: MarketQuoting, pace: _Pace) -> None:
        """On a quiet stream: ask the stream itself often, and another source now and then."""
        book, now_us = desk.book, self._clock.monotonic_us()
        if book.last_id != pace.seen_id:
            pace.seen_id, pace.compare_pause_us = book.last_id, _COMPARE_US
            pace.compare_us = now_us + _COMPARE_US
        if book.age_us(now_us) <= _QUIET_US:
            return
        if await self._ports.feeds.ask_book(desk.spec.symbol) and desk.book is book:
            book.on_alive(now_us)
        if now_us >= pace.compare_us:
            pace.compare_pause_us = min(2 * pace.compare_pause_us, _COMPARE_MAX_US)
            pace.compare_us = now_us + pace.compare_pause_us
            await self._compare(desk)

    async def _compare(self, desk: MarketQuoting) -> None:
        """A second source: the same book confirms ours, a newer one convicts a silent stream."""
        book, asked_us = desk.book, self._clock.monotonic_us()
        before = book.last_id
        snapshot = await self._ports.venue.book_snapshot(desk.rules.market, _COMPARE_LEVELS)
        if desk.book is not book or book.on_repeated(snapshot, asked_us):
            note_price(self._state, desk, self._clock.monotonic_us())
            return
        if snapshot.last_id <= before or book.needs_snapshot:
            return
        await self._clock.sleep_us(_CATCH_UP_US)
        if desk.book is book and desk.subscribed and book.last_id == before:
            # The venue has moved on, and the stream had its time to tell us.
            self.on_book_lost(desk.spec.symbol, "the stream is silent while the book moves")
            self._ports.feeds.restart_book(desk.spec.symbol)
