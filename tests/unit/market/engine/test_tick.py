"""The tick: linear in pools, still when nothing changed, awake when anything did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.ids import Ids, IntentId, PoolId
from poolmaker.kernel.market import Side
from poolmaker.kernel.rng import Rng
from poolmaker.market.engine.bench import MARKET, engine_of, feed
from poolmaker.market.engine.latches import LatchKind
from poolmaker.market.engine.outcomes import VenueOrderOutcomes
from poolmaker.market.engine.ticker import QuoteLoop, TickPorts
from poolmaker.market.execution.client_ids import encode_client_id
from poolmaker.market.execution.model import CancelIntent, CreateIntent, NotThere
from poolmaker.market.execution.throttle import Throttle
from poolmaker.market.quoting import rules as quoting
from poolmaker.market.tracking.model import BookDiff, VenueOrderEvent
from poolmaker.market.tracking.shadow import ENDED_KEPT_US
from poolmaker.messages.market import QuoteGate
from tests.unit.market.makers import order as order_of


class Counted:
    """Counts how often a pool's quotes were decided."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = quoting.decide

        def decide(*given: object) -> object:
            self.count += 1
            return real(*given)  # type: ignore[arg-type]

        monkeypatch.setattr("poolmaker.market.engine.ticker.decide", decide)

    def since(self) -> int:
        """Decisions since the last call."""
        found, self.count = self.count, 0
        return found


class Cancelling:
    """Sender, journal and order entry that only keep what is to be cancelled."""

    def __init__(self) -> None:
        self.cancels: list[CancelIntent] = []

    def submit(self, creates: list[CreateIntent], cancels: list[CancelIntent]) -> None:
        assert not creates
        self.cancels += cancels

    def note_cancels(self, cancels: Sequence[CancelIntent]) -> None:
        assert cancels

    def client_id(self, intent: IntentId) -> str:
        return encode_client_id(intent)


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_found_24_a_pool_whose_inputs_are_unchanged_decides_nothing(decisions: Counted) -> None:
    """Found row 24: 170 pools cost 2.07 s of CPU a tick with nothing to do."""
    clock = SystemClock()
    state, ticker, taking = engine_of(30, clock)
    feed(state, clock)
    for _ in range(3):
        ticker.tick()
    assert taking.taken == 6 * 30
    decisions.since()
    for _ in range(5):
        ticker.tick()
    assert decisions.since() == 0
    assert taking.taken == 6 * 30
    gates = {shown.gate for desk in state.pools.values() for shown in desk.gates.values()}
    assert gates == {QuoteGate.NONE}


@pytest.mark.parametrize(
    "what", ["price", "capital", "order", "own price", "latch", "strategy", "age"]
)
def test_whatever_a_decision_is_made_of_wakes_its_pool(decisions: Counted, what: str) -> None:
    clock = SystemClock()
    state, ticker, _ = engine_of(2, clock)
    feed(state, clock)
    for _ in range(3):
        ticker.tick()
    decisions.since()
    desk = state.pools[PoolId("pool-0")]
    assert desk.wish.start is not None
    assert desk.wish.capital is not None
    order = next(state.shadow.of_pool(desk.wish.pool))
    match what:
        case "price":
            away = 60_000 * 10**8 - 500 * MARKET.tick_units
            diff = BookDiff(3, 3, [(away, 10**14)], [])
            state.markets[MARKET.symbol].book.on_diff(diff, clock.monotonic_us())
        case "capital":
            more = desk.wish.capital.base_units + 10**8
            capital = msgspec.structs.replace(desk.wish.capital, base_units=more)
            desk.wish = replace(desk.wish, capital=capital)
        case "order" | "own price":
            state.shadow.book(order, order.exchange_ids[0], MARKET.lot_units)
        case "latch":
            state.latches.set(LatchKind.CANCELS_FAILING, MARKET.symbol, "a test", 1)
        case "strategy":
            desk.seen = None
        case _:
            desk.quiet_until_us = 0
    ticker.tick()
    assert decisions.since() >= 1


def test_two_pools_in_one_tick_never_quote_against_each_other() -> None:
    """The own prices of a tick follow the orders that are made in it."""
    clock = SystemClock()
    state, ticker, _ = engine_of(2, clock)
    feed(state, clock)
    ticker.tick()
    orders = list(state.shadow.at_stake())
    bids = [order.price_units for order in orders if order.side is Side.BUY]
    asks = [order.price_units for order in orders if order.side is Side.SELL]
    assert max(bids) < min(asks)


def test_ended_orders_are_not_looked_at_before_their_time() -> None:
    """60,000 kept orders cost a scan of all of them at each tick."""
    clock = SystemClock()
    state, ticker, _ = engine_of(1, clock)
    feed(state, clock)
    ticker.tick()
    state.shadow.take_changed()
    for order in list(state.shadow.at_stake()):
        state.shadow.on_event(order.intent, VenueOrderEvent.CANCEL_PROVED, 10)
    state.shadow.take_changed()
    assert state.shadow.forget_ended(10 + ENDED_KEPT_US) == 0
    assert state.shadow.forget_ended(11 + ENDED_KEPT_US) == 6
    assert state.shadow.forget_ended(12 + ENDED_KEPT_US) == 0


def test_an_order_of_unknown_outcome_is_cancelled_by_client_id_in_its_time() -> None:
    """It may rest: once asked for again and again, but not in every tick."""
    clock = ManualClock(10**15)
    state, _, _ = engine_of(1, clock)
    sent = Cancelling()
    ticker = QuoteLoop(state, TickPorts(sent, sent, sent, Ids(clock, Rng(1))), clock)  # type: ignore[arg-type]
    (desk,) = state.pools.values()
    known, doubtful = (order_of(n, pool=desk.wish.pool, market=MARKET) for n in (1, 2))
    for one in (known, doubtful):
        state.shadow.register(one)
    state.shadow.acked(known.intent, "x1", clock.now_us())
    state.shadow.on_event(doubtful.intent, VenueOrderEvent.OUTCOME_LOST, clock.now_us())
    desk.wish = replace(desk.wish, quoting=False)
    outcomes = VenueOrderOutcomes(state, Throttle(clock, []), clock)
    for _ in range(5):
        ticker.tick()
    asked = [cancel.target for cancel in sent.cancels]
    assert asked == [known.intent, doubtful.intent]
    for cancel in sent.cancels:
        assert (cancel.exchange_order_id == "") == (cancel.target == doubtful.intent)
        assert cancel.client_id
        outcomes.cancelled(cancel, NotThere())
    ticker.tick()
    assert len(sent.cancels) == 2
    clock.advance(state.config.cancel_retry_ms * 1_000 + 1)
    ticker.tick()
    ticker.tick()
    assert [cancel.target for cancel in sent.cancels[2:]] == [doubtful.intent]
    state.shadow.on_event(doubtful.intent, VenueOrderEvent.ABSENT_PROVED, clock.now_us())
    clock.advance(state.config.cancel_retry_ms * 1_000 + 1)
    ticker.tick()
    assert len(sent.cancels) == 3
