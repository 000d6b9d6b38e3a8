"""Memory of an engine follows the database: nothing counts before its commit, nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from poolmaker.bus.service import open_bus
from poolmaker.infra.database import Database, DatabaseUnavailable
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.market import Side
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.ports import EngineStores
from poolmaker.market.engine.service import postgres_engine
from poolmaker.market.engine.state import EngineState, MarketQuoting
from poolmaker.market.execution.service import postgres_intents
from poolmaker.market.tracking.account_stream import (
    AccountStream,
    Attributed,
    postgres_tracking,
)
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import TradeReport, VenueMarket, VenueOrderState
from poolmaker.messages.base import decode
from poolmaker.messages.market import AccountEvent, FillFact, account_stream
from tests.unit.market.makers import MARKET, SYMBOL, order, trade
from tests.unit.market.scripted import ACCOUNT, CONFIG, SPEC, Stage, open_sides, until


class Faulty:
    """Transactions of which the named ones fail before or after their work was done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.fail: dict[str, int] = {}

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        async with self._database.begin(label) as tx:
            yield tx
            if self.fail.get(label, 0) > 0:
                self.fail[label] -= 1
                raise DatabaseUnavailable("planned: lost before the commit")

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        return self._database.look(label)


@pytest.fixture
def faulty(database: Database) -> Faulty:
    return Faulty(database)


@pytest.fixture
async def state(database: Database) -> EngineState:
    async with database.begin("test take over") as tx:
        epoch = await postgres_engine().take_over(tx, ACCOUNT, 1)
        seen = VenueMarket(MARKET, is_open=True, maker_fee_cbps=0)
        rules = await postgres_tracking().know_rules(tx, ACCOUNT, seen, 1)
    state = EngineState(CONFIG, epoch)
    book = OrderBook(rules.market)
    state.markets[SYMBOL] = MarketQuoting(SPEC, rules, book, DepthTwaps(60_000_000))
    return state


def journal(state: EngineState, faulty: Faulty, stage: Stage) -> Journal:
    stores = EngineStores(
        transactions=faulty, bus=stage.bus, engine=postgres_engine(),
        tracking=postgres_tracking(), intents=postgres_intents(),
    )  # fmt: skip
    return Journal(state, stores, stage.clock)


async def test_found_14_a_transaction_that_fails_counts_nothing_and_keeps_its_changes(
    database: Database, faulty: Faulty, state: EngineState
) -> None:
    """Found row 14: 5,004 lots were counted for 2,502."""
    stage = Stage(database)
    writes = journal(state, faulty, stage)
    market = state.markets[SYMBOL].rules.market
    mine = order(1, market=market, state=VenueOrderState.OPEN, lots=10_000, exchange_ids=["x1"])
    state.shadow.register(mine)
    filled = trade(1, intent=mine.intent, exchange_order_id="x1")
    units = filled.base_units
    faulty.fail["engine facts"] = 1
    with pytest.raises(DatabaseUnavailable):
        await writes.publish([Attributed(filled, mine)], state.specs(), {})
    assert (mine.booked_units, state.facts_seq) == (0, 0)
    assert state.shadow.has_changes
    (stored,) = await writes.publish([Attributed(filled, mine)], state.specs(), {})
    assert (mine.booked_units, state.facts_seq) == (units, stored.fee_seq)
    assert await writes.publish([Attributed(filled, mine)], state.specs(), {}) == []
    assert mine.booked_units == units
    async with database.begin("test rows") as tx:
        row = await postgres_tracking().find_order(tx, ACCOUNT, SYMBOL, "x1", mine.intent)
    assert row is not None
    assert row.booked_units == units


async def test_found_14_the_database_is_never_taken_for_the_venue(database: Database) -> None:
    """Found row 14: its failure ends the session, and the next one books the fill once."""
    stage = Stage(database)
    await stage.quote()
    faulty = Faulty(database)
    stage.database = faulty  # type: ignore[assignment]
    async with stage.running() as engine:
        await until(lambda: open_sides(engine) == set(Side))
        before = engine.live()
        faulty.fail["engine facts"] = 1
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 2_502)
        await until(lambda: _booked(engine) == 1)
        after = engine.live()
    assert before is not None
    assert after is not None
    assert after.epoch == before.epoch + 1
    async with database.begin("test rows") as tx:
        (row,) = [
            one
            for one in await postgres_tracking().living_orders(tx, ACCOUNT, 0)
            if one.booked_units
        ]
    assert row.booked_units == 2_502 * MARKET.lot_units


def _booked(engine: object) -> int:
    view = engine.live()  # type: ignore[attr-defined]
    return view.fills_booked if view is not None else 0


async def _trades(database: Database, *batches: list[TradeReport]) -> list[str]:
    """Trades that stand on the account stream after the batches, each in its own transaction."""
    bus = open_bus()
    stream = AccountStream(ACCOUNT, bus, postgres_tracking())
    for batch in batches:
        async with database.begin("test facts") as tx:
            found = [Attributed(one, None) for one in batch]
            await stream.append_trades(tx, found, {SYMBOL: SPEC}, 1)
    async with database.begin("test read") as tx:
        rows = await bus.read(tx, account_stream(ACCOUNT), 0, 100)
    facts: list[AccountEvent] = [decode(row.body, AccountEvent) for row in rows]  # type: ignore[arg-type]
    return [fact.trade_id for fact in facts if isinstance(fact, FillFact)]


async def test_a_trade_stands_on_the_stream_once_whatever_brings_it_again(
    database: Database,
) -> None:
    """Tracking: fills are deduplicated by (account, market, order, trade) before they are written.

    Twice in one batch, again in a later one, and beside a new one: nothing fails, nothing doubles.
    """
    one, two = trade(1), trade(2)
    assert await _trades(database, [one, one], [one], [two, one]) == ["1", "2"]
