"""Safety first: cancelling waits for nothing, evidence clears latches, gates tell the truth.

The database is real; the venue behind the ports is scripted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.database import Database, DatabaseUnavailable
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError
from poolmaker.kernel.market import Market, Side
from poolmaker.market.engine.latches import LATCHES, LatchKind
from poolmaker.market.engine.service import AccountEngine
from poolmaker.market.execution.model import (
    CancelIntent,
    CancelReply,
    CreateIntent,
    CreateReply,
    RequestRefused,
    VenueRefusal,
)
from poolmaker.market.tracking.model import (
    BalanceReport,
    NoMarket,
    OddRow,
    OddTrade,
    OpenOrders,
    TradePage,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec, QuoteGate, StopQuoting
from tests.unit.market.makers import POOL
from tests.unit.market.scripted import Stage, away, eventually, lost, open_sides, until


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def both(engine: AccountEngine) -> bool:
    return open_sides(engine) == set(Side)


def gates(engine: AccountEngine) -> dict[Side, QuoteGate]:
    view = engine.live()
    return {side: since.gate for side, since in view.gates_of(POOL).items()} if view else {}


async def release(engine: AccountEngine, kind: LatchKind, subject: str) -> bool:
    return await engine.release(kind, subject, "operator", "a test looked")


async def quoting_once(stage: Stage) -> None:
    """Orders rest at the venue, and the engine that made them is gone as after SIGKILL."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        while (await stage.states())["OPEN"] < 2:
            await asyncio.sleep(0.02)
    assert len(stage.venue.live()) == 2


def without_account(stage: Stage) -> None:
    """GET /account answers 503 from now on."""

    async def fails() -> list[BalanceReport]:
        raise away()

    stage.venue.balances = fails  # type: ignore[method-assign]


async def test_found_13_cancels_that_worked_without_an_answer_are_cleared_by_evidence(
    stage: Stage,
) -> None:
    """Found row 13: six cancels done at the venue, their answers lost, then a perfect venue."""
    real, lost = stage.venue.cancel, 0

    async def silent(cancel: CancelIntent) -> CancelReply:
        nonlocal lost
        await real(cancel)
        lost += 1
        raise OutcomeUnknown("the answer is lost")

    stage.config = replace(stage.config, cancel_failures_max=2)
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.cancel = silent  # type: ignore[method-assign]
        await stage.tell(StopQuoting(pool=POOL, reason="test"))
        await until(lambda: lost >= 2 and not stage.venue.live())
        stage.venue.cancel = real  # type: ignore[method-assign]
        await stage.quote(version=2)
        await until(lambda: both(engine))
        await engine.stop()


@pytest.mark.parametrize("what", ["nothing", "stop quoting", "stop"])
async def test_found_19_own_orders_go_although_the_account_cannot_be_read(
    stage: Stage, what: str
) -> None:
    """Found row 19: killed while quoting, GET /account = 503 after its restart."""
    stage.config = replace(stage.config, unready_max_ms=300 if what == "nothing" else 60_000)
    await quoting_once(stage)
    without_account(stage)
    async with stage.running() as engine:
        await until(lambda: engine.live() is not None)
        if what == "stop quoting":
            await stage.tell(StopQuoting(pool=POOL, reason="test"))
        elif what == "stop":
            await engine.stop()
        await until(lambda: not stage.venue.live())


async def test_found_19_orders_go_although_nothing_but_a_cancel_is_answered(stage: Stage) -> None:
    """Cancelling needs neither rules, nor lists, nor look-ups, nor trades."""

    async def no_market(spec: MarketSpec) -> VenueMarket | NoMarket:
        raise away()

    async def no_list(market: Market) -> OpenOrders:
        raise away()

    await quoting_once(stage)
    without_account(stage)
    stage.venue.market = no_market  # type: ignore[method-assign]
    stage.venue.open_orders = no_list  # type: ignore[method-assign]
    stage.venue.trades_problem = away()
    stage.venue.lookup_problem = away
    real, lost = stage.venue.cancel, 0

    async def first_is_lost(cancel: CancelIntent) -> CancelReply:
        nonlocal lost
        lost += 1
        if lost <= 2:
            raise OutcomeUnknown("lost before it arrived")
        return await real(cancel)

    stage.venue.cancel = first_is_lost  # type: ignore[method-assign]
    async with stage.running():
        await stage.tell(StopQuoting(pool=POOL, reason="test"))
        await until(lambda: not stage.venue.live())


async def test_found_20_an_order_on_the_wrong_side_goes_at_once_while_its_replacement_hangs(
    stage: Stage,
) -> None:
    """Found row 20: a POST hangs, the price moves by 1 %."""
    await stage.quote()
    hang = asyncio.Event()
    real = stage.venue.create

    async def hangs(intent: CreateIntent) -> CreateReply:
        await hang.wait()
        return await real(intent)

    async with stage.running() as engine:
        await until(lambda: both(engine))
        (bid,) = stage.venue.live(Side.BUY)
        stage.venue.create = hangs  # type: ignore[method-assign]
        stage.venue.move_book(-60_000)
        await until(lambda: bid not in stage.venue.live())
        hang.set()
        await until(lambda: both(engine))


@pytest.mark.parametrize(
    ("refusal", "gate"),
    [
        (VenueRefusal.KEY, QuoteGate.KEY_REFUSED),
        (VenueRefusal.INSUFFICIENT, QuoteGate.CREATES_REFUSED),
    ],
)
async def test_found_21_the_gate_names_what_refuses_every_order(
    stage: Stage, refusal: VenueRefusal, gate: QuoteGate
) -> None:
    """Found row 21: every create refused, and the gate said ``none``."""
    stage.venue.refuse_creates = [RequestRefused(refusal, "Invalid API-key")] * 1_000
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: set(gates(engine).values()) == {gate})
        shown: set[QuoteGate] = set()
        for _ in range(40):
            shown |= set(gates(engine).values())
            await asyncio.sleep(0.01)
        assert shown == {gate}
        view = engine.live()
        assert view is not None
        assert all("Invalid API-key" in g.detail for g in view.gates_of(POOL).values())
        stage.venue.refuse_creates = []
        await until(lambda: both(engine))
        await until(lambda: set(gates(engine).values()) == {QuoteGate.NONE})


async def test_a_person_releases_a_halt_and_a_back_off(stage: Stage) -> None:
    """Each latch can be released, and the engine goes on."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        engine.halt("a person wants to look")
        await until(lambda: not stage.venue.live())
        await until(lambda: set(gates(engine).values()) == {QuoteGate.HALTED})
        assert await release(engine, LatchKind.HALTED, stage.config.account)
        await until(lambda: both(engine))
        assert not await release(engine, LatchKind.HALTED, stage.config.account)


async def test_a_trade_that_cannot_be_read_silences_its_market_until_a_person_accepts_it(
    stage: Stage,
) -> None:
    """K3: the row is named; evidence or a person's word lets the market go on."""
    row = OddRow("trades", "BTCUSDT", "not an amount", "{'qty': None}", "8")
    real = stage.venue.trades_after

    async def odd(market: Market, cursor: str) -> TradePage:
        page = await real(market, cursor)
        return replace(page, odd=(OddTrade(row, cursor),))

    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.trades_after = odd  # type: ignore[method-assign]
        await until(lambda: set(gates(engine).values()) == {QuoteGate.UNREADABLE_TRADES})
        await until(lambda: not stage.venue.live())

        async def named() -> list[AttentionItem]:
            return [one for one in await engine.attention() if one.kind == "unreadable_trades"]

        await eventually(named)
        (item,) = await named()
        assert item.evidence["cause"].endswith("not an amount")
        assert item.remedies
        assert await release(engine, LatchKind.UNREADABLE_TRADES, "BTCUSDT")
        await until(lambda: both(engine))


async def test_found_10_a_market_without_rules_is_closed_with_its_reason_and_opens_later(
    stage: Stage,
) -> None:
    """Found row 10: ``symbols: []`` was an IndexError loop; the venue is asked again."""
    real = stage.venue.market

    async def nothing(spec: MarketSpec) -> VenueMarket | NoMarket:
        return NoMarket("the venue lists 0 markets with the name BTCUSDT")

    stage.venue.market = nothing  # type: ignore[method-assign]
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: set(gates(engine).values()) == {QuoteGate.MARKET_CLOSED})
        view = engine.live()
        assert view is not None
        assert all("lists 0 markets" in gate.detail for gate in view.gates_of(POOL).values())
        assert view.epoch == 1
        stage.venue.market = real  # type: ignore[method-assign]
        await until(lambda: both(engine))


class Dying:
    """A database that is gone for every transaction once ``gone`` is set."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.gone = False

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        if self.gone:
            raise DatabaseUnavailable("planned: the database is gone")
        async with self._database.begin(label) as tx:
            yield tx

    @asynccontextmanager
    async def look(self, label: str) -> AsyncIterator[Tx]:
        if self.gone:
            raise DatabaseUnavailable("planned: the database is gone")
        async with self._database.look(label) as tx:
            yield tx


def without_lists(stage: Stage) -> None:
    """Nothing of what rests can be looked up or listed from now on."""

    async def no_list(market: Market) -> OpenOrders:
        raise away()

    stage.venue.open_orders = no_list  # type: ignore[method-assign]
    stage.venue.lookup_problem = away


async def test_an_order_whose_answer_was_lost_goes_with_the_others_on_a_stop(stage: Stage) -> None:
    """It may rest: it is cancelled by client id, whatever the venue says of look-ups."""

    def unanswered(intent: CreateIntent) -> None:
        without_lists(stage)
        lost(intent)

    await stage.quote()
    stage.venue.events = False
    stage.venue.after_create = unanswered
    async with stage.running():
        await until(lambda: len(stage.venue.live()) == 2)
        assert (await stage.states())["OPEN"] == 0
        await stage.tell(StopQuoting(pool=POOL, reason="test"))
        await until(lambda: not stage.venue.live())


async def test_without_a_database_what_was_never_answered_is_cancelled_too(stage: Stage) -> None:
    """The database dies while the answers of two orders that rest are still awaited."""
    dying = Dying(stage.database)
    stage.database = dying  # type: ignore[assignment]
    answer = asyncio.Event()
    real = stage.venue.create

    async def unanswered(intent: CreateIntent) -> CreateReply:
        reply = await real(intent)
        await answer.wait()
        return reply

    await stage.quote()
    stage.venue.events = False
    stage.venue.create = unanswered  # type: ignore[method-assign]
    async with stage.running():
        await until(lambda: len(stage.venue.live()) == 2)
        dying.gone = True
        await until(lambda: not stage.venue.live())


async def test_without_a_database_what_arrives_late_is_cancelled_too(stage: Stage) -> None:
    """Two orders had left when the database died, and arrive after they were first cancelled."""
    dying = Dying(stage.database)
    stage.database = dying  # type: ignore[assignment]
    stage.venue.arrival_max_us = 600_000_000
    cancelled, arriving = asyncio.Event(), set[asyncio.Task[CreateReply]]()
    create, real = stage.venue.create, stage.venue.cancel

    async def arrives(intent: CreateIntent) -> CreateReply:
        await cancelled.wait()
        return await create(intent)

    async def late(intent: CreateIntent) -> CreateReply:
        arriving.add(asyncio.create_task(arrives(intent)))
        await asyncio.Event().wait()
        raise AssertionError("nobody answers")

    async def too_early(cancel: CancelIntent) -> CancelReply:
        reply = await real(cancel)
        cancelled.set()
        return reply

    await stage.quote()
    stage.venue.events = False
    stage.venue.create = late  # type: ignore[method-assign]
    stage.venue.cancel = too_early  # type: ignore[method-assign]
    async with stage.running():
        await until(lambda: len(arriving) == 2)
        dying.gone = True
        await until(lambda: len(stage.venue.created) == 2 and not stage.venue.live())


@pytest.mark.parametrize("kind", [kind for kind, rule in LATCHES.items() if not rule.by_engine])
async def test_a_latch_that_has_a_way_of_its_own_is_not_released_at_the_engine(
    stage: Stage, kind: LatchKind
) -> None:
    """One person could let an unread stop go by it."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        with pytest.raises(PreconditionError):
            await release(engine, kind, stage.config.account)
