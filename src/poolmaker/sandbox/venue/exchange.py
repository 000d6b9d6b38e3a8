"""The venue as one object: engine, public tape, streams, wallet, keys, limits and their order.

Whoever gives the engine a command calls ``publish`` afterwards: events leave in the order in
which the engine made them, before anything else can happen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.engine import Engine
from poolmaker.sandbox.venue.faults import EventFaults, FaultPlan
from poolmaker.sandbox.venue.keys import KeyRing
from poolmaker.sandbox.venue.limits import Limiter, LimitSettings
from poolmaker.sandbox.venue.model import Event, Report, Retention, SymbolSpec, TradePrint
from poolmaker.sandbox.venue.peers import Peer
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.streams import AllTickers, Hub, MarketFeed
from poolmaker.sandbox.venue.tape import Tape
from poolmaker.sandbox.venue.users import UserHub
from poolmaker.sandbox.venue.wallet import VenueWallet, WithdrawalDelay

LOG_MAX: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """What may differ between two venues."""

    symbols: tuple[SymbolSpec, ...]
    limits: LimitSettings = field(default_factory=LimitSettings)
    retention: Retention = field(default_factory=Retention)
    withdrawal_delay: WithdrawalDelay = field(default_factory=WithdrawalDelay)


class Exchange:
    """Everything behind the wire."""

    def __init__(self, settings: ExchangeSettings, clock: Clock, rng: Rng) -> None:
        self.clock = clock
        self.skew_us = 0
        time_us = clock.now_us()
        # Ids start from the second of birth, so that two venues in a row share none of them.
        self.engine = Engine(
            settings.symbols,
            first_id=time_us // SECOND_US * 1_000,
            retention=settings.retention,
        )
        self.faults = FaultPlan()
        self._delayed: set[asyncio.Task[None]] = set()
        event_faults = EventFaults(self.faults, self._later)
        self.hub = Hub(event_faults)
        self.feeds = {
            market.spec.name: MarketFeed(market, Tape(market.last_price, time_us), self.hub)
            for market in self.engine.markets.values()
        }
        self.all_tickers = AllTickers(self.feeds, self.hub)
        self.users = UserHub(self.engine.markets, event_faults)
        self.keys = KeyRing()
        self.limiter = Limiter(settings.limits)
        self.wallet = VenueWallet(self.engine, rng.fork("wallet"), settings.withdrawal_delay)
        self.peers: set[Peer] = set()
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_MAX)
        self._ids = rng.fork("ids")

    def time_us(self) -> int:
        """The venue's wall time, with the skew that the outside world has set."""
        return self.clock.now_us() + self.skew_us

    def _later(self, delay_ms: int, act: Callable[[], None]) -> None:
        async def wait() -> None:
            await self.clock.sleep_us(delay_ms * 1_000)
            act()

        task = asyncio.get_running_loop().create_task(wait())
        self._delayed.add(task)
        task.add_done_callback(self._delayed.discard)

    def make_id(self) -> str:
        """A client id for whoever sent none."""
        return f"{self._ids.bits(88):022x}"

    def market(self, symbol: str | None) -> Market:
        """A listed market."""
        found = self.engine.markets.get(symbol or "")
        if found is None:
            raise WireRefusal(-1121, "Invalid symbol.")
        return found

    def publish(self) -> None:
        """Send out everything that the engine has done since the last time."""
        events = self.engine.take_events()
        trades: dict[str, list[TradePrint]] = {}
        for event in events:
            self._route(event, trades)
        for symbol, feed in self.feeds.items():
            printed = trades.get(symbol)
            if printed is not None:
                feed.on_trades(printed)
            if feed.market.changed_bids or feed.market.changed_asks:
                feed.on_change()

    def _route(self, event: Event, trades: dict[str, list[TradePrint]]) -> None:
        if isinstance(event, TradePrint):
            trades.setdefault(event.symbol, []).append(event)
            return
        if isinstance(event, Report) and event.fill is not None and event.done == event.fill.lots:
            account_id = event.order.account.account_id
            self.limiter.count_first_fill(account_id, event.time_us)
        self.users.publish(event)

    def record(self, channel: str, call: str, names: list[str], *, status: int) -> None:
        """Remember a call (its parameters' names, never their values), bounded."""
        self.log.append(
            {"channel": channel, "call": call, "params": names, "status": status,
             "time_us": self.time_us()}
        )  # fmt: skip
