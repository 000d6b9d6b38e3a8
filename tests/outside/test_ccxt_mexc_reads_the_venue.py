"""Unmodified ccxt.mexc over the venue's MEXC face: what HuFi's oracle calls, and trading."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import ccxt.async_support
import pytest

from tests.support.venue import RunningVenue, running_venue


@contextlib.asynccontextmanager
async def client(venue: RunningVenue, account: int) -> AsyncIterator[Any]:
    base = venue.ready["rest"] + "/mexc"
    keys = venue.ready["accounts"][account - 1]
    exchange = ccxt.async_support.mexc(
        {
            "apiKey": keys["key"],
            "secret": keys["secret"],
            "enableRateLimit": False,
            "options": {"defaultType": "spot"},
            "urls": {
                "api": {
                    "spot": {"public": base, "private": base},
                    "contract": {"public": f"{base}/api/v1/contract", "private": base},
                }
            },
        }
    )
    try:
        yield exchange
    finally:
        await exchange.close()


async def test_ccxt_mexc_trades_and_reads_what_the_oracle_reads() -> None:
    async with (
        running_venue("--flow", "none") as venue,
        client(venue, 1) as one,
        client(venue, 2) as two,
    ):
        await one.load_markets()
        await two.load_markets()
        market = one.markets["HMT/USDT"]
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.00001, 0.1)
        assert market["active"] is True
        assert "HMT" in await one.fetch_currencies()
        address = await one.fetch_deposit_address("ETH")
        assert address["address"].startswith("0x")
        order = await one.create_order("HMT/USDT", "limit", "sell", 1000, 0.0205)
        assert isinstance(order["id"], str)
        taken = await two.create_order(
            "HMT/USDT", "limit", "buy", 400, 0.0206, {"timeInForce": "IOC"}
        )
        assert taken["id"] != order["id"]
        trades = await one.fetch_my_trades("HMT/USDT")
        assert [(one["side"], one["amount"], one["takerOrMaker"]) for one in trades] == [
            ("sell", 400.0, "maker")
        ]
        found = await one.fetch_order(order["id"], "HMT/USDT")
        assert (found["status"], found["filled"]) == ("open", 400.0)
        assert len(await one.fetch_open_orders("HMT/USDT")) == 1
        await one.cancel_order(order["id"], "HMT/USDT")
        assert await one.fetch_open_orders("HMT/USDT") == []
        balance = await one.fetch_balance()
        assert balance["HMT"]["total"] == pytest.approx(1_000_000 - 400)
        assert (await one.fetch_order_book("HMT/USDT"))["asks"] == []
        assert (await one.fetch_ticker("HMT/USDT"))["last"] == 0.0205
        assert await one.fetch_ohlcv("HMT/USDT", "1h")
        assert len(await one.fetch_trades("HMT/USDT")) == 1
        assert (await one.fetch_trading_fee("HMT/USDT"))["maker"] == 0.001
        with pytest.raises(ccxt.InsufficientFunds):
            await one.create_order("HMT/USDT", "limit", "sell", 10_000_000, 0.02)
        assert (await venue.admin("GET", "/invariants"))["ok"] is True
