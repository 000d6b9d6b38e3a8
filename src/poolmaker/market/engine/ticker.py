"""The tick: views, decisions, plans. It awaits nothing; a late tick is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import Ids
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Ratio
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.latches import LatchKind
from poolmaker.market.engine.model import GateSince
from poolmaker.market.engine.prices import reference
from poolmaker.market.engine.readiness import Readiness
from poolmaker.market.engine.rules import inventory_now, unbooked
from poolmaker.market.engine.state import (
    NEVER_US,
    DecisionInputs,
    EngineState,
    MarketQuoting,
    PoolQuoting,
)
from poolmaker.market.execution.model import CancelIntent, CreateIntent, LiveOrderStage, TargetOrder
from poolmaker.market.execution.ports import OrderEntry
from poolmaker.market.execution.rules import PlanRequest, RefreshPlan, plan_side
from poolmaker.market.execution.sender import Sender
from poolmaker.market.quoting.model import MarketView, QuoteDecision, gated
from poolmaker.market.quoting.rules import decide
from poolmaker.market.tracking.model import ExchangeOrder, VenueOrderEvent, VenueOrderState
from poolmaker.messages.market import QuoteGate, StrategySnapshot

_LOG: Final = get_logger("market")
_RESTING: Final = (VenueOrderState.OPEN, VenueOrderState.PARTLY_FILLED)
_WAITS: Final = (QuoteGate.OUTCOME_UNKNOWN, QuoteGate.OWN_ORDER, QuoteGate.BUDGET)


@dataclass(frozen=True, slots=True)
class TickPorts:
    """What a tick hands its decisions to."""

    sender: Sender
    journal: Journal
    entry: OrderEntry
    ids: Ids


@dataclass(frozen=True, slots=True)
class Shared:
    """What pools of one market see alike in one tick; ``best`` follows orders made in it."""

    view: MarketView | QuoteGate
    best: dict[Side, int | None]


class QuoteLoop:
    """Decides for every pool of the account, once per tick."""

    def __init__(self, state: EngineState, ports: TickPorts, clock: Clock) -> None:
        self._state = state
        self._ports = ports
        self._clock = clock
        self._seen: dict[tuple[str, int], Shared] = {}
        self._best: dict[str, dict[Side, int | None]] = {}

    async def run(self) -> None:
        """Tick until cancelled. Where a tick was missed the next one comes in its own time."""
        tick_us = self._state.config.tick_ms * 1_000
        due_us = self._clock.monotonic_us()
        while True:
            self.tick()
            now_us = self._clock.monotonic_us()
            due_us += tick_us * max(1, -(-(now_us - due_us) // tick_us))
            await self._clock.sleep_us(max(0, due_us - now_us))

    def tick(self) -> None:
        """Decide and hand over. Cancelling needs no readiness: only creating does."""
        self._seen.clear()
        self._best.clear()
        for desk in list(self._state.pools.values()):
            try:
                self._tick_pool(desk)
            except PreconditionError as problem:
                # One pool's bad numbers do not stop the account's other pools.
                _LOG.error("pool cannot be quoted", pool=desk.wish.pool, why=str(problem))
                self._silence(desk, QuoteGate.NOT_READY, str(problem))
                self._withdraw(desk)
        self._clear_solved()
        self._state.shadow.forget_ended(self._clock.now_us())

    def _clear_solved(self) -> None:
        """Cancels that failed count no more once every order that they were for has ended."""
        state = self._state
        for symbol, failing in state.failing_cancels.items():
            if failing.solved(state.shadow):
                state.latches.clear(LatchKind.CANCELS_FAILING, symbol)

    def cancel(self, orders: Sequence[ExchangeOrder]) -> None:
        """Ask the venue to cancel orders, now."""
        if not orders:
            return
        now_us = self._clock.now_us()
        for order in orders:
            self._state.shadow.on_event(order.intent, VenueOrderEvent.CANCEL_SENT, now_us)
            self._state.cancel_sent_us[order.intent] = self._clock.monotonic_us()
        cancels = [self.cancel_intent(order) for order in orders]
        self._ports.journal.note_cancels(cancels)
        self._ports.sender.submit([], cancels)

    def cancel_intent(self, order: ExchangeOrder) -> CancelIntent:
        """The cancel of an order."""
        return CancelIntent(
            target=order.intent,
            pool=order.pool,
            symbol=order.symbol,
            exchange_order_id=order.exchange_ids[-1] if order.exchange_ids else "",
            client_id=self._ports.entry.client_id(order.intent),
            decided_us=self._clock.now_us(),
        )

    def _tick_pool(self, desk: PoolQuoting) -> None:
        desk.forget_booked()
        stopped = self._stopped(desk)
        if stopped is not None:
            self._silence(desk, *stopped)
            self._withdraw(desk)
            return
        market = self._state.markets.get(desk.symbol)
        compared = market is not None and self._state.reconciled and market.reconciled
        if market is None or desk.wish.start is None or not compared:
            # What rests is not known before the venue was asked: to keep or replace it is a guess.
            self._silence(desk, *self._unready(desk))
            if self._unready_for_long():
                self._withdraw(desk)
            return
        self._quote(desk, market, desk.wish.start.strategy)

    def _quote(self, desk: PoolQuoting, market: MarketQuoting, strategy: StrategySnapshot) -> None:
        seen = self._look(desk, market, strategy)
        if not desk.facts and seen == desk.seen and self._clock.now_us() < desk.quiet_until_us:
            return
        view, inventory = seen.view, seen.inventory
        decision = gated(view) if isinstance(view, QuoteGate) else decide(view, inventory, strategy)
        desk.deviation_ppm, desk.widened = decision.deviation_ppm, decision.widened
        gates, busy = {}, False
        for side in Side:
            brake = self._brake(desk, side)
            request = self._request(desk, strategy, seen, decision, side)
            plan = plan_side(replace(request, may_create=brake is None))
            self._carry_out(desk, plan)
            gate = _shown_gate(decision.side(side).gate, brake, plan, request)
            gates[side] = self._detailed(desk, market, side, gate)
            busy = busy or bool(brake or plan.cancels or plan.creates or plan.waits)
        self._note_gates(desk, gates)
        desk.seen = None if busy else seen
        desk.quiet_until_us = self._quiet_until(desk, strategy)

    def _look(
        self, desk: PoolQuoting, market: MarketQuoting, strategy: StrategySnapshot
    ) -> DecisionInputs:
        """All that the decision for a pool is made of: while it is the same, so is the decision."""
        shared = self._shared(market, strategy)
        return DecisionInputs(
            view=shared.view,
            inventory=inventory_now(desk.wish, desk.facts),
            strategy=strategy,
            orders=self._state.shadow.version_of(desk.wish.pool),
            best=(shared.best[Side.BUY], shared.best[Side.SELL]),
            latches=self._state.latches.version,
        )

    def _quiet_until(self, desk: PoolQuoting, strategy: StrategySnapshot) -> int:
        """When the first order of a pool gets too old to stay."""
        if not strategy.order_age_max_ms:
            return NEVER_US
        born_us = [o.registered_us for o in self._state.shadow.of_pool(desk.wish.pool)]
        return min(born_us, default=NEVER_US) + strategy.order_age_max_ms * 1_000

    def _shared(self, market: MarketQuoting, strategy: StrategySnapshot) -> Shared:
        """What pools of a market have in common in one tick, found once."""
        name = market.spec.symbol, strategy.book_age_max_ms
        if name not in self._seen:
            best = self._best.setdefault(market.spec.symbol, self._best_own(market.spec.symbol))
            self._seen[name] = Shared(self._open_view(market, strategy), best)
        return self._seen[name]

    def _best_own(self, symbol: str) -> dict[Side, int | None]:
        """The most aggressive own price of each side that something may still be taken at."""
        found: dict[Side, int | None] = dict.fromkeys(Side)
        for order in self._state.shadow.at_stake_in(symbol):
            found[order.side] = _better(order.side, found[order.side], order.price_units)
        return found

    def _silence(self, desk: PoolQuoting, gate: QuoteGate, detail: str = "") -> None:
        """Both sides show the same gate; what was decided before counts no more."""
        desk.seen = None
        self._note_gates(desk, dict.fromkeys(Side, (gate, detail)))

    def _withdraw(self, desk: PoolQuoting) -> None:
        """Cancel every order of a pool that rests, and by client id every one that may rest."""
        orders = self._state.shadow.of_pool(desk.wish.pool)
        self.cancel([o for o in orders if o.state in _RESTING or self._may_rest(o)])

    def _may_rest(self, order: ExchangeOrder) -> bool:
        """Whether its outcome is unknown and it is time to cancel it, again."""
        now_us = self._clock.monotonic_us()
        return order.state is VenueOrderState.UNKNOWN and self._state.cancel_is_due(
            order.intent, now_us
        )

    def _stopped(self, desk: PoolQuoting) -> tuple[QuoteGate, str] | None:
        """Why the pool may have no order at all, whatever is known of its market."""
        state = self._state
        if killed := state.kill.holds(state.config.account, desk.wish.pool):
            return QuoteGate.KILLED, killed
        if state.halted:
            return QuoteGate.HALTED, state.halted
        if state.stopping:
            return QuoteGate.HALTED, "the engine is being stopped"
        return None if desk.wish.quoting else (QuoteGate.STOPPED, desk.wish.stop_reason)

    def _unready(self, desk: PoolQuoting) -> tuple[QuoteGate, str]:
        unopened = self._state.unopened.get(desk.symbol)
        if unopened is not None:
            return unopened.gate, unopened.reason
        return QuoteGate.NOT_READY, self._state.unready_why

    def _unready_for_long(self) -> bool:
        """Orders that nobody can look after do not rest for longer than this."""
        since_us, most_ms = self._state.unready_since_us, self._state.config.unready_max_ms
        return self._clock.monotonic_us() - since_us > most_ms * 1_000

    def _open_view(
        self, market: MarketQuoting, strategy: StrategySnapshot
    ) -> MarketView | QuoteGate:
        if not market.rules.is_open:
            return QuoteGate.MARKET_CLOSED
        if not market.ready:
            changing = market.readiness is Readiness.CHANGING
            return QuoteGate.RULES_CHANGED if changing else QuoteGate.NOT_READY
        if market.unread:
            return QuoteGate.UNREADABLE_TRADES
        return reference(self._state, market, strategy, self._clock.monotonic_us())

    def _brake(self, desk: PoolQuoting, side: Side) -> QuoteGate | None:
        """Why nothing new may be created although quotes are decided."""
        config = self._state.config
        if self._state.latches.held(LatchKind.CANCELS_FAILING, desk.symbol):
            return QuoteGate.CANCELS_FAILING
        if desk.wish.capital is not None:
            oldest_us = self._clock.now_us() - config.unbooked_max_ms * 1_000
            since = unbooked(desk.facts, desk.wish.capital)
            if any(fact.published_us < oldest_us for fact in since):
                return QuoteGate.UNBOOKED_FACTS
        refused = self._state.refused(desk, side)
        if refused is not None and self._clock.monotonic_us() < desk.refusals[side].until_us:
            return refused.gate
        return None

    def _detailed(
        self, desk: PoolQuoting, market: MarketQuoting, side: Side, gate: QuoteGate
    ) -> tuple[QuoteGate, str]:
        """The gate with what is known of it; a side whose orders are refused does not quote."""
        refused = self._state.refused(desk, side)
        if gate is QuoteGate.NONE and refused is not None and not self._rests(desk, side):
            return refused.gate, refused.cause
        if refused is not None and gate is refused.gate:
            return gate, refused.cause
        if gate is QuoteGate.MARKET_CLOSED:
            return gate, market.closed
        unread = market.unread if gate is QuoteGate.UNREADABLE_TRADES else ()
        return gate, unread[0].problem if unread else ""

    def _rests(self, desk: PoolQuoting, side: Side) -> bool:
        orders = self._state.shadow.of_pool(desk.wish.pool)
        return any(order.side is side and order.state in _RESTING for order in orders)

    def _request(
        self,
        desk: PoolQuoting,
        strategy: StrategySnapshot,
        seen: DecisionInputs,
        decision: QuoteDecision,
        side: Side,
    ) -> PlanRequest:
        market = self._state.markets[desk.symbol]
        best = self._best[desk.symbol]
        return PlanRequest(
            market=market.rules.market,
            side=side,
            ideals=[
                TargetOrder(
                    market=quote.market,
                    side=side,
                    level=quote.level,
                    ticks=quote.ticks,
                    lots=quote.lots,
                )
                for quote in decision.side(side).quotes
            ],
            live=self._state.live_orders(desk.wish.pool, side, self._clock.now_us()),
            budget_units=seen.inventory.usable(side),
            opposite_units=best[side.opposite],
            may_create=True,
            tolerance_cbps=strategy.refresh_tolerance_cbps,
            age_max_us=strategy.order_age_max_ms * 1_000,
            reference=_reference(seen.view) if isinstance(seen.view, MarketView) else None,
        )

    def _carry_out(self, desk: PoolQuoting, plan: RefreshPlan) -> None:
        if plan.cancels:
            orders = [self._state.shadow.find(order.intent) for order in plan.cancels]
            self.cancel([order for order in orders if order is not None])
        creates = [self._create(desk, ideal) for ideal in plan.creates]
        self._ports.sender.submit(creates, [])

    def _create(self, desk: PoolQuoting, ideal: TargetOrder) -> CreateIntent:
        """Decide an order: from here on its slot is occupied and its budget bound."""
        now_us = self._clock.now_us()
        intent = self._ports.ids.intent()
        client_id = self._ports.entry.client_id(intent)
        best, price = self._best[ideal.market.symbol], ideal.ticks * ideal.market.tick_units
        best[ideal.side] = _better(ideal.side, best[ideal.side], price)
        self._state.shadow.register(
            ExchangeOrder(
                intent=intent,
                pool=desk.wish.pool,
                market=ideal.market,
                side=ideal.side,
                level=ideal.level,
                ticks=ideal.ticks,
                lots=ideal.lots,
                client_ids=[client_id],
                registered_us=now_us,
                changed_us=now_us,
            )
        )
        return CreateIntent(
            intent=intent,
            pool=desk.wish.pool,
            market=ideal.market,
            side=ideal.side,
            level=ideal.level,
            ticks=ideal.ticks,
            lots=ideal.lots,
            client_id=client_id,
            decided_us=now_us,
        )

    def _note_gates(self, desk: PoolQuoting, gates: Mapping[Side, tuple[QuoteGate, str]]) -> None:
        now_us = self._clock.now_us()
        for side, (gate, detail) in gates.items():
            shown = desk.gates.get(side)
            if shown is None or (shown.gate, shown.detail) != (gate, detail):
                same = shown is not None and shown.gate is gate
                since_us = shown.since_us if shown is not None and same else now_us
                desk.gates[side] = GateSince(gate, since_us, detail)


def _better(side: Side, known: int | None, price: int) -> int:
    """The more aggressive of two prices of a side."""
    if known is None:
        return price
    return max(known, price) if side is Side.BUY else min(known, price)


def _reference(view: MarketView) -> Ratio:
    """The reference price in atomic quote units of one whole base."""
    return Ratio(view.reference_ticks * view.market.tick_units, view.reference_weight)


def _shown_gate(
    decided: QuoteGate, brake: QuoteGate | None, plan: RefreshPlan, request: PlanRequest
) -> QuoteGate:
    """The one gate of a side: what was decided, else why nothing rests although it should."""
    resting = any(order.stage is LiveOrderStage.RESTING for order in request.live)
    if decided is not QuoteGate.NONE or resting or plan.creates:
        return decided
    if brake is not None:
        return brake
    return next((gate for gate in _WAITS if gate in plan.waits), QuoteGate.NONE)
