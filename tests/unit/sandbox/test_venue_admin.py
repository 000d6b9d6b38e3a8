"""The admin port: the outside world's hand, faults before and after a call had its effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.venue import LocalVenue, local_venue


@pytest.fixture
async def venue() -> AsyncIterator[LocalVenue]:
    async with local_venue() as running:
        yield running


def bids(venue: LocalVenue) -> int:
    return len(venue.exchange.engine.markets["BTCUSDT"].bids.keys)


async def test_a_deposit_is_credited_once_by_its_transaction(venue: LocalVenue) -> None:
    paid = {"account": 1, "asset": "USDT", "amount": "12.5", "tx_id": "0x1"}
    first = await venue.admin("POST", "/deposit", paid)
    again = await venue.admin("POST", "/deposit", paid)
    assert (first["repeated"], again["repeated"], again["id"]) == (False, True, first["id"])
    other = await venue.admin("POST", "/deposit", {**paid, "amount": "13"})
    assert "different deposit" in other["error"]
    _, rows, _ = await venue.signed("GET", "/sapi/v1/capital/deposit/hisrec", coin="USDT")
    assert [(row["amount"], row["txId"], row["status"]) for row in rows] == [("12.5", "0x1", 1)]
    shown = await venue.admin("GET", "/accounts")
    assert shown["accounts"][0]["balances"]["USDT"] == {
        "free": "1000012.50000000", "locked": "0.00000000", "total": "1000012.50000000",
    }  # fmt: skip


async def test_a_deposit_finds_its_account_by_address(venue: LocalVenue) -> None:
    _, given, _ = await venue.signed(
        "GET", "/sapi/v1/capital/deposit/address", 3, coin="HMT", network="MATIC"
    )
    paid = {"address": given["address"], "asset": "HMT", "amount": "1", "tx_id": "0x2"}
    await venue.admin("POST", "/deposit", paid)
    shown = await venue.admin("GET", "/accounts")
    assert shown["accounts"][2]["balances"]["HMT"]["total"] == "1000001.00000000"
    lost = await venue.admin("POST", "/deposit", {**paid, "address": "0x0", "tx_id": "0x3"})
    assert "never gave it out" in lost["error"]
    astray = await venue.admin("POST", "/deposit", {**paid, "network": "ETH", "tx_id": "0x4"})
    assert "gave it out on MATIC" in astray["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"account": 99, "asset": "USDT", "amount": "1", "tx_id": "a"},
        {"account": 1, "asset": "NOPE", "amount": "1", "tx_id": "a"},
        {"account": 1, "asset": "USDT", "amount": "-1", "tx_id": "a"},
        {"account": 1, "asset": "USDT", "amount": "0", "tx_id": "a"},
        {"account": 1, "asset": "USDT", "amount": "1", "tx_id": "a", "more": 1},
        {"asset": "USDT"},
    ],
)
async def test_a_malformed_deposit_is_refused_and_changes_nothing(
    venue: LocalVenue, body: dict[str, object]
) -> None:
    assert "error" in await venue.admin("POST", "/deposit", body)
    assert (await venue.admin("GET", "/invariants"))["ok"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("effect", ["drop", "reset", "error", "html"])
async def test_a_fault_hits_before_or_after_the_call_had_its_effect(
    venue: LocalVenue, when: str, effect: str
) -> None:
    fault = {"endpoint": "POST /api/v3/order", "account": 1, "when": when, "effect": effect}
    await venue.admin("POST", "/faults", fault)
    if effect in {"drop", "reset"}:
        with pytest.raises(aiohttp.ClientError):
            await venue.order()
    elif effect == "html":
        with pytest.raises(ValueError, match="Expecting value"):
            await venue.order()
    else:
        assert (await venue.order())[0] == 500
    assert bids(venue) == (1 if when == "after" else 0)
    assert (await venue.order())[0] == 200, "a fault with count 1 happens once"


async def test_faults_choose_account_endpoint_and_count_and_can_be_cleared(
    venue: LocalVenue,
) -> None:
    fault = {"endpoint": "*", "account": 2, "effect": "error", "status": 503, "count": 2,
             "code": -1008, "msg": "busy"}  # fmt: skip
    await venue.admin("POST", "/faults", fault)
    assert (await venue.order())[0] == 200
    assert await venue.order(account=2) == (503, {"code": -1008, "msg": "busy"})
    assert (await venue.admin("DELETE", "/faults")) == {"cleared": 1}
    assert (await venue.order(account=2))[0] == 200
    assert "error" in await venue.admin("POST", "/faults", {"endpoint": "*", "effect": "boom"})


async def test_a_delay_comes_before_the_answer_and_a_hang_never_answers(
    venue: LocalVenue,
) -> None:
    fault = {"endpoint": "GET /api/v3/time", "effect": "delay", "delay_ms": 300}
    await venue.admin("POST", "/faults", fault)
    started = venue.exchange.clock.monotonic_us()
    await venue.call("GET", "/api/v3/time")
    assert venue.exchange.clock.monotonic_us() - started >= 300_000
    hang = {"endpoint": "POST /api/v3/order", "effect": "hang", "when": "after"}
    await venue.admin("POST", "/faults", hang)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await venue.order()
    assert bids(venue) == 1


async def test_the_venues_clock_can_be_wrong(venue: LocalVenue) -> None:
    stamp = venue.exchange.clock.now_us() // 1_000
    await venue.admin("POST", "/clock", {"skew_ms": -10_000})
    _, body, _ = await venue.call("GET", "/api/v3/time")
    assert body["serverTime"] < stamp - 5_000
    _, body, _ = await venue.signed("GET", "/api/v3/account", time_shift_ms=10_000)
    assert body["code"] == -1021
    await venue.admin("POST", "/clock", {"skew_ms": 0})


async def test_calls_are_logged_without_their_values(venue: LocalVenue) -> None:
    await venue.order(newClientOrderId="secretive")
    calls = (await venue.admin("GET", "/log"))["calls"]
    assert (calls[-1]["call"], calls[-1]["status"]) == ("POST /api/v3/order", 200)
    assert "newClientOrderId" in calls[-1]["params"]
    assert "secretive" not in str(calls)
    assert (await venue.admin("DELETE", "/log"))["forgotten"] == 1


async def test_an_accounts_terms_can_be_changed(venue: LocalVenue) -> None:
    await venue.admin(
        "POST", "/accounts/2", {"pays_in_bnb": True, "maker_rate": "0", "taker_rate": "0.0004"}
    )
    await venue.order(account=2, side="SELL")
    _, taken = await venue.order()
    assert taken["fills"][0]["commissionAsset"] == "BTC"
    _, fills, _ = await venue.signed("GET", "/api/v3/myTrades", 2, symbol="BTCUSDT")
    assert fills[0]["commission"] == "0.00000000"
    await venue.order(side="SELL")
    _, paid = await venue.order(account=2)
    assert paid["fills"][0]["commissionAsset"] == "BNB"
    _, fee, _ = await venue.signed("GET", "/sapi/v1/asset/tradeFee", 2, symbol="BTCUSDT")
    assert fee == [{"symbol": "BTCUSDT", "makerCommission": "0", "takerCommission": "0.0004"}]
    invariants = await venue.admin("GET", "/invariants")
    assert invariants["ok"]
    assert set(invariants["fees"]) == {"BTC", "BNB", "USDT"}


async def test_a_revoked_key_is_unknown(venue: LocalVenue) -> None:
    await venue.admin("DELETE", "/keys/key1")
    status, body, _ = await venue.signed("GET", "/api/v3/account")
    assert (status, body["code"]) == (401, -2015)


async def test_filters_can_change_while_a_symbol_trades(venue: LocalVenue) -> None:
    """exchanges.md section 4 row 29."""
    await venue.admin("POST", "/symbols/BTCUSDT/filters", {"min_notional": "100"})
    _, body = await venue.order()
    assert body["msg"] == "Filter failure: NOTIONAL"
    _, info, _ = await venue.call("GET", "/api/v3/exchangeInfo", "symbol=BTCUSDT")
    rules = {rule["filterType"]: rule for rule in info["symbols"][0]["filters"]}
    assert rules["NOTIONAL"]["minNotional"] == "100.00000000"
    await venue.admin(
        "POST", "/symbols/BTCUSDT/filters", {"min_notional": "5", "max_num_orders": 1}
    )
    await venue.order()
    _, body = await venue.order()
    assert body["msg"] == "Filter failure: MAX_NUM_ORDERS"


async def _rules(venue: LocalVenue) -> dict[str, dict[str, Any]]:
    _, info, _ = await venue.call("GET", "/api/v3/exchangeInfo", "symbol=BTCUSDT")
    return {rule["filterType"]: rule for rule in info["symbols"][0]["filters"]}


async def test_found_8_tick_step_and_smallest_quantity_change_at_run_time(
    venue: LocalVenue,
) -> None:
    """Row 8: as the real wire shows it: exchangeInfo, -1013, and what rests stays as it is."""
    _, resting = await venue.order(price="59000.01", quantity="0.00101", side="BUY")
    answer = await venue.admin(
        "POST",
        "/symbols/BTCUSDT/filters",
        {"tick_size": "0.1", "step_size": "0.001", "min_qty": "0.002"},
    )
    assert (answer["tick_size"], answer["step_size"]) == ("0.10000000", "0.00100000")
    rules = await _rules(venue)
    assert rules["PRICE_FILTER"]["tickSize"] == rules["PRICE_FILTER"]["minPrice"] == "0.10000000"
    assert rules["LOT_SIZE"]["stepSize"] == "0.00100000"
    assert rules["LOT_SIZE"]["minQty"] == "0.00200000"
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"price": "59000.01", "quantity": "0.002"}, "PRICE_FILTER"),
        ({"price": "59000.1", "quantity": "0.0021"}, "LOT_SIZE"),
        ({"price": "59000.1", "quantity": "0.001"}, "LOT_SIZE"),
    )
    for change, filter_name in refused:
        status, body = await venue.order(**change)
        assert (status, body["code"]) == (400, -1013)
        assert body["msg"] == f"Filter failure: {filter_name}"
    status, _ = await venue.order(price="59000.1", quantity="0.002")
    assert status == 200
    _, depth, _ = await venue.call("GET", "/api/v3/depth", "symbol=BTCUSDT")
    assert depth["bids"] == [["59000.10000000", "0.00200000"], ["59000.01000000", "0.00101000"]]
    order_id = resting["orderId"]
    _, seen, _ = await venue.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=order_id)
    assert (seen["price"], seen["origQty"]) == ("59000.01000000", "0.00101000")
    await venue.admin(
        "POST",
        "/symbols/BTCUSDT/filters",
        {"tick_size": "0.01", "step_size": "0.00001", "min_qty": "0.00001"},
    )
    status, _ = await venue.order(price="59000.02", quantity="0.00102")
    assert status == 200
    assert (await venue.admin("GET", "/invariants"))["ok"]


@pytest.mark.parametrize("size", ["0.001", "0", "-1", "0.015", "x"])
async def test_a_size_that_the_engine_cannot_count_is_refused_by_the_admin_port(
    venue: LocalVenue, size: str
) -> None:
    before = await _rules(venue)
    assert "error" in await venue.admin("POST", "/symbols/BTCUSDT/filters", {"tick_size": size})
    assert await _rules(venue) == before


async def test_found_8_the_fees_of_a_symbol_change_for_everybody(venue: LocalVenue) -> None:
    fees = {"maker_rate": "0.002", "taker_rate": "0.003"}
    await venue.admin("POST", "/symbols/BTCUSDT/fees", fees)
    _, said, _ = await venue.signed("GET", "/api/v3/account/commission", symbol="BTCUSDT")
    assert said["standardCommission"]["maker"] == "0.00200000"
    assert said["standardCommission"]["taker"] == "0.00300000"
    _, other, _ = await venue.signed("GET", "/api/v3/account/commission", symbol="ETHUSDT")
    assert other["standardCommission"]["maker"] == "0.00100000"
    await venue.order(account=2, side="SELL")
    _, taken = await venue.order()
    assert taken["fills"][0]["commission"] == "0.00000300"
    assert "error" in await venue.admin("POST", "/symbols/BTCUSDT/fees", {"maker_rate": "0"})
    await venue.admin("POST", "/symbols/BTCUSDT/fees", {})
    _, said, _ = await venue.signed("GET", "/api/v3/account/commission", symbol="BTCUSDT")
    assert said["standardCommission"]["maker"] == "0.00100000"
    assert (await venue.admin("GET", "/invariants"))["ok"]
