"""The Binance wire: what an answer proves, and decimal text to ticks, lots and units."""

from __future__ import annotations

import pytest

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.market import Side
from poolmaker.market.connectors.binance import wire
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.edges import decode
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused, verdict
from poolmaker.market.execution.client_ids import encode_client_id
from poolmaker.market.execution.model import VenueRefusal
from poolmaker.market.tracking.model import ReportedState
from poolmaker.messages.market import MarketSpec
from tests.unit.market.makers import MARKET, intent_id

CONFIG = BinanceConfig(key="k", secret="s", rest_url="http://127.0.0.1:1")


def judged(status: int, code: int, text: str = "") -> VenueRefused | NoAnswer | None:
    return verdict(status, {"code": code, "msg": text}, text, None)


@pytest.mark.parametrize(
    ("status", "code", "text", "refusal"),
    [
        (400, -2010, "Account has insufficient balance for requested action.", "INSUFFICIENT"),
        (400, -2010, "Order would immediately match and take.", "WOULD_TAKE"),
        (400, -2010, "Market is closed.", "MARKET_CLOSED"),
        (400, -2010, "Duplicate order sent.", "DUPLICATE"),
        (400, -1013, "Filter failure: NOTIONAL", "FILTER"),
        (400, -1013, "Filter failure: PRICE_FILTER", "FILTER"),
        (400, -1111, "Precision is over the maximum defined for this asset.", "FILTER"),
        (400, -1021, "Timestamp for this request is outside of the recvWindow.", "CLOCK"),
        (400, -1022, "Signature for this request is not valid.", "KEY"),
        (401, -2015, "Invalid API-key, IP, or permissions for action.", "KEY"),
        (400, -1015, "Too many new orders.", "RATE_LIMITED"),
        (429, -1003, "Too much request weight used.", "RATE_LIMITED"),
        (418, -1003, "Way too much request weight used.", "RATE_LIMITED"),
        (400, -1104, "Not all sent parameters were read.", "OTHER"),
    ],
)
def test_a_definite_refusal_is_told_with_its_kind(
    status: int, code: int, text: str, refusal: str
) -> None:
    """Exchange faults 20, 21, 22, 26, 29, 30 and 32: the order does not exist."""
    found = judged(status, code, text)
    assert isinstance(found, VenueRefused)
    assert found.refusal is VenueRefusal(refusal)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, -1000), (400, -1001), (400, -1006), (504, -1007), (503, -1008), (500, -1013), (403, 0)],
)
def test_what_the_venue_itself_does_not_know_proves_nothing(status: int, code: int) -> None:
    """Exchange faults 1 and 31: even a code that refuses proves nothing beside a server error."""
    assert isinstance(judged(status, code, "Unknown error"), NoAnswer)


@pytest.mark.parametrize("status", [200, 403, 404, 502, 503])
def test_a_page_or_nothing_instead_of_json_proves_nothing(status: int) -> None:
    """Exchange faults 2 and 31: ccxt raises nothing for an empty or HTML body with status 200."""
    assert isinstance(verdict(status, None, "<html>", None), NoAnswer)
    assert isinstance(verdict(status, "", "", None), NoAnswer)


def test_retry_after_is_how_long_we_keep_quiet() -> None:
    found = verdict(429, {"code": -1003}, "", "7")
    assert isinstance(found, VenueRefused)
    assert found.wait_us == 7_000_000
    banned = verdict(418, {"code": -1003}, "", None)
    assert isinstance(banned, VenueRefused)
    assert banned.wait_us == 120_000_000


def test_not_there_is_told_apart_from_refused() -> None:
    for code in (-2011, -2013):
        found = judged(400, code, "Unknown order sent.")
        assert isinstance(found, VenueRefused)
        assert found.not_there


def test_an_answer_without_an_order_id_is_no_answer() -> None:
    """Exchange fault 2: ccxt's order has id None there."""
    with pytest.raises(NoAnswer):
        decode({"clientOrderId": "c"}, wire.AckRow)
    with pytest.raises(NoAnswer):
        decode([], wire.AckRow)


def test_e14_texts_become_units_exactly() -> None:
    """E14: no float on the way: 0.1 + 0.2, eight decimals, numbers beyond 2**53."""
    reader = wire.MarketWire(MARKET)
    rows = [("60000.01000000", "0.30000000"), ("90071992547409.93", "90071992.54740")]
    assert reader.levels(rows) == [
        (6_000_001_000_000, 30_000_000),
        (9_007_199_254_740_993_000_000, 9_007_199_254_740_000),
    ]


def test_a_level_off_the_tick_keeps_its_price() -> None:
    """Exchange fault 29, found row 7: after a coarser tick older orders rest."""
    reader = wire.MarketWire(MARKET)
    assert reader.levels([("60000.00100000", "0.00000100")]) == [(6_000_000_100_000, 100)]


@pytest.mark.parametrize("text", ["-1.00000000", "0.000000001", "1e5", "NaN", "", "١.00000000"])
def test_a_level_that_is_no_amount_is_refused(text: str) -> None:
    reader = wire.MarketWire(MARKET)
    for row in ((text, "1.00000000"), ("1.00000000", text)):
        with pytest.raises(NoAnswer):
            reader.levels([row])


def test_a_price_of_zero_is_refused_and_a_size_of_zero_removes() -> None:
    reader = wire.MarketWire(MARKET)
    assert reader.levels([("1.00000000", "0.00000000")]) == [(10**8, 0)]
    with pytest.raises(NoAnswer):
        reader.levels([("0.00000000", "1.00000000")])


@pytest.mark.parametrize(
    "changed",
    [{"s": "ETHUSDT"}, {"U": 8, "u": 7}, {"U": 0, "u": 1_000_000}, {"U": -1}, {"u": 2**63}],
)
def test_a_change_of_another_market_or_over_an_impossible_run_is_refused(
    changed: dict[str, object],
) -> None:
    """K3: applied, it would be a price of this market, or silence every change after it."""
    fields: dict[str, object] = {"s": "BTCUSDT", "U": 7, "u": 9, "b": [], "a": []}
    reader = wire.MarketWire(MARKET)
    assert reader.diff(decode(fields, wire.DepthFrame)).last_id == 9
    with pytest.raises(NoAnswer):
        reader.diff(decode(fields | changed, wire.DepthFrame))


def execution(**changed: object) -> wire.ExecutionFrame:
    fields: dict[str, object] = {
        "s": "BTCUSDT", "c": encode_client_id(intent_id(7)), "S": "BUY", "x": "TRADE",
        "X": "PARTIALLY_FILLED", "i": 42, "z": "0.00100000", "T": 1_700, "C": "",
        "l": "0.00100000", "n": "0.00000100", "N": "BTC", "t": 9, "m": True, "Y": "60.00000000",
    }  # fmt: skip
    return decode(fields | changed, wire.ExecutionFrame)


def test_p7_an_event_names_its_order_by_our_id_and_its_trade_by_the_trades() -> None:
    """P7: the trade id is not the order id."""
    reader = wire.MarketWire(MARKET)
    trade = reader.executed_trade(execution(), CONFIG)
    assert trade is not None
    assert (trade.exchange_order_id, trade.trade_id, trade.intent) == ("42", "9", intent_id(7))
    assert (trade.base_units, trade.quote_units, trade.fee_units) == (100_000, 6_000_000_000, 100)
    assert (trade.side, trade.is_maker, trade.venue_time_us) == (Side.BUY, True, 1_700_000)


def test_p9_a_trade_is_the_same_from_the_stream_and_from_rest() -> None:
    """P9, E16: same key, same units; only our id is missing over REST."""
    reader = wire.MarketWire(MARKET)
    streamed = reader.executed_trade(execution(), CONFIG)
    row = wire.TradeRow(
        symbol="BTCUSDT", id=9, order_id=42, qty="0.00100000", quote_qty="60.00000000",
        commission="0.00000100", commission_asset="BTC", time=1_700, is_buyer=True, is_maker=True,
    )  # fmt: skip
    read = reader.trade(row, CONFIG)
    assert streamed is not None
    assert read.key == streamed.key
    assert (read.base_units, read.quote_units) == (streamed.base_units, streamed.quote_units)
    assert read.fee_units == streamed.fee_units


def test_a_cancel_event_names_our_id_in_the_original_field() -> None:
    event = execution(x="CANCELED", X="CANCELED", c="venues-own", C=encode_client_id(intent_id(7)))
    found = wire.MarketWire(MARKET).execution(event)
    assert (found.intent, found.state) == (intent_id(7), ReportedState.CANCELLED)
    assert found.filled_units == 100_000


def test_exchange_fault_33_a_self_trade_expiry_is_an_end() -> None:
    event = execution(x="TRADE_PREVENTION", X="EXPIRED_IN_MATCH")
    reader = wire.MarketWire(MARKET)
    assert reader.execution(event).state is ReportedState.EXPIRED
    assert reader.executed_trade(event, CONFIG) is None


def test_a_trade_without_an_id_is_left_to_rest() -> None:
    trade = wire.MarketWire(MARKET).executed_trade(execution(t=-1), CONFIG)
    assert trade is not None
    assert trade.trade_id == ""


def rules_row(**changed: object) -> wire.SymbolRow:
    fields: dict[str, object] = {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        ],
    }  # fmt: skip
    return decode(fields | changed, wire.SymbolRow)


FEES = wire.CommissionRow(
    wire.RatesRow("0.00100000", "0.00150000"), wire.RatesRow("0.00000001", "0.00000101")
)
SPEC = MarketSpec(symbol="BTCUSDT", base="BTC", base_scale=8, quote="USDT", quote_scale=8)


def test_a_markets_rules_are_read_in_units() -> None:
    found = wire.venue_market(SPEC, rules_row(), FEES)
    assert found.market == MARKET
    assert found.is_open
    assert (found.maker_fee_cbps, found.taker_fee_ppm) == (1_001, 1_502)
    assert not wire.venue_market(SPEC, rules_row(status="HALT"), FEES).is_open


def test_a_market_whose_facts_would_not_fit_is_refused() -> None:
    """A scale below the venue's precision would refuse commissions that were paid."""
    coarse = MarketSpec(symbol="BTCUSDT", base="BTC", base_scale=8, quote="USDT", quote_scale=6)
    with pytest.raises(PreconditionError):
        wire.venue_market(coarse, rules_row(), FEES)
    with pytest.raises(NoAnswer):
        wire.venue_market(SPEC, rules_row(baseAsset="ETH"), FEES)


def test_p31_an_asset_that_a_balance_event_does_not_name_is_no_reason_for_alarm() -> None:
    """P31: only what is named is reported."""
    assert wire.balance(wire.BalanceRow("BTC", "1", "0"), CONFIG).asset == "BTC"


def test_a_secret_is_not_shown() -> None:
    assert "hidden" not in repr(BinanceConfig(key="k", secret="hidden"))


def test_proxies_of_the_environment_are_not_used_on_this_machine() -> None:
    assert CONFIG.ccxt_options()["aiohttp_trust_env"] is False
    assert BinanceConfig(key="k", secret="s").ccxt_options()["aiohttp_trust_env"] is True
