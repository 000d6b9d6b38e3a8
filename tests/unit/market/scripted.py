"""A venue behind the ports that does exactly what a test says, and an engine on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from poolmaker.bus.ports import NewEvent
from poolmaker.bus.service import open_bus
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database, connection_of
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.kernel.ids import Ids, IntentId, VenueAccountId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset, Ratio
from poolmaker.kernel.rng import system_rng
from poolmaker.market.engine.model import EngineConfig, LivePool
from poolmaker.market.engine.ports import EnginePorts, EngineStores
from poolmaker.market.engine.service import AccountEngine, postgres_engine
from poolmaker.market.execution.client_ids import encode_client_id
from poolmaker.market.execution.model import (
    CancelAccepted,
    CancelIntent,
    CancelReply,
    Created,
    CreateIntent,
    CreateReply,
    NotThere,
    RequestRefused,
)
from poolmaker.market.execution.service import postgres_intents
from poolmaker.market.execution.throttle import Throttle
from poolmaker.market.tracking.account_stream import postgres_tracking
from poolmaker.market.tracking.model import (
    BalanceReport,
    BookDiff,
    BookSnapshot,
    NoMarket,
    OddRow,
    OpenOrders,
    OrderReport,
    ReportedState,
    TradePage,
    TradeReport,
    VenueMarket,
)
from poolmaker.market.tracking.ports import AccountFeed, BookFeed
from poolmaker.market.tracking.rules import AbsenceRule
from poolmaker.messages.base import Message, decode
from poolmaker.messages.market import (
    AccountEvent,
    CapitalSet,
    EngineEvent,
    MarketSpec,
    StartQuoting,
    StrategySnapshot,
    account_stream,
    control_stream,
    engine_stream,
)
from tests.unit.market.makers import BTC, MARKET, POOL, SYMBOL, USDT

ACCOUNT = VenueAccountId("scripted-1")
LIMIT_S = 120.0
"""How long a test waits for what must come; far more than a busy machine takes."""
SPEC = MarketSpec.of(MARKET)
STRATEGY = StrategySnapshot(
    version=1, levels=1, spread_cbps=1_000, spread_floor_cbps=1, book_age_max_ms=120_000,
    order_age_max_ms=0,
)  # fmt: skip
"""A busy machine that takes some seconds makes no book and no order old."""
CONFIG = EngineConfig(
    account=ACCOUNT, assets={"BTC": BTC, "USDT": USDT, "BNB": Asset("BNB", 8)}, tick_ms=20,
    control_poll_ms=10, reconcile_ms=100, resolve_ms=20, report_ms=20, balance_report_ms=50,
    cancel_retry_ms=60, refusal_pause_ms=20, refusal_pause_max_ms=100, twap_span_min_ms=0,
    stop_ms=60_000, unbooked_max_ms=600_000, closed_check_ms=50,
    absence=AbsenceRule(misses_min=3, span_min_us=100_000),
)  # fmt: skip


@dataclass
class Resting:
    """An order at the venue."""

    exchange_id: str
    intent: IntentId | None
    client_id: str
    side: Side
    ticks: int
    lots: int
    state: ReportedState = ReportedState.LIVE
    filled: int = 0

    def report(self) -> OrderReport:
        return OrderReport(
            symbol=SYMBOL, exchange_order_id=self.exchange_id, client_id=self.client_id,
            intent=self.intent, state=self.state,
            filled_units=self.filled * MARKET.lot_units, venue_time_us=1,
        )  # fmt: skip


@dataclass
class ScriptedVenue:
    """``Venue``, ``OrderEntry`` and ``VenueFeeds`` in memory.

    ``before_create`` and ``after_create`` run around the venue's own act and may raise;
    ``hidden`` orders are not found by queries; ``events`` says whether the stream tells of acts.
    """

    orders: dict[str, Resting] = field(default_factory=dict)
    trades: list[TradeReport] = field(default_factory=list)
    events: bool = True
    is_open: bool = True
    maker_fee: tuple[str, int] = ("BTC", 0)
    fee_price: Ratio | None = None
    refuse_creates: list[RequestRefused] = field(default_factory=list)
    before_create: Callable[[CreateIntent], None] = lambda _intent: None
    after_create: Callable[[CreateIntent], None] = lambda _intent: None
    cancel_problem: Exception | None = None
    lookup_problem: Callable[[str], Exception | None] = lambda _id: None
    hidden: Callable[[Resting], bool] = lambda _order: False
    trades_problem: Exception | None = None
    calls: Counter[str] = field(default_factory=Counter)
    account: AccountFeed | None = None
    created: list[str] = field(default_factory=list)
    book_frozen: bool = False
    mid_ticks: int = 6_000_000
    moves: list[int] = field(default_factory=list)
    arrival_max_us: int = 0

    # what the world does

    def move_book(self, ticks: int) -> None:
        """Everybody else's prices move."""
        self.moves.append(ticks)

    def fill(
        self, order: Resting, lots: int, *, quote_units: int | None = None, told: bool = True
    ) -> TradeReport:
        """A taker comes."""
        order.filled += lots
        order.state = ReportedState.FILLED if order.filled == order.lots else ReportedState.LIVE
        exact = MARKET.notional_units(order.ticks, lots, Side.BUY.passive_rounding)
        trade = TradeReport(
            symbol=SYMBOL, exchange_order_id=order.exchange_id,
            trade_id=str(len(self.trades) + 1), intent=order.intent, side=order.side,
            base_units=lots * MARKET.lot_units, quote_units=quote_units or exact,
            fee_asset=self.maker_fee[0], fee_units=self.maker_fee[1], is_maker=True,
            venue_time_us=SystemClock().now_us(),
        )  # fmt: skip
        self.trades.append(trade)
        if told and self.account is not None:
            self.account.on_order(order.report())
            self.account.on_trade(trade)
        return trade

    def live(self, side: Side | None = None) -> list[Resting]:
        """Orders that rest now."""
        return [
            order
            for order in self.orders.values()
            if order.state is ReportedState.LIVE and side in (None, order.side)
        ]

    # OrderEntry

    def client_id(self, intent: IntentId) -> str:
        return encode_client_id(intent)

    async def create(self, intent: CreateIntent) -> CreateReply:
        self.calls["create"] += 1
        await asyncio.sleep(0)
        self.before_create(intent)
        if self.refuse_creates:
            return self.refuse_creates.pop(0)
        order = Resting(
            f"x{len(self.orders) + 1}", intent.intent, intent.client_id, intent.side,
            intent.ticks, intent.lots,
        )  # fmt: skip
        self.orders[order.exchange_id] = order
        self.created.append(intent.client_id)
        if self.events and self.account is not None:
            self.account.on_order(order.report())
        self.after_create(intent)
        return Created(order.exchange_id)

    async def cancel(self, cancel: CancelIntent) -> CancelReply:
        self.calls["cancel"] += 1
        await asyncio.sleep(0)
        if self.cancel_problem is not None:
            raise self.cancel_problem
        order = self._find(cancel.exchange_order_id, cancel.client_id)
        if order is None or order.state is not ReportedState.LIVE:
            return NotThere()
        order.state = ReportedState.CANCELLED
        if self.events and self.account is not None:
            self.account.on_order(order.report())
        return CancelAccepted(order.exchange_id, order.filled * MARKET.lot_units)

    # Venue

    async def market(self, spec: MarketSpec) -> VenueMarket | NoMarket:
        return VenueMarket(MARKET, self.is_open, 0)

    async def server_time_us(self) -> int:
        return SystemClock().now_us()

    async def book_snapshot(self, market: Market, levels: int) -> BookSnapshot:
        return BookSnapshot(100, *self._levels(BTC.one))

    def _levels(self, size: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        bid, ask = self.mid_ticks - 1_000, self.mid_ticks + 1_000
        return [(bid * MARKET.tick_units, size)], [(ask * MARKET.tick_units, size)]

    async def open_orders(self, market: Market) -> OpenOrders:
        self.calls["open_orders"] += 1
        shown = [order.report() for order in self.live() if not self.hidden(order)]
        await asyncio.sleep(0)
        return OpenOrders(tuple(shown))

    async def order_by_client_id(self, market: Market, client_id: str) -> OrderReport | None:
        return self._lookup(self._find("", client_id), client_id)

    async def order_by_id(self, market: Market, exchange_order_id: str) -> OrderReport | None:
        return self._lookup(self._find(exchange_order_id, ""), exchange_order_id)

    async def cursor_now(self, market: Market) -> str:
        return str(len(self.trades))

    async def trades_after(self, market: Market, cursor: str) -> TradePage:
        self.calls["trades"] += 1
        if self.trades_problem is not None:
            raise self.trades_problem
        found = [replace(trade, intent=None) for trade in self.trades[int(cursor) :]]
        return TradePage(tuple(found), str(len(self.trades)), complete=True)

    async def balances(self) -> list[BalanceReport]:
        return [BalanceReport("BTC", BTC.one, 0), BalanceReport("USDT", 60_000 * USDT.one, 0)]

    async def price(self, asset: str, market: Market) -> Ratio | None:
        return self.fee_price

    def odd_rows(self) -> list[tuple[OddRow, int]]:
        return []

    # VenueFeeds

    async def run_book(self, market: Market, feed: BookFeed) -> None:
        number = 100
        feed.on_book_subscribed(market.symbol)
        while True:
            await asyncio.sleep(0.02)
            if not self.book_frozen:
                number += 1
                feed.on_diff(market.symbol, self._diff(number))

    def _diff(self, number: int) -> BookDiff:
        """Nothing, or the whole book at its new place."""
        if not self.moves:
            return BookDiff(number, number, [], [])
        bids, asks = self._levels(0)
        self.mid_ticks += self.moves.pop(0)
        new_bids, new_asks = self._levels(BTC.one)
        return BookDiff(number, number, [*bids, *new_bids], [*asks, *new_asks])

    async def run_account(self, markets: Mapping[str, Market], feed: AccountFeed) -> None:
        self.account = feed
        feed.on_account_subscribed()
        await asyncio.Event().wait()

    async def ask_book(self, symbol: str) -> bool:
        self.calls["ask_book"] += 1
        return not self.book_frozen

    def restart_book(self, symbol: str) -> None:
        self.calls["restart_book"] += 1

    def restart_account(self) -> None:
        self.calls["restart_account"] += 1

    def _find(self, exchange_id: str, client_id: str) -> Resting | None:
        if exchange_id:
            return self.orders.get(exchange_id)
        return next((o for o in self.orders.values() if o.client_id == client_id), None)

    def _lookup(self, order: Resting | None, asked: str) -> OrderReport | None:
        self.calls["lookup"] += 1
        if problem := self.lookup_problem(asked):
            raise problem
        return None if order is None or self.hidden(order) else order.report()


class Stage:
    """One scripted venue, one database, engines that come and go."""

    def __init__(self, database: Database, config: EngineConfig = CONFIG) -> None:
        self.database = database
        self.config = config
        self.venue = ScriptedVenue()
        self.bus = open_bus()
        self.clock = SystemClock()
        self._told = 0

    def engine(self) -> AccountEngine:
        """A new engine, as a new process would make it."""
        stores = EngineStores(
            transactions=self.database, bus=self.bus, engine=postgres_engine(),
            tracking=postgres_tracking(), intents=postgres_intents(),
        )  # fmt: skip
        ports = EnginePorts(
            venue=self.venue, feeds=self.venue, entry=self.venue,
            throttle=Throttle(self.clock, []), stores=stores, clock=self.clock,
            ids=Ids(self.clock, system_rng()),
        )  # fmt: skip
        return AccountEngine(self.config, ports)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AccountEngine]:
        """An engine at work; gone without a goodbye afterwards."""
        engine = self.engine()
        task = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.venue.account = None

    async def tell(self, *messages: Message) -> None:
        """Write on the control stream."""
        now_us = self.clock.now_us()
        events = []
        for message in messages:
            self._told += 1
            events.append(NewEvent(f"t:{self._told}", message, now_us))
        async with self.database.begin("test control") as tx:
            await self.bus.append(tx, control_stream(ACCOUNT), events, now_us)

    async def quote(self, strategy: StrategySnapshot = STRATEGY, version: int = 1) -> None:
        """A pool with capital on both sides."""
        start = StartQuoting(
            pool=POOL, account=ACCOUNT, market=SPEC, strategy=strategy, version=version
        )
        await self.tell(start, self.capital(version, 0))

    def capital(self, version: int, seq: int) -> CapitalSet:
        """One BTC and its worth in USDT, booked up to ``seq``."""
        return CapitalSet(
            pool=POOL, version=version, base_units=BTC.one, quote_units=60_000 * USDT.one,
            includes_stream_seq=seq,
        )  # fmt: skip

    async def facts(self) -> list[AccountEvent]:
        """The account stream."""
        async with self.database.begin("test facts") as tx:
            rows = await self.bus.read(tx, account_stream(ACCOUNT), 0, 1_000)
        return [decode(row.body, AccountEvent) for row in rows]  # type: ignore[arg-type]

    async def reports(self) -> list[EngineEvent]:
        """The engine's stream."""
        async with self.database.begin("test reports") as tx:
            rows = await self.bus.read(tx, engine_stream(ACCOUNT), 0, 1_000)
        return [decode(row.body, EngineEvent) for row in rows]  # type: ignore[arg-type]

    async def states(self) -> Counter[str]:
        """How many stored orders are in which state."""
        async with self.database.begin("test states") as tx:
            rows = await connection_of(tx).fetch("SELECT state FROM market.exchange_order")
        return Counter(row[0] for row in rows)


def pool_of(engine: AccountEngine) -> LivePool | None:
    """The one pool as the page shows it."""
    view = engine.live()
    return view.pools[0] if view is not None and view.pools else None


def open_sides(engine: AccountEngine) -> set[Side]:
    """Sides on which an order rests."""
    pool = pool_of(engine)
    orders = pool.orders if pool is not None else ()
    return {order.side for order in orders if order.state in ("OPEN", "PARTLY_FILLED")}


async def until(condition: Callable[[], object], timeout_s: float = LIMIT_S) -> None:
    """Wait for something to become true."""

    async def asked() -> object:
        return condition()

    await eventually(asked, timeout_s)


async def eventually(
    condition: Callable[[], Awaitable[object]], timeout_s: float = LIMIT_S
) -> None:
    """Wait for something that must be asked for to become true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


def lost(_: object) -> None:
    """An answer that never comes."""
    raise OutcomeUnknown("no answer")


def away(_: object = None) -> Exception:
    """A venue that does not answer a question."""
    return VenueUnavailable("away")
