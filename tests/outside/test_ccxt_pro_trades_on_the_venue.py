"""Unmodified ccxt.pro.binance against the sandbox venue: the outside client is the judge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import ccxt.pro
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.venue import RunningVenue, ccxt_settings, running_venue

WAIT_S = 20
# The withdrawal history may be asked ten times a second; who asks twice stays far below.
POLL_S = 0.5


@contextlib.asynccontextmanager
async def client(venue: RunningVenue, account: int, **options: object) -> AsyncIterator[Any]:
    exchange = ccxt.pro.binance(ccxt_settings(venue.ready, account, **options))
    try:
        yield exchange
    finally:
        await exchange.close()


@pytest.fixture
async def venue() -> AsyncIterator[RunningVenue]:
    async with running_venue("--flow", "none", "--seed", "7") as running:
        yield running


async def until(watch: Any, wanted: Any) -> Any:
    """Call ``watch`` until ``wanted`` accepts what it returns."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await watch()
            if wanted(found):
                return found


async def polled(ask: Any, wanted: Any) -> Any:
    """Ask every ``POLL_S`` until ``wanted`` accepts the answer."""
    async with asyncio.timeout(WAIT_S):
        while not wanted(found := await ask()):
            await asyncio.sleep(POLL_S)
    return found


async def test_a_post_only_order_is_seen_filled_by_a_second_account_and_booked(
    venue: RunningVenue,
) -> None:
    async with client(venue, 1) as maker, client(venue, 2) as taker:
        await maker.load_markets()
        await taker.load_markets()
        assert maker.markets["BTC/USDT"]["precision"]["price"] == 0.01
        await maker.authenticate({"type": "spot"})
        before = await maker.fetch_balance()

        # ccxt hands an event to whoever waits when it comes: wait before acting.
        book_task = asyncio.create_task(maker.watch_order_book("BTC/USDT"))
        orders_task = asyncio.create_task(maker.watch_orders("BTC/USDT"))
        balance_task = asyncio.create_task(maker.watch_balance())
        await asyncio.sleep(0.2)
        order = await maker.create_order(
            "BTC/USDT", "limit", "sell", 0.002, 61000,
            {"postOnly": True, "clientOrderId": "mm-1"},
        )  # fmt: skip
        assert order["clientOrderId"] == "mm-1"
        seen = await asyncio.wait_for(orders_task, WAIT_S)
        assert (seen[-1]["id"], seen[-1]["info"]["X"]) == (order["id"], "NEW")
        book = await asyncio.wait_for(book_task, WAIT_S)
        if not book["asks"]:
            book = await until(
                lambda: maker.watch_order_book("BTC/USDT"), lambda one: len(one["asks"]) > 0
            )
        assert book["asks"][0] == [61000.0, 0.002]

        held = await asyncio.wait_for(balance_task, WAIT_S)
        assert held["BTC"]["used"] == pytest.approx(0.002)
        assert held["BTC"]["free"] == pytest.approx(before["BTC"]["free"] - 0.002)

        trades_task = asyncio.create_task(maker.watch_my_trades("BTC/USDT"))
        partly_task = asyncio.create_task(maker.watch_orders("BTC/USDT"))
        await asyncio.sleep(0.2)
        taken = await taker.create_order(
            "BTC/USDT", "limit", "buy", 0.0005, 61100, {"timeInForce": "IOC"}
        )
        assert taken["status"] == "closed"
        assert taken["average"] == pytest.approx(61000)
        fills = await asyncio.wait_for(trades_task, WAIT_S)
        assert fills[-1]["takerOrMaker"] == "maker"
        assert fills[-1]["order"] == order["id"]
        assert fills[-1]["fee"] == {"currency": "USDT", "cost": pytest.approx(0.0305)}
        partly = await asyncio.wait_for(partly_task, WAIT_S)
        assert partly[-1]["info"]["X"] == "PARTIALLY_FILLED"
        assert partly[-1]["remaining"] == pytest.approx(0.0015)

        ended_task = asyncio.create_task(maker.watch_orders("BTC/USDT"))
        await asyncio.sleep(0.2)
        cancelled = await maker.cancel_order(order["id"], "BTC/USDT")
        assert cancelled["info"]["origClientOrderId"] == "mm-1"
        ended = await asyncio.wait_for(ended_task, WAIT_S)
        assert ended[-1]["status"] == "canceled"
        assert ended[-1]["clientOrderId"] == "mm-1"

        booked = await maker.fetch_my_trades("BTC/USDT")
        assert [(one["side"], one["amount"], one["price"]) for one in booked] == [
            ("sell", 0.0005, 61000.0)
        ]
        after = await maker.fetch_balance()
        assert after["BTC"]["total"] == pytest.approx(before["BTC"]["total"] - 0.0005)
        assert after["USDT"]["total"] == pytest.approx(before["USDT"]["total"] + 30.5 - 0.0305)
    assert (await venue.admin("GET", "/invariants"))["ok"] is True


async def test_every_unified_rest_call_that_ccxt_has_for_spot_is_answered(
    venue: RunningVenue,
) -> None:
    async with client(venue, 1) as one, client(venue, 2) as two:
        await one.load_markets()
        await two.load_markets()
        await one.load_time_difference()
        assert (await one.fetch_status())["status"] == "ok"
        first = await one.create_limit_sell_order("ETH/USDT", 1, 3001)
        await one.create_limit_buy_order("ETH/USDT", 1, 2999)
        await two.create_order("ETH/USDT", "market", "buy", 0.25)
        spent = await two.create_order("ETH/USDT", "market", "buy", None, None, {"cost": 300.1})
        assert spent["cost"] == pytest.approx(300.1)
        assert spent["status"] == "closed"
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            await two.create_order("ETH/USDT", "limit", "buy", 1, 3100, {"postOnly": True})
        with pytest.raises(ccxt.InsufficientFunds):
            await two.create_limit_buy_order("ETH/USDT", 500, 2999)
        with pytest.raises(ccxt.InvalidOrder):
            await two.create_limit_buy_order("ETH/USDT", 1, 1)
        await two.create_order("ETH/USDT", "limit", "buy", 1, 2990, {"test": True})

        assert (await one.fetch_ticker("ETH/USDT"))["last"] == 3001
        assert "ETH/USDT" in await one.fetch_tickers()
        assert set(await one.fetch_tickers(["ETH/USDT", "BTC/USDT"])) == {"ETH/USDT", "BTC/USDT"}
        assert (await one.fetch_bids_asks(["ETH/USDT"]))["ETH/USDT"]["bid"] == 2999
        assert (await one.fetch_last_prices(["ETH/USDT"]))["ETH/USDT"]["price"] == 3001
        assert (await one.fetch_order_book("ETH/USDT", 5))["bids"] == [[2999.0, 1.0]]
        trades = await one.fetch_trades("ETH/USDT")
        assert sum(trade["amount"] for trade in trades) == pytest.approx(0.35)
        assert await one.fetch_trades("ETH/USDT", since=trades[0]["timestamp"])
        candles = await one.fetch_ohlcv("ETH/USDT", "1m")
        assert sum(candle[5] for candle in candles) == pytest.approx(0.35)

        found = await one.fetch_order(first["id"], "ETH/USDT")
        assert found["filled"] == pytest.approx(0.35)
        assert len(await one.fetch_open_orders("ETH/USDT")) == 2
        assert len(await one.fetch_orders("ETH/USDT")) == 2
        assert len(await one.fetch_order_trades(first["id"], "ETH/USDT")) == 2
        moved = await one.edit_order(first["id"], "ETH/USDT", "limit", "sell", 1, 3005)
        assert moved["id"] != first["id"]
        assert len(await one.cancel_all_orders("ETH/USDT")) == 2
        with pytest.raises(ccxt.OrderNotFound):
            await one.cancel_all_orders("ETH/USDT")
        with pytest.raises(ccxt.OrderNotFound):
            await one.cancel_order("1", "ETH/USDT")
        assert len(await one.fetch_closed_orders("ETH/USDT")) == 0
        assert len(await one.fetch_canceled_orders("ETH/USDT")) == 3
        assert (await one.fetch_trading_fee("ETH/USDT"))["maker"] == pytest.approx(0.001)
        assert (await one.fetch_trading_fees())["BTC/USDT"]["taker"] == pytest.approx(0.001)
        assert "USDT" in await one.fetch_currencies()
    assert (await venue.admin("GET", "/invariants"))["ok"] is True


async def test_money_goes_out_and_comes_in_with_its_history(venue: RunningVenue) -> None:
    async with client(venue, 3) as one:
        await one.load_markets()
        address = await one.fetch_deposit_address("USDT", {"network": "ETH"})
        assert address["address"].startswith("0x")
        paid = {"address": address["address"], "asset": "USDT", "amount": "250.5", "tx_id": "0xab"}
        await venue.admin("POST", "/deposit", paid)
        again = await venue.admin("POST", "/deposit", paid)
        assert again["repeated"] is True
        deposits = await one.fetch_deposits("USDT")
        assert [(one["amount"], one["txid"], one["status"]) for one in deposits] == [
            (250.5, "0xab", "ok")
        ]
        sent = await one.withdraw(
            "USDT", 100, "0x" + "1" * 40, {"network": "ETH", "withdrawOrderId": "w-1"}
        )
        assert sent["id"]
        balance = await one.fetch_balance()
        assert balance["USDT"]["total"] == pytest.approx(1_000_150.5)
        withdrawals = await polled(
            lambda: one.fetch_withdrawals("USDT"), lambda some: some[0]["status"] == "ok"
        )
        assert withdrawals[0]["id"] == sent["id"]
        assert withdrawals[0]["amount"] + withdrawals[0]["fee"]["cost"] == pytest.approx(100)
        assert withdrawals[0]["txid"]
        used = one.last_response_headers
        assert int(used["x-sapi-used-ip-weight-1s"]) % 18_000 == 0
        assert "x-mbx-used-weight-1m" not in used
        with pytest.raises(ccxt.ExchangeError):
            await one.withdraw("USDT", 100, "0x" + "1" * 40, {"withdrawOrderId": "w-1"})
    assert (await venue.admin("GET", "/invariants"))["ok"] is True


async def test_orders_over_the_websocket_api_use_its_own_names_and_are_signed(
    venue: RunningVenue,
) -> None:
    async with client(venue, 4) as one:
        await one.load_markets()
        async with asyncio.timeout(60):
            placed = await one.create_order_ws(
                "BTC/USDT", "limit", "buy", 0.001, 59000, {"newClientOrderId": "ws-1"}
            )
            assert placed["clientOrderId"] == "ws-1"
            assert (await one.fetch_order_ws(placed["id"], "BTC/USDT"))["status"] == "open"
            assert len(await one.fetch_open_orders_ws("BTC/USDT")) == 1
            moved = await one.edit_order_ws(placed["id"], "BTC/USDT", "limit", "buy", 0.001, 58000)
            await one.cancel_order_ws(moved["id"], "BTC/USDT")
            # ccxt 4.5.90 parses no spot balance out of this answer; it hands the answer on.
            status = (await one.fetch_balance_ws())["info"]
            held = {row["asset"]: row["locked"] for row in status["balances"]}
            assert held["USDT"] == "0.00000000"
            assert await one.fetch_my_trades_ws("BTC/USDT") == []
            with pytest.raises(ccxt.BadRequest):
                await one.create_order_ws(
                    "BTC/USDT", "limit", "buy", 0.001, 59000, {"postOnly": True}
                )


async def test_an_ed25519_key_signs_rest_calls_orders_and_the_user_stream(
    venue: RunningVenue,
) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    order = {"account": 8, "key": "ccxt-ed25519", "public_key": public.decode()}
    await venue.admin("POST", "/keys", order)
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings = {**ccxt_settings(venue.ready, 8), "apiKey": "ccxt-ed25519", "secret": secret}
    one = ccxt.pro.binance(settings)
    try:
        await one.load_markets()
        await one.authenticate({"type": "spot"})
        orders_task = asyncio.create_task(one.watch_orders("BTC/USDT"))
        await asyncio.sleep(0.2)
        placed = await one.create_limit_buy_order("BTC/USDT", 0.001, 59000)
        seen = await asyncio.wait_for(orders_task, WAIT_S)
        assert (seen[-1]["id"], seen[-1]["status"]) == (placed["id"], "open")
        async with asyncio.timeout(60):
            cancelled = await one.cancel_order_ws(placed["id"], "BTC/USDT")
        assert cancelled["status"] == "canceled"
    finally:
        await one.close()


async def test_a_read_only_key_may_look_but_not_trade(venue: RunningVenue) -> None:
    settings = ccxt_settings(venue.ready, 5)
    keys = venue.ready["accounts"][4]
    settings.update(apiKey=keys["ro_key"], secret=keys["ro_secret"])
    exchange = ccxt.pro.binance(settings)
    try:
        assert (await exchange.fetch_balance())["USDT"]["free"] == 1_000_000
        with pytest.raises((ccxt.AuthenticationError, ccxt.DDoSProtection)):
            await exchange.create_limit_buy_order("BTC/USDT", 0.001, 59000)
    finally:
        await exchange.close()


async def test_market_streams_reach_ccxt(venue: RunningVenue) -> None:
    async with client(venue, 6) as one, client(venue, 7) as two:
        await one.load_markets()
        await two.load_markets()
        watches = [
            asyncio.create_task(one.watch_trades("BTC/USDT")),
            asyncio.create_task(one.watch_ticker("BTC/USDT")),
            asyncio.create_task(one.watch_bids_asks(["BTC/USDT"])),
            asyncio.create_task(one.watch_ohlcv("BTC/USDT", "1m")),
            asyncio.create_task(one.watch_order_book("BTC/USDT")),
        ]
        async with asyncio.timeout(WAIT_S):
            while not all(watch.done() for watch in watches):
                await two.create_limit_sell_order("BTC/USDT", 0.001, 60010)
                await one.create_order(
                    "BTC/USDT", "limit", "buy", 0.0005, 60010, {"timeInForce": "IOC"}
                )
                await asyncio.sleep(0.3)
        trades, ticker, quotes, candles, book = [watch.result() for watch in watches]
        assert trades[-1]["price"] == 60010
        assert ticker["last"] == 60010
        assert quotes["BTC/USDT"]["ask"] == 60010
        assert candles[-1][4] == 60010
        assert book["nonce"] > 0
