"""The shadow ledger: every order of ours at the venue, from before it is sent until it has ended.

Nothing here does I/O. Every change marks the order; the caller stores marked orders in the
transaction of whatever else it writes (``take_changed``) and gives them back when that fails.
Times are wall microseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Side
from poolmaker.market.tracking.model import (
    ORDER_STATES,
    ExchangeOrder,
    OrderReport,
    VenueOrderEvent,
    VenueOrderState,
)
from poolmaker.market.tracking.rules import event_of

ENDED_KEPT_US: Final = 600_000_000


@dataclass(frozen=True, slots=True)
class Applied:
    """What a report did: the order it belongs to, and whether its state moved."""

    order: ExchangeOrder
    moved: bool


class ShadowLedger:
    """Orders by intent and by exchange id. States only move along the table."""

    def __init__(self) -> None:
        self._orders: dict[IntentId, ExchangeOrder] = {}
        self._by_exchange_id: dict[tuple[str, str], IntentId] = {}
        self._changed: dict[IntentId, ExchangeOrder] = {}
        self._at_stake: dict[IntentId, ExchangeOrder] = {}
        self._of_pool: dict[PoolId, dict[IntentId, ExchangeOrder]] = {}
        self._versions: dict[PoolId, int] = {}
        self._ended: deque[tuple[int, IntentId]] = deque()
        self._of_symbol: dict[str, dict[IntentId, ExchangeOrder]] = {}
        self._own: dict[str, dict[Side, dict[int, int]]] = {}

    def restore(self, orders: Iterable[ExchangeOrder]) -> None:
        """Take over stored orders. What was never answered has an unknown outcome now."""
        for order in orders:
            self._index(order)
            if order.state is VenueOrderState.PENDING_NEW:
                self._move(order, VenueOrderEvent.OUTCOME_LOST, order.changed_us)

    def register(self, order: ExchangeOrder) -> None:
        """Know an order before it is sent; raises CallerFault when the intent is known."""
        require(order.intent not in self._orders, f"intent {order.intent} is registered already")
        self._index(order)
        self._changed[order.intent] = order

    def find(self, intent: IntentId) -> ExchangeOrder | None:
        """The order of an intent."""
        return self._orders.get(intent)

    def find_exchange_id(self, symbol: str, exchange_order_id: str) -> ExchangeOrder | None:
        """The order that has, or once had, this id at the venue."""
        intent = self._by_exchange_id.get((symbol, exchange_order_id))
        return self._orders.get(intent) if intent is not None else None

    def acked(self, intent: IntentId, exchange_order_id: str, now_us: int) -> None:
        """The venue took it under this id."""
        order = self._known(intent)
        self._learn_exchange_id(order, exchange_order_id)
        seen = VenueOrderEvent.SEEN_PART if order.filled_units else VenueOrderEvent.SEEN_LIVE
        self._move(order, seen, now_us)

    def on_event(
        self, intent: IntentId, event: VenueOrderEvent, now_us: int, reason: str = ""
    ) -> bool:
        """Apply an event; False where the table does not allow it, then nothing changed."""
        return self._move(self._known(intent), event, now_us, reason)

    def on_report(self, report: OrderReport, now_us: int) -> Applied | None:
        """Merge the venue's word. None for an order that is not ours.

        Reports come late, twice and in the wrong order: the fill only grows and an ended order
        stays ended.
        """
        order = self.owner_of(report.symbol, report.exchange_order_id, report.intent)
        if order is None:
            return None
        self._learn_exchange_id(order, report.exchange_order_id)
        if report.client_id and report.client_id not in order.client_ids:
            order.client_ids.append(report.client_id)
            self._note(order)
        if report.filled_units > order.reported_units:
            order.reported_units = report.filled_units
            self._note(order)
        order.seen = True
        return Applied(order, self._move(order, event_of(order, report), now_us))

    def owner_of(
        self, symbol: str, exchange_order_id: str, intent: IntentId | None
    ) -> ExchangeOrder | None:
        """The order that a report or trade belongs to, by our id where it names it."""
        named = self._orders.get(intent) if intent is not None else None
        return named or self.find_exchange_id(symbol, exchange_order_id)

    def book(self, order: ExchangeOrder, exchange_order_id: str, base_units: int) -> None:
        """A fill of so much stands on the account stream; late fills of ended orders too."""
        self._learn_exchange_id(order, exchange_order_id)
        order.seen = True
        order.booked_units += base_units
        self._note(order)

    def absent(self, intent: IntentId, now_us: int) -> bool:
        """It is proven not to be there: never arrived, or gone after it had been seen."""
        order = self._known(intent)
        event = VenueOrderEvent.CANCEL_PROVED if order.seen else VenueOrderEvent.ABSENT_PROVED
        return self._move(order, event, now_us, "proven absent")

    def cancel_failed(self, intent: IntentId, now_us: int) -> None:
        """The venue did not cancel and shows it resting: it is as live as before."""
        order = self._known(intent)
        if self._move(order, VenueOrderEvent.CANCEL_FAILED, now_us) and order.filled_units:
            self._move(order, VenueOrderEvent.SEEN_PART, now_us)

    def at_stake(self) -> Iterable[ExchangeOrder]:
        """Orders that have not ended, and ended ones whose fills are not all booked."""
        return self._at_stake.values()

    def living(self) -> list[ExchangeOrder]:
        """Every order that has not ended: resting, pending or unknown."""
        return [order for order in self._at_stake.values() if not order.terminal]

    def in_state(self, state: VenueOrderState) -> list[ExchangeOrder]:
        """Every order in one state that has not ended."""
        return [order for order in self._at_stake.values() if order.state is state]

    def unexplained(self) -> list[ExchangeOrder]:
        """Orders of which the venue says more has filled than trades explain."""
        return [order for order in self._at_stake.values() if order.unexplained_units]

    def own_units(self, symbol: str, side: Side) -> Mapping[int, int]:
        """Own sizes that the public book may show, by price, both in atomic units.

        What was sent and not answered counts: if it rests, it must not be taken for another's.
        """
        known = self._own.get(symbol)
        if known is None:
            known = self._own[symbol] = {one: self._own_of(symbol, one) for one in Side}
        return known[side]

    def _own_of(self, symbol: str, side: Side) -> dict[int, int]:
        own: dict[int, int] = {}
        for order in self._of_symbol.get(symbol, {}).values():
            if order.side is side and not order.terminal:
                own[order.price_units] = own.get(order.price_units, 0) + order.open_units
        return own

    def of_pool(self, pool: PoolId) -> Iterator[ExchangeOrder]:
        """Orders of a pool that have not ended."""
        return (order for order in self.at_stake_of(pool) if not order.terminal)

    def at_stake_of(self, pool: PoolId) -> list[ExchangeOrder]:
        """Orders of a pool that have not ended, and ended ones whose fills are not all booked."""
        return list(self._of_pool.get(pool, {}).values())

    def at_stake_in(self, symbol: str) -> list[ExchangeOrder]:
        """The same of a market, whichever pool's."""
        return list(self._of_symbol.get(symbol, {}).values())

    def version_of(self, pool: PoolId) -> int:
        """Another number whenever anything of an order of the pool has changed."""
        return self._versions.get(pool, 0)

    @property
    def has_changes(self) -> bool:
        """Whether some order is not stored as it is."""
        return bool(self._changed)

    def take_changed(self) -> list[ExchangeOrder]:
        """Orders that changed since the last call; the caller stores them."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def give_back(self, orders: Iterable[ExchangeOrder]) -> None:
        """Mark orders again whose storing did not happen."""
        self._changed.update({order.intent: order for order in orders})

    def forget_ended(self, now_us: int) -> int:
        """Drop stored orders that ended long ago; answers how many.

        They stand in a queue by the time of their end, so that a look costs what it drops.
        """
        dropped, kept = 0, []
        while self._ended and now_us - self._ended[0][0] > ENDED_KEPT_US:
            ended_us, intent = self._ended.popleft()
            order = self._orders.get(intent)
            if order is None:
                continue
            if order.unexplained_units or intent in self._changed:
                kept.append((ended_us, intent))
                continue
            dropped += 1
            del self._orders[intent]
            for exchange_id in order.exchange_ids:
                self._by_exchange_id.pop((order.symbol, exchange_id), None)
        self._ended.extendleft(reversed(kept))
        return dropped

    def _known(self, intent: IntentId) -> ExchangeOrder:
        ensure(intent in self._orders, f"intent {intent} was never registered")
        return self._orders[intent]

    def _index(self, order: ExchangeOrder) -> None:
        self._orders[order.intent] = order
        self._weigh(order)
        if order.terminal:
            self._ended.append((order.changed_us, order.intent))
        for exchange_id in order.exchange_ids:
            self._by_exchange_id[order.symbol, exchange_id] = order.intent

    def _learn_exchange_id(self, order: ExchangeOrder, exchange_order_id: str) -> None:
        if order.learn_exchange_id(exchange_order_id):
            self._by_exchange_id[order.symbol, exchange_order_id] = order.intent
            self._note(order)

    def _move(
        self, order: ExchangeOrder, event: VenueOrderEvent, now_us: int, reason: str = ""
    ) -> bool:
        after = ORDER_STATES.next(order.state, event)
        if after is None:
            return False
        if after is order.state:
            return True
        order.state = after
        order.changed_us = now_us
        if order.terminal:
            self._ended.append((now_us, order.intent))
        order.reason = reason or order.reason
        order.seen = order.seen or event in (VenueOrderEvent.SEEN_LIVE, VenueOrderEvent.SEEN_PART)
        self._note(order)
        return True

    def _note(self, order: ExchangeOrder) -> None:
        self._changed[order.intent] = order
        self._weigh(order)

    def _weigh(self, order: ExchangeOrder) -> None:
        self._versions[order.pool] = self._versions.get(order.pool, 0) + 1
        self._own.pop(order.symbol, None)
        if order.terminal and not order.unexplained_units:
            self._at_stake.pop(order.intent, None)
            self._of_symbol.get(order.symbol, {}).pop(order.intent, None)
            self._of_pool.get(order.pool, {}).pop(order.intent, None)
        else:
            self._at_stake[order.intent] = order
            self._of_symbol.setdefault(order.symbol, {})[order.intent] = order
            self._of_pool.setdefault(order.pool, {})[order.intent] = order
