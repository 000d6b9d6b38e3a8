"""Finds out: orders of unknown outcome, cancels without an answer, what the venue really shows.

Only a venue's definite word counts. Each order is looked into on its own, a bounded number at a
time, the one that waited longest first: those that are never answered keep no other waiting.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market
from poolmaker.market.engine.account import AccountStreamHandler
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.readiness import ReadinessEvent
from poolmaker.market.engine.state import EngineState, MarketQuoting
from poolmaker.market.engine.ticker import QuoteLoop
from poolmaker.market.execution.model import CancelIntent
from poolmaker.market.execution.ports import OrderEntry
from poolmaker.market.tracking.model import (
    ExchangeOrder,
    OddRow,
    OrderReport,
    ReportedState,
    VenueOrderState,
)
from poolmaker.market.tracking.ports import Venue

_LOG: Final = get_logger("market")
_LOOKUPS_MAX: Final = 20
"""So many look-ups at a time, and at most so many begin in one round."""
_GRACE_US: Final = 1_000_000
_PAUSE_MAX_US: Final = 10_000_000
_NO_POOL: Final = PoolId("")


@dataclass(frozen=True, slots=True)
class OrderReconcilerPorts:
    """Whom to ask and whom to tell."""

    venue: Venue
    entry: OrderEntry
    journal: Journal
    account: AccountStreamHandler
    ticker: QuoteLoop


class OrderReconciler:
    """Resolves orders and reconciles with the venue."""

    def __init__(self, state: EngineState, ports: OrderReconcilerPorts, clock: Clock) -> None:
        self._state = state
        self._ports = ports
        self._clock = clock
        self._missing: set[IntentId] = set()
        self._asking: set[IntentId] = set()
        self._asked_us: dict[IntentId, int] = {}

    async def run_resolver(self) -> None:
        """Look into doubtful orders until cancelled."""
        async with asyncio.TaskGroup() as asking:
            while True:
                await self._clock.sleep_us(self._state.config.resolve_ms * 1_000)
                for order in self._next_doubtful():
                    self._asking.add(order.intent)
                    self._asked_us[order.intent] = self._clock.monotonic_us()
                    asking.create_task(self._look_into(order))

    def _next_doubtful(self) -> list[ExchangeOrder]:
        """Whom to ask about now, the one that waited longest first."""
        doubtful = self._doubtful()
        living = {order.intent for order in self._state.shadow.living()}
        for remembered in (self._state.cancel_sent_us, self._asked_us):
            for ended in remembered.keys() - living:
                del remembered[ended]
        due = [order for order in doubtful if order.intent not in self._asking]
        due.sort(key=lambda order: self._asked_us.get(order.intent, 0))
        return due[: _LOOKUPS_MAX - len(self._asking)]

    async def _look_into(self, order: ExchangeOrder) -> None:
        try:
            await self._look_up(order)
        except VenueUnavailable as problem:
            _LOG.info("look-up without an answer", intent=order.intent, why=str(problem))
            if order.state is VenueOrderState.PENDING_CANCEL and self._late(order):
                # A cancel needs no answer to a question: it is sent until it is proven.
                self._ports.ticker.cancel([order])
        finally:
            self._asking.discard(order.intent)

    async def run_reconciler(self) -> None:
        """Reconcile at the start, after every new subscription, and from time to time."""
        pause_us = _GRACE_US
        while True:
            self._ports.account.reconcile_wanted.clear()
            try:
                await self.reconcile()
            except VenueUnavailable as problem:
                self._state.unready_why = str(problem)
                _LOG.info("reconciling without an answer", why=str(problem))
                await self._clock.sleep_us(pause_us)
                pause_us = min(2 * pause_us, _PAUSE_MAX_US)
                continue
            pause_us = _GRACE_US
            self._state.unready_why = ""
            await self._wait_for_reason()

    async def reconcile(self) -> None:
        """Open orders, trades and balances against what we think; opens each market's gate."""
        markets = list(self._state.markets.values())
        troubles = [trouble for desk in markets if (trouble := await self._reconciled(desk))]
        self._ports.account.on_balances(await self._ports.venue.balances())
        self._state.reconciled = True
        await self._ports.account.publish_open_fees()
        if troubles:
            raise VenueUnavailable("; ".join(troubles))

    async def _reconciled(self, desk: MarketQuoting) -> str:
        """Reconcile one market; what keeps it from that never keeps the next one from it."""
        try:
            await self._reconcile_orders(desk)
            await self._ports.account.sync_trades(desk.spec.symbol)
            desk.move(ReadinessEvent.RECONCILED)
        except VenueUnavailable as problem:
            return f"{desk.spec.symbol}: {problem}"
        return ""

    async def _wait_for_reason(self) -> None:
        try:
            async with asyncio.timeout(self._state.config.reconcile_ms / 1_000):
                await self._ports.account.reconcile_wanted.wait()
        except TimeoutError:
            return

    async def _reconcile_orders(self, desk: MarketQuoting) -> None:
        asked_us = self._clock.now_us()
        market = desk.rules.market
        shown: set[IntentId] = set()
        listed = await self._ports.venue.open_orders(market)
        for row in listed.odd:
            await self._cancel_odd(market, row)
        for report in listed.reports:
            order = await self._known(report)
            if order is None:
                await self._cancel_stranger(market, report)
                continue
            shown.add(order.intent)
            if order.terminal and order.changed_us + _GRACE_US < asked_us:
                _LOG.warning("an ended order is open at the venue", intent=order.intent)
                await self._cancel_stranger(market, report)
            elif report.filled_units > order.booked_units:
                self._ports.account.want_trades(report.symbol)
        self._note_missing(market.symbol, shown, asked_us)

    def _note_missing(self, symbol: str, shown: set[IntentId], asked_us: int) -> None:
        """Absence from one list proves nothing (it may be older than the order): look it up."""
        self._missing = {
            order.intent
            for order in self._state.shadow.living()
            if order.symbol == symbol
            and order.intent not in shown
            and order.registered_us + _GRACE_US < asked_us
        } | {intent for intent in self._missing if self._of_other_market(intent, symbol)}

    def _of_other_market(self, intent: IntentId, symbol: str) -> bool:
        order = self._state.shadow.find(intent)
        return order is not None and order.symbol != symbol

    async def _known(self, report: OrderReport) -> ExchangeOrder | None:
        self._ports.account.on_order(report)
        shadow = self._state.shadow
        order = shadow.owner_of(report.symbol, report.exchange_order_id, report.intent)
        if order is not None or report.intent is None:
            return order
        found = await self._ports.journal.find_order(
            report.symbol, report.exchange_order_id, report.intent
        )
        if found is not None:
            shadow.restore([found])
            self._ports.account.on_order(report)
        return found

    async def _cancel_stranger(self, market: Market, report: OrderReport) -> None:
        """An open order that we cannot map must not trade with our capital."""
        _LOG.warning("cancelling an order that is not ours", order=report.exchange_order_id)
        await self._cancel(
            CancelIntent(
                target=report.intent or IntentId(""),
                pool=_NO_POOL,
                symbol=market.symbol,
                exchange_order_id=report.exchange_order_id,
                client_id=report.client_id,
                decided_us=self._clock.now_us(),
            )
        )

    async def _cancel_odd(self, market: Market, row: OddRow) -> None:
        """An open order that cannot be read, and is none that we know: it cannot be mapped."""
        if not row.identity or self._state.shadow.find_exchange_id(market.symbol, row.identity):
            return
        _LOG.warning("cancelling an order that cannot be read", order=row.identity)
        await self._cancel(
            CancelIntent(
                target=IntentId(""),
                pool=_NO_POOL,
                symbol=market.symbol,
                exchange_order_id=row.identity,
                client_id="",
                decided_us=self._clock.now_us(),
            )
        )

    async def _cancel(self, cancel: CancelIntent) -> None:
        try:
            await self._ports.entry.cancel(cancel)
        except OutcomeUnknown:
            self._ports.account.reconcile_wanted.set()

    def _doubtful(self) -> list[ExchangeOrder]:
        """Orders to look into: unknown, missing, or cancelling without an answer for too long."""
        unknown = self._state.shadow.in_state(VenueOrderState.UNKNOWN)
        late = [
            o for o in self._state.shadow.in_state(VenueOrderState.PENDING_CANCEL) if self._late(o)
        ]
        missing = [self._state.shadow.find(intent) for intent in self._missing]
        found = {o.intent: o for o in [*unknown, *late, *missing] if o is not None}
        return [order for order in found.values() if not order.terminal]

    def _late(self, order: ExchangeOrder) -> bool:
        return self._state.cancel_is_due(order.intent, self._clock.monotonic_us())

    async def _look_up(self, order: ExchangeOrder) -> None:
        report = await self._ask(order.market, order)
        if report is None:
            desk = self._state.markets.get(order.symbol)
            if desk is not None:
                await self._missed(desk, order)
            return
        self._missing.discard(order.intent)
        self._ports.account.on_order(report)
        if order.unexplained_units:
            self._ports.account.want_trades(order.symbol)
        if report.state is ReportedState.LIVE and order.state is VenueOrderState.PENDING_CANCEL:
            # The cancel did not work: it rests and must go.
            self._ports.ticker.cancel([order])

    async def _ask(self, market: Market, order: ExchangeOrder) -> OrderReport | None:
        if order.exchange_ids:
            return await self._ports.venue.order_by_id(market, order.exchange_ids[-1])
        client_id = self._ports.entry.client_id(order.intent)
        return await self._ports.venue.order_by_client_id(market, client_id)

    async def _missed(self, desk: MarketQuoting, order: ExchangeOrder) -> None:
        """The venue says there is no such order. Often enough, and nowhere else: it is absent."""
        enough = self._state.absences.missed(order.intent, self._clock.monotonic_us())
        if not enough:
            return
        market = desk.rules.market
        listed = await self._ports.venue.open_orders(market)
        for report in listed.reports:
            self._ports.account.on_order(report)
        await self._ports.account.sync_trades(order.symbol)
        if listed.odd or desk.unread:
            # It may be what cannot be read, so it is not proven absent.
            return
        client_id = self._ports.entry.client_id(order.intent)
        again = await self._ports.venue.order_by_client_id(market, client_id)
        # Whatever was seen meanwhile has cleared the count, or filled something.
        if again is None and self._state.absences.count(order.intent) and not order.terminal:
            self._missing.discard(order.intent)
            self._state.absences.seen(order.intent)
            self._state.shadow.absent(order.intent, self._clock.now_us())
