"""The connector against the sandbox venue: every call of every port, and its refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import DAY_US, ManualClock
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.kernel.ids import Ids
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset, Ratio
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.service import BinanceAccount, open_account
from poolmaker.market.connectors.binance.wallet import VenueWithdrawalAddress, WithdrawalRefused
from poolmaker.market.execution.model import (
    CancelAccepted,
    CancelIntent,
    Created,
    CreateIntent,
    NotThere,
    RequestRefused,
    VenueRefusal,
)
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.model import (
    BalanceReport,
    BookDiff,
    BookSnapshot,
    NoMarket,
    OpenOrders,
    OrderReport,
    ReportedState,
    TradeReport,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec
from tests.outside.market_support import (
    BTC,
    POOL,
    SPEC,
    USDT,
    VenueProcess,
    until,
    venue_process,
)
from tests.support.venue import local_venue

PLACE = VenueWithdrawalAddress("ETH", "0x" + "ab" * 20)


@pytest.fixture
async def venue() -> AsyncIterator[VenueProcess]:
    async with venue_process("--seed", "3", "--flow", "none") as running:
        yield running


def config_of(venue: VenueProcess, account: int = 0) -> BinanceConfig:
    info, keys = venue.info, venue.info["accounts"][account]
    return BinanceConfig(
        key=keys["key"], secret=keys["secret"], rest_url=info["rest"], ws_url=info["ws"],
        ws_api_url=info["ws_api"], assets={"BTC": BTC, "USDT": USDT}, timeout_ms=1_500,
    )  # fmt: skip


def connect(venue: VenueProcess, account: int = 0) -> BinanceAccount:
    return open_account(config_of(venue, account), SystemClock(), Rng(1))


@pytest.fixture
async def account(venue: VenueProcess) -> AsyncIterator[BinanceAccount]:
    opened = connect(venue)
    yield opened
    await opened.close()


RECENT_MS = SystemClock().now_us() // 1_000 - 3_600_000
IDS = Ids(SystemClock(), Rng("contract"))


def create(market: Market, side: Side, price: str, quantity: str) -> CreateIntent:
    intent = IDS.intent()
    return CreateIntent(
        intent=intent, pool=POOL, market=market, side=side, level=0,
        ticks=market.price_of(price).ticks, lots=market.quantity_of(quantity).lots,
        client_id=f"pm1-{intent[:22]}", decided_us=1,
    )  # fmt: skip


def named(account: BinanceAccount, intent: CreateIntent) -> CreateIntent:
    return CreateIntent(
        intent=intent.intent, pool=intent.pool, market=intent.market, side=intent.side, level=0,
        ticks=intent.ticks, lots=intent.lots, client_id=account.venue.client_id(intent.intent),
        decided_us=1,
    )  # fmt: skip


def cancel_of(intent: CreateIntent, exchange_order_id: str = "") -> CancelIntent:
    return CancelIntent(
        target=intent.intent, pool=POOL, symbol=intent.market.symbol,
        exchange_order_id=exchange_order_id, client_id=intent.client_id, decided_us=1,
    )  # fmt: skip


async def rules_of(account: BinanceAccount) -> VenueMarket:
    """The market's rules, which the venue has."""
    found = await account.venue.market(SPEC)
    assert isinstance(found, VenueMarket)
    return found


class Heard:
    """A feed that remembers."""

    def __init__(self) -> None:
        self.diffs: list[BookDiff] = []
        self.orders: list[OrderReport] = []
        self.trades: list[TradeReport] = []
        self.balances: list[BalanceReport] = []
        self.subscribed = 0
        self.lost: list[str] = []
        self.odd: list[str] = []

    def on_diff(self, symbol: str, diff: BookDiff) -> None:
        self.diffs.append(diff)

    def on_book_subscribed(self, symbol: str) -> None: ...

    def on_book_lost(self, symbol: str, reason: str) -> None:
        self.lost.append(reason)

    def on_order(self, report: OrderReport) -> None:
        self.orders.append(report)

    def on_trade(self, trade: TradeReport) -> None:
        self.trades.append(trade)

    def on_balances(self, balances: Sequence[BalanceReport]) -> None:
        self.balances += balances

    def on_account_odd(self, symbol: str) -> None:
        self.odd.append(symbol)

    def on_account_subscribed(self) -> None:
        self.subscribed += 1

    def on_account_lost(self, reason: str) -> None:
        self.lost.append(reason)


async def test_an_order_is_placed_found_listed_cancelled_and_then_not_there(
    account: BinanceAccount,
) -> None:
    rules = await rules_of(account)
    assert rules.is_open
    assert (rules.market.tick_units, rules.market.lot_units) == (1_000_000, 1_000)
    assert rules.maker_fee_cbps == 1_000
    wanted = named(account, create(rules.market, Side.BUY, "59000.01", "0.001"))
    reply = await account.venue.create(wanted)
    assert isinstance(reply, Created)
    by_id = await account.venue.order_by_id(rules.market, reply.exchange_order_id)
    by_client = await account.venue.order_by_client_id(rules.market, wanted.client_id)
    (listed,) = (await account.venue.open_orders(rules.market)).reports
    assert by_id == by_client
    assert by_id is not None
    assert (by_id.intent, by_id.state) == (wanted.intent, ReportedState.LIVE)
    assert listed.exchange_order_id == reply.exchange_order_id
    cancel = cancel_of(wanted, reply.exchange_order_id)
    assert await account.venue.cancel(cancel) == CancelAccepted(reply.exchange_order_id, 0)
    assert await account.venue.cancel(cancel) == NotThere()
    ended = await account.venue.order_by_id(rules.market, reply.exchange_order_id)
    assert ended is not None
    assert ended.state is ReportedState.CANCELLED
    assert await account.venue.order_by_id(rules.market, "999999999999") is None
    assert await account.venue.order_by_client_id(rules.market, "never-was") is None


async def test_an_order_is_cancelled_by_our_own_id_before_its_exchange_id_is_known(
    account: BinanceAccount,
) -> None:
    market = (await rules_of(account)).market
    wanted = named(account, create(market, Side.SELL, "61000", "0.001"))
    await account.venue.create(wanted)
    assert isinstance(await account.venue.cancel(cancel_of(wanted)), CancelAccepted)


async def test_every_definite_refusal_is_told_apart(
    account: BinanceAccount, venue: VenueProcess
) -> None:
    """Exchange faults 26, 29, 30, 32 and 34."""
    market = (await rules_of(account)).market
    first = named(account, create(market, Side.SELL, "60500", "0.001"))
    await account.venue.create(first)

    async def refusal(wanted: CreateIntent) -> VenueRefusal:
        reply = await account.venue.create(wanted)
        assert isinstance(reply, RequestRefused), reply
        return reply.refusal

    def other(side: Side, price: str, quantity: str) -> CreateIntent:
        return named(account, create(market, side, price, quantity))

    assert await refusal(first) is VenueRefusal.DUPLICATE
    assert await refusal(other(Side.BUY, "60500", "0.001")) is VenueRefusal.WOULD_TAKE
    assert await refusal(other(Side.SELL, "60600", "100")) is VenueRefusal.INSUFFICIENT
    assert await refusal(other(Side.SELL, "60600", "0.00001")) is VenueRefusal.FILTER
    await venue.admin("symbols/BTCUSDT/status", status="HALT")
    assert await refusal(other(Side.SELL, "60600", "0.001")) is VenueRefusal.MARKET_CLOSED
    assert not (await rules_of(account)).is_open


async def test_lost_answers_are_unknown_for_writes_and_unavailable_for_questions(
    account: BinanceAccount, venue: VenueProcess
) -> None:
    """Connector invariants 1 and 2; exchange faults 1, 2, 3 and 31."""
    market = (await rules_of(account)).market
    for effect in ("reset", "hang", "html"):
        wanted = named(account, create(market, Side.BUY, "59000", "0.001"))
        await venue.fault(endpoint="POST /api/v3/order", effect=effect, when="after", count=1)
        with pytest.raises(OutcomeUnknown):
            await account.venue.create(wanted)
        found = await account.venue.order_by_client_id(market, wanted.client_id)
        assert found is not None
        await venue.fault(endpoint="DELETE /api/v3/order", effect=effect, when="after", count=1)
        # The HTTP library would repeat a DELETE on a cut connection; ours must not let it.
        with pytest.raises(OutcomeUnknown):
            await account.venue.cancel(cancel_of(wanted, found.exchange_order_id))
        await venue.fault(endpoint="GET /api/v3/openOrders", effect=effect, count=1)
        with pytest.raises(VenueUnavailable):
            await account.venue.open_orders(market)
    assert await account.venue.open_orders(market) == OpenOrders(())


def replay(market: Market, snapshot: BookSnapshot, diffs: list[BookDiff]) -> list[tuple[int, int]]:
    """The best ask after a snapshot and what followed."""
    book = OrderBook(market)
    book.on_snapshot(snapshot, 0)
    for diff in diffs:
        book.on_diff(diff, 0)
    return book.depth(Side.SELL, 1)


async def test_the_streams_tell_of_book_orders_trades_and_balances_in_exact_units(
    account: BinanceAccount, venue: VenueProcess
) -> None:
    market = (await rules_of(account)).market
    heard = Heard()
    tasks = [
        asyncio.create_task(account.feeds.run_book(market, heard)),
        asyncio.create_task(account.feeds.run_account({market.symbol: market}, heard)),
    ]
    taker = connect(venue, 1)
    client = await venue.client(1)
    try:
        await until(lambda: heard.subscribed == 1)
        snapshot = await account.venue.book_snapshot(market, 1_000)
        wanted = named(account, create(market, Side.SELL, "60000.5", "0.003"))
        cursor = await account.venue.cursor_now(market)
        assert isinstance(await account.venue.create(wanted), Created)
        await client.privatePostOrder(
            {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "IOC",
                "price": "60001",
                "quantity": "0.001",
            }
        )
        await until(lambda: bool(heard.trades and heard.balances))
        await until(
            lambda: replay(market, snapshot, heard.diffs) == [(6_000_050_000_000, 200_000)],
            what="the book",
        )
        page = await account.venue.trades_after(market, cursor)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await taker.close()
        await client.close()
    (streamed,), (read,) = heard.trades, page.trades
    assert streamed.key == read.key
    assert streamed.intent == wanted.intent
    assert (read.base_units, read.quote_units) == (100_000, 6_000_050_000)
    assert (read.side, read.is_maker, read.fee_asset) == (Side.SELL, True, "USDT")
    assert read.fee_units == streamed.fee_units == read.quote_units // 1_000
    assert heard.orders[0].state is ReportedState.LIVE
    assert heard.orders[-1].filled_units == 100_000


async def test_a_price_of_another_asset_is_exact_and_of_an_unlisted_one_none(
    account: BinanceAccount,
) -> None:
    market = (await rules_of(account)).market
    price = await account.venue.price("BNB", market)
    assert price == Ratio(600 * USDT.one, Asset("BNB", 8).one)
    assert await account.venue.price("NOSUCH", market) is None


async def test_a_market_that_the_venue_has_otherwise_is_refused(account: BinanceAccount) -> None:
    swapped = MarketSpec(symbol="BTCUSDT", base="USDT", base_scale=8, quote="BTC", quote_scale=8)
    found = await account.venue.market(swapped)
    assert isinstance(found, NoMarket)
    assert "trades BTC for USDT" in found.reason.replace("'", "")


async def test_a_withdrawal_is_asked_once_and_found_again_by_our_reference(
    account: BinanceAccount, venue: VenueProcess
) -> None:
    made = await account.wallet.withdraw("USDT", "100", PLACE, "ref-1")
    (one,) = await account.wallet.withdrawals("USDT", RECENT_MS)
    assert (one.withdrawal_id, one.client_reference, one.asset) == (made, "ref-1", "USDT")
    with pytest.raises(WithdrawalRefused):
        await account.wallet.withdraw(
            "USDT", "100", VenueWithdrawalAddress("ETH", "nowhere"), "ref-2"
        )
    endpoint = "POST /sapi/v1/capital/withdraw/apply"
    await venue.fault(endpoint=endpoint, effect="reset", when="after", count=1)
    with pytest.raises(OutcomeUnknown):
        await account.wallet.withdraw("USDT", "50", PLACE, "ref-3")
    found = {one.client_reference for one in await account.wallet.withdrawals("USDT", RECENT_MS)}
    assert found == {"ref-1", "ref-3"}


async def test_found_32_a_withdrawal_of_last_month_is_found_by_its_reference() -> None:
    """Found 32: asked since then in one span it was refused, and stayed SENT for ever."""
    clock = ManualClock(SystemClock().now_us())
    async with local_venue(clock=clock) as venue:
        begun_ms = clock.now_us() // 1_000
        at = venue.addresses
        config = BinanceConfig(
            key="key1", secret="secret1", rest_url=at.rest, ws_url=at.ws, ws_api_url=at.ws_api,
            assets={"BTC": BTC, "USDT": USDT},
        )  # fmt: skip
        account = open_account(config, clock, Rng(32))
        made = await account.wallet.withdraw("USDT", "100", PLACE, "old")
        clock.advance(40 * DAY_US)
        account.transport.set_clock_difference(begun_ms - clock.now_us() // 1_000)
        found = await account.wallet.withdrawal("USDT", "old", begun_ms - 600_000)
        assert found is not None
        assert found.withdrawal_id == made
        assert await account.wallet.withdrawal("USDT", "unknown", begun_ms) is None
        await account.close()


async def test_deposits_addresses_and_balances_are_decimal_texts(
    account: BinanceAccount, venue: VenueProcess
) -> None:
    address, _ = await account.wallet.deposit_address("USDT", "ETH")
    await venue.admin("deposit", asset="USDT", network="ETH", amount="12.5", address=address,
                      tx_id="0x1")  # fmt: skip
    (seen,) = await account.wallet.deposits("USDT", RECENT_MS)
    assert (seen.transaction_id, seen.is_credited, seen.address) == ("0x1", True, address)
    free, locked = (await account.wallet.balances())["USDT"]
    assert (free, locked) == ("1000012.50000000", "0.00000000")
