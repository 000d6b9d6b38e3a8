"""Values that the tests of the market wing are made of."""

from __future__ import annotations

from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset
from poolmaker.market.execution.model import CreateIntent, LiveOrder, LiveOrderStage, TargetOrder
from poolmaker.market.quoting.model import MarketView
from poolmaker.market.tracking.model import (
    ExchangeOrder,
    OrderReport,
    ReportedState,
    TradeReport,
    VenueOrderState,
)

BTC = Asset("BTC", 8)
USDT = Asset("USDT", 8)
POOL = PoolId("pool-1")
SYMBOL = "BTCUSDT"
# A tick of 0.01 USDT, a lot of 0.00001 BTC, at least 5 USDT.
MARKET = Market(
    symbol=SYMBOL,
    base=BTC,
    quote=USDT,
    tick_units=1_000_000,
    lot_units=1_000,
    quantity_min_lots=1,
    notional_min_units=5 * USDT.one,
)


def intent_id(number: int) -> IntentId:
    return IntentId(f"{number:032x}")


def view(bid: int = 6_000_000, ask: int = 6_000_100, fee: int = 0) -> MarketView:
    return MarketView(
        market=MARKET,
        bid_ticks=bid,
        ask_ticks=ask,
        bid_depth_ticks=bid,
        ask_depth_ticks=ask,
        reference_ticks=bid + ask,
        reference_weight=2,
        maker_fee_cbps=fee,
    )


def order(number: int = 1, **changed: object) -> ExchangeOrder:
    fields: dict[str, object] = {
        "intent": intent_id(number),
        "pool": POOL,
        "market": MARKET,
        "side": Side.BUY,
        "level": 0,
        "ticks": 6_000_000,
        "lots": 100,
        "state": VenueOrderState.PENDING_NEW,
        "registered_us": 1,
        "changed_us": 1,
    }
    return ExchangeOrder(**(fields | changed))  # type: ignore[arg-type]


def report(number: int = 1, **changed: object) -> OrderReport:
    fields: dict[str, object] = {
        "symbol": SYMBOL,
        "exchange_order_id": f"x{number}",
        "client_id": f"c{number}",
        "intent": intent_id(number),
        "state": ReportedState.LIVE,
        "filled_units": 0,
        "venue_time_us": 1,
    }
    return OrderReport(**(fields | changed))  # type: ignore[arg-type]


def trade(number: int = 1, **changed: object) -> TradeReport:
    fields: dict[str, object] = {
        "symbol": SYMBOL,
        "exchange_order_id": "x1",
        "trade_id": str(number),
        "intent": intent_id(1),
        "side": Side.BUY,
        "base_units": 10_000,
        "quote_units": 600_000_000,
        "fee_asset": "BTC",
        "fee_units": 10,
        "is_maker": True,
        "venue_time_us": number * 1_000,
    }
    return TradeReport(**(fields | changed))  # type: ignore[arg-type]


def live(number: int = 1, **changed: object) -> LiveOrder:
    fields: dict[str, object] = {
        "intent": intent_id(number),
        "pool": POOL,
        "market": MARKET,
        "side": Side.BUY,
        "level": 0,
        "ticks": 6_000_000,
        "lots": 100,
        "open_units": 100 * MARKET.lot_units,
        "stage": LiveOrderStage.RESTING,
        "age_us": 1_000_000,
    }
    return LiveOrder(**(fields | changed))  # type: ignore[arg-type]


def ideal(
    level: int = 0, ticks: int = 6_000_000, lots: int = 100, side: Side = Side.BUY
) -> TargetOrder:
    return TargetOrder(market=MARKET, side=side, level=level, ticks=ticks, lots=lots)


def create(number: int = 1) -> CreateIntent:
    return CreateIntent(
        intent=intent_id(number),
        pool=POOL,
        market=MARKET,
        side=Side.BUY,
        level=0,
        ticks=6_000_000,
        lots=100,
        client_id=f"c{number}",
        decided_us=1,
    )
