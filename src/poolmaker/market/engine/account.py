"""The account's channels: reports move the shadow ledger, trades become facts, barriers follow.

One task publishes, so that the stream's order is the order in which things were proven.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import VenueUnavailable
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.money import Ratio
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.latches import LatchKind
from poolmaker.market.engine.prices import at_risk, barrier_price
from poolmaker.market.engine.state import EngineState, MarketQuoting
from poolmaker.market.tracking.account_stream import Attributed, third_asset
from poolmaker.market.tracking.model import (
    BalanceReport,
    ExchangeOrder,
    OddRow,
    OpenFees,
    OrderReport,
    StoredFill,
    TradeReport,
)
from poolmaker.market.tracking.ports import Venue, VenueFeeds
from poolmaker.messages.market import Barrier, BarrierWanted

_LOG: Final = get_logger("market")
_INBOX_MAX: Final = 10_000
_BATCH_MAX: Final = 256
_IDLE_US: Final = 50_000
_BACK_OFF_US: Final = 500_000
_SILENCE_US: Final = 3_000_000
_ODD_PAUSE_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class AccountPorts:
    """Whom the account's desk asks and tells."""

    venue: Venue
    feeds: VenueFeeds
    journal: Journal


class AccountStreamHandler:
    """Hears the account's stream and publishes; see ``AccountFeed``."""

    def __init__(self, state: EngineState, ports: AccountPorts, clock: Clock) -> None:
        self._state = state
        self._venue = ports.venue
        self._feeds = ports.feeds
        self._journal = ports.journal
        self._clock = clock
        self._subscribed_us = 0
        self._inbox: deque[TradeReport] = deque()
        self._held: list[TradeReport] = []
        self._resync: set[str] = set()
        self._odd: set[str] = set()
        self._odd_due_us = 0
        self._odd_us: dict[str, int] = {}
        self._proof_due_us = 0
        self.reconcile_wanted = asyncio.Event()

    def on_order(self, report: OrderReport) -> None:
        applied = self._state.shadow.on_report(report, self._clock.now_us())
        if applied is None:
            return
        self._state.absences.seen(applied.order.intent)
        if applied.order.unexplained_units and applied.order.terminal:
            self._resync.add(report.symbol)

    def on_trade(self, trade: TradeReport) -> None:
        """What does not fit is read again over REST."""
        if trade.symbol not in self._state.markets:
            return
        if len(self._inbox) >= _INBOX_MAX or not trade.trade_id:
            self._resync.add(trade.symbol)
            return
        self._inbox.append(trade)

    def on_balances(self, balances: Sequence[BalanceReport]) -> None:
        self._state.balances.update({balance.asset: balance for balance in balances})

    def on_account_odd(self, symbol: str) -> None:
        """What was set aside is read over REST, in time."""
        known = symbol in self._state.markets
        symbols = [symbol] if known else list(self._state.markets)
        self._odd.update(symbols)
        self._odd_us.update(dict.fromkeys(symbols, self._clock.now_us()))

    def on_account_subscribed(self) -> None:
        self._subscribed_us = self._clock.now_us()
        self._state.connection.up(self._subscribed_us)
        self.reconcile_wanted.set()

    def on_account_lost(self, reason: str) -> None:
        self._subscribed_us = 0
        self._state.connection.down(reason, self._clock.now_us())
        _LOG.info("account stream lost", account=self._state.config.account, reason=reason)

    def want_trades(self, symbol: str) -> None:
        """Read the venue's list of trades of a market soon."""
        self._resync.add(symbol)

    async def run(self) -> None:
        """Publish until cancelled. A venue that does not answer is asked again."""
        while True:
            try:
                await self._work()
            except VenueUnavailable as problem:
                _LOG.info("venue does not answer", problem=str(problem))
                await self._clock.sleep_us(_BACK_OFF_US)
            await self._clock.sleep_us(_IDLE_US)

    async def sync_trades(self, symbol: str) -> None:
        """Read the venue's trades since the last page and publish what is new."""
        desk = self._state.markets[symbol]
        while True:
            cursor = await self._journal.cursor(symbol)
            if cursor is None:
                # First use of this market: what was traded before is not ours to book.
                cursor = await self._venue.cursor_now(desk.rules.market)
                await self._journal.publish([], {}, {symbol: cursor})
            page = await self._venue.trades_after(desk.rules.market, cursor)
            unread = [one for one in page.odd if one.row.key not in self._state.rows_accepted]
            moved = unread[0].cursor or cursor if unread else page.cursor
            stored = await self._publish(list(page.trades), {symbol: moved})
            self._note_unread(desk, [one.row for one in unread])
            self._suspect_stream([fill.trade for fill in stored])
            if self._held or page.complete or moved == cursor:
                return

    def _note_unread(self, desk: MarketQuoting, rows: list[OddRow]) -> None:
        """Trades that cannot be read silence their market; a list without any clears that."""
        desk.unread = tuple(rows)
        kind, symbol = LatchKind.UNREADABLE_TRADES, desk.spec.symbol
        if rows:
            cause = f"{len(rows)} trades, the first: {rows[0].problem}"
            self._state.latches.set(kind, symbol, cause, self._clock.now_us())
        else:
            self._state.latches.clear(kind, symbol)

    def _suspect_stream(self, trades: Sequence[TradeReport]) -> None:
        """Trades that only REST has shown, long after a living stream should have: rebuild it."""
        now_us = self._clock.now_us()
        started_us = self._subscribed_us + _SILENCE_US
        ages_us = [
            now_us - trade.venue_time_us
            for trade in trades
            # What the stream told oddly was told: it is not silent.
            if trade.venue_time_us > max(started_us, self._odd_us.get(trade.symbol, 0))
        ]
        if self._subscribed_us and ages_us and max(ages_us) > _SILENCE_US:
            _LOG.warning("account stream is silent", account=self._state.config.account)
            self._subscribed_us = 0
            self._feeds.restart_account()

    async def _work(self) -> None:
        arrived = min(_BATCH_MAX, len(self._inbox))
        batch = self._held + [self._inbox.popleft() for _ in range(arrived)]
        self._held = []
        if batch:
            await self._publish(batch, {})
        self._look_again()
        for symbol in sorted(self._resync & self._state.markets.keys()):
            await self.sync_trades(symbol)
            self._resync.discard(symbol)
        if self._state.barriers and self._state.compared and self._may_prove():
            await self._emit_barriers(list(self._state.barriers.values()))
        await self._journal.flush()

    def _look_again(self) -> None:
        """Markets of odd events are reconciled, seldom enough that a flood of them costs little."""
        now_us = self._clock.monotonic_us()
        if self._odd and now_us >= self._odd_due_us:
            self._odd_due_us = now_us + _ODD_PAUSE_US
            self._resync |= self._odd
            self._odd.clear()
            self.reconcile_wanted.set()

    async def _publish(
        self, trades: list[TradeReport], cursors: dict[str, str]
    ) -> list[StoredFill]:
        """Publish trades whose order is known and answer the new ones; the others are held.

        A cursor does not move past a trade that is held.
        """
        attributed = []
        held = []
        for trade in trades:
            one = await self._attribute(trade)
            if one is None:
                held.append(trade)
            else:
                attributed.append(one)
        moved = {} if held else cursors
        self._hold(held)
        if not attributed and not moved:
            return []
        stored = await self._journal.publish(attributed, self._state.specs(), moved)
        for fill in stored:
            self._state.fills_booked += 1
            self._note_fill(fill)
        return stored

    def _note_fill(self, fill: StoredFill) -> None:
        if fill.pool:
            self._state.pool(fill.pool).add_fill(fill)

    def _hold(self, trades: list[TradeReport]) -> None:
        self._held += [trade for trade in trades if trade not in self._held]

    async def _attribute(self, trade: TradeReport) -> Attributed | None:
        """The trade with its order; None while the venue cannot be asked whose it is."""
        try:
            order = await self._owner(trade)
            rate = await self._fee_rate(trade)
        except VenueUnavailable:
            return None
        return Attributed(trade, order, rate)

    async def _owner(self, trade: TradeReport) -> ExchangeOrder | None:
        shadow = self._state.shadow
        order = shadow.owner_of(trade.symbol, trade.exchange_order_id, trade.intent)
        if order is not None:
            return order
        intent = trade.intent
        if intent is None:
            market = self._state.markets[trade.symbol].rules.market
            report = await self._venue.order_by_id(market, trade.exchange_order_id)
            intent = report.intent if report is not None else None
            order = shadow.find(intent) if intent is not None else None
        if order is None:
            order = await self._journal.find_order(trade.symbol, trade.exchange_order_id, intent)
            if order is not None and shadow.find(order.intent) is None:
                shadow.restore([order])
        return order

    async def _fee_rate(self, trade: TradeReport) -> Ratio | None:
        desk = self._state.markets[trade.symbol]
        if not third_asset(trade, desk.spec):
            return None
        try:
            return await self._venue.price(trade.fee_asset, desk.rules.market)
        except VenueUnavailable:
            # A missing price never delays a fill; the fee follows when there is one.
            return None

    async def publish_open_fees(self) -> None:
        """Append fees that waited for a price."""
        for fill in await self._journal.fees_open():
            desk = self._state.markets.get(fill.trade.symbol)
            if desk is None:
                continue
            rate = await self._venue.price(fill.trade.fee_asset, desk.rules.market)
            if rate is not None:
                paid = await self._journal.publish_fee(fill, desk.spec, rate)
                self._note_fill(paid)

    def _may_prove(self) -> bool:
        """A proof that failed is not tried again at once: it costs the venue's patience."""
        return self._clock.monotonic_us() >= self._proof_due_us

    async def _emit_barriers(self, wanted: list[BarrierWanted]) -> None:
        """Prove that nothing is unpublished, then append every wanted barrier; else later."""
        self._proof_due_us = self._clock.monotonic_us() + _BACK_OFF_US
        venue_time_us = await self._venue.server_time_us()
        for symbol in sorted(self._state.markets):
            await self.sync_trades(symbol)
        fees = await self._journal.fees_without_price()
        unexplained = self._state.shadow.unexplained()
        self._resync.update(order.symbol for order in unexplained)
        if self._held or self._inbox or unexplained:
            return
        for one in wanted:
            await self._journal.publish_barrier(self._barrier(one, venue_time_us, fees))
            self._state.barriers.pop(one.barrier_id)
        self._proof_due_us = 0

    def _barrier(
        self, wanted: BarrierWanted, venue_time_us: int, fees: Mapping[PoolId, OpenFees]
    ) -> Barrier:
        state, now_us, wall_us = self._state, self._clock.monotonic_us(), self._clock.now_us()
        pools = [desk for desk in state.pools.values() if desk.symbol in state.markets]
        depths = {depth.pool: depth for depth in wanted.depths}
        risks = (at_risk(state, desk, fees.get(desk.wish.pool)) for desk in pools)
        return Barrier(
            account=state.config.account,
            barrier_id=wanted.barrier_id,
            facts_seq=state.facts_seq,
            venue_time_us=venue_time_us,
            prices=tuple(
                barrier_price(state, desk, depths.get(desk.wish.pool), now_us, wall_us)
                for desk in pools
            ),
            at_risk=tuple(risk for risk in risks if risk is not None),
        )
