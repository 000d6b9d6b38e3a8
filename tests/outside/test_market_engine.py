"""The account engine on the real wire: the sandbox venue in another process, PostgreSQL beneath.

The outside client here is ccxt.pro under our connector; the venue is ours, in its own process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from poolmaker.infra.database import Database, connection_of
from poolmaker.kernel.market import Side
from poolmaker.market.engine.model import LivePool
from poolmaker.market.engine.service import AccountEngine
from poolmaker.messages.market import (
    Barrier,
    BarrierWantedV1,
    DrainTo,
    ExposureReduced,
    FillFact,
    QuoteGate,
    QuotingChanged,
    StopQuoting,
)
from tests.outside.market_support import (
    ACCOUNT,
    POOL,
    STRATEGY,
    VenueProcess,
    World,
    eventually,
    until,
    venue_process,
)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def venue() -> AsyncIterator[VenueProcess]:
    async with venue_process("--seed", "1", "--flow", "seeded") as running:
        yield running


@pytest.fixture
def world(database: Database, venue: VenueProcess) -> World:
    return World(database, venue)


def pool_of(engine: AccountEngine) -> LivePool | None:
    view = engine.live()
    return view.pools[0] if view is not None and view.pools else None


def levels(engine: AccountEngine, side: Side) -> set[int]:
    pool = pool_of(engine)
    orders = pool.orders if pool is not None else ()
    return {o.level for o in orders if o.side is side and o.state in ("OPEN", "PARTLY_FILLED")}


def quoting(engine: AccountEngine) -> bool:
    return levels(engine, Side.BUY) == levels(engine, Side.SELL) == {0, 1, 2}


def fills(engine: AccountEngine) -> int:
    view = engine.live()
    return view.fills_booked if view is not None else 0


async def open_at_venue(world: World) -> list[str]:
    """Client ids of the account's open orders, asked of the venue itself."""
    account = await world.venue.client(0)
    try:
        rows = await account.privateGetOpenOrders({"symbol": "BTCUSDT"})
        return [row["clientOrderId"] for row in rows]
    finally:
        await account.close()


async def trades_at_venue(world: World) -> set[str]:
    account = await world.venue.client(0)
    try:
        rows = await account.privateGetMyTrades({"symbol": "BTCUSDT", "fromId": "0"})
        return {str(row["id"]) for row in rows}
    finally:
        await account.close()


async def states(database: Database) -> Counter[str]:
    async with database.begin("test states") as tx:
        rows = await connection_of(tx).fetch("SELECT state FROM market.exchange_order")
    return Counter(row[0] for row in rows)


async def booked_trades(world: World) -> list[str]:
    return [fact.trade_id for _, fact in await world.facts() if isinstance(fact, FillFact)]


async def test_three_levels_a_side_rest_and_their_fills_reach_the_stream_once(
    world: World,
) -> None:
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="three levels a side")
        await until(lambda: fills(engine) >= 5, what="five fills")
        await engine.stop()
    facts = await world.facts()
    assert [seq for seq, _ in facts] == list(range(1, len(facts) + 1))
    booked = await booked_trades(world)
    assert len(booked) == len(set(booked))
    assert set(booked) == await trades_at_venue(world)
    assert all(fact.is_maker for _, fact in facts if isinstance(fact, FillFact))


async def test_e11_a_killed_engine_continues_without_an_unknown_order_or_a_lost_fill(
    world: World, database: Database
) -> None:
    """E11, E12, P16: killed while it quotes; the next one maps every order and books every fill."""
    await world.quote()
    for _ in range(3):
        async with world.running() as engine:
            await until(lambda: fills(engine) >= 1 and quoting(engine), what="quoting")
        await asyncio.sleep(0.5)
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting again")
        await until(lambda: unknown(engine) == 0, what="no unknown order")
        await engine.stop()
    assert await open_at_venue(world) == []
    assert set(await booked_trades(world)) == await trades_at_venue(world)
    assert not set(await states(database)) & {"UNKNOWN", "PENDING_NEW", "PENDING_CANCEL", "OPEN"}


def gates(engine: AccountEngine) -> set[QuoteGate]:
    pool = pool_of(engine)
    return {since.gate for since in pool.gates.values()} if pool is not None else set()


def unknown(engine: AccountEngine) -> int:
    view = engine.live()
    return view.unknown_orders if view is not None else -1


LOST_ANSWERS: list[dict[str, object]] = [
    {"effect": "reset"},
    {"effect": "error", "status": 504, "code": -1007},
    {"effect": "hang"},
    {"effect": "html"},
    {"effect": "html", "status": 200},
]


async def test_e4_a_lost_acknowledgement_leaves_exactly_one_order_for_each_intent(
    world: World, database: Database
) -> None:
    """E4, E13, exchange faults 1, 2 and 31: accepted, and every way of losing the answer, twice."""
    for fault in LOST_ANSWERS:
        await world.venue.fault(endpoint="POST /api/v3/order", when="after", count=2, **fault)
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        await until(lambda: unknown(engine) == 0, what="no unknown order")
        await engine.stop()
    account = await world.venue.client(0)
    try:
        rows = await account.privateGetAllOrders({"symbol": "BTCUSDT"})
    finally:
        await account.close()
    per_client_id = Counter(row["clientOrderId"] for row in rows)
    assert max(per_client_id.values()) == 1
    async with database.begin("test intents") as tx:
        found = await connection_of(tx).fetch(
            "SELECT client_id FROM market.intent WHERE kind = 'CREATE_ORDER'"
        )
    assert set(per_client_id) <= {row[0] for row in found}
    assert set(await booked_trades(world)) == await trades_at_venue(world)


async def test_a_create_that_never_arrived_is_proven_absent_and_decided_anew(
    world: World, database: Database
) -> None:
    """E5: dropped before the venue acted; not found often enough and nowhere else."""
    await world.venue.fault(endpoint="POST /api/v3/order", effect="reset", when="before", count=2)
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        await until(lambda: unknown(engine) == 0, what="no unknown order")
        await engine.stop()
    assert (await states(database))["REJECTED"] >= 2


async def test_s10_stop_quoting_cancels_everything_and_proves_it(world: World) -> None:
    """S10: the report follows the proof, not a time-out."""
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        await world.tell(StopQuoting(pool=POOL, reason="test"))

        async def stopped() -> bool:
            told = [r for r in await world.reports() if isinstance(r, QuotingChanged)]
            return {r.side for r in told if r.gate is QuoteGate.STOPPED} == set(Side)

        await eventually(stopped)
        assert await open_at_venue(world) == []


async def test_cancels_whose_answer_is_lost_are_repeated_until_they_are_proven(
    world: World,
) -> None:
    """Exchange faults 3 and 23: lost before and after they had their effect."""
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        for when in ("before", "after"):
            await world.venue.fault(
                endpoint="DELETE /api/v3/order", effect="reset", when=when, count=3
            )
        await engine.stop()
    assert await open_at_venue(world) == []


async def test_a_barrier_follows_every_trade_that_the_venue_had_shown(world: World) -> None:
    """Tracking invariant 4: trades up to the barrier's time stand before it."""
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine) and fills(engine) >= 2, what="fills")
        asked = 0

        async def barriers() -> list[tuple[int, Barrier]]:
            return [(s, f) for s, f in await world.facts() if isinstance(f, Barrier)]

        async def five_with_a_price() -> bool:
            # A book that is just not fresh gives a barrier without a price.
            nonlocal asked
            found = await barriers()
            if len(found) == asked:
                asked += 1
                await world.tell(BarrierWantedV1(account=ACCOUNT, barrier_id=f"b{asked}"))
                await asyncio.sleep(0.3)
            return sum(barrier.prices[0].mid is not None for _, barrier in found) >= 5

        await eventually(five_with_a_price, what="five barriers with a price")
        await engine.stop()
    facts = await world.facts()
    for seq, barrier in await barriers():
        fills_before = [f for s, f in facts if s < seq and not isinstance(f, Barrier)]
        late = [f for s, f in facts if s > seq and isinstance(f, FillFact)]
        assert all(fact.venue_time_us >= barrier.venue_time_us for fact in late)
        assert barrier.facts_seq == max(s for s, f in facts if s < seq and f in fills_before)


async def test_draining_reduces_exposure_and_reports_it(world: World) -> None:
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        await world.tell(DrainTo(pool=POOL, version=7, staying=0, issued=1))

        async def reduced() -> bool:
            return ExposureReduced(pool=POOL, version=7) in await world.reports()

        await eventually(reduced)
        assert await open_at_venue(world) == []
        await until(lambda: gates(engine) == {QuoteGate.DRAINING}, what="the gate says so")


async def test_a_strangers_order_is_cancelled_before_the_first_create(world: World) -> None:
    """Fencing: what cannot be mapped must not trade with the pool's capital."""
    account = await world.venue.client(0)
    try:
        await account.privatePostOrder(
            {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "type": "LIMIT_MAKER",
                "quantity": "0.01",
                "price": "50000",
                "newClientOrderId": "somebody-else",
            }
        )
    finally:
        await account.close()
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        assert "somebody-else" not in await open_at_venue(world)
        await engine.stop()


async def test_p4_hanging_requests_do_not_stop_the_ticks(world: World) -> None:
    """P4: three hung creates; other slots and ticks go on, and all of them are found later."""
    await world.venue.fault(endpoint="POST /api/v3/order", effect="hang", when="after", count=2)
    await world.quote()
    async with world.running() as engine:
        await until(lambda: len(levels(engine, Side.BUY)) + len(levels(engine, Side.SELL)) >= 3)
        await until(lambda: quoting(engine), what="quoting")
        await engine.stop()
    assert await open_at_venue(world) == []


@pytest.mark.parametrize("action", ["kill", "terminate", "stall"])
async def test_the_streams_are_rebuilt_when_the_venue_breaks_them(
    world: World, action: str
) -> None:
    """Exchange faults 11, 12, 15 and 17: quoting comes back and no trade is missed."""
    await world.quote(STRATEGY)
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        await world.venue.admin("streams", action=action)
        await asyncio.sleep(1.0)
        before = fills(engine)
        await until(lambda: quoting(engine) and fills(engine) > before, what="quoting again")
        await engine.stop()
    assert set(await booked_trades(world)) == await trades_at_venue(world)


async def test_a_clock_that_is_off_is_corrected_and_a_ban_is_waited_out(world: World) -> None:
    """Exchange faults 20 and 22: -1021 on every signed request, later 418 with Retry-After."""
    await world.quote()
    async with world.running() as engine:
        await until(lambda: quoting(engine), what="quoting")
        await world.venue.admin("clock", skew_ms=60_000)
        before = fills(engine)
        await until(lambda: quoting(engine) and fills(engine) > before, what="quoting in step")
        await world.venue.admin("limits", ban_ms=1_500)
        before = fills(engine)
        await until(lambda: quoting(engine) and fills(engine) > before, what="quoting after it")
        await engine.stop()
        pool = pool_of(engine)
        assert pool is not None
        assert pool.orders == ()
