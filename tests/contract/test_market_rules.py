"""Rows of market rules, and of orders that name the rules they were made under."""

from __future__ import annotations

from dataclasses import replace

from poolmaker.infra.database import Database, connection_of
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.market.tracking.account_stream import postgres_tracking
from poolmaker.market.tracking.model import ExchangeOrder, VenueMarket, VenueOrderState
from tests.unit.market.makers import MARKET, SYMBOL, intent_id, order

ACCOUNT = VenueAccountId("rules-1")
STORE = postgres_tracking()
SEEN = VenueMarket(MARKET, is_open=True, maker_fee_cbps=100, taker_fee_ppm=150)
COARSE = replace(SEEN, market=replace(MARKET, tick_units=10 * MARKET.tick_units))


async def known(database: Database, rules: VenueMarket) -> VenueMarket:
    async with database.begin("test rules") as tx:
        return await STORE.know_rules(tx, ACCOUNT, rules, 5)


async def stored(database: Database) -> list[ExchangeOrder]:
    async with database.begin("test read") as tx:
        return await STORE.living_orders(tx, ACCOUNT, 10**15)


async def test_rules_that_differ_in_anything_are_a_new_version(database: Database) -> None:
    versions = [(await known(database, SEEN)).market.version for _ in range(2)]
    changed = [
        COARSE,
        replace(SEEN, market=replace(MARKET, lot_units=7)),
        replace(SEEN, market=replace(MARKET, quantity_min_lots=9)),
        replace(SEEN, market=replace(MARKET, notional_min_units=9)),
        replace(SEEN, is_open=False),
        replace(SEEN, maker_fee_cbps=101),
        replace(SEEN, taker_fee_ppm=None),
        SEEN,
    ]
    versions += [(await known(database, rules)).market.version for rules in changed]
    assert versions == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9]


async def test_found_7_an_order_is_read_under_the_rules_that_it_was_made_under(
    database: Database,
) -> None:
    """Found row 7: after the change it costs and shows what it did before."""
    made = await known(database, SEEN)
    mine = order(1, market=made.market, state=VenueOrderState.OPEN, exchange_ids=["x1"])
    mine.reported_units, mine.booked_units = 70_000, 30_000
    async with database.begin("test save") as tx:
        await STORE.save_orders(tx, ACCOUNT, [mine])
    await known(database, COARSE)
    (again,) = await stored(database)
    assert again == mine
    assert again.price_units == 6_000_000 * MARKET.tick_units
    async with database.begin("test find") as tx:
        assert await STORE.find_order(tx, ACCOUNT, SYMBOL, "x1", None) == mine


_OLD_ROW = """
INSERT INTO market.exchange_order (intent, account, pool, symbol, side, level, ticks, lots, state,
    client_ids, exchange_ids, reported_lots, booked_lots, seen, registered_us, changed_us, reason)
VALUES ($1, $2, 'pool-1', $3, 'BUY', 0, 6000000, 100, $4, '{}', '{}', 70, 30, true, 1, 1, '')
"""


async def test_rows_from_before_rules_were_named_are_bound_to_the_first_ones_seen(
    database: Database,
) -> None:
    """Decision 0105: what is at stake comes back, once; ended orders are bound as well."""
    rows = [
        (intent_id(1), ACCOUNT, SYMBOL, "OPEN"),
        (intent_id(2), ACCOUNT, SYMBOL, "CANCELLED"),
        (intent_id(3), ACCOUNT, "OTHER", "OPEN"),
    ]
    async with database.begin("test old rows") as tx:
        await connection_of(tx).executemany(_OLD_ROW, rows)
        await connection_of(tx).execute(
            "UPDATE market.exchange_order SET booked_lots = 70 WHERE intent = $1", intent_id(2)
        )
    assert await stored(database) == []
    market = (await known(database, SEEN)).market
    async with database.begin("test adopt") as tx:
        (mine,) = await STORE.adopt_orders(tx, ACCOUNT, market)
        assert await STORE.adopt_orders(tx, ACCOUNT, market) == []
        ended = await STORE.find_order(tx, ACCOUNT, SYMBOL, "", intent_id(2))
    assert (mine.market, mine.ticks) == (market, 6_000_000)
    assert (mine.reported_units, mine.booked_units) == (70_000, 30_000)
    assert ended is not None
    assert ended.booked_units == 70_000
    assert await stored(database) == [mine]
