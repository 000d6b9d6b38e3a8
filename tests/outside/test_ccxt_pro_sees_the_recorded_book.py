"""ccxt.pro's own book over our wire against the recording, rebuilt here without our code."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import ccxt.pro

from tests.support.venue import RunningVenue, ccxt_settings, running_venue

NAME = "binance_btcusdt_20240808.ndjson.gz"
FOUND = Path(__file__).parents[1] / "vectors" / NAME
TOP = 50
Level = tuple[float, float]


def rebuilt(last_id: int) -> tuple[list[Level], list[Level]]:
    """The recorded book after the diff that ends with ``last_id``: snapshot, then diffs."""
    book: dict[str, dict[float, float]] = {"b": {}, "a": {}}
    at = None
    early: list[Any] = []
    with gzip.open(FOUND) as file:
        for line in file:
            frame = json.loads(line.partition(b" ")[2])
            if "lastUpdateId" in frame and at is None:
                at = frame["lastUpdateId"]
                book["b"] = {float(price): float(size) for price, size in frame["bids"]}
                book["a"] = {float(price): float(size) for price, size in frame["asks"]}
                diffs = early
            elif "@depth" in frame.get("stream", ""):
                diffs = [frame["data"]]
                if at is None:
                    early += diffs
                    continue
            else:
                continue
            for diff in diffs:
                if at is not None and diff["u"] <= at:
                    continue
                for side in ("b", "a"):
                    for price, size in diff[side]:
                        book[side][float(price)] = float(size)
                at = diff["u"]
            if at is not None and at >= last_id:
                break
    assert at == last_id
    bids = sorted(((price, size) for price, size in book["b"].items() if size), reverse=True)
    asks = sorted((price, size) for price, size in book["a"].items() if size)
    return bids[:TOP], asks[:TOP]


def top(rows: Any) -> list[Level]:
    return [(row[0], row[1]) for row in rows[:TOP]]


async def still(venue: RunningVenue) -> dict[str, Any]:
    """Pause the recording; it stands still right after a diff."""
    await venue.admin("POST", "/flow/pause")
    before: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while True:
            now: dict[str, Any] = (await venue.admin("GET", "/flow"))["recording"]
            if now == before:
                return now
            before = now
            await asyncio.sleep(0.5)


async def test_the_book_that_ccxt_keeps_is_the_recorded_one_and_the_engines() -> None:
    async with running_venue("--recording", str(FOUND), "--flow", "none") as venue:
        exchange = ccxt.pro.binance(ccxt_settings(venue.ready, 1))
        try:
            await exchange.load_markets()
            book = await exchange.watch_order_book("BTC/USDT")
            for _ in range(3):
                async with asyncio.timeout(30):
                    for _ in range(25):
                        book = await exchange.watch_order_book("BTC/USDT")
                    state = await still(venue)
                    while book["nonce"] < state["last_update_id"]:
                        book = await exchange.watch_order_book("BTC/USDT")
                assert book["nonce"] == state["last_update_id"]
                bids, asks = rebuilt(state["last_recorded_id"])
                assert top(book["bids"]) == bids
                assert top(book["asks"]) == asks
                served = await exchange.fetch_order_book("BTC/USDT", TOP)
                assert top(served["bids"]) == bids
                assert top(served["asks"]) == asks
                await venue.admin("POST", "/flow/resume")
        finally:
            await exchange.close()
        assert (await venue.admin("GET", "/invariants"))["ok"] is True


async def test_with_a_client_in_the_book_ccxt_still_sees_what_the_engine_has() -> None:
    async with running_venue("--recording", str(FOUND), "--flow", "none") as venue:
        exchange = ccxt.pro.binance(ccxt_settings(venue.ready, 1))
        try:
            await exchange.load_markets()
            book = await exchange.watch_order_book("BTC/USDT")
            for step in range(4):
                for side, price in (
                    ("buy", book["bids"][step][0]), ("sell", book["asks"][step][0]),
                ):  # fmt: skip
                    await exchange.create_order("BTC/USDT", "limit", side, 0.01, price)
                async with asyncio.timeout(30):
                    for _ in range(10):
                        book = await exchange.watch_order_book("BTC/USDT")
            state = await still(venue)
            async with asyncio.timeout(30):
                while book["nonce"] < state["last_update_id"]:
                    book = await exchange.watch_order_book("BTC/USDT")
            served = await exchange.fetch_order_book("BTC/USDT", TOP)
            assert top(book["bids"]) == top(served["bids"])
            assert top(book["asks"]) == top(served["asks"])
            assert served["bids"][0][0] < served["asks"][0][0]
        finally:
            await exchange.close()
        assert (await venue.admin("GET", "/invariants"))["ok"] is True
