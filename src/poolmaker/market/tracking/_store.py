"""The shadow ledger's rows: exchange orders, fills, cursors into the venue's list of trades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import IntentId, PoolId, VenueAccountId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset
from poolmaker.market.tracking.model import (
    ExchangeOrder,
    OpenFees,
    StoredFill,
    TradeReport,
    VenueMarket,
    VenueOrderState,
)

_RULES_COLUMNS: Final = """base, base_scale, quote, quote_scale, tick_units, lot_units,
    quantity_min_lots, notional_min_units, is_open, maker_fee_ppm, taker_fee_ppm"""
_NEWEST_RULES: Final = f"""
SELECT version, {_RULES_COLUMNS} FROM market.market_rules
WHERE account = $1 AND symbol = $2 ORDER BY version DESC LIMIT 1
"""  # noqa: S608 - the parts are constants of this module
_ADD_RULES: Final = f"""
INSERT INTO market.market_rules (account, symbol, version, {_RULES_COLUMNS}, seen_at_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""  # noqa: S608 - the parts are constants of this module

_ORDER_COLUMNS: Final = """intent, pool, symbol, side, level, ticks, lots, state, client_ids,
    exchange_ids, reported_units, booked_units, seen, registered_us, changed_us, reason,
    rules_version"""
_SAVE_ORDER: Final = f"""
INSERT INTO market.exchange_order AS o (account, {_ORDER_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (intent) DO UPDATE SET
    state = excluded.state, client_ids = excluded.client_ids,
    exchange_ids = excluded.exchange_ids, seen = o.seen OR excluded.seen,
    reported_units = greatest(o.reported_units, excluded.reported_units),
    booked_units = greatest(o.booked_units, excluded.booked_units),
    changed_us = excluded.changed_us, reason = excluded.reason
"""  # noqa: S608 - the parts are constants of this module
_ORDERS: Final = """
SELECT o.*, r.base, r.base_scale, r.quote, r.quote_scale, r.tick_units, r.lot_units,
    r.quantity_min_lots, r.notional_min_units
"""
_UNDER_RULES: Final = """
JOIN market.market_rules AS r
    ON r.account = o.account AND r.symbol = o.symbol AND r.version = o.rules_version
"""
_LIVING: Final = f"""
{_ORDERS} FROM market.exchange_order AS o {_UNDER_RULES}
WHERE o.account = $1 AND (o.changed_us > $2 OR o.reported_units > o.booked_units
    OR o.state NOT IN ('FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED'))
ORDER BY o.registered_us
"""
_FIND: Final = f"""
{_ORDERS} FROM market.exchange_order AS o {_UNDER_RULES}
WHERE o.account = $1 AND o.symbol = $2 AND (o.exchange_ids @> ARRAY[$3] OR o.intent = $4)
"""
_ADOPT: Final = f"""
WITH o AS (
    UPDATE market.exchange_order SET rules_version = $3, reported_units = reported_lots * $4,
        booked_units = booked_lots * $4
    WHERE account = $1 AND symbol = $2 AND rules_version IS NULL RETURNING *
)
{_ORDERS} FROM o {_UNDER_RULES}
WHERE o.reported_units > o.booked_units
    OR o.state NOT IN ('FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')
ORDER BY o.registered_us
"""  # noqa: S608 - the parts are constants of this module

_KNOWN_FILLS: Final = """
SELECT symbol, exchange_order_id, trade_id FROM market.fill
WHERE account = $1 AND (symbol, exchange_order_id, trade_id) IN
    (SELECT * FROM unnest($2::text[], $3::text[], $4::text[]))
"""
_FILL_COLUMNS: Final = """symbol, exchange_order_id, trade_id, intent, pool, side, base_units,
    quote_units, fee_asset, fee_units, is_maker, venue_time_us, published_us, fill_seq, fee_seq,
    fee_base_units, fee_quote_units"""
_ADD_FILL: Final = f"""
INSERT INTO market.fill (account, {_FILL_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""  # noqa: S608 - the parts are constants of this module
_ADD_FEE: Final = """
UPDATE market.fill SET fee_seq = $5, fee_base_units = $6, fee_quote_units = $7
WHERE account = $1 AND symbol = $2 AND exchange_order_id = $3 AND trade_id = $4
    AND fee_seq IS NULL
"""
_FILLS_AFTER: Final = f"""
SELECT {_FILL_COLUMNS} FROM market.fill
WHERE account = $1 AND pool = $2 AND (fill_seq > $3 OR fee_seq > $3 OR
    (fee_seq IS NULL AND fee_units <> 0))
ORDER BY fill_seq
"""  # noqa: S608 - the parts are constants of this module
_FEES_OPEN: Final = f"""
SELECT {_FILL_COLUMNS} FROM market.fill
WHERE account = $1 AND fee_seq IS NULL AND fee_units <> 0
ORDER BY fill_seq LIMIT $2
"""  # noqa: S608 - the parts are constants of this module
_FEES_WITHOUT_PRICE: Final = """
SELECT pool, count(*) AS fees, sum(quote_units) AS quote_units FROM market.fill
WHERE account = $1 AND fee_seq IS NULL AND fee_units <> 0 GROUP BY pool
"""
_COUNT_FILLS: Final = "SELECT count(*) FROM market.fill WHERE account = $1"
_CURSOR: Final = "SELECT cursor FROM market.trade_cursor WHERE account = $1 AND symbol = $2"
_MOVE_CURSOR: Final = """
INSERT INTO market.trade_cursor (account, symbol, cursor) VALUES ($1, $2, $3)
ON CONFLICT (account, symbol) DO UPDATE SET cursor = excluded.cursor
"""


def _market(symbol: str, version: int, row: Record) -> Market:
    return Market(
        symbol=symbol,
        base=Asset(row["base"], row["base_scale"]),
        quote=Asset(row["quote"], row["quote_scale"]),
        tick_units=row["tick_units"],
        lot_units=row["lot_units"],
        quantity_min_lots=row["quantity_min_lots"],
        notional_min_units=row["notional_min_units"],
        version=version,
    )


def _rules_row(rules: VenueMarket) -> tuple[object, ...]:
    market = rules.market
    assets = (market.base.code, market.base.scale, market.quote.code, market.quote.scale)
    grid = (market.tick_units, market.lot_units)
    least = (market.quantity_min_lots, market.notional_min_units)
    return (*assets, *grid, *least, rules.is_open, rules.maker_fee_cbps, rules.taker_fee_ppm)


def _order(row: Record) -> ExchangeOrder:
    return ExchangeOrder(
        intent=IntentId(row["intent"]),
        pool=PoolId(row["pool"]),
        market=_market(row["symbol"], row["rules_version"], row),
        side=Side(row["side"]),
        level=row["level"],
        ticks=row["ticks"],
        lots=row["lots"],
        state=VenueOrderState(row["state"]),
        client_ids=list(row["client_ids"]),
        exchange_ids=list(row["exchange_ids"]),
        reported_units=row["reported_units"],
        booked_units=row["booked_units"],
        seen=row["seen"],
        registered_us=row["registered_us"],
        changed_us=row["changed_us"],
        reason=row["reason"],
    )


def _order_row(account: VenueAccountId, order: ExchangeOrder) -> tuple[object, ...]:
    identity = (account, order.intent, order.pool, order.symbol, order.side.value, order.level)
    ids = (order.client_ids, order.exchange_ids, order.reported_units, order.booked_units)
    times = (order.seen, order.registered_us, order.changed_us, order.reason)
    size = (order.ticks, order.lots, order.state.value)
    return (*identity, *size, *ids, *times, order.market.version)


def _fill(row: Record) -> StoredFill:
    trade = TradeReport(
        symbol=row["symbol"],
        exchange_order_id=row["exchange_order_id"],
        trade_id=row["trade_id"],
        intent=IntentId(row["intent"]) if row["intent"] else None,
        side=Side(row["side"]),
        base_units=row["base_units"],
        quote_units=row["quote_units"],
        fee_asset=row["fee_asset"],
        fee_units=row["fee_units"],
        is_maker=row["is_maker"],
        venue_time_us=row["venue_time_us"],
    )
    return StoredFill(
        trade=trade,
        pool=PoolId(row["pool"]),
        published_us=row["published_us"],
        fill_seq=row["fill_seq"],
        fee_seq=row["fee_seq"],
        fee_base_units=row["fee_base_units"],
        fee_quote_units=row["fee_quote_units"],
    )


def _fill_row(account: VenueAccountId, fill: StoredFill) -> tuple[object, ...]:
    trade = fill.trade
    identity = (account, *trade.key, trade.intent or "", fill.pool, trade.side.value)
    units = (trade.base_units, trade.quote_units, trade.fee_asset, trade.fee_units)
    times = (trade.is_maker, trade.venue_time_us, fill.published_us, fill.fill_seq)
    return (*identity, *units, *times, fill.fee_seq, fill.fee_base_units, fill.fee_quote_units)


class PgTracking:
    """``tracking.ports.TrackingStore`` over the schema ``market``."""

    async def know_rules(
        self, tx: Tx, account: VenueAccountId, rules: VenueMarket, now_us: int
    ) -> VenueMarket:
        connection, symbol = connection_of(tx), rules.market.symbol
        found = await connection.fetchrow(_NEWEST_RULES, account, symbol)
        row, version = _rules_row(rules), found["version"] if found is not None else 0
        if found is None or tuple(found.values())[1:] != row:
            version += 1
            await connection.execute(_ADD_RULES, account, symbol, version, *row, now_us)
        return replace(rules, market=replace(rules.market, version=version))

    async def adopt_orders(
        self, tx: Tx, account: VenueAccountId, market: Market
    ) -> list[ExchangeOrder]:
        bound = market.symbol, market.version, market.lot_units
        return [_order(row) for row in await connection_of(tx).fetch(_ADOPT, account, *bound)]

    async def save_orders(
        self, tx: Tx, account: VenueAccountId, orders: Sequence[ExchangeOrder]
    ) -> None:
        if orders:
            rows = [_order_row(account, order) for order in orders]
            await connection_of(tx).executemany(_SAVE_ORDER, rows)

    async def living_orders(
        self, tx: Tx, account: VenueAccountId, changed_after_us: int
    ) -> list[ExchangeOrder]:
        rows = await connection_of(tx).fetch(_LIVING, account, changed_after_us)
        return [_order(row) for row in rows]

    async def find_order(
        self,
        tx: Tx,
        account: VenueAccountId,
        symbol: str,
        exchange_order_id: str,
        intent: IntentId | None,
    ) -> ExchangeOrder | None:
        row = await connection_of(tx).fetchrow(
            _FIND, account, symbol, exchange_order_id, intent or ""
        )
        return _order(row) if row is not None else None

    async def known_fills(
        self, tx: Tx, account: VenueAccountId, trades: Sequence[TradeReport]
    ) -> set[tuple[str, str, str]]:
        columns = [[trade.key[part] for trade in trades] for part in range(3)]
        rows = await connection_of(tx).fetch(_KNOWN_FILLS, account, *columns)
        return {(row[0], row[1], row[2]) for row in rows}

    async def add_fills(self, tx: Tx, account: VenueAccountId, fills: Sequence[StoredFill]) -> None:
        if fills:
            rows = [_fill_row(account, fill) for fill in fills]
            await connection_of(tx).executemany(_ADD_FILL, rows)

    async def add_fee(self, tx: Tx, account: VenueAccountId, fill: StoredFill) -> None:
        await connection_of(tx).execute(
            _ADD_FEE,
            account,
            *fill.trade.key,
            fill.fee_seq,
            fill.fee_base_units,
            fill.fee_quote_units,
        )

    async def fills_after(
        self, tx: Tx, account: VenueAccountId, pool: PoolId, seq: int
    ) -> list[StoredFill]:
        rows = await connection_of(tx).fetch(_FILLS_AFTER, account, pool, seq)
        return [_fill(row) for row in rows]

    async def count_fills(self, tx: Tx, account: VenueAccountId) -> int:
        return int(await connection_of(tx).fetchval(_COUNT_FILLS, account))

    async def fees_without_price(self, tx: Tx, account: VenueAccountId) -> dict[PoolId, OpenFees]:
        rows = await connection_of(tx).fetch(_FEES_WITHOUT_PRICE, account)
        return {PoolId(row["pool"]): OpenFees(row["fees"], row["quote_units"]) for row in rows}

    async def fees_open(self, tx: Tx, account: VenueAccountId, limit: int) -> list[StoredFill]:
        rows = await connection_of(tx).fetch(_FEES_OPEN, account, limit)
        return [_fill(row) for row in rows]

    async def trade_cursor(self, tx: Tx, account: VenueAccountId, symbol: str) -> str | None:
        cursor = await connection_of(tx).fetchval(_CURSOR, account, symbol)
        return str(cursor) if cursor is not None else None

    async def move_trade_cursor(
        self, tx: Tx, account: VenueAccountId, symbol: str, cursor: str
    ) -> None:
        await connection_of(tx).execute(_MOVE_CURSOR, account, symbol, cursor)
