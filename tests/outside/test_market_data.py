"""Market data on the real wire: thin books, changed rules, slow and lossy connections.

The venue is the sandbox in its own process, the client ccxt.pro under our connector, PostgreSQL
beneath. What is asserted are events and shares of time with generous room, never durations.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest

from poolmaker.infra.database import Database, connection_of
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.market import Side
from poolmaker.market.engine.model import LivePool
from poolmaker.market.engine.service import AccountEngine
from poolmaker.messages.market import (
    Barrier,
    BarrierPrice,
    BarrierWanted,
    CapitalSet,
    FillFact,
    MarketSpec,
    QuoteGate,
    StartQuoting,
)
from tests.outside.market_support import (
    ACCOUNT,
    BTC,
    POOL,
    STRATEGY,
    USDT,
    VenueProcess,
    World,
    eventually,
    until,
    venue_process,
)
from tests.support.proxy import Wire, slow_proxy, through

pytestmark = pytest.mark.timeout(600)
USABLE_LOOKS = 300
LOOKED_S = 120
BOOK_AGE_US = STRATEGY.book_age_max_ms * 1_000
ETH_POOL = PoolId("pool-eth")
ETH = MarketSpec(symbol="ETHUSDT", base="ETH", base_scale=8, quote="USDT", quote_scale=8)


@pytest.fixture
async def flowing() -> AsyncIterator[VenueProcess]:
    async with venue_process("--seed", "1", "--flow", "seeded") as running:
        yield running


@pytest.fixture
async def empty() -> AsyncIterator[VenueProcess]:
    async with venue_process("--seed", "1", "--flow", "none") as running:
        yield running


def pool_of(engine: AccountEngine, pool: PoolId = POOL) -> LivePool | None:
    view = engine.live()
    return next((one for one in view.pools if one.pool == pool), None) if view else None


def resting(engine: AccountEngine, side: Side, pool: PoolId = POOL) -> list[str]:
    """Prices of the pool's own orders of a side that rest."""
    found = pool_of(engine, pool)
    orders = found.orders if found is not None else ()
    return sorted(
        o.price for o in orders if o.side is side and o.state in ("OPEN", "PARTLY_FILLED")
    )


def quoting(engine: AccountEngine, pool: PoolId = POOL) -> bool:
    return all(len(resting(engine, side, pool)) == 3 for side in Side)


def prices(engine: AccountEngine) -> dict[Side, list[str]]:
    return {side: resting(engine, side) for side in Side}


async def watch_prices(engine: AccountEngine, seen: set[str]) -> None:
    """Every price of an own order that rests in the meantime."""
    while True:
        seen |= {price for side in Side for price in resting(engine, side)}
        await asyncio.sleep(0.02)


def best_bid(engine: AccountEngine) -> str:
    """The best bid of the book as the engine shows it."""
    found = pool_of(engine)
    return found.bids[0][0] if found is not None and found.bids else ""


def intents(engine: AccountEngine) -> set[str]:
    """Own orders that may still rest."""
    found = pool_of(engine)
    return {order.intent for order in found.orders} if found is not None else set()


async def place(venue: VenueProcess, account: int, side: str, quantity: str, price: str) -> None:
    """Somebody else's order."""
    client = await venue.client(account)
    try:
        await client.privatePostOrder(
            {
                "symbol": "BTCUSDT", "side": side, "type": "LIMIT_MAKER", "quantity": quantity,
                "price": price,
            }
        )  # fmt: skip
    finally:
        await client.close()


async def asked(venue: VenueProcess, method: str, path: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{venue.info['admin']}/{path}") as answer,
    ):
        found: dict[str, Any] = await answer.json()
        return found


async def depth_requests(venue: VenueProcess) -> int:
    calls = (await asked(venue, "GET", "log"))["calls"]
    return sum(call["call"] == "GET /api/v3/depth" for call in calls)


async def barrier(world: World, name: str) -> BarrierPrice:
    """What the pool's market says at a barrier asked for now."""
    await world.tell(BarrierWanted(account=ACCOUNT, barrier_id=name, depths=()))

    async def there() -> bool:
        return any(f.barrier_id == name for f in await barriers(world))

    await eventually(there, what=f"barrier {name}")
    (found,) = [f for f in await barriers(world) if f.barrier_id == name]
    return next(price for price in found.prices if price.pool == POOL)


async def priced(world: World, name: str) -> BarrierPrice:
    """The first barrier that names a price: a book that is just not fresh gives none."""
    found: list[BarrierPrice] = []

    async def has_price() -> bool:
        found.append(await barrier(world, f"{name} {len(found)}"))
        return found[-1].mid is not None

    await eventually(has_price, what=f"a price at {name}")
    return found[-1]


async def barriers(world: World) -> list[Barrier]:
    return [fact for _, fact in await world.facts() if isinstance(fact, Barrier)]


def usdt(price: BarrierPrice) -> float:
    assert price.mid is not None
    return price.mid.numerator / price.mid.denominator * BTC.one / USDT.one


async def test_found_1_and_22_a_spoof_in_a_thin_quiet_book_moves_nothing(
    database: Database, empty: VenueProcess
) -> None:
    """Rows 1 and 22: 57,000 / 63,000 with 2 BTC a side, nobody moves; a bid of 0.0001 at 62,990."""
    world = World(database, empty)
    await place(empty, 2, "BUY", "2", "57000")
    await place(empty, 2, "SELL", "2", "63000")
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="three levels a side in a book that is quiet")
        await asyncio.sleep(1)
        await until(lambda: quoting(engine), what="still so")
        before = prices(engine)
        shown: set[str] = set()
        watching = asyncio.create_task(watch_prices(engine, shown))
        quiet = await priced(world, "before")
        await place(empty, 1, "BUY", "0.0001", "62990")
        await asyncio.sleep(3)
        spoofed = await priced(world, "after")
        await until(lambda: best_bid(engine) == "62990.00000000", what="the spoof is seen")
        await until(lambda: prices(engine) == before, what="the same prices rest")
        await asked(empty, "DELETE", "log")
        await asyncio.sleep(6)
        assert await depth_requests(empty) <= 4
        await until(lambda: prices(engine) == before, what="it quotes on at the same prices")
        watching.cancel()
        await engine.stop()
    assert shown == {price for side in Side for price in before[side]}
    assert before[Side.BUY][-1] == "57000.01000000"
    assert usdt(quiet) == usdt(spoofed) == 60_000
    average = spoofed.twap_60s
    assert average is not None
    assert average.numerator * BTC.one == 60_000 * USDT.one * average.denominator


async def test_found_7_a_change_of_tick_and_step_changes_no_price(
    database: Database, flowing: VenueProcess
) -> None:
    """Row 7: every price was ten times wrong: mid 599,899; a joiner owned a quarter too much."""
    world = World(database, flowing)
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        first = await priced(world, "v1")
        await flowing.admin(
            "symbols/BTCUSDT/filters", tick_size="0.1", step_size="0.0001", min_qty="0.0001"
        )
        seen: list[BarrierPrice] = []

        async def is_noticed() -> bool:
            seen.append(await barrier(world, f"during {len(seen)}"))
            return seen[-1].rules_version >= 2 and seen[-1].mid is not None

        await eventually(is_noticed, what="a price under the new rules")
        await until(lambda: quoting(engine), what="quoting under the new rules")
        prices = [price for side in Side for price in resting(engine, side)]
        await flowing.admin("symbols/BTCUSDT/fees", maker_rate="0.0005", taker_rate="0.0007")
        await flowing.admin("symbols/BTCUSDT/status", status="HALT")
        await until(lambda: gates(engine) == {QuoteGate.MARKET_CLOSED}, what="closed")
        await eventually(lambda: none_open(flowing), what="its orders are gone")
        await flowing.admin("symbols/BTCUSDT/status", status="TRADING")
        await until(lambda: quoting(engine), what="quoting again")
        last = await priced(world, "fees")
        await engine.stop()
    assert all(price.endswith(("0.00000000", "0000000")) for price in prices)
    named = [price for price in (first, *seen, last) if price.mid is not None]
    assert all(abs(usdt(price) / usdt(first) - 1) < 0.05 for price in named)
    assert (first.rules_version, seen[-1].rules_version) == (1, 2)
    assert last.taker_fee_ppm == 700
    assert await booked_trades(world) == await trades_at_venue(flowing)


async def test_found_7_orders_of_the_old_rules_keep_their_meaning_over_a_restart(
    database: Database, flowing: VenueProcess
) -> None:
    """Row 7: they are read, booked and cancelled as they were made, also those that filled."""
    world = World(database, flowing)
    await world.quote()
    before: list[str] = []
    old: set[str] = set()
    while not before:  # killed between a cancel and its replacement, an engine leaves nothing
        async with world.running() as engine:
            await until(lambda: quoting(engine), what="quoting")
        before, old = await open_at_venue(flowing), intents(engine)
    await flowing.admin("symbols/BTCUSDT/filters", tick_size="1", step_size="0.001")
    async with world.running() as engine:
        # The orders of before rest until their cancels are answered, and look like quotes.
        await until(
            lambda: quoting(engine) and not old & intents(engine),
            what="quoting under the new rules",
        )
        assert not set(before) & set(await open_at_venue(flowing))
        await engine.stop()
    assert await booked_trades(world) == await trades_at_venue(flowing)
    async with database.begin("test rows") as tx:
        rows = await connection_of(tx).fetch(
            "SELECT o.rules_version, o.ticks * r.tick_units AS price, o.state"
            " FROM market.exchange_order o JOIN market.market_rules r"
            " ON (r.account, r.symbol, r.version) = (o.account, o.symbol, o.rules_version)"
        )
    assert {row["rules_version"] for row in rows} == {1, 2}
    assert all(50_000 * USDT.one < row["price"] < 70_000 * USDT.one for row in rows)
    assert not {row["state"] for row in rows} & {"OPEN", "UNKNOWN", "PENDING_NEW"}


def gates(engine: AccountEngine) -> set[QuoteGate]:
    pool = pool_of(engine)
    return {gate.gate for gate in pool.gates.values()} if pool is not None else set()


async def open_at_venue(venue: VenueProcess) -> list[str]:
    client = await venue.client(0)
    try:
        rows = await client.privateGetOpenOrders({"symbol": "BTCUSDT"})
        return [row["clientOrderId"] for row in rows]
    finally:
        await client.close()


async def none_open(venue: VenueProcess) -> bool:
    return not await open_at_venue(venue)


async def trades_at_venue(venue: VenueProcess) -> set[str]:
    client = await venue.client(0)
    try:
        rows = await client.privateGetMyTrades({"symbol": "BTCUSDT", "fromId": "0"})
        return {str(row["id"]) for row in rows}
    finally:
        await client.close()


async def booked_trades(world: World) -> set[str]:
    return {fact.trade_id for _, fact in await world.facts() if isinstance(fact, FillFact)}


async def test_found_23_a_market_that_opens_or_cannot_be_read_touches_no_other(
    database: Database, flowing: VenueProcess
) -> None:
    """Row 23: a new market made the whole account not ready."""
    world = World(database, flowing)
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        gone: list[frozenset[QuoteGate]] = []
        watching = asyncio.create_task(watch_gates(engine, gone))
        await flowing.fault(
            endpoint="GET /api/v3/openOrders", effect="delay", delay_ms=700, count=9
        )
        await world.tell(
            StartQuoting(pool=ETH_POOL, account=ACCOUNT, market=ETH, strategy=STRATEGY, version=1),
            CapitalSet(
                pool=ETH_POOL, version=1, base_units=10 * BTC.one, quote_units=30_000 * USDT.one,
                includes_stream_seq=0,
            ),
        )  # fmt: skip
        await until(lambda: quoting(engine, ETH_POOL), what="the second market")
        await flowing.admin("symbols/ETHUSDT/filters", tick_size="0.1")
        await flowing.admin("symbols/ETHUSDT/status", status="HALT")
        await until(lambda: not resting(engine, Side.BUY, ETH_POOL), what="the second one closes")
        # An order may just be replaced; what must not be is a gate that closes this market.
        await until(lambda: quoting(engine), what="the first one quotes on")
        watching.cancel()
        await engine.stop()
    silenced = {QuoteGate.NOT_READY, QuoteGate.RULES_CHANGED, QuoteGate.MARKET_CLOSED}
    assert not {gate for seen in gone for gate in seen} & silenced


async def watch_gates(engine: AccountEngine, seen: list[frozenset[QuoteGate]]) -> None:
    while True:
        seen.append(frozenset(gates(engine)))
        await asyncio.sleep(0.02)


# ---------------------------------------------------------------------- slow and lossy wires


@dataclass
class Looks:
    """How a market's book was, look by look, after it was first usable."""

    usable: int = 0
    all: int = 0
    unusable_us: list[tuple[int, int]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the time, with a usable book."""
        return self.usable / max(1, self.all)

    def look(self, world: World, pool: LivePool | None) -> bool:
        """Count one look; whether the book was usable."""
        age_us = pool.book_age_ms * 1_000 if pool is not None else BOOK_AGE_US + 1
        good = pool is not None and pool.book_state == "LIVE" and age_us <= BOOK_AGE_US
        self.all += 1
        self.usable += good
        now_us = world.clock.now_us()
        if not good:
            began = self.unusable_us[-1] if self.unusable_us else (0, 0)
            fresh = now_us - began[1] > 100_000
            self.unusable_us[len(self.unusable_us) if fresh else -1 :] = [
                (now_us if fresh else began[0], now_us)
            ]
        return good


Enough = Callable[[Looks], bool]
"""Whether a market was looked at enough."""


def for_a_time(seconds: float) -> Enough:
    """From now on."""
    until_s = time.monotonic() + seconds
    return lambda _looks: time.monotonic() >= until_s


def often_usable(looks: Looks) -> bool:
    """However long a busy machine takes."""
    return looks.usable >= USABLE_LOOKS


async def look_for(world: World, engine: AccountEngine, enough: Callable[[], Enough]) -> Looks:
    """Look at the book every 10 ms, from the first time on that it is usable."""
    await until(lambda: Looks().look(world, pool_of(engine)), what="a first book")
    looks, is_enough = Looks(), enough()
    async with asyncio.timeout(LOOKED_S):
        while not is_enough(looks):
            looks.look(world, pool_of(engine))
            await asyncio.sleep(0.01)
    return looks


async def decided_in(database: Database, spans: list[tuple[int, int]]) -> int:
    """Creates that were decided while the book was seen unusable, away from the edges."""
    async with database.begin("test intents") as tx:
        rows = await connection_of(tx).fetch(
            "SELECT decided_at_us FROM market.intent WHERE kind = 'CREATE_ORDER'"
        )
    inner = [(start + 50_000, end - 50_000) for start, end in spans]
    return sum(any(start < row[0] < end for start, end in inner) for row in rows)


async def measured(
    database: Database, venue: VenueProcess, wire: Wire, enough: Callable[[], Enough]
) -> tuple[Looks, int, int]:
    """(looks, WebSockets made for books, creates from an unusable book) behind a proxy.

    The account's own stream is not counted: it is rebuilt when a lossy or late wire keeps trades
    from it that REST has shown.
    """
    async with slow_proxy(venue.info["rest"], wire) as proxy:
        moved = replace(venue, info=through(proxy, venue.info))
        world = World(database, moved, timeout_ms=30_000)
        await world.quote()
        async with world.running() as engine:
            looks = await look_for(world, engine, enough)
        made = sum(count for path, count in proxy.sockets.items() if path.startswith("/stream"))
        return looks, made, await decided_in(database, looks.unusable_us)


SLOW = {
    "handshake 0 s": Wire(),
    "handshake 0.3 s": Wire(handshake_s=0.3),
    "handshake 1 s": Wire(handshake_s=1),
    "handshake 3 s": Wire(handshake_s=3),
    "150 ms on every packet": Wire(packet_s=0.15),
    "1 % of frames lost": Wire(loss=0.01),
}
TOGETHER = Wire(handshake_s=3, packet_s=0.15, loss=0.01)


@pytest.mark.parametrize("name", ["handshake 3 s", "150 ms on every packet"])
async def test_found_18_a_slow_wire_has_a_live_book(
    database: Database, flowing: VenueProcess, name: str
) -> None:
    """Row 18: live 0 % of 40 s, because the connection was made again and again.

    One is made, and its book is usable; for which share of the time the long test says.
    """
    _, sockets, stale = await measured(database, flowing, SLOW[name], lambda: often_usable)
    assert (stale, sockets) == (0, 1)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_found_18_the_share_of_time_with_a_live_book_behind_a_slow_wire(
    database: Database, flowing: VenueProcess
) -> None:
    """Prints the table: each alone has a live book at least 95 % of 40 s, all together is shown."""
    for name, wire in SLOW.items():
        looks, sockets, stale = await measured(database, flowing, wire, lambda: for_a_time(40))
        print(f"{name:24} live {looks.share:7.2%} sockets {sockets} stale quotes {stale}")
        assert looks.share >= 0.95, name
        assert (stale, sockets) == (0, 1), name
    looks, sockets, stale = await measured(database, flowing, TOGETHER, lambda: for_a_time(40))
    print(f"{'all together':24} live {looks.share:7.2%} sockets {sockets} stale quotes {stale}")
    assert stale == 0


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_found_22_depth_requests_of_a_quiet_market_are_few(
    database: Database, empty: VenueProcess
) -> None:
    """Prints them for each of two minutes: 32 in 20 s were seen."""
    world = World(database, empty)
    await place(empty, 2, "BUY", "2", "59000")
    await place(empty, 2, "SELL", "2", "61000")
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        for minute in (1, 2):
            await asked(empty, "DELETE", "log")
            looks = await look_for(world, engine, lambda: for_a_time(60))
            requests = await depth_requests(empty)
            print(f"quiet minute {minute}: {requests} depth requests, live {looks.share:.2%}")
            assert requests <= 10
            assert looks.share >= 0.95
