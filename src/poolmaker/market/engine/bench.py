"""How much a tick costs: pools of one market with six live orders each, and nothing to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import Ids, IntentId, PoolId, VenueAccountId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import Rng
from poolmaker.market.engine.model import EngineConfig, PoolInstructions
from poolmaker.market.engine.prices import note_price
from poolmaker.market.engine.readiness import ReadinessEvent
from poolmaker.market.engine.state import EngineState, MarketQuoting, PoolQuoting
from poolmaker.market.engine.ticker import QuoteLoop, TickPorts
from poolmaker.market.execution.client_ids import encode_client_id
from poolmaker.market.execution.model import CancelIntent, CreateIntent
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import BookDiff, BookSnapshot, VenueMarket
from poolmaker.messages.market import CapitalSet, MarketSpec, StartQuoting, StrategySnapshot

BTC: Final = Asset("BTC", 8)
USDT: Final = Asset("USDT", 8)
MARKET: Final = Market(
    symbol="BTC/USDT",
    base=BTC,
    quote=USDT,
    tick_units=1_000_000,
    lot_units=1_000,
    notional_min_units=5 * USDT.one,
)
ACCOUNT: Final = VenueAccountId("bench")
TICKS: Final = 20
_MID: Final = 60_000 * USDT.one


class _Entry:
    def client_id(self, intent: IntentId) -> str:
        return encode_client_id(intent)


class _Journal:
    def note_cancels(self, cancels: Sequence[CancelIntent]) -> None:
        """Nothing is stored here."""


class Taking:
    """Takes every order at once, as a venue without delay would."""

    def __init__(self, state: EngineState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.taken = 0

    def submit(self, creates: list[CreateIntent], cancels: list[CancelIntent]) -> None:
        ensure(not cancels, "bench: nothing is to be cancelled")
        for intent in creates:
            self.taken += 1
            self._state.shadow.acked(intent.intent, f"x{self.taken}", self._clock.now_us())


def engine_of(pools: int, clock: Clock) -> tuple[EngineState, QuoteLoop, Taking]:
    """An engine of one market in memory with so many pools, reconciled and with a live book."""
    state = EngineState(EngineConfig(account=ACCOUNT), 1)
    spec = MarketSpec.of(MARKET)
    rules = VenueMarket(MARKET, is_open=True, maker_fee_cbps=0)
    state.markets[spec.symbol] = MarketQuoting(
        spec, rules, OrderBook(MARKET), DepthTwaps(60_000_000)
    )
    state.markets[spec.symbol].move(ReadinessEvent.RECONCILED)
    state.reconciled = True
    for number in range(pools):
        state.pools[PoolId(f"pool-{number}")] = _pool(PoolId(f"pool-{number}"), spec)
    taking = Taking(state, clock)
    ids = Ids(clock, Rng(1))
    ports = TickPorts(taking, _Journal(), _Entry(), ids)  # type: ignore[arg-type]
    return state, QuoteLoop(state, ports, clock), taking


def _pool(pool: PoolId, spec: MarketSpec) -> PoolQuoting:
    strategy = StrategySnapshot(version=1, spread_cbps=2_000, book_age_max_ms=600_000)
    start = StartQuoting(pool=pool, account=ACCOUNT, market=spec, strategy=strategy, version=1)
    capital = CapitalSet(
        pool=pool,
        version=1,
        base_units=BTC.one,
        quote_units=60_000 * USDT.one,
        includes_stream_seq=0,
    )
    return PoolQuoting(PoolInstructions(pool=pool, start=start, quoting=True, capital=capital))


def feed(state: EngineState, clock: Clock) -> None:
    """A book of twenty deep levels a side that everybody trusts."""
    book, size = state.markets[MARKET.symbol].book, 1_000 * BTC.one
    away = [(n + 1) * 1_000 * MARKET.tick_units for n in range(20)]
    bids, asks = [(_MID - d, size) for d in away], [(_MID + d, size) for d in away]
    book.on_snapshot(BookSnapshot(1, bids, asks), clock.monotonic_us())
    book.on_diff(BookDiff(2, 2, [], []), clock.monotonic_us())
    note_price(state, state.markets[MARKET.symbol], clock.monotonic_us())


def tick_cpu_ms(pools: int) -> float:
    """CPU milliseconds of a whole tick with nothing to do: the median of twenty."""
    clock = SystemClock()
    state, ticker, taking = engine_of(pools, clock)
    feed(state, clock)
    for _ in range(4):
        ticker.tick()
    resting = sum(1 for side in Side for order in state.shadow.at_stake() if order.side is side)
    ensure(resting == taking.taken == 6 * pools, f"bench: expected six orders, were {resting}")
    spent = sorted(_timed(ticker) for _ in range(TICKS))
    ensure(taking.taken == 6 * pools, "bench: the ticks were to leave everything as it is")
    return spent[TICKS // 2]


def _timed(ticker: QuoteLoop) -> float:
    began_ns = time.process_time_ns()
    ticker.tick()
    return (time.process_time_ns() - began_ns) / 1_000_000
