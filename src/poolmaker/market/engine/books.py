"""Keeps the books of a session: applies the stream, fetches snapshots, proves freshness."""

from __future__ import annotations

from typing import Final

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import VenueUnavailable
from poolmaker.market.engine.prices import note_price
from poolmaker.market.engine.state import EngineState, MarketDesk
from poolmaker.market.tracking.book import DiffOutcome
from poolmaker.market.tracking.model import BookDiff
from poolmaker.market.tracking.ports import Venue, VenueFeeds

_LOG: Final = get_logger("market")
_LOOK_US: Final = 100_000
_SNAPSHOT_PAUSE_US: Final = 500_000
_QUIET_US: Final = 1_000_000
_CONFIRM_LEVELS: Final = 5


class BookKeeper:
    """Hears the market's stream and repairs what it breaks; see ``BookFeed``."""

    def __init__(self, state: EngineState, venue: Venue, feeds: VenueFeeds, clock: Clock) -> None:
        self._state = state
        self._venue = venue
        self._feeds = feeds
        self._clock = clock

    def on_diff(self, symbol: str, diff: BookDiff) -> None:
        """See ``BookFeed.on_diff``."""
        desk = self._state.markets[symbol]
        now_us = self._clock.monotonic_us()
        outcome = desk.book.on_diff(diff, now_us)
        if outcome is not DiffOutcome.KEPT and outcome is not DiffOutcome.OLD:
            self._note_price(desk, now_us)

    def on_book_lost(self, symbol: str, reason: str) -> None:
        """See ``BookFeed.on_book_lost``."""
        _LOG.info("book lost", symbol=symbol, reason=reason)
        desk = self._state.markets[symbol]
        desk.book.lose()
        self._note_price(desk, self._clock.monotonic_us())

    async def run(self, symbol: str) -> None:
        """Fetch a snapshot when one is needed; on a quiet stream ask whether we miss something."""
        desk = self._state.markets[symbol]
        while True:
            try:
                await self._repair(desk)
            except VenueUnavailable:
                await self._clock.sleep_us(_SNAPSHOT_PAUSE_US)
            await self._clock.sleep_us(_LOOK_US)

    async def _repair(self, desk: MarketDesk) -> None:
        now_us = self._clock.monotonic_us()
        if desk.book.needs_snapshot:
            levels = self._state.config.book_levels
            snapshot = await self._venue.book_snapshot(desk.rules.market, levels)
            desk.book.on_snapshot(snapshot, self._clock.monotonic_us())
            self._note_price(desk, self._clock.monotonic_us())
            await self._clock.sleep_us(_SNAPSHOT_PAUSE_US)
        elif desk.book.age_us(now_us) > _QUIET_US:
            await self._confirm(desk)

    async def _confirm(self, desk: MarketDesk) -> None:
        """No change for a while: a second source tells a quiet market from a silent stream."""
        before = desk.book.last_id
        snapshot = await self._venue.book_snapshot(desk.rules.market, _CONFIRM_LEVELS)
        now_us = self._clock.monotonic_us()
        desk.book.confirm(snapshot.last_id, now_us)
        await self._clock.sleep_us(_SNAPSHOT_PAUSE_US)
        if desk.book.last_id == before < snapshot.last_id:
            # The venue has moved on, and the stream had half a second to tell us.
            self.on_book_lost(desk.spec.symbol, "the stream is silent while the book moves")
            self._feeds.restart_book(desk.spec.symbol)

    def _note_price(self, desk: MarketDesk, now_us: int) -> None:
        note_price(self._state, desk, now_us)
