"""The figures of execution: what a tick costs, and how soon a committed order is sent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from poolmaker.bus.service import open_bus
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.migrations.runner import migrate
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import Ids, PoolId
from poolmaker.kernel.market import Side
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.service import open_account
from poolmaker.market.engine.bench import ACCOUNT, MARKET, tick_cpu_ms
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.model import EngineConfig
from poolmaker.market.engine.outcomes import VenueOrderOutcomes
from poolmaker.market.engine.ports import EngineStores
from poolmaker.market.engine.service import postgres_engine
from poolmaker.market.engine.state import EngineState
from poolmaker.market.execution.model import CreateIntent
from poolmaker.market.execution.sender import Sender, SenderPorts
from poolmaker.market.execution.service import postgres_intents
from poolmaker.market.execution.throttle import Throttle
from poolmaker.market.tracking.account_stream import postgres_tracking
from poolmaker.market.tracking.model import ExchangeOrder

RATE_PER_S: Final = 200
SECONDS: Final = 4
WARM: Final = 100
_ANSWER: Final = b'{"orderId":1}'
_LENGTH: Final = b"content-length:"
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"content-length: " + str(len(_ANSWER)).encode() + b"\r\n\r\n"
)


@dataclass(slots=True)
class _Times:
    """Monotonic microseconds by pool: here each order has a pool of its own."""

    decided: dict[PoolId, int] = field(default_factory=dict)
    committed: dict[PoolId, int] = field(default_factory=dict)
    at_socket: dict[PoolId, int] = field(default_factory=dict)


class _TimedJournal:
    """``CreateJournal`` that notes when the commit was known."""

    def __init__(self, journal: Journal, times: _Times, clock: SystemClock) -> None:
        self._journal = journal
        self._times = times
        self._clock = clock

    async def store_creates(self, intents: Sequence[CreateIntent]) -> None:
        await self._journal.store_creates(intents)
        now_us = self._clock.monotonic_us()
        self._times.committed.update({intent.pool: now_us for intent in intents})


async def figures() -> dict[str, Any]:
    """Every figure of the table ``execution``."""
    hundred, twohundred = tick_cpu_ms(100), tick_cpu_ms(200)
    sent_ms, commit_ms = await _sending()
    return {
        "committed_intent_to_socket_p99_ms": round(sent_ms, 3),
        "commit_p50_ms": round(commit_ms, 3),
        "engine_tick_100_pools_cpu_ms": round(hundred, 3),
        "engine_tick_200_vs_100_pools": round(twohundred / hundred, 3),  # figure, no money
    }


async def _sending() -> tuple[float, float]:
    """(p99 from commit to socket, median from decision to commit), milliseconds."""
    clock, times = SystemClock(), _Times()
    async with AsyncExitStack() as stack:
        database = await _database(stack, clock)
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]

        def looks(pool: PoolId) -> str:
            times.at_socket[pool] = clock.monotonic_us()
            return ""

        config = BinanceConfig(key="bench", secret="bench", rest_url=f"http://127.0.0.1:{port}")  # noqa: S106
        account = open_account(config, clock, Rng(1), looks)
        stack.push_async_callback(account.close)
        state, sender = await _sender(database, account.venue, times, clock)
        work = asyncio.create_task(sender.run())
        try:
            await _load(state, sender, times, clock)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    return _measured(times)


def _measured(times: _Times) -> tuple[float, float]:
    pools = list(times.decided)[WARM:]
    ensure(all(pool in times.at_socket for pool in pools), "bench: an order did not leave")
    sent = sorted(times.at_socket[pool] - times.committed[pool] for pool in pools)
    stored = sorted(times.committed[pool] - times.decided[pool] for pool in pools)
    return sent[len(sent) * 99 // 100] / 1_000, stored[len(stored) // 2] / 1_000


async def _database(stack: AsyncExitStack, clock: SystemClock) -> Database:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="poolmaker-bench-")))
    cluster = await Cluster.start(home, clock)
    stack.push_async_callback(Cluster.erase, home, clock)
    stack.push_async_callback(cluster.stop)
    await migrate(cluster)
    database = await Database.open(cluster.dsn(DatabaseRole.APP), max_size=4)
    stack.push_async_callback(database.close)
    return database


async def _sender(
    database: Database, entry: Any, times: _Times, clock: SystemClock
) -> tuple[EngineState, Sender]:
    stores = EngineStores(
        transactions=database,
        bus=open_bus(),
        engine=postgres_engine(),
        tracking=postgres_tracking(),
        intents=postgres_intents(),
    )
    async with database.begin("bench") as tx:
        epoch = await stores.engine.take_over(tx, ACCOUNT, clock.now_us())
    state = EngineState(EngineConfig(account=ACCOUNT), epoch)
    throttle = Throttle(clock, [])
    journal = _TimedJournal(Journal(state, stores, clock), times, clock)
    outcomes = VenueOrderOutcomes(state, throttle, clock)
    return state, Sender(SenderPorts(entry, journal, outcomes, throttle), lambda _intent: "")


async def _load(state: EngineState, sender: Sender, times: _Times, clock: SystemClock) -> None:
    """Decide one order after the other at an even rate, then wait until all have left."""
    ids, began_us = Ids(clock, Rng(2)), clock.monotonic_us()
    for number in range(WARM + RATE_PER_S * SECONDS):
        intent = _intent(PoolId(f"p{number}"), ids, clock.now_us())
        state.shadow.register(_order(intent))
        times.decided[intent.pool] = clock.monotonic_us()
        sender.submit([intent], [])
        due_us = began_us + (number + 1) * 1_000_000 // RATE_PER_S
        await clock.sleep_us(max(0, due_us - clock.monotonic_us()))
    async with asyncio.timeout(30):
        while len(times.at_socket) < len(times.decided):
            await clock.sleep_us(10_000)


def _intent(pool: PoolId, ids: Ids, now_us: int) -> CreateIntent:
    intent = ids.intent()
    return CreateIntent(
        intent=intent,
        pool=pool,
        market=MARKET,
        side=Side.BUY,
        level=0,
        ticks=6_000_000,
        lots=100,
        client_id=f"pm1-{intent[:22]}",
        decided_us=now_us,
    )


def _order(intent: CreateIntent) -> ExchangeOrder:
    return ExchangeOrder(
        intent=intent.intent,
        pool=intent.pool,
        market=intent.market,
        side=intent.side,
        level=intent.level,
        ticks=intent.ticks,
        lots=intent.lots,
        client_ids=[intent.client_id],
        registered_us=intent.decided_us,
        changed_us=intent.decided_us,
    )


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A venue that takes everything: what is measured is our side of the socket."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            lengths = [line for line in head.split(b"\r\n") if line.startswith(_LENGTH)]
            await reader.readexactly(int(lengths[0].removeprefix(_LENGTH)) if lengths else 0)
            writer.write(_HEAD + _ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
