"""What becomes of decisions: replies and losses move the shadow ledger and the engine's brakes."""

from __future__ import annotations

from typing import Final

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.market.engine.latches import LatchKind
from poolmaker.market.engine.state import EngineState, side_name
from poolmaker.market.execution.model import (
    CancelAccepted,
    CancelIntent,
    CancelReply,
    Created,
    CreateIntent,
    CreateReply,
    NotThere,
    RequestRefused,
    VenueRefusal,
)
from poolmaker.market.execution.throttle import Throttle
from poolmaker.market.tracking.model import (
    OrderReport,
    ReportedState,
    VenueOrderEvent,
    VenueOrderState,
)

_LOG: Final = get_logger("market")
_DOUBLINGS_MAX: Final = 10


class VenueOrderOutcomes:
    """Hears the sender; see ``Outcomes``."""

    def __init__(self, state: EngineState, throttle: Throttle, clock: Clock) -> None:
        self._state = state
        self._throttle = throttle
        self._clock = clock

    def never_sent(self, intent: CreateIntent, reason: str) -> None:
        event = VenueOrderEvent.REJECT_PROVED
        self._state.shadow.on_event(intent.intent, event, self._clock.now_us(), reason)

    def created(self, intent: CreateIntent, reply: CreateReply) -> None:
        if isinstance(reply, Created):
            self._state.orders_placed += 1
            self._state.pool(intent.pool).refusals[intent.side].count = 0
            subject = side_name(intent.pool, intent.side)
            self._state.latches.clear(LatchKind.CREATES_REFUSED, subject)
            shadow = self._state.shadow
            shadow.acked(intent.intent, reply.exchange_order_id, self._clock.now_us())
        else:
            self._refused(intent, reply)

    def create_lost(self, intent: CreateIntent) -> None:
        """What a report has shown meanwhile is known, not lost."""
        self._state.orders_placed += 1
        order = self._state.shadow.find(intent.intent)
        if order is not None and not order.seen:
            event = VenueOrderEvent.OUTCOME_LOST
            self._state.shadow.on_event(intent.intent, event, self._clock.now_us(), "answer lost")

    def cancelled(self, cancel: CancelIntent, reply: CancelReply) -> None:
        """An order that is not there proves nothing yet; the resolver looks it up."""
        if isinstance(reply, CancelAccepted):
            self._cancels_answered(cancel.symbol)
            self._state.cancel_sent_us.pop(cancel.target, None)
            self._state.shadow.on_report(self._cancelled(cancel, reply), self._clock.now_us())
        elif isinstance(reply, NotThere):
            self._cancels_answered(cancel.symbol)
            order = self._state.shadow.find(cancel.target)
            if order is None or order.state is not VenueOrderState.UNKNOWN:
                # What is unknown is looked up in any case, and cancelled again in its time.
                self._state.cancel_sent_us.pop(cancel.target, None)
        else:
            self._cancel_failed(cancel, f"{reply.refusal.value}: {reply.text}")
            self._wait(reply)

    def cancel_lost(self, cancel: CancelIntent) -> None:
        """The order stays as it is until the resolver knows more."""
        self._cancel_failed(cancel, "no answer")
        _LOG.warning("cancel without an answer", intent=cancel.target, symbol=cancel.symbol)

    def _cancels_answered(self, symbol: str) -> None:
        self._state.cancels_of(symbol).answered()
        self._state.latches.clear(LatchKind.CANCELS_FAILING, symbol)

    def _cancel_failed(self, cancel: CancelIntent, cause: str) -> None:
        if self._state.cancels_of(cancel.symbol).failed(cancel.target):
            kind, now_us = LatchKind.CANCELS_FAILING, self._clock.now_us()
            self._state.latches.set(kind, cancel.symbol, cause, now_us)

    def _cancelled(self, cancel: CancelIntent, reply: CancelAccepted) -> OrderReport:
        return OrderReport(
            symbol=cancel.symbol,
            exchange_order_id=reply.exchange_order_id,
            client_id=cancel.client_id,
            intent=cancel.target,
            state=ReportedState.CANCELLED,
            filled_units=reply.filled_units,
            venue_time_us=0,
        )

    def _refused(self, intent: CreateIntent, reply: RequestRefused) -> None:
        now_us = self._clock.now_us()
        if reply.refusal is VenueRefusal.DUPLICATE:
            # The id is in use, so the order of this very intent is there: find out how it fares.
            event = VenueOrderEvent.OUTCOME_LOST
        else:
            event = VenueOrderEvent.REJECT_PROVED
        self._state.shadow.on_event(intent.intent, event, now_us, reply.refusal.value)
        _LOG.info("order refused", intent=intent.intent, refusal=reply.refusal, text=reply.text)
        cause = f"{reply.refusal.value}: {reply.text}"
        subject = side_name(intent.pool, intent.side)
        self._state.latches.set(LatchKind.CREATES_REFUSED, subject, cause, now_us)
        self._pause(intent)
        self._wait(reply)
        desk = self._state.markets.get(intent.market.symbol)
        if desk is not None and reply.refusal in (VenueRefusal.FILTER, VenueRefusal.MARKET_CLOSED):
            desk.reload = True

    def _pause(self, intent: CreateIntent) -> None:
        """Each refusal in a row doubles the pause of its side; the next tick decides anew."""
        config = self._state.config
        refusals = self._state.pool(intent.pool).refusals[intent.side]
        pause_ms = config.refusal_pause_ms << min(refusals.count, _DOUBLINGS_MAX)
        refusals.count += 1
        pause_us = min(pause_ms, config.refusal_pause_max_ms) * 1_000
        refusals.until_us = self._clock.monotonic_us() + pause_us

    def _wait(self, reply: RequestRefused) -> None:
        if reply.wait_us > 0:
            self._throttle.stop_for(reply.wait_us)
