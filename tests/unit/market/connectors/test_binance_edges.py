"""The connector's edge: whatever a venue sends becomes typed values or is set aside by itself."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, VenueUnavailable
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.market.connectors.binance import edges
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.feeds import BinanceFeeds
from poolmaker.market.connectors.binance.refusals import NoAnswer, verdict
from poolmaker.market.connectors.binance.venue import BinanceVenue
from poolmaker.market.connectors.binance.wallet import VenueWallet, VenueWithdrawalAddress
from poolmaker.market.execution.client_ids import encode_client_id
from poolmaker.market.execution.model import CancelIntent
from poolmaker.market.tracking.model import (
    BalanceReport,
    NoMarket,
    OddRow,
    OrderReport,
    TradeReport,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec
from tests.unit.market.makers import BTC, MARKET, POOL, USDT, create, intent_id

SPEC = MarketSpec.of(MARKET)
ORDER = {
    "symbol": "BTCUSDT", "orderId": 42, "clientOrderId": encode_client_id(intent_id(7)),
    "executedQty": "0.00100000", "status": "NEW", "updateTime": 1_700_000_000_000,
}  # fmt: skip
TRADE = {
    "symbol": "BTCUSDT", "id": 7, "orderId": 42, "qty": "0.00100000", "quoteQty": "60.00000000",
    "commission": "0.00000100", "commissionAsset": "BNB", "time": 1_700_000_000_000,
    "isBuyer": True, "isMaker": True,
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "publicGetExchangeInfo": {"symbols": [{
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        ],
    }]},
    "privateGetAccountCommission": {"standardCommission": {"maker": "0.00100000"}},
    "publicGetTime": {"serverTime": 1_700_000_000_000},
    "publicGetDepth": {
        "lastUpdateId": 9, "bids": [["59999.00000000", "1.00000000"]],
        "asks": [["60001.00000000", "1.00000000"], ["60002.00000000", "1.00000000"]],
    },
    "publicGetTickerPrice": {"symbol": "BNBUSDT", "price": "600.00000000"},
    "privateGetOpenOrders": [ORDER, ORDER | {"orderId": 43}],
    "privateGetOrder": ORDER,
    "privateGetMyTrades": [TRADE, TRADE | {"id": 8}, TRADE | {"id": 9}],
    "privateGetAccount": {"balances": [
        {"asset": "BTC", "free": "1.00000000", "locked": "0.50000000"},
        {"asset": "USDT", "free": "9.00000000", "locked": "0.00000000"},
    ]},
    "privatePostOrder": {"orderId": 42},
    "privateDeleteOrder": ORDER | {"status": "CANCELED"},
    "sapiGetCapitalWithdrawHistory": [{
        "id": "w1", "amount": "10", "transactionFee": "1", "coin": "USDT", "status": 6,
        "address": "0xab", "txId": "0x1", "applyTime": "2026-11-28 05:00:00",
        "network": "ETH", "withdrawOrderId": "ref",
    }],
    "sapiGetCapitalDepositHisrec": [{
        "id": "d1", "amount": "10", "coin": "USDT", "network": "ETH", "status": 1,
        "address": "0xab", "txId": "0x1", "insertTime": 1_700_000_000_000,
    }],
    "sapiGetCapitalDepositAddress": {"coin": "USDT", "address": "0xab", "tag": ""},
    "sapiPostCapitalWithdrawApply": {"id": "w1"},
}  # fmt: skip
EXECUTION = {
    "e": "executionReport", "s": "BTCUSDT", "c": encode_client_id(intent_id(7)), "S": "BUY",
    "x": "TRADE", "X": "PARTIALLY_FILLED", "i": 42, "z": "0.00100000", "T": 1_700_000_000_000,
    "C": "", "l": "0.00100000", "n": "0.00000100", "N": "BNB", "t": 9, "m": True,
    "Y": "60.00000000",
}  # fmt: skip
POSITION = {
    "e": "outboundAccountPosition",
    "B": [{"a": "BTC", "f": "1.0", "l": "0.5"}, {"a": "USDT", "f": "9.0", "l": "0.0"}],
}  # fmt: skip
DEPTH = {
    "e": "depthUpdate", "s": "BTCUSDT", "U": 1, "u": 2, "b": [["59999.0", "1.0"]],
    "a": [["60001.0", "0.0"]],
}  # fmt: skip

STRANGE: list[Any] = [
    None, "", "x", "-1", "1e400", "9" * 400, "NaN", "币安人生", "\ud800", "\x00", "0.000000000001",
    -1, 10**40, 2**63, float("nan"), float("inf"), 1.5, True, [], {}, [[]], [None], {"a": {}},
    "-0.00000001", "२", " 1", "1_000",
]  # fmt: skip


RECENT_MS = SystemClock().now_us() // 1_000 - 3_600_000


class Answering:
    """A transport that answers what it is told to."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.config = BinanceConfig(key="k", secret="s", assets={"BTC": BTC, "USDT": USDT})

    async def ask(self, method: str, params: object, weight: int) -> Any:
        return self.answers[method]

    async def send(self, method: str, params: object, throttle: object = None) -> Any:
        return self.answers[method]

    def set_clock_difference(self, difference_ms: int) -> None:
        assert isinstance(difference_ms, int)


class Heard:
    """A feed that remembers."""

    def __init__(self) -> None:
        self.orders: list[OrderReport] = []
        self.trades: list[TradeReport] = []
        self.balances: list[BalanceReport] = []
        self.odd: list[str] = []

    def on_diff(self, symbol: str, diff: object) -> None:
        return

    def on_book_subscribed(self, symbol: str) -> None: ...

    def on_book_lost(self, symbol: str, reason: str) -> None:
        return

    def on_order(self, report: OrderReport) -> None:
        self.orders.append(report)

    def on_trade(self, trade: TradeReport) -> None:
        self.trades.append(trade)

    def on_balances(self, balances: Any) -> None:
        self.balances += balances

    def on_account_odd(self, symbol: str) -> None:
        self.odd.append(symbol)

    def on_account_subscribed(self) -> None:
        return

    def on_account_lost(self, reason: str) -> None:
        raise AssertionError(reason)


def venue_of(answers: dict[str, Any]) -> BinanceVenue:
    return BinanceVenue(Answering(answers), SystemClock())  # type: ignore[arg-type]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a value that a mutation can change."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _places(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            found += _places(inner, (*path, at))
    return found


def _mutated(value: Any, draw: st.DataObject) -> Any:
    """The value with one place missing, doubled, reversed, cut, or strange."""
    whole = copy.deepcopy(value)
    path = draw.draw(st.sampled_from(_places(whole)))
    kind = draw.draw(st.sampled_from(("strange", "missing", "double", "reverse", "cut", "extra")))
    strange = draw.draw(st.sampled_from(STRANGE))
    if not path:
        return strange if kind == "strange" else whole
    holder = whole
    for key in path[:-1]:
        holder = holder[key]
    last, inner = path[-1], holder[path[-1]]
    if kind == "missing":
        del holder[last]
    elif kind == "extra" and isinstance(inner, dict):
        inner["extra"] = strange
    elif isinstance(inner, list) and kind in ("double", "reverse", "cut"):
        changes = {"double": inner + inner, "reverse": inner[::-1], "cut": inner[:-1]}
        holder[last] = changes[kind] if kind != "double" else [*inner, strange]
    else:
        holder[last] = strange
    return whole


async def _every_read(venue: BinanceVenue, wallet: VenueWallet) -> None:
    """Ask everything; each answer is a typed value, or the venue did not answer."""
    reads: dict[str, Callable[[], Awaitable[Any]]] = {
        "market": lambda: venue.market(SPEC),
        "time": venue.server_time_us,
        "book": lambda: venue.book_snapshot(MARKET, 100),
        "open": lambda: venue.open_orders(MARKET),
        "by id": lambda: venue.order_by_id(MARKET, "42"),
        "by client id": lambda: venue.order_by_client_id(MARKET, "c"),
        "cursor": lambda: venue.cursor_now(MARKET),
        "trades": lambda: venue.trades_after(MARKET, "7"),
        "balances": venue.balances,
        "price": lambda: venue.price("BNB", MARKET),
        "wallet": wallet.balances,
        "withdrawals": lambda: wallet.withdrawals("USDT", RECENT_MS),
        "withdrawal": lambda: wallet.withdrawal("USDT", "ref", RECENT_MS),
        "deposits": lambda: wallet.deposits("USDT", RECENT_MS),
        "address": lambda: wallet.deposit_address("USDT", "ETH"),
    }
    for read in reads.values():
        try:
            _storable(await read())
        except VenueUnavailable:
            continue
    cancel = CancelIntent(
        target=intent_id(1), pool=POOL, symbol=MARKET.symbol, exchange_order_id="42",
        client_id="c", decided_us=1,
    )  # fmt: skip
    for write in (venue.create(create(1)), venue.cancel(cancel)):
        try:
            _storable(await write)
        except OutcomeUnknown:
            continue
    try:
        await wallet.withdraw("USDT", "1", VenueWithdrawalAddress("ETH", "0xab"), "ref")
    except (OutcomeUnknown, VenueUnavailable):
        return


def _storable(value: Any) -> None:
    """What leaves the edge fits the database: bounded integers, texts without surrogates or NUL."""
    if isinstance(value, int) and not isinstance(value, bool):
        assert abs(value) <= UNITS_MAX * 10**6
    elif isinstance(value, str):
        assert value.isascii()
        assert "\x00" not in value
    elif isinstance(value, list | tuple):
        for one in value:
            _storable(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            _storable(key)
            _storable(one)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, OddRow):
        for name in value.__dataclass_fields__:
            _storable(getattr(value, name))


@given(data=st.data(), method=st.sampled_from(sorted(ANSWERS)))
def test_connector_every_answer_is_typed_whatever_the_venue_sends(
    data: st.DataObject, method: str
) -> None:
    """K3: missing, extra, null, huge, negative, non-ASCII, NaN, reordered and truncated."""
    answers = ANSWERS | {method: _mutated(ANSWERS[method], data)}
    transport: Any = Answering(answers)
    clock = SystemClock()
    asyncio.run(_every_read(BinanceVenue(transport, clock), VenueWallet(transport, clock)))


@given(data=st.data(), frame=st.sampled_from((EXECUTION, POSITION, DEPTH)))
def test_connector_a_frame_that_cannot_be_read_is_set_aside_and_the_stream_lives(
    data: st.DataObject, frame: dict[str, Any]
) -> None:
    """K3: the account's stream does not end; its market is read over REST instead."""
    heard, venue = Heard(), venue_of(ANSWERS)
    feeds = BinanceFeeds(venue._transport, venue, SystemClock(), None)  # type: ignore[arg-type]
    ended: list[str] = []
    strange = _mutated(frame, data)
    if not isinstance(strange, dict):
        return
    feeds._event({MARKET.symbol: MARKET}, strange, heard, ended.append)
    assert ended == []
    _storable(heard.orders + heard.trades + heard.balances)
    feeds._depth(MARKET, strange, heard, ended.append)
    feeds._event({MARKET.symbol: MARKET}, EXECUTION, heard, ended.append)
    assert heard.trades


async def test_found_9_a_row_of_another_alphabet_is_set_aside_and_the_others_are_read() -> None:
    rows = [*ANSWERS["privateGetAccount"]["balances"]]
    rows.insert(1, {"asset": "币安人生", "free": "0.00", "locked": "0.00"})
    venue = venue_of(ANSWERS | {"privateGetAccount": {"balances": rows}})
    assert {report.asset for report in await venue.balances()} == {"BTC", "USDT"}
    ((row, since_us),) = venue.odd_rows()
    assert row.source == "balances"
    assert "asset" in row.problem
    assert not row.matters
    assert since_us > 0
    venue._transport.answers = ANSWERS  # type: ignore[attr-defined]
    await venue.balances()
    assert venue.odd_rows() == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"symbols": []}, "lists 0 markets"),
        ({"symbols": [None, {"symbol": "ETHUSDT"}]}, "lists 0 markets"),
        ({"symbols": ANSWERS["publicGetExchangeInfo"]["symbols"] * 2}, "lists 2 markets"),
        ({}, "cannot be read"),
        ({"symbols": [{"symbol": "BTCUSDT"}]}, "cannot be read"),
    ],
)
async def test_found_10_a_market_without_rules_is_closed_with_its_reason(
    answer: object, why: str
) -> None:
    found = await venue_of(ANSWERS | {"publicGetExchangeInfo": answer}).market(SPEC)
    assert isinstance(found, NoMarket)
    assert why in found.reason


async def test_found_10_other_symbols_of_the_list_do_not_matter() -> None:
    rows = [{"symbol": "币安"}, 7, *ANSWERS["publicGetExchangeInfo"]["symbols"]]
    found = await venue_of(ANSWERS | {"publicGetExchangeInfo": {"symbols": rows}}).market(SPEC)
    assert isinstance(found, VenueMarket)
    assert found.market == MARKET


async def test_a_trade_that_cannot_be_read_holds_the_cursor_and_not_its_neighbours() -> None:
    rows = [TRADE, TRADE | {"id": 8, "qty": None}, TRADE | {"id": 9}]
    page = await venue_of(ANSWERS | {"privateGetMyTrades": rows}).trades_after(MARKET, "5")
    assert [trade.trade_id for trade in page.trades] == ["7", "9"]
    assert [one.cursor for one in page.odd] == ["8"]
    assert page.cursor == "10"


async def test_a_fee_in_an_asset_of_another_alphabet_is_booked_under_a_reversible_name() -> None:
    rows = [TRADE | {"commissionAsset": "币安人生"}]
    page = await venue_of(ANSWERS | {"privateGetMyTrades": rows}).trades_after(MARKET, "0")
    (trade,) = page.trades
    head, _, written = trade.fee_asset.partition(".")
    assert (head, bytes.fromhex(written).decode()) == ("utf8", "币安人生")
    assert trade.fee_units == 100


async def test_an_open_order_that_cannot_be_read_makes_absence_no_proof() -> None:
    rows = [ORDER, {"symbol": "BTCUSDT", "orderId": 99}]
    listed = await venue_of(ANSWERS | {"privateGetOpenOrders": rows}).open_orders(MARKET)
    assert len(listed.reports) == 1
    assert [row.identity for row in listed.odd] == ["99"]


async def test_a_withdrawal_whose_row_cannot_be_read_is_not_unknown_to_the_venue() -> None:
    (row,) = ANSWERS["sapiGetCapitalWithdrawHistory"]
    transport: Any = Answering(ANSWERS | {"sapiGetCapitalWithdrawHistory": [row | {"amount": "?"}]})
    with pytest.raises(VenueUnavailable):
        await VenueWallet(transport, SystemClock()).withdrawal("USDT", "ref", RECENT_MS)


@pytest.mark.parametrize("text", ["²", "٣", "", "9" * 4000, "-1", "soon"])
def test_a_strange_retry_after_never_fails_and_never_silences_us_for_days(text: str) -> None:
    refused = verdict(429, {"code": -1003}, "", text)
    assert refused is not None
    assert 0 < refused.wait_us <= 3_600_000_000  # type: ignore[union-attr]


@given(text=st.text(max_size=60), scale=st.integers(0, 18), signed=st.booleans())
def test_an_amount_is_units_or_no_answer(text: str, scale: int, signed: bool) -> None:
    try:
        found = edges.units(text, scale, signed=signed)
    except NoAnswer:
        return
    assert -UNITS_MAX <= found <= UNITS_MAX
    assert signed or found >= 0


async def test_a_spec_that_cannot_hold_the_venues_amounts_stays_the_callers_fault() -> None:
    coarse = MarketSpec(symbol="BTCUSDT", base="BTC", base_scale=8, quote="USDT", quote_scale=6)
    with pytest.raises(PreconditionError):
        await venue_of(ANSWERS).market(coarse)
