"""The REST wire refuses what Binance refuses, with its codes, messages and headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import DAY_US, SECOND_US, ManualClock
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.model import SymbolStatus
from tests.support.venue import LocalVenue, local_venue


@pytest.fixture
async def venue() -> AsyncIterator[LocalVenue]:
    async with local_venue() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "query", "code", "message"),
    [
        ("/api/v3/ping", "x=1", -1101, "Too many parameters; expected '0' and received '1'."),
        ("/api/v3/depth", "", -1102, ("Mandatory parameter 'symbol' was not sent, was empty/null, "
         "or malformed.")),
        ("/api/v3/depth", "symbol=BTCUSDT&what=1", -1104,
         "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
        ("/api/v3/depth", "symbol=BTCUSDT&symbol=ETHUSDT", -1101,
         "Duplicate values for parameter 'symbol' detected."),
        ("/api/v3/depth", "symbol=btcusdt", -1100,
         "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."),
        ("/api/v3/depth", "symbol=NOPEUSDT", -1121, "Invalid symbol."),
        ("/api/v3/depth", "symbol=BTCUSDT&limit=a", -1100,
         "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."),
        ("/api/v3/depth", "symbol=BTCUSDT&limit=", -1105, "Parameter 'limit' was empty."),
        ("/api/v3/klines", "symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."),
        ("/api/v3/exchangeInfo", "symbol=BTCUSDT&symbols=%5B%5D", -1128,
         "Combination of optional parameters invalid."),
    ],
)  # fmt: skip
async def test_public_calls_take_only_their_parameters(
    venue: LocalVenue, path: str, query: str, code: int, message: str
) -> None:
    status, body, _ = await venue.call("GET", path, query)
    assert (status, body) == (400, {"code": code, "msg": message})


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"postOnly": "true"}, -1104, ("Not all sent parameters were read; read '8' parameter(s) "
         "but was sent '9'.")),
        ({"side": None}, -1102, ("Mandatory parameter 'side' was not sent, was empty/null, or "
         "malformed.")),
        ({"timeInForce": None}, -1102, ("Mandatory parameter 'timeInForce' was not sent, was "
         "empty/null, or malformed.")),
        ({"price": None}, -1102, ("Mandatory parameter 'price' was not sent, was empty/null, or "
         "malformed.")),
        ({"side": "LONG"}, -1117, "Invalid side."),
        ({"type": "ODD"}, -1116, "Invalid orderType."),
        ({"type": "STOP_LOSS"}, -2010, "Stop loss orders are not supported for this symbol."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"type": "LIMIT_MAKER"}, -1106, "Parameter 'timeInForce' sent when not required."),
        ({"type": "MARKET", "timeInForce": None}, -1106,
         "Parameter 'price' sent when not required."),
        ({"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"price": "-1"}, -1100, ("Illegal characters found in parameter 'price'; legal range is "
         "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.")),
        ({"price": "6e4"}, -1100, ("Illegal characters found in parameter 'price'; legal range is "
         "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.")),
        ({"price": "60000.000000001"}, -1111, "Parameter 'price' has too much precision."),
        ({"price": "60000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "1"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "19"}, -2010, "Account has insufficient balance for requested action."),
        ({"newClientOrderId": "sp ace"}, -1100, ("Illegal characters found in parameter "
         "'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.")),
        ({"newClientOrderId": "x" * 37}, -1100, ("Illegal characters found in parameter "
         "'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.")),
        ({"selfTradePreventionMode": "DECREMENT"}, -1013,
         "This symbol does not allow the specified self-trade prevention mode."),
        ({"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
    ],
)  # fmt: skip
async def test_orders_are_refused_with_the_wires_own_words(
    venue: LocalVenue, changes: dict[str, Any], code: int, message: str
) -> None:
    status, body = await venue.order(**changes)
    assert (status, body) == (400, {"code": code, "msg": message})
    assert not venue.exchange.engine.markets["BTCUSDT"].bids.keys


async def test_a_duplicate_open_client_id_is_refused(venue: LocalVenue) -> None:
    assert (await venue.order(newClientOrderId="once"))[0] == 200
    status, body = await venue.order(newClientOrderId="once")
    assert (status, body["code"], body["msg"]) == (400, -2010, "Duplicate order sent.")


async def test_a_closed_market_says_so(venue: LocalVenue) -> None:
    await venue.admin("POST", "/symbols/BTCUSDT/status", {"status": SymbolStatus.HALT})
    status, body = await venue.order()
    assert (status, body["code"], body["msg"]) == (400, -2010, "Market is closed.")
    _, info, _ = await venue.call("GET", "/api/v3/exchangeInfo", "symbol=BTCUSDT")
    assert info["symbols"][0]["status"] == "HALT"


async def test_what_is_not_there_is_said_by_its_own_code(venue: LocalVenue) -> None:
    _, body, _ = await venue.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=1)
    assert body == {"code": -2013, "msg": "Order does not exist."}
    _, body, _ = await venue.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=1)
    assert body == {"code": -2011, "msg": "Unknown order sent."}
    _, body, _ = await venue.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert body == {"code": -2011, "msg": "Unknown order sent."}
    _, body, _ = await venue.signed("GET", "/api/v3/order", symbol="BTCUSDT")
    assert body["code"] == -1102
    status, _, _ = await venue.call("GET", "/api/v3/nothing")
    assert status == 404


async def test_a_missing_unknown_or_read_only_key_is_refused(venue: LocalVenue) -> None:
    status, body, _ = await venue.call("GET", "/api/v3/account", "timestamp=1&signature=0")
    assert (status, body["code"]) == (401, -2014)
    status, body, _ = await venue.signed("GET", "/api/v3/account", 9)
    assert (status, body["code"]) == (401, -2015)
    status, _, _ = await venue.signed("GET", "/api/v3/account", key="ro_key")
    assert status == 200
    status, body, _ = await venue.signed(
        "DELETE", "/api/v3/openOrders", key="ro_key", symbol="BTCUSDT"
    )
    assert (status, body["code"]) == (401, -2015)
    status, body, _ = await venue.signed(
        "POST", "/sapi/v1/capital/withdraw/apply", key="ro_key", coin="USDT", amount="20",
        address="0x" + "1" * 40,
    )  # fmt: skip
    assert (status, body["code"]) == (401, -2015)


async def test_signatures_are_over_the_raw_query_and_body(venue: LocalVenue) -> None:
    status, body, _ = await venue.signed("GET", "/api/v3/account", secret="other")
    assert (status, body["code"]) == (400, -1022)
    stamp = venue.exchange.time_us() // 1_000
    status, body, _ = await venue.call("GET", "/api/v3/account", f"timestamp={stamp}", key="key1")
    assert (status, body["code"]) == (400, -1102)


@pytest.mark.parametrize(
    ("shift_ms", "window", "code"),
    [
        (1_500, 5_000, -1021),
        (-5_500, 5_000, -1021),
        (-5_500, 10_000, None),
        (500, 5_000, None),
        (0, 60_001, -1131),
        (0, "5000.123", None),
    ],
)
async def test_time_is_checked_against_the_receive_window(
    venue: LocalVenue, shift_ms: int, window: object, code: int | None
) -> None:
    _, body, _ = await venue.signed(
        "GET", "/api/v3/account", time_shift_ms=shift_ms, recvWindow=window
    )
    assert body.get("code") == code


async def test_the_answers_size_follows_the_order_type_and_the_wish(venue: LocalVenue) -> None:
    _, full = await venue.order()
    assert "fills" in full
    _, ack = await venue.order(type="LIMIT_MAKER", timeInForce=None, price="59000")
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    _, result = await venue.order(newOrderRespType="RESULT", price="59000")
    assert "fills" not in result
    assert result["status"] == "NEW"


async def test_weights_are_counted_refused_and_then_banned() -> None:
    limits = LimitSettings(weight_per_minute=60)
    async with local_venue(limits=limits) as venue:
        _, _, headers = await venue.call("GET", "/api/v3/exchangeInfo")
        assert headers["x-mbx-used-weight-1m"] == "20"
        await venue.call("GET", "/api/v3/depth", "symbol=BTCUSDT&limit=5")
        _, _, headers = await venue.call("GET", "/api/v3/ticker/price")
        assert headers["x-mbx-used-weight-1m"] == "29"
        status, body, headers = await venue.call(
            "GET", "/api/v3/depth", "symbol=BTCUSDT&limit=1000"
        )
        assert (status, body["code"]) == (429, -1003)
        assert 1 <= int(headers["Retry-After"]) <= 60
        for _ in range(30):
            status, body, headers = await venue.call("GET", "/api/v3/ping")
        assert (status, body["code"]) == (418, -1003)
        assert 60 < int(headers["Retry-After"]) <= 120
        await venue.admin("POST", "/limits", {"ban_ms": 0})
        assert (await venue.call("GET", "/api/v3/ping"))[0] == 200


async def test_sapi_counts_each_endpoint_apart_from_the_request_weight(venue: LocalVenue) -> None:
    history, address = "/sapi/v1/capital/withdraw/history", "/sapi/v1/capital/deposit/address"
    _, _, headers = await venue.signed("GET", address, coin="USDT")
    assert headers["x-sapi-used-ip-weight-1m"] == "10"
    assert "x-mbx-used-weight-1m" not in headers
    _, _, headers = await venue.signed("GET", "/sapi/v1/capital/deposit/hisrec")
    assert headers["x-sapi-used-ip-weight-1m"] == "1", "each endpoint has a limit of its own"
    _, _, headers = await venue.signed("GET", history)
    assert int(headers["x-sapi-used-ip-weight-1s"]) == 18_000
    sent: dict[str, Any] = {"coin": "USDT", "amount": "20", "address": "0x" + "a" * 40}
    for account, used in ((1, "900"), (1, "1800"), (2, "900")):
        _, _, headers = await venue.signed(
            "POST", "/sapi/v1/capital/withdraw/apply", account, **sent
        )
        assert headers["x-sapi-used-uid-weight-1m"] == used, "counted by account"
    _, _, headers = await venue.call("GET", "/api/v3/ping")
    assert headers["x-mbx-used-weight-1m"] == "1"


async def test_found_32_a_reference_is_searched_in_seven_days_and_a_history_in_ninety() -> None:
    history, day_ms = "/sapi/v1/capital/withdraw/history", 86_400_000
    clock = ManualClock(SystemClock().now_us())
    async with local_venue(clock=clock) as venue:
        sent: dict[str, Any] = {"coin": "USDT", "amount": "20", "address": "0x" + "a" * 40}
        path = "/sapi/v1/capital/withdraw/apply"
        assert (await venue.signed("POST", path, withdrawOrderId="w1", **sent))[0] == 200
        made_ms = clock.now_us() // 1_000

        async def seen(**asked: Any) -> int | str:
            clock.advance(SECOND_US)
            status, rows, _ = await venue.signed("GET", history, **asked)
            return len(rows) if status == 200 else f"{status} {rows['code']}"

        assert await seen(withdrawOrderId="w1") == 1
        clock.advance(8 * DAY_US)
        assert await seen(withdrawOrderId="w1") == 0, "the last seven days"
        assert await seen(withdrawOrderId="w1", startTime=made_ms) == "400 -1127"
        one = {"startTime": made_ms - 1, "endTime": made_ms - 1 + 7 * day_ms}
        assert await seen(withdrawOrderId="w1", **one) == 1
        assert await seen(withdrawOrderId="w1", **one | {"endTime": one["endTime"] + 1}) == (
            "400 -1127"
        )
        assert await seen(startTime=made_ms) == 1
        clock.advance(90 * DAY_US)
        assert await seen() == 0, "the last ninety days"
        assert await seen(startTime=made_ms) == "400 -1127"
        assert await seen(startTime=made_ms, endTime=made_ms + 90 * day_ms) == 1


async def test_a_sapi_limit_refuses_with_429_and_never_bans() -> None:
    history, clock = "/sapi/v1/capital/withdraw/history", ManualClock()
    async with local_venue(clock=clock) as venue:
        answers = [await venue.signed("GET", history) for _ in range(60)]
        assert [status for status, _, _ in answers] == [200] * 10 + [429] * 50
        assert (answers[-1][1]["code"], answers[-1][2]["Retry-After"]) == (-1003, "1")
        assert (await venue.signed("GET", "/sapi/v1/capital/deposit/hisrec"))[0] == 200
        assert (await venue.call("GET", "/api/v3/ping"))[0] == 200
        clock.advance(SECOND_US)
        assert (await venue.signed("GET", history))[0] == 200


async def test_unfilled_orders_are_counted_and_fills_give_the_count_back() -> None:
    async with local_venue(limits=LimitSettings(orders_per_10s=4, orders_per_day=4)) as venue:
        for _ in range(3):
            await venue.order()
        await venue.order(account=2, side="SELL")
        _, rows, _ = await venue.signed("GET", "/api/v3/rateLimit/order")
        assert [row["count"] for row in rows] == [2, 2]
        await venue.order()
        await venue.order()
        status, body = await venue.order()
        assert (status, body["code"]) == (429, -1015)
        assert body["msg"].startswith("Too many new orders; current limit is 4 orders per")
        status, _, _ = await venue.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
        assert status == 200, "cancels are never counted"


async def test_orders_that_succeed_weigh_nothing_and_tell_their_count(venue: LocalVenue) -> None:
    params: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
    }
    _, _, headers = await venue.signed(
        "POST", "/api/v3/order", quantity="0.001", price="60000", **params
    )
    assert headers["x-mbx-used-weight-1m"] == "0"
    assert headers["x-mbx-order-count-10s"] == "1"
    assert headers["x-mbx-order-count-1d"] == "1"


async def test_cancel_replace_says_what_each_half_did(venue: LocalVenue) -> None:
    _, first = await venue.order()
    params: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.001", "price": "59000",
    }  # fmt: skip
    path = "/api/v3/order/cancelReplace"
    status, body, _ = await venue.signed(
        "POST", path, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=first["orderId"], **params
    )
    assert (status, body["cancelResult"], body["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    second = body["newOrderResponse"]
    status, body, _ = await venue.signed(
        "POST", path, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=first["orderId"], **params
    )
    assert (status, body["code"]) == (400, -2022)
    assert body["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    status, body, _ = await venue.signed(
        "POST", path, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=first["orderId"], **params
    )
    assert (status, body["code"]) == (409, -2021)
    assert body["data"]["newOrderResult"] == "SUCCESS"
    params["quantity"] = "19"
    status, body, _ = await venue.signed(
        "POST", path, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=second["orderId"],
        **params,
    )  # fmt: skip
    assert (status, body["code"]) == (409, -2021)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert body["data"]["newOrderResponse"]["code"] == -2010


async def test_cancels_can_be_restricted_by_state(venue: LocalVenue) -> None:
    _, order = await venue.order()
    _, body, _ = await venue.signed(
        "DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=order["orderId"],
        cancelRestrictions="ONLY_PARTIALLY_FILLED",
    )  # fmt: skip
    assert body["code"] == -2011
    _, body, _ = await venue.signed(
        "DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=order["orderId"],
        cancelRestrictions="ONLY_NEW",
    )  # fmt: skip
    assert body["status"] == "CANCELED"


async def test_lists_page_by_id_and_by_time(venue: LocalVenue) -> None:
    for _ in range(3):
        await venue.order(account=2, side="SELL")
        await venue.order()
    _, fills, _ = await venue.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")
    assert len(fills) == 3
    _, later, _ = await venue.signed(
        "GET", "/api/v3/myTrades", symbol="BTCUSDT", fromId=fills[1]["id"]
    )
    assert later == fills[1:]
    _, some, _ = await venue.signed(
        "GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=fills[0]["orderId"]
    )
    assert some == fills[:1]
    _, orders, _ = await venue.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT", limit=2)
    assert len(orders) == 2
    _, page, _ = await venue.signed(
        "GET", "/api/v3/allOrders", symbol="BTCUSDT", orderId=orders[1]["orderId"]
    )
    assert page == orders[1:]
    _, body, _ = await venue.signed(
        "GET", "/api/v3/myTrades", symbol="BTCUSDT", startTime=0, endTime=86_400_001
    )
    assert body["code"] == -1127


async def test_withdrawals_are_checked_taken_whole_and_told(venue: LocalVenue) -> None:
    path, address = "/sapi/v1/capital/withdraw/apply", "0x" + "a" * 40
    cases: tuple[tuple[dict[str, Any], int], ...] = (
        ({"coin": "NOPE", "amount": "20", "address": address}, -4001),
        ({"coin": "USDT", "amount": "20", "address": address, "network": "XYZ"}, -4007),
        ({"coin": "USDT", "amount": "20", "address": "nowhere"}, -4021),
        ({"coin": "USDT", "amount": "1", "address": address}, -4024),
        ({"coin": "USDT", "amount": "1000001", "address": address}, -4026),
    )
    for params, code in cases:
        _, body, _ = await venue.signed("POST", path, **params)
        assert body["code"] == code
    held = venue.exchange.keys.find("key1").account.balance("USDT")
    before = held.free
    _, body, _ = await venue.signed(
        "POST", path, coin="USDT", amount="20", address=address, withdrawOrderId="w1"
    )
    assert before - held.free == 20 * 10**8
    _, rows, _ = await venue.signed(
        "GET", "/sapi/v1/capital/withdraw/history", withdrawOrderId="w1"
    )
    assert (rows[0]["id"], rows[0]["status"]) == (body["id"], 4)
    assert (rows[0]["amount"], rows[0]["transactionFee"]) == ("18.5", "1.5")
    assert rows[0]["txId"] == ""
    done = await venue.admin("POST", f"/withdrawals/{body['id']}/complete", {"tx_id": "0xfeed"})
    assert done["sent"] == "18.50000000"
    _, rows, _ = await venue.signed("GET", "/sapi/v1/capital/withdraw/history", status=6)
    assert (rows[0]["txId"], rows[0]["status"]) == ("0xfeed", 6)
    assert (await venue.admin("GET", "/invariants"))["ok"]
