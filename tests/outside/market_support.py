"""An account engine against the real sandbox venue in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import ccxt.pro

from poolmaker.bus.ports import NewEvent
from poolmaker.bus.service import open_bus
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.kernel.ids import Ids, PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import Rng, system_rng
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.service import BinanceAccount, open_account
from poolmaker.market.engine.model import EngineConfig
from poolmaker.market.engine.ports import EnginePorts, EngineStores
from poolmaker.market.engine.service import AccountEngine, postgres_engine
from poolmaker.market.execution.service import postgres_intents
from poolmaker.market.tracking.account_stream import postgres_tracking
from poolmaker.market.tracking.rules import AbsenceRule
from poolmaker.messages.base import Message, decode
from poolmaker.messages.market import (
    AccountEvent,
    CapitalSet,
    EngineEvent,
    FeeFact,
    FillFact,
    MarketSpec,
    StartQuoting,
    StrategySnapshot,
    account_stream,
    control_stream,
    engine_stream,
)

BTC, USDT, BNB = Asset("BTC", 8), Asset("USDT", 8), Asset("BNB", 8)
SPEC = MarketSpec(symbol="BTCUSDT", base="BTC", base_scale=8, quote="USDT", quote_scale=8)
POOL = PoolId("pool-1")
ACCOUNT = VenueAccountId("sandbox-1")
STRATEGY = StrategySnapshot(version=1, spread_cbps=30, level_spacing_cbps=30, spread_floor_cbps=1)


LIMIT_S = 120.0
"""How long a test waits for what must come; far more than a busy machine takes."""


@dataclass
class VenueProcess:
    """A running sandbox venue."""

    process: asyncio.subprocess.Process
    info: dict[str, Any]

    async def fault(self, **fault: Any) -> None:
        """Plan a fault."""
        await self.admin("faults", **fault)

    async def admin(self, path: str, **order: Any) -> None:
        """Tell the venue what the outside world does."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.info['admin']}/{path}", json=order) as answer,
        ):
            assert answer.status < 300, await answer.text()

    async def client(self, account: int) -> Any:
        """A ccxt client of our own, to ask the venue what it thinks; close it."""
        keys = self.info["accounts"][account]
        config = BinanceConfig(
            key=keys["key"], secret=keys["secret"], rest_url=self.info["rest"],
            ws_url=self.info["ws"], ws_api_url=self.info["ws_api"],
        )  # fmt: skip
        return ccxt.pro.binance(config.ccxt_options())


@asynccontextmanager
async def venue_process(*arguments: str) -> AsyncIterator[VenueProcess]:
    """Start the venue and stop it afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.venue", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            info = json.loads(await process.stdout.readline())
        yield VenueProcess(process, info)
    finally:
        process.terminate()
        await process.wait()


@dataclass
class World:
    """An engine with its database and venue, and the business side's pen."""

    database: Database
    venue: VenueProcess
    config: EngineConfig = field(
        default_factory=lambda: EngineConfig(
            account=ACCOUNT,
            assets={"BTC": BTC, "USDT": USDT, "BNB": BNB},
            tick_ms=200,
            reconcile_ms=2_000,
            resolve_ms=200,
            report_ms=100,
            twap_span_min_ms=500,
            absence=AbsenceRule(misses_min=3, span_min_us=1_500_000),
            stop_ms=60_000,
        )
    )
    timeout_ms: int = 2_000

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.bus = open_bus()
        self.account: BinanceAccount | None = None
        self.keys = 0
        self.told_seq = 0

    def connector_config(self, account: int = 0) -> BinanceConfig:
        """The venue's addresses and one account's keys."""
        info, keys = self.venue.info, self.venue.info["accounts"][account]
        return BinanceConfig(
            key=keys["key"], secret=keys["secret"], rest_url=info["rest"], ws_url=info["ws"],
            ws_api_url=info["ws_api"], assets=dict(self.config.assets),
            timeout_ms=self.timeout_ms, receive_window_ms=1_500,
        )  # fmt: skip

    def engine(self) -> AccountEngine:
        """A new engine as a new process would make it."""
        account = open_account(self.connector_config(), self.clock, Rng(1))
        self.account = account
        stores = EngineStores(
            transactions=self.database, bus=self.bus, engine=postgres_engine(),
            tracking=postgres_tracking(), intents=postgres_intents(),
        )  # fmt: skip
        ports = EnginePorts(
            venue=account.venue, feeds=account.feeds, entry=account.venue,
            throttle=account.throttle, stores=stores, clock=self.clock,
            ids=Ids(self.clock, system_rng()),
        )  # fmt: skip
        return AccountEngine(self.config, ports)

    async def tell(self, *messages: Message) -> None:
        """Write on the control stream, as the business would."""
        now_us = self.clock.now_us()
        events = []
        for message in messages:
            self.keys += 1
            events.append(NewEvent(f"test:{self.keys}", message, now_us))
        async with self.database.begin("test control") as tx:
            await self.bus.append(tx, control_stream(ACCOUNT), events, now_us)

    async def quote(self, strategy: StrategySnapshot = STRATEGY) -> None:
        """Start a pool with capital on both sides."""
        await self.tell(
            StartQuoting(pool=POOL, account=ACCOUNT, market=SPEC, strategy=strategy, version=1)
        )
        await self.tell(
            CapitalSet(
                pool=POOL,
                version=1,
                base_units=BTC.one // 2,
                quote_units=30_000 * USDT.one,
                includes_stream_seq=0,
            )
        )

    async def facts(self) -> list[tuple[int, AccountEvent]]:
        """The account stream so far."""
        async with self.database.begin("test facts") as tx:
            rows = await self.bus.read(tx, account_stream(ACCOUNT), 0, 10_000)
        return [(row.seq, decode(row.body, AccountEvent)) for row in rows]  # type: ignore[arg-type]

    async def reports(self) -> list[EngineEvent]:
        """The engine's stream so far."""
        async with self.database.begin("test reports") as tx:
            rows = await self.bus.read(tx, engine_stream(ACCOUNT), 0, 10_000)
        return [decode(row.body, EngineEvent) for row in rows]  # type: ignore[arg-type]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AccountEngine]:
        """An engine at work; afterwards it is gone as after SIGKILL: no goodbye of any kind."""
        engine = self.engine()
        task = asyncio.create_task(engine.run())
        books = asyncio.create_task(self._keep_books())
        try:
            yield engine
        finally:
            task.cancel()
            books.cancel()
            await asyncio.gather(task, books, return_exceptions=True)
            if self.account is not None:
                await self.account.close()

    async def _keep_books(self) -> None:
        """Book every fact and tell the engine the pool's capital, as the business would."""
        while True:
            await asyncio.sleep(0.3)
            base, quote, last = BTC.one // 2, 30_000 * USDT.one, 0
            for seq, fact in await self.facts():
                last = seq
                if isinstance(fact, FillFact | FeeFact) and fact.pool != POOL:
                    continue
                if isinstance(fact, FillFact):
                    sign = 1 if fact.side is Side.BUY else -1
                    base += sign * fact.base_units
                    quote -= sign * fact.quote_units
                elif isinstance(fact, FeeFact):
                    base -= fact.units if fact.asset == "BTC" else 0
                    quote -= fact.units if fact.asset == "USDT" else 0
            if last > self.told_seq:
                self.told_seq = last
                await self.tell(
                    CapitalSet(
                        pool=POOL,
                        version=last + 1,
                        base_units=base,
                        quote_units=quote,
                        includes_stream_seq=last,
                    )
                )

    def at_tick(self, tick_ms: int) -> None:
        """Change the tick of engines made from now on."""
        self.config = replace(self.config, tick_ms=tick_ms)


async def eventually(
    condition: Callable[[], Awaitable[bool]],
    timeout_s: float = LIMIT_S,
    what: str = "the condition",
) -> None:
    """Wait for something that must be asked for to become true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {timeout_s} s"
        await asyncio.sleep(0.05)


async def until(
    condition: Callable[[], bool], timeout_s: float = LIMIT_S, what: str = "the condition"
) -> None:
    """Wait for something to become true."""

    async def asked() -> bool:
        return condition()

    await eventually(asked, timeout_s, what)
